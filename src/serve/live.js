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
  let saying;

  // Focus stays where the reader had it, and what was scrolled stays scrolled.
  const name = (element) => element.getAttribute("href") ?? element.getAttribute("aria-label");
  const replace = (before, after) => {
    const focused = before.contains(document.activeElement) ? name(document.activeElement) : null;
    const scrolled = [...before.querySelectorAll(".wide")].map((part) => [name(part), part.scrollLeft]);
    before.replaceWith(after);
    for (const part of after.querySelectorAll(".wide")) {
      part.scrollLeft = scrolled.find(([of]) => of === name(part))?.[1] ?? 0;
    }
    if (focused === null) return;
    for (const part of after.querySelectorAll("a, [tabindex]")) {
      if (name(part) === focused) part.focus({ preventScroll: true });
    }
  };

  // Said aloud now and then, and the last of it always.
  const say = () => {
    clearTimeout(saying);
    const wait = saidAt + SAY_EVERY_MS - Date.now();
    if (wait > 0) {
      saying = setTimeout(say, wait);
      return;
    }
    said.textContent = live.querySelector("h1").textContent;
    saidAt = Date.now();
  };

  const show = (text) => {
    const fresh = document.createElement("template");
    fresh.innerHTML = text;
    for (const after of [...fresh.content.children]) {
      const before = document.getElementById(after.id);
      if (before && before.outerHTML !== after.outerHTML) replace(before, after);
    }
    document.title = live.querySelector("h1").textContent;
    say();
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
