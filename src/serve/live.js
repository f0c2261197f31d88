"use strict";
// Puts each part of the page in its place as it changes, and leaves alone what did not.
(() => {
  const SAY_EVERY_MS = 15000;
  const AGAIN_AFTER_MS = 5000;
  const live = document.getElementById("live");
  const lost = document.getElementById("lost");
  const said = document.getElementById("said");
  let source = null;
  let saidAt = 0;

  // Focus stays where the reader had it: on the link to the same place.
  const replace = (before, after) => {
    const focused = before.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    before.replaceWith(after);
    if (focused === null) return;
    for (const link of after.querySelectorAll("a")) {
      if (link.getAttribute("href") === focused) link.focus();
    }
  };

  const show = (text) => {
    const fresh = document.createElement("template");
    fresh.innerHTML = text;
    for (const after of [...fresh.content.children]) {
      const before = document.getElementById(after.id);
      if (before && before.outerHTML !== after.outerHTML) replace(before, after);
    }
    const sentence = live.querySelector("h1").textContent;
    document.title = sentence;
    const now = Date.now();
    if (now - saidAt >= SAY_EVERY_MS) {
      said.textContent = sentence;
      saidAt = now;
    }
  };

  const open = () => {
    if (source) return;
    source = new EventSource(live.dataset.events);
    source.addEventListener("run", (event) => show(event.data));
    source.addEventListener("open", () => { lost.hidden = true; });
    source.addEventListener("error", () => {
      lost.hidden = false;
      // A browser tries again by itself, but not after an answer that is an error.
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        setTimeout(() => { if (!document.hidden) open(); }, AGAIN_AFTER_MS);
      }
    });
  };

  // A browser keeps few connections to one place: pages that nobody looks at give theirs back.
  const close = () => {
    if (source) source.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
})();
