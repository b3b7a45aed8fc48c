// Walks as a person would through the dashboard of a loopd where a demo runs, a run of its program is over, and a `zoo deadlock_two` as well:
//   node e2e/journey.mjs http://127.0.0.1:7411 /tmp/screenshots
// Exits with 1 if anything is wrong; the last line is `N passed, M failed`.
//
// What is exact is checked on the run that is over: nothing of it changes between two looks. What changes while the demo runs is waited for,
// and told by what names it, never by a text that counts.

import { check, pixels as pixelsOn, settled, startWalk, until, writeSql } from "./browser.mjs";
import { ask as askOf, findRuns, timeOfCircle } from "./scenes.mjs";

const [base, out = "screenshots"] = process.argv.slice(2);
if (!base) {
  console.error("usage: node e2e/journey.mjs BASE_URL [SCREENSHOT_DIR]");
  process.exit(2);
}

/** Every rule is asked twice: a debug build takes its time. */
const COMPARE_LIMIT = 60_000;
/** How long the demo may take to do something: it shares the processors with all else, and none of that is the page's fault. */
const PROGRAM_LIMIT = 180_000;
/** More than ever stand out of some seconds. */
const MAX_STOPS = 500;

const ask = (path) => askOf(base, path);
const { live, past, deadlock } = await until(async () => {
  const runs = await findRuns(base);
  return runs.live && runs.past && runs.deadlock && runs;
}, "a demo runs, a run of it is over, and so is `zoo deadlock_two`");

const walk = await startWalk(base, out);
const page = await walk.newPage();
const step = (name, action, { on = page } = {}) => walk.step(name, on, action);
const shot = (name, on = page) => walk.shot(name, on);
const open = (path, on = page) => walk.open(path, on);
const pixels = (testId, on = page) => pixelsOn(testId, on);
const query = (key) => new URL(page.url()).searchParams.get(key);
const textOf = (testId) => page.getByTestId(testId).innerText();
const count = (locator) => locator.count();

/** Opens a page from the navigation, as people do. */
async function go(title) {
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: title, exact: true }).click();
  await page.getByTestId(title.toLowerCase()).waitFor();
}

/** The overview of a run, from which the navigation leads to all of it. */
async function openRun({ process }) {
  await open(`/?process=${process}`);
  await page.getByTestId("verdict").waitFor();
}

/** The timeline of all of the run that is over, with all that it can ever show: the polls in view, the slow ones of the recording, and the findings. */
async function openTimeline() {
  await open(`/timeline?process=${past.process}&last=all`);
  const { slow } = await ask(`timeline?process=${past.process}&from=${past.started_at}&to=${BigInt(past.last_at) + 1n}&width=2000`);
  const has = (testId) => async () => new RegExp(`\\b${slow.length} slow polls? in `).test(await page.getByTestId(testId).getAttribute("aria-label"));
  await until(has("timeline-canvas"), "the slow polls in view are there");
  await until(has("minimap"), "and those of the recording");
  await page.getByTestId("finding-strip").waitFor();
  await until(async () => (await count(page.locator(".lanes, .extra-lanes").getByText("loading…"))) === 0, "nothing is on its way");
  await settled(page);
  return { slow };
}

/** Presses a key of the timeline and returns what was stepped to, or what is said if there is nothing. What is said counts, so no two say the same. */
async function stepBy(key) {
  const look = () => page.evaluate(() => {
    const said = document.querySelector("[data-testid=announcement]").innerText;
    const stop = document.querySelector("[data-testid=standout]");
    return { said, kind: stop?.dataset.kind, id: stop?.dataset.id, at: Number(stop?.dataset.at), place: /(\d+) of (\d+)$/.exec(said)?.slice(1).map(Number) };
  });
  const { said } = await look();
  await page.keyboard.press(key);
  return until(async () => {
    const now = await look();
    return now.said !== said && now;
  }, `${key} is answered, after “${said}”`);
}

/** Steps until there is no more, and returns all that was stepped to. */
async function stepToEnd(key) {
  const seen = [];
  for (let stop = await stepBy(key); stop.place; stop = await stepBy(key)) {
    seen.push(stop);
    check(seen.length <= MAX_STOPS, `after ${MAX_STOPS} steps there are still more`);
  }
  return seen;
}

