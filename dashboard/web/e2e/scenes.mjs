// Every page, and what can be open on it: what has to look right, be reachable by keyboard, and be clean for axe.
//
// A scene is `{ name, path, ready, open?, isMain? }`: the path is opened, `ready` is what it shows once it has its data, and `open` opens
// what the page has besides. `isMain` says that it is a page as it is first seen.

import { pixels, until } from "./browser.mjs";

const by = (testId) => `[data-testid=${testId}]`;
const click = (testId) => (page) => page.getByTestId(testId).first().click();

/** Of what `base` has recorded: the demo, or else the newest process, one of its tasks and one of its resources; and programs of the zoo that are looked at as well. */
export async function findSubjects(base) {
  const get = async (path) => (await fetch(new URL(path, base))).json();
  const { processes } = await get("/api/v1/processes");
  const named = (app) => processes.find((it) => it.app === app)?.process;
  const process = named("orders") ?? processes[0].process;
  const tasks = await get(`/api/v1/tasks?process=${process}&sort=busy_time&desc=1&limit=1`);
  const resources = await get(`/api/v1/resources?process=${process}&state=all&limit=1`);
  return { process, task: tasks.rows[0]?.task, resource: resources.rows[0]?.resource, deadlock: named("deadlock_two") ?? process, healthy: named("connection_pool") };
}

export function scenesOf({ process, task, resource, deadlock, healthy }) {
  const p = `process=${process}`;
  const list = [
    { name: "overview", path: `/?${p}`, ready: by("verdict"), isMain: true },
    { name: "overview-processes", path: `/?${p}`, ready: by("verdict"), open: click("process-picker") },
    { name: "overview-ranges", path: `/?${p}`, ready: by("verdict"), open: (page) => page.getByRole("button", { name: "Choose a range" }).click() },
    { name: "help", path: `/?${p}`, ready: by("verdict"), open: openHelp },
    { name: "help-timeline", path: `/timeline?${p}&last=all`, ready: by("timeline-canvas"), open: openHelp },
    { name: "omnibox", path: `/?${p}`, ready: by("verdict"), open: search("e") },
    { name: "omnibox-commands", path: `/?${p}`, ready: by("verdict"), open: search("> ") },
    { name: "omnibox-nothing", path: `/?${p}`, ready: by("verdict"), open: search("> qqqqq") },
    { name: "findings", path: `/findings?${p}&info=1`, ready: by("findings"), isMain: true },
    { name: "findings-muting", path: `/findings?${p}`, ready: by("findings"), open: (page) => page.getByRole("button", { name: /^Mute: / }).first().click() },
    { name: "timeline", path: `/timeline?${p}&last=all`, ready: by("timeline-canvas"), open: drawn, isMain: true },
    { name: "timeline-standout", path: `/timeline?${p}&last=all`, ready: by("timeline-canvas"), open: openStandout },
    { name: "timeline-poll", path: `/timeline?${p}&last=all`, ready: by("timeline-canvas"), open: openPoll },
    { name: "timeline-region", path: `/timeline?${p}&last=all`, ready: by("timeline-canvas"), open: openRegion },
    { name: "timeline-table", path: `/timeline?${p}&last=all&table=1`, ready: by("twin") },
    { name: "tasks", path: `/tasks?${p}`, ready: `${by("task-table")} tr[data-index='0'] a, ${by("task-table")} tr[data-index='0'] td`, isMain: true },
    { name: "tasks-nothing", path: `/tasks?${p}&q=qqqqq`, ready: by("empty") },
    { name: "tasks-by-place", path: `/tasks?${p}&group=location`, ready: `main .table, main ${by("empty")}` },
    { name: "tasks-awaits", path: `/tasks?${p}&group=awaits`, ready: `${by("empty")}, ${by("await-tree")}` },
    { name: "task", path: `/tasks/${process}/${task}?${p}`, ready: by("task-facts"), isMain: true },
    { name: "slow", path: `/slow?${p}`, ready: `${by("flame-canvas")}, ${by("empty")}`, isMain: true },
    { name: "slow-by-time", path: `/slow?${p}&view=time`, ready: `${by("flame-canvas")}, ${by("empty")}` },
    { name: "slow-sandwich", path: `/slow?${p}&view=sandwich`, ready: `${by("flame-table")}, ${by("empty")}` },
    { name: "waits", path: `/waits?${p}&state=all`, ready: `${by("wait-table")}, ${by("empty")}`, isMain: true },
    { name: "waits-instant", path: `/waits?process=${deadlock}`, ready: by("waits"), open: openCircle },
    { name: "leaks", path: `/leaks?${p}`, ready: `${by("leak-finding")}, ${by("empty")}, main .table`, isMain: true },
    { name: "resources", path: `/resources?${p}&state=all`, ready: `${by("resource-table")}, ${by("empty")}`, isMain: true },
    { name: "compare", path: `/compare?${p}`, ready: by("halves"), isMain: true },
    { name: "compare-halves", path: `/compare?${p}`, ready: by("halves"), open: compareHalves },
    { name: "query", path: `/query?${p}&sql=SELECT+name,+location,+busy_time+FROM+tasks+LIMIT+50`, ready: by("query-result"), isMain: true },
    { name: "query-wrong", path: `/query?${p}&sql=SELECT+nothing+FROM+nowhere`, ready: "[role=alert]" },
    { name: "sources", path: `/sources?${p}`, ready: by("ledger"), isMain: true },
    { name: "not-found", path: "/nowhere", ready: by("empty") },
  ];
  if (resource) list.splice(-5, 0, { name: "resource", path: `/resources/${process}/${resource}?${p}`, ready: "main h1", isMain: true });
  if (healthy) list.push({ name: "overview-healthy", path: `/?process=${healthy}`, ready: by("verdict") });
  return list;
}

