// Every page, and what can be open on it: what has to look right, be reachable by keyboard, and be clean for axe.
//
// A scene is `{ name, path, ready, open?, isMain? }`: the path is opened, `ready` is what it shows once it has its data, and `open` opens
// what the page has besides. `isMain` says that it is a page as it is first seen.

import { pixels, until } from "./browser.mjs";

const by = (testId) => `[data-testid=${testId}]`;
const popup = (buttonOf) => async (page) => {
  await buttonOf(page).click();
  await page.locator(".popup").waitFor();
};

/** What `base` answers; one that is busy may have to be asked again. */
export function ask(base, path) {
  return until(async () => {
    const answer = await fetch(new URL(`/api/v1/${path}`, base));
    if (!answer.ok) throw new Error(`answered with ${answer.status}`);
    return answer.json();
  }, `loopd answers ${path}`);
}

/** The demo as it runs, a run of it that is over, in which nothing changes any more, and programs of the zoo that are over. */
export async function findRuns(base) {
  const { processes } = await ask(base, "processes");
  const named = (app, isLive = false) => processes.find((it) => it.app === app && (it.state === "live") === isLive) ?? null;
  return { processes, live: named("orders", true), past: named("orders"), deadlock: named("deadlock_two"), healthy: named("connection_pool") };
}

/** How long before its end the tasks of a run wait for each other, as one types it: in the middle of that time. */
export async function timeOfCircle(base, { process, last_at: last }) {
  const { rows } = await ask(base, `waits?process=${process}`);
  const began = rows.map((row) => BigInt(row.began_at)).reduce((a, b) => (a > b ? a : b));
  const ended = rows.map((row) => BigInt(row.ended_at ?? last)).reduce((a, b) => (a < b ? a : b));
  return `-${(BigInt(last) - (began + ended) / 2n) / 1_000_000n}ms`;
}

/**
 * Of what `base` has recorded: a run of the demo that is over, or else the newest process, one of its tasks and one of its resources; the
 * demo as it runs; and programs of the zoo that are looked at as well.
 */
export async function findSubjects(base) {
  const { processes, live, past, deadlock, healthy } = await findRuns(base);
  const { process } = past ?? processes[0];
  const tasks = await ask(base, `tasks?process=${process}&sort=busy_time&desc=1&limit=1`);
  const resources = await ask(base, `resources?process=${process}&state=all&limit=1`);
  return {
    process, task: tasks.rows[0]?.task, resource: resources.rows[0]?.resource, live: live?.process, healthy: healthy?.process,
    deadlock: deadlock?.process, circle: deadlock && (await timeOfCircle(base, deadlock)),
  };
}