await step("the page loads, connects and names the process that runs", async () => {
  await open("/");
  const picker = page.getByTestId("process-picker");
  await until(async () => /orders.*live/s.test(await picker.innerText()), "it is the demo, which runs");
  await until(async () => (await page.getByTestId("connection").getAttribute("data-state")) === "open", "the live stream opens");
  await until(async () => /Overview.*orders.*loopd/.test(await page.title()), "the title says where we are");
});

await step("Overview gives a verdict, a health strip and cards for what was found, while it is found", async () => {
  await until(async () => (await page.getByTestId("verdict").getByRole("heading").innerText()).length > 20, "the verdict is a sentence");
  await page.getByTestId("health").waitFor();
  const cards = page.getByTestId("headline");
  await cards.filter({ hasText: /\.rs:\d+/ }).first().waitFor({ timeout: PROGRAM_LIMIT });
  await until(async () => (await count(cards)) <= 5, "no more than five are shown");
  await shot("overview");
});

await step("Leaks names its lines", async () => {
  await openRun(live);
  await go("Leaks");
  await page.getByTestId("leak-finding").filter({ hasText: /\.rs:\d+/ }).first().waitFor({ timeout: PROGRAM_LIMIT });
  await shot("leaks");
});

await step("Leaks shows what was born since a mark, and between two", async () => {
  await page.getByTestId("mark-now").click();
  const card = page.getByTestId("survivors");
  await card.waitFor();
  await until(() => /^\d+$/.test(query("mark") ?? ""), "the mark is in the address");
  const mark = query("mark");
  await until(async () => /tasks? spawned.* since \d/.test(await card.innerText()), "it says how many were spawned and stay", PROGRAM_LIMIT);
  await page.getByTestId("survivor-site").first().waitFor({ timeout: PROGRAM_LIMIT });
  await shot("leaks-marked");
  await card.getByRole("button", { name: "Mark again" }).click();
  await until(async () => /Born between the marks/.test(await card.innerText()), "two marks make a range");
  await until(() => query("mark") !== mark, "they are in the address");
  const [from, to] = query("mark").match(/\d+/g).map(BigInt);
  check(String(from) === mark && to > from, `it begins at the first mark: ${query("mark")}`);
  await card.getByRole("button", { name: "Clear the marks" }).click();
  await card.waitFor({ state: "detached" });
});

await step("Tasks counts those of a program that runs", async () => {
  await go("Tasks");
  const total = () => textOf("task-total");
  await until(async () => /\d.* tasks/.test(await total()), "they are counted");
  const first = await total();
  await until(async () => (await total()) !== first, "and again when there are more", PROGRAM_LIMIT);
});

await step("Tasks says where each of them waits, or why nobody can tell", async () => {
  await open(`/tasks?process=${live.process}&group=awaits`);
  const button = page.getByTestId("ask-awaits").first();
  await until(() => button.isEnabled(), "a program that runs can be asked");
  await button.focus();
  await page.keyboard.press("Enter");
  const tree = page.getByTestId("await-tree");
  await tree.waitFor({ timeout: PROGRAM_LIMIT });
  await until(() => /^\d+$/.test(query("dump") ?? ""), "what is shown is in the address");
  // Tokio's tasks cannot be looked into: then the reason is there.
  await until(async () => (await count(tree.locator("li a"))) + (await count(tree.getByRole("status"))) > 0, "a task, or a reason");
  await shot("awaits");
});

await step("Timeline follows a program that runs, stands still for a closer look, and follows again", async () => {
  await open(`/timeline?process=${live.process}&last=all`);
  const span = () => textOf("span");
  await until(async () => (await pixels("timeline-canvas")).colors > 4, "the lanes are drawn");
  const first = await span();
  await until(async () => (await span()) !== first, "the view grows with the recording", PROGRAM_LIMIT);
  const follows = page.getByTestId("live");
  check((await follows.getAttribute("aria-pressed")) === "true", "it follows");
  await page.keyboard.press("w");
  await page.getByTestId("go-live").waitFor();
  await until(async () => (await follows.getAttribute("aria-pressed")) === "false" && query("from") != null, "it stands still, and the address says where");
  await page.getByTestId("go-live").click();
  await until(async () => (await follows.getAttribute("aria-pressed")) === "true" && query("last") != null, "it follows again");
  await page.getByTestId("go-live").waitFor({ state: "detached" });
});

