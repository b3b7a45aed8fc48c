// What every walk through the dashboard in a real browser shares: Chromium, pages that report complaints, steps that are counted,
// conditions that are waited for.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";

/** Longest wait for one condition, in milliseconds: nobody waits so long for what comes, and a busy machine may stand still for a while. */
export const LIMIT = Number(process.env.WALK_LIMIT ?? 30_000);
const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

export function check(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

export async function until(condition, sentence, limit = LIMIT) {
  const end = Date.now() + limit;
  let last;
  while (Date.now() < end) {
    try {
      last = await condition();
      if (last) return last;
    } catch (error) {
      last = error.message;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${sentence} (waited ${limit} ms; last: ${last})`);
}

/** Has the system be light or dark, as long as nobody has chosen a theme in this page. */
export async function setTheme(page, colorScheme) {
  await page.emulateMedia({ colorScheme });
  await until(() => page.evaluate((wanted) => document.documentElement.dataset.theme === wanted, colorScheme), `the page is ${colorScheme}`);
}

/** How many different colours the canvas shows, and the share of the most common one. */
export async function pixels(testId, on) {
  return on.getByTestId(testId).evaluate((canvas) => {
    const { width, height } = canvas;
    const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    const seen = new Map();
    for (let k = 0; k < data.length; k += 4) {
      const color = (data[k] << 16) | (data[k + 1] << 8) | data[k + 2];
      seen.set(color, (seen.get(color) ?? 0) + 1);
    }
    return { colors: seen.size, background: Math.max(...seen.values()) / (width * height) };
  });
}

/** Returns when all that the page had to draw, and to do after drawing, is done. */
export async function settled(page) {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))));
}

/** The page as `npm run build` left it in this folder, in the place of the one that is built into the binary. */
async function serveFrom(folder, context) {
  await context.route((url) => !url.pathname.startsWith("/api/"), (route) => {
    const { pathname } = new URL(route.request().url());
    // The page may have been left meanwhile.
    return route.fulfill({ path: join(folder, pathname.split("/").at(-1).includes(".") ? pathname : "index.html") }).catch(() => {});
  });
}

/** A browser that walks through the dashboard at `base` and leaves its screenshots in `out`. */
export async function startWalk(base, out) {
  await mkdir(out, { recursive: true });
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: ARGS });
  /** What the browser complained about since the last step. */
  const complaints = [];
  let passed = 0;
  let failed = 0;

  /** A page in a context of its own; `options` are those of playwright's `newContext`. */
  async function newPage(options = {}) {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light", reducedMotion: "reduce", ...options });
    if (process.env.LOOPD_DIST) await serveFrom(process.env.LOOPD_DIST, context);
    const page = await context.newPage();
    page.setDefaultTimeout(LIMIT);
    // A refused inline script or style is also a console error, so content security policy reports are among these.
    page.on("console", (message) => message.type() === "error" && complaints.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
    page.on("requestfailed", (request) => {
      // Requests that the page itself gave up, because a newer one took their place or a page was left, did not fail.
      const reason = request.failure()?.errorText ?? "";
      if (!reason.includes("ERR_ABORTED")) complaints.push(`request: ${request.url()} ${reason}`);
    });
    page.on("response", (response) => response.status() >= 400 && complaints.push(`answer: ${response.status()} ${response.url()}`));
    return page;
  }

  /** One sentence that has to be true. Where something is broken on purpose, `mayComplain` says which complaints belong to it. */
  async function step(name, page, action, { mayComplain = null } = {}) {
    complaints.length = 0;
    const before = Date.now();
    try {
      await action(page);
      const unexpected = complaints.filter((complaint) => !mayComplain?.test(complaint));
      if (unexpected.length > 0) throw new Error(`the browser complained: ${unexpected.join("; ")}`);
      passed += 1;
      console.log(`ok    ${name} (${((Date.now() - before) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL  ${name}\n      ${String(error.message).split("\n").slice(0, 16).join("\n      ")}`);
      await page.screenshot({ path: `${out}/failed-${failed}.png` }).catch(() => {});
    }
  }

  return {
    browser,
    newPage,
    step,
    shot: (name, page) => page.screenshot({ path: `${out}/${name}.png` }),
    open: (path, page) => page.goto(new URL(path, base).href, { waitUntil: "load" }),
    /** Closes the browser and ends the program: with 1 if anything is wrong. */
    async finish() {
      await browser.close();
      console.log(`${passed} passed, ${failed} failed`);
      process.exit(failed === 0 ? 0 : 1);
    },
  };
}

/** Writes a statement into the page Query as a person does: a script that sets the text makes the browser copy its colours as styles. */
export async function writeSql(page, sql) {
  const editor = page.getByTestId("sql");
  await editor.focus();
  await page.keyboard.press("Control+a");
  await page.keyboard.press("Delete");
  await page.keyboard.insertText(sql);
  return editor;
}
