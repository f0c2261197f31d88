
"use strict";
// The rows lie in the page as text that only readers without scripts see as tables; here they are searched and shown in pages.
(() => {
  const PAGE = 200;
  const element = (id) => document.getElementById(id);
  const lines = [];
  for (const chunk of document.querySelectorAll("noscript.chunk")) {
    for (const line of chunk.textContent.split("\n")) {
      if (line.startsWith("<tr ")) lines.push(line);
    }
    chunk.remove();
  }
  const classes = lines.map((line) => /class="v-(\w+)( off)?"/.exec(line));
  const verdicts = classes.map(([, verdict]) => verdict);
  const isOff = classes.map(([, , off]) => off !== undefined);
  for (const verdict of [...new Set(verdicts)].sort()) element("verdict").add(new Option(verdict, verdict));

  // What a reader sees of a line: no tags, and each character as itself.
  const text = (line) =>
    line.replace(/<[^>]*>/g, " ").replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(code)).toLowerCase();

  let found = [];
  let first = 0;
  let waiting;

  const search = () => {
    const wanted = element("verdict").value;
    const words = element("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (i) => !wanted || (wanted === "off" ? isOff[i] : verdicts[i] === wanted);
    found = [];
    for (let i = 0; i < lines.length; i++) {
      if (!fits(i)) continue;
      if (words.length > 0) {
        const seen = text(lines[i]);
        if (!words.every((word) => seen.includes(word))) continue;
      }
      found.push(i);
    }
  };

  // The story that the address names stays open when the rows are written anew: for the browser they are others then.
  const mark = () => {
    for (const story of document.querySelectorAll("tr.story.open")) story.classList.remove("open");
    const story = element(location.hash.slice(1));
    if (story && story.classList.contains("story")) story.classList.add("open");
    return story;
  };

  const show = (from) => {
    first = Math.max(0, Math.min(from, found.length - 1));
    first -= first % PAGE;
    const page = found.slice(first, first + PAGE);
    element("found").querySelector("tbody").innerHTML = page.map((i) => lines[i]).join("\n");
    element("count").textContent = found.length === 0
      ? `none of ${lines.length} rows`
      : `${first + 1} to ${first + page.length} of ${found.length}` + (found.length < lines.length ? `, out of ${lines.length} rows` : " rows");
    mark();
    element("back").disabled = first === 0;
    element("on").disabled = first + PAGE >= found.length;
  };

  const renew = () => {
    search();
    show(0);
  };

  // A link to a row's story finds it on whatever page it is.
  const follow = () => {
    const asked = /^#s(\d+)$/.exec(location.hash);
    if (mark() || !asked) return;
    const at = lines.findIndex((line) => line.startsWith(`<tr id="r${asked[1]}"`));
    if (at < 0) return;
    clearTimeout(waiting);
    element("text").value = "";
    element("verdict").value = "";
    search();
    show(at);
    (mark() ?? element(`r${asked[1]}`)).scrollIntoView();
  };

  element("text").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(renew, 150);
  });
  element("verdict").addEventListener("change", renew);
  element("back").addEventListener("click", () => show(first - PAGE));
  element("on").addEventListener("click", () => show(first + PAGE));
  element("find").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", follow);
  element("find").hidden = false;
  element("found").hidden = false;
  renew();
  follow();
})();