await step("Sources says what recording costs, and asks the agent for something else", async () => {
  await openRun(live);
  await go("Sources");
  await until(async () => /Captured\s*\d/.test(await textOf("agent-cost")), "the captured share is a number", PROGRAM_LIMIT);
  const line = page.getByTestId("settings").getByRole("listitem").filter({ has: page.getByTestId("switch-record_waits") });
  const toggle = page.getByTestId("switch-record_waits");
  await until(() => toggle.isEnabled(), "what runs can be asked");
  const isOn = async () => (await toggle.getAttribute("aria-checked")) === "true";
  const does = async (wanted) => (await isOn()) === wanted && (await line.locator("> :last-child").textContent()) === (wanted ? "on" : "off") && (await count(page.getByTestId("settings-pending"))) === 0;
  const before = await isOn();
  await until(() => does(before), "the agent says what it does", PROGRAM_LIMIT);
  await toggle.click();
  await until(async () => (await isOn()) !== before, "the switch shows what was asked for");
  await until(() => does(!before), "the agent does what it was asked for", PROGRAM_LIMIT);
  await shot("sources-changed");
  await line.getByRole("button", { name: "reset" }).click();
  await until(() => does(before), "and goes back to its own configuration", PROGRAM_LIMIT);
});

await step("Overview → Findings shows that finding with its proof and fix, and what each rule said", async () => {
  await openRun(past);
  const card = page.getByTestId("headline").filter({ hasText: /\.rs:\d+/ }).first();
  const finding = new URL(await card.getAttribute("href"), base).searchParams.get("finding");
  await card.click();
  await page.getByTestId("findings").waitFor();
  const chosen = page.locator("[data-testid=finding][aria-current=true]");
  await chosen.waitFor();
  check((await chosen.getAttribute("data-finding")) === finding, "the finding that was clicked is marked");
  check(/Error|Warning/.test(await chosen.innerText()), "the level is a word, not a colour alone");
  check((await count(chosen.getByRole("list", { name: "Proof" }).getByRole("listitem"))) > 0, "there is proof");
  check((await count(page.getByTestId("rules").getByRole("row"))) > 10, "every rule says what it found");
  await shot("findings");
  await page.getByTestId("rules").scrollIntoViewIfNeeded();
  await shot("findings-rules");
});

await step("Findings unfolds what is worth knowing", async () => {
  const { findings } = await ask(`processes/${past.process}/findings`);
  const info = findings.filter(({ level, rule }) => level === "info" && rule !== "capture_incomplete");
  check(info.length > 0, "there is something");
  await open(`/findings?process=${past.process}`);
  await page.getByTestId("worth-knowing").click();
  const unfolded = page.getByRole("list", { name: "Worth knowing" }).getByTestId("finding");
  await until(async () => (await count(unfolded)) === info.length, `all ${info.length} unfold`);
  check((await count(page.getByTestId("finding"))) === findings.length, "with what is important that is all that was found");
});

await step("Findings mutes one for a reason, and hears it again", async () => {
  await open(`/findings?process=${past.process}`);
  const opener = page.getByRole("button", { name: /^Mute: / });
  const last = page.getByTestId("finding").filter({ has: opener }).last();
  await last.waitFor();
  const finding = await last.getAttribute("data-finding");
  const card = page.locator(`[data-testid=finding][data-finding=${JSON.stringify(finding)}]`);
  await card.getByRole("button", { name: /^Mute: / }).click();
  const reason = card.getByRole("form", { name: /^Mute: / }).getByRole("textbox");
  await until(() => reason.evaluate((it) => it === document.activeElement), "the reason can be written at once");
  await page.keyboard.type("it is a demo");
  await page.keyboard.press("Enter");
  const muted = page.getByTestId("muted");
  await until(async () => /1 muted/.test(await muted.innerText()), "the line says how many");
  check((await count(card)) === 0, "it is not among the others");
  await muted.click();
  await until(async () => (await textOf("mute-reason")) === "it is a demo", "the reason is there");
  await shot("findings-muted");
  await card.getByRole("button", { name: /^Unmute: / }).click();
  await muted.waitFor({ state: "detached" });
  await card.getByRole("button", { name: /^Mute: / }).waitFor();
});

