// Walks through the dashboard of a running loopd with a recorded demo, and a recorded `zoo deadlock_two`, as a person would:
//   node e2e/journey.mjs http://127.0.0.1:7411 /tmp/screenshots
// Exits with 1 if anything is wrong; the last line is `N passed, M failed`.

import { check, pixels as pixelsOn, startWalk, until, writeSql } from "./browser.mjs";

const [base, out = "screenshots"] = process.argv.slice(2);
if (!base) {
  console.error("usage: node e2e/journey.mjs BASE_URL [SCREENSHOT_DIR]");
  process.exit(2);
}

/** Every rule is asked twice: a debug build takes its time. */
const COMPARE_LIMIT = 45_000;

const walk = await startWalk(base, out);
const page = await walk.newPage();
const step = (name, action, { on = page } = {}) => walk.step(name, on, action);
const shot = (name, on = page) => walk.shot(name, on);
const open = (path, on = page) => walk.open(path, on);
const pixels = (testId, on = page) => pixelsOn(testId, on);
/** Opens a page from the navigation, as people do. */
const go = (title) => page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: title, exact: true }).click();

/** More than these are not stepped through. */
const MAX_STEPS = 12;

await step("the page loads, connects and names a process", async () => {
  await open("/");
  await page.getByTestId("process-picker").waitFor();
  await until(async () => (await page.getByTestId("connection").getAttribute("data-state")) === "open", "the live stream opens");
  check(/loopd/.test(await page.title()), "the title says loopd");
});

await step("Overview gives a verdict, a health strip and cards for what was found", async () => {
  await page.getByTestId("verdict").waitFor();
  const sentence = await page.getByTestId("verdict").getByRole("heading").innerText();
  check(sentence.length > 20, `the verdict is a sentence, not "${sentence}"`);
  await page.getByTestId("health").waitFor();
  await page.getByTestId("headline").first().waitFor();
  check((await page.getByTestId("headline").count()) <= 5, "no more than five are shown");
  await shot("overview");
});

await step("Overview → Findings shows that finding with its proof and fix, and what each rule said", async () => {
  const card = page.getByTestId("headline").filter({ hasText: /\.rs:\d+/ }).first();
  const rule = await card.getAttribute("data-rule");
  await card.click();
  await page.getByTestId("findings").waitFor();
  const chosen = page.locator("[data-testid=finding][aria-current=true]");
  await chosen.waitFor();
  check((await chosen.getAttribute("data-rule")) === rule, "the finding that was clicked is marked");
  check(/Error|Warning/.test(await chosen.innerText()), "the level is a word, not a colour alone");
  check((await chosen.getByRole("list", { name: "Proof" }).getByRole("listitem").count()) > 0, "there is proof");
  check((await page.getByTestId("rules").getByRole("row").count()) > 10, "every rule says what it found");
  await shot("findings");
  await page.getByTestId("rules").scrollIntoViewIfNeeded();
  await shot("findings-rules");
  const info = page.getByTestId("worth-knowing");
  if ((await info.count()) > 0) {
    if ((await info.getAttribute("aria-expanded")) === "false") await info.click();
    const unfolded = page.getByRole("list", { name: "Worth knowing" }).getByTestId("finding");
    await until(async () => (await unfolded.count()) > 0, "what is worth knowing unfolds");
  }
});

await step("Findings mutes one for a reason, and hears it again", async () => {
  // Its title and its place among the others change while the demo runs.
  const cards = page.getByTestId("finding");
  const rule = await cards.filter({ has: page.getByRole("button", { name: /^Mute: / }) }).last().getAttribute("data-rule");
  await page.locator(`[data-testid=finding][data-rule=${rule}]`).last().getByRole("button", { name: /^Mute: / }).click();
  await page.keyboard.type("it is a demo");
  await page.keyboard.press("Enter");
  const muted = page.getByTestId("muted");
  await muted.waitFor();
  check(/1 muted/.test(await muted.innerText()), "the line says how many");
  if ((await muted.getAttribute("aria-expanded")) === "false") await muted.click();
  check((await page.getByTestId("mute-reason").innerText()) === "it is a demo", "the reason is there");
  await shot("findings-muted");
  const unmute = page.getByRole("button", { name: /^Unmute: / });
  check((await cards.filter({ has: unmute }).getAttribute("data-rule")) === rule, "it is the one that was muted");
  await unmute.click();
  await muted.waitFor({ state: "detached" });
});

await step("Findings → proof leads to where it is seen", async () => {
  const proof = page.getByTestId("finding").getByRole("list", { name: "Proof" }).getByRole("link");
  const href = await proof.first().getAttribute("href");
  await proof.first().click();
  await until(() => page.url().includes(href.split("?")[0]), `the link leads to ${href}`);
  await page.locator("main h1, main [data-testid]").first().waitFor();
});

