// Walks through the dashboard of a running loopd with a recorded demo, as a person would:
//   node e2e/journey.mjs http://127.0.0.1:7411 /tmp/screenshots
// Exits with 1 if anything is wrong; the last line is `N passed, M failed`.

import { mkdir } from "node:fs/promises";
import { chromium } from "playwright-core";

const [base, out = "screenshots"] = process.argv.slice(2);
if (!base) {
  console.error("usage: node e2e/journey.mjs BASE_URL [SCREENSHOT_DIR]");
  process.exit(2);
}

/** Longest wait for one condition. */
const LIMIT = 15_000;
const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

let passed = 0;
let failed = 0;
/** What the browser complained about since the last step. */
const complaints = [];

await mkdir(out, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: ARGS });
const page = await newPage("light");

async function newPage(colorScheme) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme, reducedMotion: "reduce" });
  const fresh = await context.newPage();
  fresh.setDefaultTimeout(LIMIT);
  // A refused inline script or style is also a console error, so content security policy reports are among these.
  fresh.on("console", (message) => message.type() === "error" && complaints.push(`console: ${message.text()}`));
  fresh.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  fresh.on("requestfailed", (request) => {
    // Requests that the page itself gave up, because a newer one took their place or a page was left, did not fail.
    const reason = request.failure()?.errorText ?? "";
    if (!reason.includes("ERR_ABORTED")) complaints.push(`request: ${request.url()} ${reason}`);
  });
  fresh.on("response", (response) => response.status() >= 400 && complaints.push(`answer: ${response.status()} ${response.url()}`));
  return fresh;
}