await step("Findings → proof leads to where it is seen", async () => {
  await open(`/findings?process=${past.process}`);
  const proof = page.getByTestId("finding").getByRole("list", { name: "Proof" }).locator("a[href^='/timeline?']").first();
  const shown = new URL(await proof.getAttribute("href"), base).searchParams;
  await proof.click();
  await page.getByTestId("timeline-canvas").waitFor();
  await until(() => query("from") === shown.get("from") && query("to") === shown.get("to"), "it is the time that the link names");
  await until(async () => (await pixels("timeline-canvas")).colors > 4, "there is something to see");
});

await step("Slow shows sites by line, the first one open with advice", async () => {
  await openRun(past);
  await go("Slow");
  const site = page.getByTestId("site").first();
  await site.locator(".advice").waitFor();
  check(/\.rs:\d+/.test(await site.innerText()), "a site is named by file and line");
  await shot("slow");
});

/** The function of the program in which its workers were held longest, worked out from the stacks themselves. */
async function longestHeld() {
  const { samples, stacks } = await ask(`stacks?process=${past.process}`);
  const held = new Map();
  for (const { stack, weight } of samples) {
    const frame = stacks[stack].find((it) => it.own);
    if (!frame) continue;
    const key = `${frame.function} ${frame.file}`;
    held.set(key, { name: frame.function, weight: (held.get(key)?.weight ?? 0) + weight });
  }
  return [...held.values()].sort((a, b) => b.weight - a.weight)[0].name;
}

await step("Slow draws a flame graph, and the program's innermost function in most of it is the one that is named", async () => {
  await page.getByTestId("flame-canvas").waitFor();
  await until(async () => (await pixels("flame-canvas")).colors > 4, "boxes are drawn");
  const blocking = await longestHeld();
  const row = page.getByTestId("flame-table").locator("tbody tr").first();
  await until(async () => (await row.innerText()).startsWith(blocking), `the table begins with ${blocking}`);
  check((await textOf("flame-summary")).includes(blocking), "and the summary names it");
  check((await count(page.getByTestId("site").filter({ hasText: blocking }))) > 0, "and it is a site");
  await shot("slow-flame");
});

await step("the flame graph is searched, zoomed and turned by keys, all of it in the address", async () => {
  await open(`/slow?process=${past.process}`);
  const blocking = await longestHeld();
  await page.getByTestId("flame-canvas-keys").focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await until(async () => /own .* total /.test(await textOf("flame-canvas-announcement")), "the box is announced");
  await page.keyboard.press("Enter");
  await page.getByTestId("flame-focus").waitFor();
  await until(() => /^\w+$/.test(query("focus") ?? ""), "the box is in the address");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await page.getByTestId("flame-focus").waitFor({ state: "detached" });
  await page.keyboard.press("/");
  await page.keyboard.type(blocking);
  await until(async () => /[1-9]\d* functions? match(es)?: (100|[1-9]\d?(\.\d)?) %/.test(await textOf("flame-matches")), "it says how much matches");
  await until(() => query("q") === blocking, "the search is in the address");
  await page.keyboard.press("Escape");
  await page.keyboard.press("1");
  await until(() => query("view") === "time", "1 is in order of time");
  await shot("slow-flame-time");
  await page.keyboard.press("3");
  await page.getByTestId("flame-callees").waitFor();
  await until(async () => (await textOf("flame-sandwich")).startsWith(blocking), "3 is around the function that blocks");
  await until(() => query("view") === "sandwich", "and that is in the address");
  await shot("slow-flame-sandwich");
  await page.reload();
  await page.getByTestId("flame-callees").waitFor();
  await page.keyboard.press("2");
  await page.getByTestId("flame-canvas").waitFor();
  await until(async () => /^\d+\.\d+$/.test(await page.getByTestId("flame-canvas").getAttribute("data-frame-ms")), "frames are measured");
});