export function scenesOf({ process, task, resource, live, deadlock, circle, healthy }) {
  const p = `process=${process}`;
  const list = [
    { name: "overview", path: `/?${p}`, ready: by("verdict"), isMain: true },
    { name: "overview-processes", path: `/?${p}`, ready: by("verdict"), open: popup((page) => page.getByTestId("process-picker")) },
    { name: "overview-ranges", path: `/?${p}`, ready: by("verdict"), open: popup((page) => page.getByRole("button", { name: "Choose a range" })) },
    { name: "help", path: `/?${p}`, ready: by("verdict"), open: openHelp },
    { name: "help-timeline", path: `/timeline?${p}&last=all`, ready: by("timeline-canvas"), open: openHelp },
    { name: "omnibox", path: `/?${p}`, ready: by("verdict"), open: search("e") },
    { name: "omnibox-commands", path: `/?${p}`, ready: by("verdict"), open: search("> ") },
    { name: "omnibox-nothing", path: `/?${p}`, ready: by("verdict"), open: search("> qqqqq") },
    { name: "findings", path: `/findings?${p}&info=1`, ready: by("findings"), isMain: true },
    { name: "findings-muting", path: `/findings?${p}`, ready: by("findings"), open: openMuting },
    { name: "timeline", path: `/timeline?${p}&last=all`, ready: by("timeline-canvas"), open: drawn, isMain: true },
    { name: "timeline-standout", path: `/timeline?${p}&last=all`, ready: by("timeline-canvas"), open: openStandout },
    { name: "timeline-poll", path: `/timeline?${p}&last=all`, ready: by("timeline-canvas"), open: openPoll },
    { name: "timeline-region", path: `/timeline?${p}&last=all`, ready: by("timeline-canvas"), open: openRegion },
    { name: "timeline-table", path: `/timeline?${p}&last=all&table=1`, ready: by("twin") },
    { name: "tasks", path: `/tasks?${p}`, ready: `${by("task-table")} tr[data-index='0'] a, ${by("task-table")} tr[data-index='0'] td`, isMain: true },
    { name: "tasks-nothing", path: `/tasks?${p}&q=qqqqq`, ready: by("empty") },
    { name: "tasks-by-place", path: `/tasks?${p}&group=location`, ready: `main .table, main ${by("empty")}` },
    { name: "tasks-awaits", path: `/tasks?process=${live ?? process}&group=awaits`, ready: `${by("empty")}, ${by("await-tree")}` },
    { name: "task", path: `/tasks/${process}/${task}?${p}`, ready: by("task-facts"), isMain: true },
    { name: "slow", path: `/slow?${p}`, ready: `${by("flame-canvas")}, ${by("empty")}`, isMain: true },
    { name: "slow-by-time", path: `/slow?${p}&view=time`, ready: `${by("flame-canvas")}, ${by("empty")}` },
    { name: "slow-sandwich", path: `/slow?${p}&view=sandwich`, ready: `${by("flame-table")}, ${by("empty")}` },
    { name: "waits", path: `/waits?${p}&state=all`, ready: `${by("wait-table")}, ${by("empty")}`, isMain: true },
    { name: "waits-instant", path: `/waits?process=${deadlock ?? process}`, ready: by("waits"), open: deadlock ? openCircle(circle) : openInstant },
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
  // What only a program that runs has.
  if (live) {
    const l = `process=${live}`;
    list.push(
      { name: "overview-live", path: `/?${l}`, ready: by("verdict") },
      { name: "timeline-live", path: `/timeline?${l}&last=all`, ready: by("timeline-canvas"), open: freeze },
      { name: "leaks-live", path: `/leaks?${l}`, ready: by("mark-now"), open: markNow },
      { name: "sources-live", path: `/sources?${l}`, ready: by("ledger") },
    );
  }
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
  // It is there once findings are known.
  await page.getByTestId("finding-strip").waitFor();
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

/** What is on screen stays, while the program goes on. */
async function freeze(page) {
  await drawn(page);
  await page.keyboard.press("w");
  await page.getByTestId("go-live").waitFor();
  await drawn(page);
}

async function markNow(page) {
  await page.getByTestId("mark-now").click();
  await page.getByTestId("survivors").waitFor();
  await until(async () => (await page.locator(".skeleton").count()) === 0, "it says what was born since");
}

async function openMuting(page) {
  await page.getByRole("button", { name: /^Mute: / }).first().click();
  await page.getByRole("form", { name: /^Mute: / }).waitFor();
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

async function openInstant(page) {
  await page.getByRole("button", { name: "At an instant", exact: true }).click();
  await page.getByTestId("instant").waitFor();
  await page.getByTestId("wait-node").or(page.getByTestId("empty")).first().waitFor();
}

function openCircle(at) {
  return async (page) => {
    await page.getByRole("button", { name: "At an instant", exact: true }).click();
    const time = page.getByLabel("Time", { exact: true });
    await time.fill(at);
    await time.press("Enter");
    await page.getByTestId("wait-node").first().click();
    await page.getByTestId("wait-note").waitFor();
  };
}

async function compareHalves(page) {
  await page.getByTestId("halves").click();
  await page.getByTestId("places").waitFor({ timeout: 45_000 });
}