await step("Slow shows sites by line, the first one open with advice", async () => {
  await go("Slow");
  await page.getByTestId("slow").waitFor();
  const site = page.getByTestId("site").first();
  await site.waitFor();
  check(/\.rs:\d+/.test(await site.innerText()), "a site is named by file and line");
  await shot("slow");
});

await step("Slow draws a flame graph, and the program's innermost function in most of it is the one that is named", async () => {
  const canvas = page.getByTestId("flame-canvas");
  await canvas.waitFor();
  await until(async () => (await pixels("flame-canvas")).colors > 4, "boxes are drawn");
  // What blocks, worked out from the stacks themselves.
  const asked = new URL(page.url()).searchParams.get("process");
  const blocking = await page.evaluate(async (process) => {
    const answer = await (await fetch(`/api/v1/stacks${process ? `?process=${process}` : ""}`)).json();
    const held = new Map();
    for (const { stack, weight } of answer.samples) {
      const name = answer.stacks[stack].find((frame) => frame.own)?.function;
      if (name) held.set(name, (held.get(name) ?? 0) + weight);
    }
    return [...held].sort((a, b) => b[1] - a[1])[0][0];
  }, asked ?? (await page.getByRole("link", { name: "Tasks", exact: true }).getAttribute("href")).match(/process=(\d+)/)?.[1]);
  const row = page.getByTestId("flame-table").locator("tbody tr").first();
  await until(async () => (await row.innerText()).startsWith(blocking), `the table begins with ${blocking}`);
  check((await page.getByTestId("flame-summary").innerText()).includes(blocking), "and the summary names it");
  check((await page.getByTestId("site").filter({ hasText: blocking }).count()) > 0, "and it is a site");
  await shot("slow-flame");
});

await step("the flame graph is searched, zoomed and turned by keys, all of it in the address", async () => {
  const blocking = await page.getByTestId("flame-table").locator("tbody tr a").first().innerText();
  await page.getByTestId("flame-canvas-keys").focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await until(async () => /own .* total /.test(await page.getByTestId("flame-canvas-announcement").innerText()), "the box is announced");
  await page.keyboard.press("Enter");
  await page.getByTestId("flame-focus").waitFor();
  await until(() => /[?&]focus=\w+/.test(page.url()), "the box is in the address");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await page.getByTestId("flame-focus").waitFor({ state: "detached" });
  await page.keyboard.press("/");
  await page.keyboard.type(blocking);
  await until(async () => /[1-9]\d* functions? match(es)?: (100|[1-9]\d?(\.\d)?) %/.test(await page.getByTestId("flame-matches").innerText()), "it says how much matches");
  check(new URL(page.url()).searchParams.get("q") === blocking, "the search is in the address");
  await page.keyboard.press("Escape");
  await page.keyboard.press("1");
  await until(() => /view=time/.test(page.url()), "1 is in order of time");
  await shot("slow-flame-time");
  await page.keyboard.press("3");
  await page.getByTestId("flame-callees").waitFor();
  check((await page.getByTestId("flame-sandwich").innerText()).startsWith(blocking), "3 is around the function that blocks");
  await shot("slow-flame-sandwich");
  await page.reload();
  await page.getByTestId("flame-callees").waitFor();
  await page.keyboard.press("2");
  await page.getByTestId("flame-canvas").waitFor();
  const frame = Number(await until(() => page.getByTestId("flame-canvas").getAttribute("data-frame-ms"), "frames are measured"));
  check(frame < 16, `a frame takes ${frame} ms`);
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
  await page.getByTestId("step-kind").selectOption("slow");
  await page.getByTestId("next-standout").click();
  await page.getByTestId("poll-panel").waitFor();
  await page.getByTestId("step-kind").selectOption("");
  await until(async () => (await page.getByTestId("timeline-canvas").getAttribute("data-exact")) === "true", "zoomed in, polls are exact");
  check((await pixels("timeline-canvas")).background < 0.999, "zoomed in, polls are drawn");
  await shot("timeline-zoom");
});