await step("Slow → example opens the timeline at that poll, with location and stack", async () => {
  const { sites } = await ask(`slow?process=${past.process}&limit=100`);
  // A machine that is busy with other things does not get to take every stack.
  const [{ site, poll }] = sites.flatMap((it) => it.examples.filter((example) => example.stack?.length > 0).map((example) => ({ site: it, poll: example })));
  await open(`/slow?process=${past.process}`);
  const card = page.getByTestId("site").filter({ hasText: site.location }).first();
  const head = card.getByRole("button").first();
  if ((await head.getAttribute("aria-expanded")) === "false") await head.click();
  await card.getByTestId("stack").first().waitFor();
  const name = `${poll.loop}.${poll.worker}.${poll.start_at}`;
  await card.locator(`[data-testid=example][href*='poll=${name}']`).click();
  await until(() => query("poll") === name, "that poll is in the address");
  const panel = page.getByTestId("poll-panel");
  await until(async () => /\.rs:\d+/.test(await panel.getByTestId("panel-location").innerText()), "the panel names where the task was spawned");
  await until(async () => (await count(panel.getByTestId("stack").locator("li"))) > 0, "the stack has frames");
  await shot("timeline-slow-poll");
});

await step("Timeline → Task, and back to the same view", async () => {
  const before = page.url();
  await page.getByTestId("panel-open-task").click();
  await page.getByTestId("task-facts").waitFor();
  check(/\.rs:\d+/.test(await textOf("task-facts")), "the task names its spawn location");
  await shot("task");
  await page.goBack();
  await page.getByTestId("poll-panel").waitFor();
  await until(() => page.url() === before, `back leads to the same view, ${before}`);
});

await step("Timeline draws the whole recording, and closer than single polls", async () => {
  await go("Timeline");
  await page.getByTestId("timeline-canvas").waitFor();
  await page.keyboard.press("f");
  await until(() => query("last") === "all", "all of it is in view");
  await until(async () => (await pixels("timeline-canvas")).colors > 4, "the lanes show more than a background");
  await until(async () => (await pixels("minimap")).colors > 4, "the minimap shows the recording");
  await shot("timeline");
  await page.getByTestId("step-kind").selectOption("slow");
  await page.getByTestId("next-standout").click();
  await page.getByTestId("poll-panel").waitFor();
  await page.getByTestId("step-kind").selectOption("");
  await until(async () => (await page.getByTestId("timeline-canvas").getAttribute("data-exact")) === "true", "zoomed in, polls are exact");
  await until(async () => (await pixels("timeline-canvas")).background < 0.999, "zoomed in, polls are drawn");
  await shot("timeline-zoom");
});

await step("Timeline steps through all that stands out, in order of time, and says what each is", async () => {
  const { slow } = await openTimeline();
  const stops = await stepToEnd("n");
  const of = (kind) => stops.filter((stop) => stop.kind === kind);
  check(of("slow").length === slow.length && new Set(of("slow").map(({ id }) => id)).size === slow.length, `every slow poll is stepped to: ${of("slow").length} of ${slow.length}`);
  check(of("finding").length > 1, `and more than one finding, not only ${[...new Set(stops.map(({ kind }) => kind))]}`);
  check(stops.every(({ kind, said }) => said.startsWith({ slow: "Slow poll", finding: "Finding", loss: "Loss", note: "Note" }[kind])), "each says what it is");
  const places = stops.map(({ place }) => place.join(" of "));
  check(stops.every(({ place: [number, all] }, k) => number === k + 1 && all === stops.length), `none is left out: ${places}`);
  check(stops.every(({ at }, k) => k === 0 || stops[k - 1].at <= at), "one comes after the other");
  await shot("timeline-standout");
  const back = await stepToEnd("p");
  const ids = (list) => list.map(({ kind, id }) => `${kind} ${id}`).join("\n");
  check(ids(back) === ids(stops.slice(0, -1).reverse()), `back leads through the same:\n${ids(back)}\nafter\n${ids(stops)}`);
  // From a finding only on to the next of them.
  const [first, second] = of("finding");
  for (let stop = stops[0]; stop.id !== first.id;) stop = await stepBy("n");
  check((await stepBy("Shift+N")).id === second.id, "with Shift on to the next of the same kind");
  check((await stepBy("Shift+P")).id === first.id, "and back");
});