/** What there is before any process has connected. */
export const EMPTY_SCENES = [
  { name: "empty-overview", path: "/", ready: by("first-run"), isMain: true },
  { name: "empty-overview-python", path: "/", ready: by("first-run"), open: (page) => page.getByRole("button", { name: "Python", exact: true }).click() },
  { name: "empty-timeline", path: "/timeline", ready: by("first-run") },
  { name: "empty-query", path: "/query", ready: by("query") },
  { name: "empty-sources", path: "/sources", ready: by("sources") },
];

/** Opens a scene and waits until it is all there. */
export async function show(scene, page, open) {
  await open(scene.path, page);
  await page.locator(scene.ready).first().waitFor();
  await until(async () => (await page.locator(".skeleton").count()) === 0, `${scene.name} has its data`, 45_000);
  await scene.open?.(page);
}

async function openHelp(page) {
  await page.keyboard.press("?");
  await page.getByRole("dialog").waitFor();
}

function search(text) {
  return async (page) => {
    await page.keyboard.press("Control+k");
    await page.getByTestId("omnibox-input").fill(text);
    await until(async () => (await page.getByTestId("omnibox").getByText("searching…").count()) === 0, "the search is over");
  };
}

/** The timeline can only step through what it has. */
async function drawn(page) {
  await until(async () => (await pixels("timeline-canvas", page)).colors > 4, "the lanes are drawn");
  await until(async () => (await page.locator(".lanes, .extra-lanes").getByText("loading…").count()) === 0, "nothing is on its way");
}

async function openStandout(page) {
  await drawn(page);
  await until(async () => (await page.getByTestId("finding-badge").count()) > 0, "findings are known");
  await page.getByTestId("step-kind").selectOption("finding");
  await page.getByTestId("next-standout").click();
  await page.getByTestId("standout").waitFor();
  await drawn(page);
}

async function openPoll(page) {
  await drawn(page);
  await page.keyboard.press("Shift+N");
  await page.getByTestId("poll-panel").waitFor();
  await until(async () => (await page.locator(".skeleton").count()) === 0, "the panel has its data");
  await until(async () => (await page.getByTestId("poll-panel").getByText("Loading its stack…").count()) === 0, "the stack is there");
  await drawn(page);
}

async function openRegion(page) {
  await drawn(page);
  const box = await page.getByTestId("timeline-canvas").boundingBox();
  await page.keyboard.down("Shift");
  await page.mouse.move(box.x + box.width * 0.3, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.7, box.y + 60, { steps: 3 });
  await page.mouse.up();
  await page.keyboard.up("Shift");
  await page.getByTestId("region").waitFor();
}

async function openCircle(page) {
  await page.getByRole("button", { name: "At an instant", exact: true }).click();
  const time = page.getByLabel("Time", { exact: true });
  await time.fill("-1s");
  await time.press("Enter");
  const node = page.getByTestId("wait-node").first();
  await node.or(page.getByTestId("empty")).first().waitFor();
  if ((await node.count()) > 0) await node.click();
}

async function compareHalves(page) {
  await page.getByTestId("halves").click();
  await page.getByTestId("places").waitFor({ timeout: 45_000 });
}
