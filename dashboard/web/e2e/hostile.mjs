// A program whose every name is an attack has been recorded. On every page they are text:
//   node e2e/hostile.mjs LOOPD HOSTILE /tmp/screenshots
// The first page is that of an empty store, which has to notice the program. Exits with 1 if anything is wrong; the last line is
// `N passed, M failed`.

import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { check, settled, startWalk, until } from "./browser.mjs";
import { findSubjects, scenesOf, show } from "./scenes.mjs";
import { record, startLoopd } from "./serve.mjs";

const [loopd, hostile, out = "screenshots"] = process.argv.slice(2);
if (!hostile) {
  console.error("usage: node e2e/hostile.mjs LOOPD HOSTILE [SCREENSHOT_DIR]");
  process.exit(2);
}
const server = await startLoopd(loopd);
const walk = await startWalk(server.url, out);
const page = await walk.newPage({ acceptDownloads: true });
/** Any of them means that a name was taken for markup. */
const INJECTED = "script:not([src]), img, iframe, object, embed, svg[onload], [onerror], [onload], a[href^='javascript:' i], main style";
const SCRIPT = "<script>window.hacked='script'</script>";

/** No name has run, become an element, or pushed the page wider than its window. */
async function isHarmless(what) {
  await settled(page);
  const look = () => page.evaluate((injected) => {
    const root = document.documentElement;
    const main = document.querySelector("main");
    return {
      hacked: window.hacked ?? null,
      elements: [...document.querySelectorAll(injected)].map((it) => it.outerHTML.slice(0, 120)),
      overflow: Math.max(root.scrollWidth - root.clientWidth, document.body.scrollWidth - root.clientWidth, main.scrollWidth - main.clientWidth),
    };
  }, INJECTED);
  const seen = await look();
  check(seen.hacked == null, `${what}: a name ran as ${seen.hacked}`);
  check(seen.elements.length === 0, `${what}: a name became ${seen.elements.join(", ")}`);
  // What is as wide as its place follows the window later.
  await until(async () => {
    const { overflow } = await look();
    check(overflow <= 1, `${overflow} px too wide`);
    return true;
  }, `${what}: the page is as wide as its window`);
}

await walk.step("the page of an empty store turns green and opens when the first program connects", page, async () => {
  await walk.open("/", page);
  await page.getByTestId("first-run").waitFor();
  await record(server, hostile, ["3"]);
  await page.getByTestId("verdict").waitFor();
  await isHarmless("the overview");
  await until(async () => (await page.title()).includes("<img src=x onerror="), "the title has the name as it is");
});

const subjects = await findSubjects(server.url);
const subject = await firstNamed(subjects.process);
for (const scene of scenesOf({ ...subjects, task: subject.task, resource: subject.resource })) {
  const mayComplain = scene.name === "query-wrong" ? /\/api\/v1\/query|status of 4\d\d/ : null;
  await walk.step(`names are text on ${scene.name}`, page, async () => {
    await show(scene, page, walk.open);
    await isHarmless(scene.name);
    if (scene.isMain) {
      await page.setViewportSize({ width: 800, height: 900 });
      await isHarmless(`${scene.name} at 800 px`);
      await walk.shot(`hostile-${scene.name}-800`, page);
      await page.setViewportSize({ width: 1440, height: 900 });
    }
    await walk.shot(`hostile-${scene.name}`, page);
  }, { mayComplain });
}

/** The task and the resource with the first of the names. */
async function firstNamed(process) {
  const get = async (path) => (await fetch(new URL(path, server.url))).json();
  const tasks = await get(`/api/v1/tasks?process=${process}&q=${encodeURIComponent(SCRIPT)}&limit=5`);
  const resources = await get(`/api/v1/resources?process=${process}&state=all&limit=1000`);
  return { task: tasks.rows.find((task) => task.name === SCRIPT).task, resource: resources.rows.find((it) => it.kind === SCRIPT || it.name === SCRIPT).resource };
}

const p = `process=${subjects.process}`;

await walk.step("a task's page has its name, its fields and their values, letter by letter", page, async () => {
  await walk.open(`/tasks/${subjects.process}/${subject.task}?${p}`, page);
  await page.getByTestId("task-facts").waitFor();
  check((await page.getByRole("heading", { level: 1 }).innerText()).includes(SCRIPT), "the heading is the name");
  const facts = await page.getByTestId("task-facts").innerText();
  check(facts.includes(SCRIPT) && facts.includes("\"><img src=x onerror="), "a field and its value are there");
});

await walk.step("what reads from right to left stays in its cell", page, async () => {
  await walk.open(`/tasks?${p}&sort=task&desc=0`, page);
  const rows = page.getByTestId("task-table").locator("tbody tr[data-index]");
  await until(async () => (await rows.count()) > 10 && /\d/.test(await rows.first().innerText()), "rows are there");
  const wrong = () => rows.evaluateAll((list) => list.flatMap((row) => {
    const cells = [...row.cells].map((cell) => cell.getBoundingClientRect());
    const isInOrder = cells.every((cell, k) => k === 0 || cell.left >= cells[k - 1].right - 1);
    return isInOrder && row.getBoundingClientRect().height <= 30 ? [] : [row.innerText.slice(0, 80)];
  }));
  // The columns that have room are chosen once the table has its width.
  await until(async () => {
    const list = await wrong();
    check(list.length === 0, list.join("; "));
    return true;
  }, "no row is out of order or too high");
});