await step("Timeline obeys wheel, drag, undo and Shift-drag", async () => {
  await openTimeline();
  const box = await page.getByTestId("timeline-canvas").boundingBox();
  const span = () => textOf("span");
  const whole = await span();
  const [x, y] = [box.x + box.width / 2, box.y + 60];
  await page.mouse.move(x, y);
  await page.mouse.wheel(0, -400);
  await until(async () => (await span()) !== whole, "the wheel zooms");
  // The address comes after the view.
  const seen = () => [query("from") ?? 0, query("to") ?? 0].map(BigInt);
  const widthOf = ([from, to]) => to - from;
  await until(() => widthOf(seen()) > 0n, "the address has what is seen");
  const zoomed = seen();
  await page.keyboard.press("z");
  await until(async () => (await span()) === whole, "z undoes that");
  await until(() => widthOf(seen()) > widthOf(zoomed), "the address follows");
  const all = seen();
  await page.mouse.wheel(0, -400);
  await until(() => widthOf(seen()) < widthOf(all), "and does when the wheel zooms again");
  const near = seen();
  await page.mouse.down();
  await page.mouse.move(x + 120, y, { steps: 4 });
  await page.mouse.up();
  await until(() => seen()[0] < near[0], "what is dragged to the right shows what was before");
  const change = widthOf(seen()) - widthOf(near);
  check(change >= -2n && change <= 2n, `as much of it as before, not ${change} ns more`);
  check(/^\d+\.\d+$/.test(await page.getByTestId("timeline-canvas").getAttribute("data-frame-ms")), "frames are measured");
  await page.keyboard.down("Shift");
  await page.mouse.move(x - 200, y);
  await page.mouse.down();
  await page.mouse.move(x + 200, y, { steps: 4 });
  await page.mouse.up();
  await page.keyboard.up("Shift");
  await page.getByTestId("region").waitFor();
  await until(() => query("sel") != null, "what is selected is in the address");
  await shot("timeline-region");
  await page.keyboard.press("Escape");
  await page.getByTestId("region").waitFor({ state: "detached" });
});

await step("Timeline steps from poll to poll by keyboard and has a table twin", async () => {
  await openTimeline();
  const canvas = page.getByTestId("timeline-canvas");
  await page.getByTestId("timeline-keys").focus();
  // From afar a step leads to a slow poll, near which single polls are known.
  await page.keyboard.press("ArrowRight");
  await page.getByTestId("poll-panel").waitFor();
  await until(async () => (await canvas.getAttribute("data-exact")) === "true", "polls are exact");
  const poll = () => query("poll");
  await until(() => poll() != null, "the poll is in the address");
  const slow = poll();
  await page.keyboard.press("ArrowLeft");
  await until(() => poll() !== slow, "the one before is selected");
  await until(async () => /poll of task \d+ spawned at/i.test(await textOf("announcement")), "and announced");
  const before = poll();
  const [lane, start] = [/^\d+\.\d+/, /\d+$/].map((part) => [part.exec(before)[0], part.exec(slow)[0]]);
  check(lane[0] === lane[1] && BigInt(start[0]) < BigInt(start[1]), `it is of the same worker, and earlier: ${before} and ${slow}`);
  await page.keyboard.press("ArrowRight");
  await until(() => poll() === slow, "and back to the slow one");
  await page.keyboard.press("v");
  await page.getByTestId("twin").waitFor();
  await until(async () => (await count(page.getByTestId("twin").getByRole("row"))) > 2, "the twin has rows");
  await page.keyboard.press("v");
  await canvas.waitFor();
});

await step("Tasks lists and sorts, and a row opens its task", async () => {
  await openRun(past);
  await go("Tasks");
  const table = page.getByTestId("task-table");
  const row = table.locator("tbody tr[data-index='0']");
  await row.waitFor();
  await table.getByRole("button", { name: "Busy" }).click();
  await until(() => query("sort") === "busy_time", "the order is in the address");
  await table.locator("th[aria-sort='descending']").waitFor();
  const { rows: [busiest] } = await ask(`tasks?process=${past.process}&sort=busy_time&desc=1&limit=1`);
  await until(async () => (await row.locator("td").allInnerTexts()).includes(busiest.task), `the first row is task ${busiest.task}`);
  await shot("tasks");
  await row.focus();
  await page.keyboard.press("Enter");
  await page.getByTestId("task-facts").waitFor();
  await until(() => new URL(page.url()).pathname === `/tasks/${past.process}/${busiest.task}`, "it is the page of that task");
});