await step("Timeline steps through all that stands out, in order of time, and says what each is", async () => {
  await page.keyboard.press("Escape");
  await page.keyboard.press("f");
  await until(async () => (await page.getByTestId("finding-badge").count()) > 0, "findings are known");
  const said = () => page.getByTestId("announcement").innerText();
  const seen = [];
  for (let k = 0; k < MAX_STEPS; k += 1) {
    const before = await said();
    await page.keyboard.press("n");
    const now = await until(async () => (await said()) !== before && said(), "a step is announced");
    if (now.startsWith("No later")) break;
    seen.push({ kind: await page.getByTestId("standout").getAttribute("data-kind"), place: /(\d+) of (\d+)$/.exec(now)?.slice(1).map(Number), now });
  }
  check(seen.some(({ kind }) => kind === "slow") && seen.some(({ kind }) => kind === "finding"), `slow polls and findings are stepped through, not only ${seen.map(({ kind }) => kind)}`);
  check(seen.every(({ kind, now }) => now.startsWith({ slow: "Slow poll", finding: "Finding", loss: "Loss", note: "Note" }[kind])), "each says what it is");
  check(seen.every(({ place }, k) => place[0] === seen[0].place[0] + k), "none is left out");
  await shot("timeline-standout");
  const last = seen.at(-1);
  await page.keyboard.press("p");
  await until(async () => (await said()) === seen.at(-2).now, "back leads to the one before");
  await page.keyboard.press(last.kind === seen.at(-2).kind ? "n" : "Shift+N");
  await until(async () => (await said()) !== seen.at(-2).now, "and on again");
  await page.keyboard.press("Escape");
  await page.keyboard.press("f");
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

await step("Leaks shows what was born since a mark, and between two", async () => {
  await page.getByTestId("mark-now").click();
  const card = page.getByTestId("survivors");
  await card.waitFor();
  check(/[?&]mark=\d+(&|$)/.test(page.url()), "the mark is in the address");
  await until(async () => /tasks? spawned.* since \d/.test(await card.innerText()), "it says how many were spawned and stay");
  await page.getByTestId("survivor-site").first().waitFor();
  await shot("leaks-marked");
  await card.getByRole("button", { name: "Mark again" }).click();
  await until(async () => /Born between the marks/.test(await card.innerText()), "two marks make a range");
  await card.getByRole("button", { name: "Clear the marks" }).click();
  await card.waitFor({ state: "detached" });
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

await step("Tasks says where each of them waits, or why nobody can tell", async () => {
  await go("Tasks");
  await page.goto(`${page.url()}${page.url().includes("?") ? "&" : "?"}group=awaits`);
  await page.getByTestId("empty").or(page.getByTestId("await-tree")).first().waitFor();
  const ask = page.getByTestId("ask-awaits").first();
  if (await ask.isEnabled()) {
    await ask.focus();
    await page.keyboard.press("Enter");
    const tree = page.getByTestId("await-tree");
    await tree.waitFor();
    await until(() => /dump=\d+/.test(page.url()), "what is shown is in the address");
    // Tokio's tasks cannot be looked into: then the reason is there.
    check((await tree.locator("li a").count()) + (await tree.getByRole("status").count()) > 0, "a task, or a reason");
    await shot("awaits");
  }
});

await step("the omnibox finds a task by its name or line, and Enter opens its page", async () => {
  // A page without a search field of its own.
  await go("Sources");
  await page.getByTestId("sources").waitFor();
  // The demo gives its tasks no names; then they go by the line that spawned them.
  const name = await page.evaluate(async () => {
    const { processes } = await (await fetch("/api/v1/processes")).json();
    const { process } = processes.find((it) => it.state === "live");
    const { rows } = await (await fetch(`/api/v1/tasks?process=${process}&limit=1000`)).json();
    const { file, line } = rows.find((task) => task.location).location;
    return rows.find((task) => task.name)?.name ?? `${file.split("/").at(-1)}:${line}`;
  });
  await page.locator("main").focus();
  await page.keyboard.press("/");
  const input = page.getByTestId("omnibox-input");
  await input.waitFor();
  await page.keyboard.type(name);
  const found = page.getByRole("group", { name: /^Tasks/ }).getByRole("option");
  await until(async () => (await found.count()) > 0 && (await found.first().innerText()).includes(name), "the task is found while it is typed");
  await shot("omnibox");
  for (let k = 0; k < 20 && (await found.first().getAttribute("aria-selected")) !== "true"; k += 1) await page.keyboard.press("ArrowDown");
  check((await input.getAttribute("aria-activedescendant")) === (await found.first().getAttribute("id")), "the field names what is chosen");
  await page.keyboard.press("Enter");
  await page.getByTestId("task-facts").waitFor();
  check((await page.locator("main").innerText()).includes(name), "it is the page of such a task");
});

await step("the omnibox runs commands and SQL", async () => {
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  const before = await theme();
  await page.keyboard.press("Control+k");
  await page.getByTestId("omnibox-input").fill("> theme dark");
  await page.getByRole("option").first().waitFor();
  await shot("omnibox-commands");
  await page.keyboard.press("Enter");
  await until(async () => (await theme()) === "dark", "the theme is dark");
  await page.keyboard.press("Control+k");
  await page.getByTestId("omnibox-input").fill(`> theme ${before}`);
  await page.keyboard.press("Enter");
  await until(async () => (await theme()) === before, "and as before");
  await page.keyboard.press("Control+k");
  await page.getByTestId("omnibox-input").fill("= SELECT count(*) AS tasks FROM tasks");
  await page.keyboard.press("Enter");
  await page.getByTestId("query-result").waitFor();
  await until(async () => /row/.test(await page.getByTestId("query-status").innerText()), "the page Query ran it");
  check(/[?&]sql=SELECT\+count/.test(page.url()), "the statement is in the address");
});

await step("a table is copied as the command that prints it", async () => {
  await go("Tasks");
  const copied = await page.getByRole("button", { name: "as CLI" }).first().getAttribute("title");
  check(/^loopd tasks --app \d+ --sort spawned_at/.test(copied), `the command names process and order, not "${copied}"`);
});

await step("Compare says which of two sides is worse, with both values of every place", async () => {
  await go("Compare");
  const verdict = page.getByTestId("compare-verdict");
  await page.getByTestId("halves").click();
  await until(() => /[?&]a_to=(\d+).*[?&]b_from=\1(&|$)/.test(page.url()), "the halves are in the address, one after the other");
  await until(async () => /the first range/.test(await verdict.getByRole("heading").innerText()), "the verdict is a sentence about both", COMPARE_LIMIT);
  const row = page.getByTestId("places").locator("tbody tr[data-index='0']");
  const figures = async () => (await row.locator("td").allInnerTexts()).slice(0, 3);
  const [location, a, b] = await figures();
  check(/:\d+$/.test(location), `a place is a line, not "${location}"`);
  check(/%|–/.test(a) && /%|–/.test(b) && a !== b, `the place that differs most has two shares, not ${a} and ${b}`);
  await shot("compare");
  await page.getByTestId("swap").click();
  await until(async () => (await figures()).join() === [location, b, a].join(), "swapped, A's value is B's", COMPARE_LIMIT);
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

await step("Waits shows the circle of a deadlock at an instant, and a link shows it again", async () => {
  const { processes } = await (await page.request.get(new URL("/api/v1/processes", base).href)).json();
  const sick = processes.find((process) => process.app === "deadlock_two");
  check(sick, "`zoo deadlock_two` has been recorded");
  await open(`/waits?process=${sick.process}`);
  await page.getByRole("button", { name: "At an instant", exact: true }).click();
  const time = page.getByLabel("Time", { exact: true });
  await time.fill("-1s");
  await time.press("Enter");
  const summary = page.getByTestId("wait-summary");
  await until(async () => /2 tasks wait in a circle/.test(await summary.innerText()), "the summary counts the tasks of the circle");
  const circle = page.locator("[data-testid=wait-node][data-circle=true]");
  check((await circle.count()) === 4, "two tasks and their two locks are the circle");
  check(/circle/.test(await circle.first().textContent()), "the circle is a word, not a colour alone");
  await circle.filter({ hasText: "task" }).first().click();
  await until(async () => /held by task \d+.*in the end it waits for itself/.test(await page.getByTestId("wait-note").innerText()), "the chosen task says who holds it up");
  await shot("waits-circle");
  const seen = page.url();
  check(/[?&]at=\d+/.test(seen) && /[?&]node=task-\d+/.test(seen), "what is seen is in the address");
  await open("/");
  await open(seen);
  await page.getByTestId("wait-note").waitFor();
  check((await circle.count()) === 4, "the link shows the same");
  await page.getByRole("button", { name: "Table", exact: true }).click();
  const rows = page.getByTestId("wait-table").locator("tbody tr");
  await until(async () => (await rows.filter({ hasText: "circle" }).count()) === 2, "the table has the same waits");
  await page.getByRole("slider", { name: "Instant" }).focus();
  await page.keyboard.press("Home");
  await until(async () => (await page.getByTestId("empty").count()) > 0, "nobody waited when it began");
  await page.getByRole("button", { name: "Now", exact: true }).click();
  await until(() => !/[?&]at=/.test(page.url()), "Now is no instant");
  // The next pages are those of the demo again.
  await open("/");
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
  const editor = await writeSql(page, "SELECT count(*) AS tasks FROM tasks");
  await editor.press("Control+Enter");
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
  check(/Keys on Slow/.test(await page.getByRole("dialog").innerText()), "it is about the page that is open");
  await shot("help");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
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

await walk.finish();