async function step(name, action, { on = page } = {}) {
  complaints.length = 0;
  try {
    await action(on);
    if (complaints.length > 0) throw new Error(`the browser complained: ${complaints.join("; ")}`);
    passed += 1;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}\n      ${String(error.message).split("\n").slice(0, 6).join("\n      ")}`);
    await on.screenshot({ path: `${out}/failed-${failed}.png` }).catch(() => {});
  }
}

function check(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

async function until(condition, sentence, limit = LIMIT) {
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

const shot = (name, on = page) => on.screenshot({ path: `${out}/${name}.png` });
const open = (path, on = page) => on.goto(new URL(path, base).href, { waitUntil: "load" });
/** Opens a page from the navigation, as people do. */
const go = (title) => page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: title, exact: true }).click();

/** How many different colours the canvas shows, and the share of the most common one. */
async function pixels(testId, on = page) {
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

await step("the page loads, connects and names a process", async () => {
  await open("/");
  await page.getByTestId("process-picker").waitFor();
  await until(async () => (await page.getByTestId("connection").getAttribute("data-state")) === "open", "the live stream opens");
  check(/loopd/.test(await page.title()), "the title says loopd");
});

await step("Overview gives a verdict, a health strip and a card for slow polls", async () => {
  await page.getByTestId("verdict").waitFor();
  const sentence = await page.getByTestId("verdict").getByRole("heading").innerText();
  check(sentence.length > 20, `the verdict is a sentence, not "${sentence}"`);
  await page.getByTestId("health").waitFor();
  await page.getByTestId("headline-slow").first().waitFor();
  await shot("overview");
});

await step("Overview → Slow shows sites by line, the first one open with advice", async () => {
  await page.getByTestId("headline-slow").first().click();
  await page.getByTestId("slow").waitFor();
  const site = page.getByTestId("site").first();
  await site.waitFor();
  check(/\.rs:\d+/.test(await site.innerText()), "a site is named by file and line");
  await shot("slow");
});

await step("Slow → example opens the timeline at that poll, with location and stack", async () => {
  const site = page.getByTestId("site").filter({ has: page.getByTestId("stack") }).first();
  if ((await site.count()) === 0) await page.getByTestId("site").first().getByRole("button").first().click();
  await page.getByTestId("stack").first().waitFor();
  await page.getByTestId("site").filter({ has: page.getByTestId("stack") }).first().getByTestId("example").first().click();
  await page.getByTestId("timeline").waitFor();
  const panel = page.getByTestId("poll-panel");
  await panel.waitFor();
  await until(async () => /\.rs:\d+/.test(await panel.getByTestId("panel-location").innerText()), "the panel names where the task was spawned");
  await panel.getByTestId("stack").waitFor();
  check((await panel.getByTestId("stack").locator("li").count()) > 0, "the stack has frames");
  await shot("timeline-slow-poll");
});

await step("Timeline → Task, and back to the same view", async () => {
  const before = page.url();
  await page.getByTestId("panel-open-task").click();
  await page.getByTestId("task-facts").waitFor();
  check(/\.rs:\d+/.test(await page.getByTestId("task-facts").innerText()), "the task names its spawn location");
  await shot("task");
  await page.goBack();
  await page.getByTestId("poll-panel").waitFor();
  check(page.url() === before, `back leads to the same view, not ${page.url()}`);
});

await step("Timeline draws the whole recording, and closer than single polls", async () => {
  await go("Timeline");
  await page.getByTestId("timeline-canvas").waitFor();
  await page.keyboard.press("f");
  await until(async () => (await pixels("timeline-canvas")).colors > 4, "the lanes show more than a background");
  await until(async () => (await pixels("minimap")).colors > 2, "the minimap shows the recording");
  await shot("timeline");
  await page.getByTestId("next-slow").click();
  await page.getByTestId("poll-panel").waitFor();
  await until(async () => (await page.getByTestId("timeline-canvas").getAttribute("data-exact")) === "true", "zoomed in, polls are exact");
  check((await pixels("timeline-canvas")).background < 0.999, "zoomed in, polls are drawn");
  await shot("timeline-zoom");
});

await step("Timeline obeys wheel, drag, undo and Shift-drag", async () => {
  await page.keyboard.press("Escape");
  const box = await page.getByTestId("timeline-canvas").boundingBox();
  const span = () => page.getByTestId("span").innerText();
  const first = await span();
  const [x, y] = [box.x + box.width / 2, box.y + 60];
  await page.mouse.move(x, y);
  await page.mouse.wheel(0, -400);
  await until(async () => (await span()) !== first, "the wheel zooms");
  const frame = Number(await page.getByTestId("timeline-canvas").getAttribute("data-frame-ms"));
  check(frame > 0, "frames are measured");
  await page.mouse.down();
  await page.mouse.move(x + 120, y, { steps: 4 });
  await page.mouse.up();
  await page.keyboard.down("Shift");
  await page.mouse.move(x - 200, y);
  await page.mouse.down();
  await page.mouse.move(x + 200, y, { steps: 4 });
  await page.mouse.up();
  await page.keyboard.up("Shift");
  await page.getByTestId("region").waitFor();
  await shot("timeline-region");
  await page.keyboard.press("Escape");
  await page.getByTestId("region").waitFor({ state: "detached" });
  await until(() => /[?&]from=\d+/.test(page.url()), "the view is in the address");
});

await step("Timeline steps from poll to poll by keyboard and has a table twin", async () => {
  await page.getByTestId("timeline-keys").focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await until(async () => /poll of task/i.test(await page.getByTestId("announcement").innerText()), "the poll is announced");
  await page.keyboard.press("v");
  await page.getByTestId("twin").waitFor();
  check((await page.getByTestId("twin").getByRole("row").count()) > 2, "the twin has rows");
  await page.keyboard.press("v");
  await page.getByTestId("timeline-canvas").waitFor();
});

await step("Leaks names its lines", async () => {
  await go("Leaks");
  const finding = page.getByTestId("leak-finding").first();
  await finding.waitFor();
  check(/\.rs:\d+/.test(await finding.innerText()), "a leak is named by file and line");
  await shot("leaks");
});

await step("Tasks lists, sorts and filters, and a row opens its task", async () => {
  await go("Tasks");
  const table = page.getByTestId("task-table");
  const row = table.locator("tbody tr[data-index='0']");
  await until(async () => /\d/.test(await row.innerText()), "the first row is loaded");
  await table.getByRole("button", { name: "Busy" }).click();
  await until(() => /sort=busy_time/.test(page.url()), "the order is in the address");
  await table.locator("th[aria-sort='descending']").waitFor();
  await until(async () => /\d/.test(await row.innerText()), "the sorted rows are loaded");
  await shot("tasks");
  await row.focus();
  await page.keyboard.press("Enter");
  await page.getByTestId("task-facts").waitFor();
});

await step("Resources and Sources account for what is there", async () => {
  await go("Resources");
  await page.getByTestId("resources").waitFor();
  await until(async () => (await page.getByTestId("resource-table").count()) + (await page.getByTestId("empty").count()) > 0, "resources or why there are none");
  await shot("resources");
  await go("Sources");
  await page.getByTestId("coverage").getByRole("listitem").first().waitFor();
  await page.getByTestId("ledger").getByRole("row").nth(1).waitFor();
  await page.getByTestId("store").waitFor();
  await shot("sources");
});

await step("Waits shows who waits for what, or why nobody is known to", async () => {
  await go("Waits");
  await page.getByTestId("waits").waitFor();
  await page.getByRole("button", { name: "All", exact: true }).click();
  await until(() => /state=all/.test(page.url()), "the filter is in the address");
  await until(async () => (await page.getByTestId("wait-table").count()) + (await page.getByTestId("empty").count()) > 0, "waits or why there are none");
  await shot("waits");
  const task = page.getByTestId("wait-table").locator("tbody a[href*='/tasks/']").first();
  if ((await task.count()) > 0) {
    await task.click();
    await page.getByTestId("task-facts").waitFor();
  }
});

await step("Sources says what recording costs, and asks the agent for something else", async () => {
  await go("Sources");
  await page.getByTestId("agent-cost").waitFor();
  check(/Captured\s*\d/.test(await page.getByTestId("agent-cost").innerText()), "the captured share is a number");
  const toggle = page.getByTestId("switch-record_waits");
  await toggle.waitFor();
  if (await toggle.isEnabled()) {
    const before = await toggle.getAttribute("aria-checked");
    await toggle.click();
    await until(async () => (await toggle.getAttribute("aria-checked")) !== before, "the switch shows what was asked for");
    await until(async () => (await page.getByTestId("settings-pending").count()) === 0, "the agent does what it was asked for");
    await shot("sources-changed");
    await page.getByTestId("settings").getByRole("button", { name: "reset" }).first().click();
    await until(async () => (await toggle.getAttribute("aria-checked")) === before, "and goes back to its own configuration");
  }
});

await step("Query runs SQL with Ctrl+Enter and shows rows", async () => {
  await go("Query");
  await page.getByTestId("sql").fill("SELECT count(*) AS tasks FROM tasks");
  await page.getByTestId("sql").press("Control+Enter");
  await page.getByTestId("query-result").waitFor();
  check(/row/.test(await page.getByTestId("query-status").innerText()), "the status counts rows");
  await shot("query");
});

await step("a wrong range says so, a right one changes the view", async () => {
  await go("Slow");
  const field = page.getByLabel("Time range", { exact: true });
  await field.fill("whenever");
  await field.press("Enter");
  await until(async () => (await field.getAttribute("aria-invalid")) === "true", "a wrong range is marked");
  await field.fill("last 90 s");
  await field.press("Enter");
  await until(() => /last=90s/.test(page.url()), "the range is in the address");
});

await step("the help dialog opens with ? and closes with Escape", async () => {
  await page.locator("main").focus();
  await page.keyboard.press("?");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
});

await step("a page nobody made says so", async () => {
  await open("/nowhere");
  await page.getByTestId("empty").waitFor();
});

const dark = await newPage("dark");
await step("the dark theme follows the system, and the switch is remembered", async (on) => {
  const background = () => on.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const brightness = async () => (await background()).match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
  await open("/", on);
  await on.getByTestId("verdict").waitFor();
  check((await brightness()) < 200, `dark is dark, not ${await background()}`);
  await shot("overview-dark", on);
  await open("/timeline", on);
  await until(async () => (await pixels("timeline-canvas", on)).colors > 4, "the lanes draw in the dark");
  await shot("timeline-dark", on);
  await on.getByTestId("theme").click();
  await until(async () => (await brightness()) > 500, "one click is light");
  await on.reload();
  await on.getByTestId("timeline-canvas").waitFor();
  check((await brightness()) > 500, "light survives a reload");
}, { on: dark });

await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
