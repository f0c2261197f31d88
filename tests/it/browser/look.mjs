// Looks at pages in a real Chromium: `node look.mjs THEME ARGUMENTS…`. Says nothing and ends with 0 if all holds.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.env.PACKAGES, "package.json"));
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const SHOTS = process.env.SHOTS;
const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1280, height: 900 };
/// An A4 page without its margins of 14 mm, in CSS pixels of a 96th of an inch.
const A4 = { width: Math.floor((182 / 25.4) * 96), height: 1017 };

mkdirSync(SHOTS, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  // The sandbox of the browser needs a user of its own, which containers do not have.
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});

/// A page that tells of everything that should not be: errors, requests to elsewhere, dialogs.
const open = async (url, options = {}) => {
  const context = await browser.newContext({ viewport: DESKTOP, ...options });
  const page = await context.newPage();
  const wrong = [];
  const origin = new URL(url).origin;
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) wrong.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong.push(`page: ${error}`));
  page.on("dialog", (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    const asked = request.url();
    if (asked === url || asked.startsWith("data:") || (origin !== "null" && asked.startsWith(`${origin}/`))) return;
    if (asked.split("#")[0] !== url.split("#")[0]) wrong.push(`request: ${asked}`);
  });
  // As a person does: once by the link that was printed, which leads to a place without the token.
  if (process.env.LINK && url.startsWith("http")) {
    await page.goto(process.env.LINK);
    assert.equal(page.url(), `${new URL(process.env.LINK).origin}/`);
  }
  await page.goto(url);
  return { page, wrong, close: () => context.close() };
};

/// Ways to look at a page: each width in each scheme.
const looks = [
  ["phone", PHONE, "light"],
  ["phone", PHONE, "dark"],
  ["desktop", DESKTOP, "light"],
  ["desktop", DESKTOP, "dark"],
];