await step("the omnibox finds a task by its name or line, and Enter opens its page", async () => {
  // A page without a search field of its own.
  await openRun(past);
  await go("Sources");
  // The demo gives its tasks no names; then they go by the line that spawned them.
  const { rows } = await ask(`tasks?process=${past.process}&limit=1000`);
  const { file, line } = rows.find((task) => task.location).location;
  const name = rows.find((task) => task.name)?.name ?? `${file.split("/").at(-1)}:${line}`;
  await page.locator("main").focus();
  await page.keyboard.press("/");
  const input = page.getByTestId("omnibox-input");
  await until(() => input.evaluate((it) => it === document.activeElement), "it can be typed into");
  await page.keyboard.type(name);
  const found = page.getByRole("group", { name: /^Tasks/ }).getByRole("option").first();
  await until(async () => (await input.inputValue()) === name && (await count(page.getByTestId("omnibox").getByText("searching…"))) === 0, "the search is over");
  await until(async () => (await found.innerText()).includes(name), "the task is found");
  await shot("omnibox");
  for (let k = 0; k < 20 && (await found.getAttribute("aria-selected")) !== "true"; k += 1) await page.keyboard.press("ArrowDown");
  check((await input.getAttribute("aria-activedescendant")) === (await found.getAttribute("id")), "the field names what is chosen");
  await page.keyboard.press("Enter");
  await page.getByTestId("task-facts").waitFor();
  await until(async () => (await page.locator("main").innerText()).includes(name), "it is the page of such a task");
});

/** Writes into the omnibox and takes the first of what it offers. */
async function command(text, picture) {
  const omnibox = page.getByTestId("omnibox");
  await page.keyboard.press("Control+k");
  await page.getByTestId("omnibox-input").fill(text);
  await omnibox.getByRole("option").first().waitFor();
  if (picture) await shot(picture);
  await page.keyboard.press("Enter");
  await omnibox.waitFor({ state: "detached" });
}

await step("the omnibox runs commands and SQL", async () => {
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  const before = await theme();
  await command("> theme dark", "omnibox-commands");
  await until(async () => (await theme()) === "dark", "the theme is dark");
  await command(`> theme ${before}`);
  await until(async () => (await theme()) === before, "and as before");
  await command("= SELECT count(*) AS tasks FROM tasks");
  await page.getByTestId("query-result").waitFor();
  await until(async () => /^1 row/.test(await textOf("query-status")), "the page Query ran it");
  await until(() => query("sql")?.startsWith("SELECT count"), "the statement is in the address");
});

await step("a table is copied as the command that prints it", async () => {
  await openRun(past);
  await go("Tasks");
  const button = page.getByTestId("tasks").getByRole("button", { name: "as CLI" }).first();
  const copied = new RegExp(`^loopd tasks --app ${past.process} --sort spawned_at`);
  await until(async () => copied.test(await button.getAttribute("title")), "the command names process and order");
});

await step("Compare says which of two sides is worse, with both values of every place", async () => {
  await openRun(past);
  await go("Compare");
  const verdict = page.getByTestId("compare-verdict");
  await page.getByTestId("halves").click();
  await until(() => query("a_to") != null && query("a_to") === query("b_from"), "the halves are in the address, one after the other");
  await until(async () => /the first range/.test(await verdict.getByRole("heading").innerText()), "the verdict is a sentence about both", COMPARE_LIMIT);
  const row = page.getByTestId("places").locator("tbody tr[data-index='0']");
  const figures = async () => (await row.locator("td").allInnerTexts()).slice(0, 3);
  await row.waitFor();
  const [location, a, b] = await figures();
  check(/:\d+$/.test(location), `a place is a line, not "${location}"`);
  check(/%|–/.test(a) && /%|–/.test(b) && a !== b, `the place that differs most has two shares, not ${a} and ${b}`);
  await shot("compare");
  await page.getByTestId("swap").click();
  await until(async () => (await figures()).join() === [location, b, a].join(), "swapped, A's value is B's", COMPARE_LIMIT);
});

await step("Resources and Sources account for what is there", async () => {
  const { total } = await ask(`resources?process=${past.process}&state=all&limit=1`);
  check(total > 0, "the demo opens resources");
  await open(`/resources?process=${past.process}&state=all`);
  await page.getByTestId("resource-table").locator("tbody tr[data-index='0']").waitFor();
  await shot("resources");
  await go("Sources");
  await page.getByTestId("coverage").getByRole("listitem").first().waitFor();
  await page.getByTestId("ledger").getByRole("row").nth(1).waitFor();
  await page.getByTestId("store").waitFor();
  await shot("sources");
});