await walk.step("tooltips of the timeline and of the flame graph show names as text", page, async () => {
  await show(scenesOf(subjects).find((scene) => scene.name === "timeline-poll"), page, walk.open);
  await pointAt(page.getByTestId("timeline-canvas"), ({ width }) => [width / 2, 40], page.locator(".tip").first());
  await isHarmless("the timeline with a tooltip");
  await walk.shot("hostile-timeline-tip", page);
  await walk.open(`/slow?${p}`, page);
  const canvas = page.getByTestId("flame-canvas");
  await canvas.waitFor();
  await pointAt(canvas, () => [20, 30], page.locator(".flame-tip").first());
  await isHarmless("the flame graph with a tooltip");
  await walk.shot("hostile-slow-tip", page);
});

/** Moves the pointer to a place on a canvas until the tooltip shows: what comes later above it moves the canvas from under the pointer. */
async function pointAt(canvas, placeIn, tip) {
  await until(async () => {
    await canvas.scrollIntoViewIfNeeded();
    const box = await canvas.boundingBox();
    const [x, y] = placeIn(box);
    // From beside it, since only what moves is told of.
    await page.mouse.move(box.x + x - 1, box.y + y);
    await page.mouse.move(box.x + x, box.y + y);
    return tip.isVisible();
  }, "a tooltip shows");
}

await walk.step("the omnibox finds names by their strangest part", page, async () => {
  await walk.open(`/?${p}`, page);
  await page.getByTestId("verdict").waitFor();
  for (const text of ["<script>", "HYPERLINK(", "$(touch", "it's \"quoted\"", "שלום", "💥"]) {
    await page.keyboard.press("Control+k");
    await page.getByTestId("omnibox-input").fill(text);
    const found = page.getByRole("group", { name: /^Tasks/ }).getByRole("option").first();
    await until(async () => (await found.innerText()).includes(text), `“${text}” is found`);
    await isHarmless(`the omnibox with “${text}”`);
    await page.keyboard.press("Escape");
    await page.getByTestId("omnibox").waitFor({ state: "detached" });
  }
});

await walk.step("a command that is copied is one command, whatever it names", page, async () => {
  for (const text of ["$(touch /tmp/hacked) `touch", "it's \"quoted\" \\", "; touch /tmp/hacked #", "<script>"]) {
    await walk.open(`/tasks?${p}&q=${encodeURIComponent(text)}`, page);
    await page.getByTestId("tasks").waitFor();
    const copied = await page.getByRole("button", { name: "as CLI" }).first().getAttribute("title");
    // A shell takes it apart; instead of loopd a function prints its words.
    const { stdout, status } = spawnSync("bash", ["-c", `loopd() { printf '%s\\0' "$@"; }; ${copied}`], { encoding: "utf8" });
    const words = stdout.split("\0");
    check(status === 0 && words[0] === "tasks" && words.includes(text), `“${text}” is one word of ${copied}`);
  }
});

await walk.step("a CSV file holds no formula, and a JSON file the names as they are", page, async () => {
  await walk.open(`/tasks?${p}`, page);
  await page.getByTestId("task-table").locator("tbody tr[data-index='0']").waitFor();
  const csv = await saved("CSV");
  check(csv.includes("'=HYPERLINK") && csv.includes("'@SUM"), "formulas begin with an apostrophe");
  check(!/(^|,|\n|")[=@]/.test(csv), "and none without");
  const rows = JSON.parse(await saved("JSON"));
  check(rows.some((row) => row.name === SCRIPT), "the name is there, letter by letter");
});

await walk.step("results of SQL are text in the table, in a CSV file and in the address", page, async () => {
  const sql = "SELECT '<script>window.hacked=''sql''</script>' AS \"<img src=x onerror=window.hacked='head'>\", replace(replace(replace('xxxxxxxxxx', 'x', 'yyyyyyyyyy'), 'y', 'zzzzzzzzzz'), 'z', 'WWWWWWWWWW') AS long, char(8238) || 'evil' AS rtl, '=1+1' AS formula, 'a' || char(10) || 'b' AS lines, char(7, 27, 1) || '[31m' AS control UNION ALL SELECT name, name, name, name, name, name FROM tasks";
  await walk.open(`/query?${p}&sql=${encodeURIComponent(sql)}`, page);
  const result = page.getByTestId("query-result");
  await result.waitFor();
  check((await result.innerText()).includes("<script>window.hacked='sql'</script>"), "a value is as it is");
  await isHarmless("the result");
  await walk.shot("hostile-sql", page);
  const csv = await saved("CSV");
  check(csv.includes("'=1+1"), "a formula begins with an apostrophe");
});

async function saved(name) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name, exact: true }).first().click()]);
  return readFile(await download.path(), "utf8");
}

await server.remove();
await walk.finish();