const accessible = async (page, what) => {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html)}`);
  assert.deepEqual(told, [], what);
};

/// Nothing is wider than the window but what scrolls by itself.
const fits = async (page, what) => {
  const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= room, `${what}: ${wide} pixels in ${room}`);
};

/// Every look, with a picture of each.
const looked = async (url, name) => {
  for (const [width, viewport, colorScheme] of looks) {
    const { page, wrong, close } = await open(url, { viewport, colorScheme });
    await page.locator("h1").waitFor();
    await accessible(page, `${name}, ${width}, ${colorScheme}`);
    await fits(page, `${name}, ${width}`);
    await page.screenshot({ path: join(SHOTS, `${name}-${width}-${colorScheme}.png`) });
    if (width === "desktop" && colorScheme === "light") {
      await page.screenshot({ path: join(SHOTS, `${name}-whole.png`), clip: { x: 0, y: 0, width: 1280, height: 4000 }, fullPage: true });
    }
    assert.deepEqual(wrong, [], `${name}, ${width}, ${colorScheme}`);
    await close();
  }
};

const rowsShown = (page) => page.locator("table.rows tbody tr:not(.story):visible").count();

const themes = {
  /// A report: how it looks, prints and reads without scripts.
  async report(file, name, nRows) {
    const url = pathToFileURL(file).href;
    await looked(url, name);
    const { page, wrong, close } = await open(url);
    await page.setViewportSize(A4);
    await page.emulateMedia({ media: "print" });
    await fits(page, `${name} on A4`);
    await page.pdf({ path: join(SHOTS, `${name}.pdf`), format: "A4", preferCSSPageSize: true });
    assert.deepEqual(wrong, []);
    await close();
    const plain = await open(url, { javaScriptEnabled: false });
    const lines = plain.page.locator("table.rows tbody tr:not(.story)");
    assert.equal(await lines.count(), Number(nRows), "without scripts every row is there");
    assert.equal(await plain.page.locator("#find").isVisible(), false, "what needs a script is not offered without");
    const link = plain.page.locator("table.rows th a").first();
    await link.click();
    assert.equal(await plain.page.locator("tr.story:visible").count(), 1, "a row tells its story without scripts");
    assert.deepEqual(plain.wrong, []);
    await plain.close();
  },

  /// The rows of a report are found by what stands in them.
  async search(file, nRows, id, verdict, nOfVerdict) {
    const { page, wrong, close } = await open(pathToFileURL(file).href);
    const count = page.locator("#count");
    await count.filter({ hasText: `of ${nRows} rows` }).waitFor();
    const shown = await rowsShown(page);
    assert.equal(shown, Math.min(200, Number(nRows)));
    if (Number(nRows) > 200) {
      await page.locator("#on").click();
      await count.filter({ hasText: /^201 to / }).waitFor();
      await page.locator("#back").click();
      await count.filter({ hasText: /^1 to / }).waitFor();
    }
    await page.locator("#text").fill(id.toUpperCase());
    await count.filter({ hasText: "1 to 1 of 1," }).waitFor();
    assert.equal(await rowsShown(page), 1);
    assert.ok((await page.locator("table.rows tbody").first().innerText()).includes(id));
    await page.locator("#text").fill("no such row");
    await count.filter({ hasText: "none of" }).waitFor();
    await page.locator("#text").fill("");
    await page.locator("#verdict").selectOption(verdict);
    await count.filter({ hasText: `of ${nOfVerdict}` }).waitFor();
    assert.equal(await rowsShown(page), Math.min(200, Number(nOfVerdict)));
    // What needs a human leads to its example's story, on whatever page it is.
    const cause = page.locator(".causes a").last();
    const example = await cause.innerText();
    await cause.click();
    const story = page.locator("tr.story:visible");
    await story.waitFor();
    assert.ok((await story.innerText()).includes(example));
    assert.deepEqual(wrong, []);
    await close();
  },

  /// Text that came from outside stays text: in the report, with and without scripts, and on each page that is served.
  async hostile(file, run, ...texts) {
    const report = pathToFileURL(file).href;
    const pages = [report, run, `${run}/rows`, `${run}/rows/1`, `${run}/rows?find=${encodeURIComponent(texts[0])}`, `${run}/rows/1%3Cb%3E`, `${run}%3Cscript%3Ehacked%3D1%3C%2Fscript%3E`];
    for (const [javaScriptEnabled, url] of [[false, report], ...pages.map((url) => [true, url])]) {
      // What is below the screen has no text for a browser that leaves it out of the layout.
      const { page, wrong, close } = await open(url, { javaScriptEnabled, viewport: { width: 1280, height: 4000 } });
      await page.locator("h1").waitFor();
      if (javaScriptEnabled) assert.equal(await page.evaluate(() => typeof hacked), "undefined", url);
      const injected = page.locator("img, iframe, object, embed, base, a[href^='javascript'], script:not([src]):not(:last-child), [onerror], [onload], [onclick]");
      assert.equal(await injected.count(), 0, url);
      if (url === report || url === `${run}/rows`) {
        // A frame has to be drawn for that; what no frame shows is told below.
        const allShown = (texts) => texts.every((text) => document.body.innerText.includes(text));
        await page.waitForFunction(allShown, texts).catch(() => {});
        const shown = await page.locator("body").innerText();
        for (const text of texts) assert.ok(shown.includes(text), `${text} is shown on ${url}`);
      }
      // A page that is not there is not an error of the page.
      assert.deepEqual(wrong.filter((text) => !text.includes("404 (Not Found)")), [], url);
      await close();
    }
  },

  /// The page of a run that goes on follows it to its end by itself.
  async follow(run, end) {
    const { page, wrong, close } = await open(run);
    const seen = [];
    await page.exposeFunction("tell", (text) => seen.push([Date.now(), text]));
    await page.evaluate(() => {
      const tell = globalThis.tell;
      const look = () => tell(document.querySelector("h1").textContent);
      look();
      new MutationObserver(look).observe(document.getElementById("live"), { childList: true, subtree: true });
    });
    process.stdout.write("watching\n");
    await page.getByRole("heading", { level: 1, name: end }).waitFor({ timeout: 60000 });
    assert.equal(await page.title(), end);
    // What was on the page when: for whoever knows when it happened.
    process.stdout.write(`${JSON.stringify(seen)}\n`);
    assert.deepEqual(wrong, []);
    await close();
  },

  /// Everything that is served, in every way of looking.
  async served(site, run) {
    await looked(`${site}/`, "serve-runs");
    await looked(run, "serve-run");
    await looked(`${run}/rows`, "serve-rows");
    await looked(`${run}/rows/1`, "serve-row");
    const { page, wrong, close } = await open(run);
    // By keyboard alone: to the content, and on to a row's story.
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "to the content");
    await page.getByRole("link", { name: "rows", exact: true }).focus();
    await page.keyboard.press("Enter");
    await page.getByLabel("Find").fill("vm-00003");
    await page.keyboard.press("Enter");
    await page.getByText("1 found").waitFor();
    await page.getByRole("link", { name: "story of row 3" }).press("Enter");
    await page.getByRole("heading", { level: 1, name: "vm-00003" }).waitFor();
    await page.goto(run);
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: "html" }).click();
    assert.match((await download).suggestedFilename(), /^cutover-.*\.html$/);
    assert.deepEqual(wrong, []);
    await close();
  },

  /// One picture of a page, for the README.
  async picture(url, path, width, height, colorScheme) {
    const { page, close } = await open(url, { viewport: { width: Number(width), height: Number(height) }, colorScheme });
    await page.locator("h1, pre").first().waitFor();
    await page.screenshot({ path });
    await close();
  },
};

try {
  const [theme, ...given] = process.argv.slice(2);
  await themes[theme](...given);
} finally {
  await browser.close();
}
