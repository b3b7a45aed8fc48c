// Measures the dashboard of a running loopd in Chromium without a GPU. `cargo xtask bench dashboard` runs it:
//   node e2e/bench/main.mjs '{"case": "tile", "url": "http://127.0.0.1:7411", …}'
// Prints one JSON object a line: {variant, unit, values, judged}. `judged`: whether the case's budget is about this row.

import { chromium } from "playwright-core";
import { frame } from "./frame.mjs";
import { heap } from "./heap.mjs";
import { interactive } from "./interactive.mjs";
import { shell } from "./shell.mjs";
import { tile } from "./tile.mjs";

const CASES = { shell, interactive, tile, frame, heap };
const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

const job = JSON.parse(process.argv[2] ?? "{}");
const measure = CASES[job.case];
if (!measure || !job.url) {
  console.error(`usage: node e2e/bench/main.mjs '{"case": "${Object.keys(CASES).join("|")}", "url": "http://…"}'`);
  process.exit(2);
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: ARGS });
const row = (variant, unit, values, { judged = false } = {}) => console.log(JSON.stringify({ variant, unit, values, judged }));

/** A page in a context of its own, with nothing in its cache. */
async function newPage() {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.on("pageerror", (error) => fail(`the page failed: ${error.message}`));
  return page;
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}

try {
  await measure({ job, browser, newPage, row });
} catch (error) {
  fail(error.stack);
}
await browser.close();