await step("Waits shows who waited for what, and leads to the task", async () => {
  await openRun(past);
  await go("Waits");
  await page.getByTestId("waits").getByRole("button", { name: "All", exact: true }).click();
  await until(() => query("state") === "all", "the filter is in the address");
  const task = page.getByTestId("wait-table").locator("tbody a[href*='/tasks/']").first();
  const { pathname } = new URL(await task.getAttribute("href"), base);
  await shot("waits");
  await task.click();
  await page.getByTestId("task-facts").waitFor();
  await until(() => new URL(page.url()).pathname === pathname, "it is the task of the row");
});

await step("Waits shows the circle of a deadlock at an instant, and a link shows it again", async () => {
  const instant = await timeOfCircle(base, deadlock);
  await open(`/waits?process=${deadlock.process}`);
  await page.getByRole("button", { name: "At an instant", exact: true }).click();
  const time = page.getByLabel("Time", { exact: true });
  await time.fill(instant);
  await time.press("Enter");
  await until(async () => /2 tasks wait in a circle/.test(await textOf("wait-summary")), "the summary counts the tasks of the circle");
  const circle = page.locator("[data-testid=wait-node][data-circle=true]");
  await until(async () => (await count(circle)) === 4, "two tasks and their two locks are the circle");
  check(/circle/.test(await circle.first().textContent()), "the circle is a word, not a colour alone");
  await circle.filter({ hasText: "task" }).first().click();
  await until(async () => /held by task \d+.*in the end it waits for itself/.test(await textOf("wait-note")), "the chosen task says who holds it up");
  await shot("waits-circle");
  await until(() => query("at") != null && /^task-\d+$/.test(query("node") ?? ""), "what is seen is in the address");
  const seen = page.url();
  await open("/");
  await open(seen);
  await page.getByTestId("wait-note").waitFor();
  await until(async () => (await count(circle)) === 4, "the link shows the same");
  await page.getByRole("button", { name: "Table", exact: true }).click();
  const rows = page.getByTestId("wait-table").locator("tbody tr");
  await until(async () => (await count(rows.filter({ hasText: "circle" }))) === 2, "the table has the same waits");
  await page.getByRole("slider", { name: "Instant" }).focus();
  await page.keyboard.press("Home");
  await page.getByTestId("empty").waitFor();
  await until(() => BigInt(query("at")) === BigInt(deadlock.started_at), "nobody waited when it began");
  await page.getByRole("button", { name: "Now", exact: true }).click();
  await until(() => query("at") == null, "Now is no instant");
});

await step("Query runs SQL with Ctrl+Enter and shows rows", async () => {
  await go("Query");
  const editor = await writeSql(page, "SELECT 6 * 7 AS answer UNION ALL SELECT 43");
  await editor.press("Control+Enter");
  await until(async () => /^2 rows/.test(await textOf("query-status")), "the status counts rows");
  check(/42\s+43/.test(await textOf("query-result")), "they are those that were asked for");
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
  await until(() => query("last") === "90s", "the range is in the address");
});

await step("the help dialog opens with ? and closes with Escape", async () => {
  await page.locator("main").focus();
  await page.keyboard.press("?");
  const help = page.getByRole("dialog");
  await until(async () => /Keys on Slow/.test(await help.innerText()), "it is about the page that is open");
  await shot("help");
  await page.keyboard.press("Escape");
  await help.waitFor({ state: "hidden" });
});

await step("a page nobody made says so", async () => {
  await open("/nowhere");
  await page.getByTestId("empty").waitFor();
});

const dark = await walk.newPage({ colorScheme: "dark" });
await step("the dark theme follows the system, and the switch is remembered", async (on) => {
  const background = () => on.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const brightness = async () => (await background()).match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
  await open("/", on);
  await on.getByTestId("verdict").waitFor();
  await until(async () => (await brightness()) < 200, "dark is dark");
  await shot("overview-dark", on);
  await open("/timeline", on);
  await until(async () => (await pixels("timeline-canvas", on)).colors > 4, "the lanes draw in the dark");
  await shot("timeline-dark", on);
  await on.getByTestId("theme").click();
  await until(async () => (await brightness()) > 500, "one click is light");
  await on.reload();
  await on.getByTestId("timeline-canvas").waitFor();
  await until(async () => (await brightness()) > 500, "light survives a reload");
}, { on: dark });

await walk.finish();
