import { check, settled, until } from "../browser.mjs";

export const title = "a link shows somebody else the same: range, selection, filter; in the theme of their system";
export const needs = ["sleeper", "tasks"];

/** All tasks are looked through: a debug build takes its time. */
const LIMIT = 45_000;

export async function run({ collector, recorded: { sleeper, tasks }, walk, page }) {
  const { process } = await collector.process(sleeper.app);
  await walk.open(`/timeline?process=${process}`, page);
  await page.getByTestId("timeline-canvas").waitFor();
  await settled(page);
  // Something that only this browser remembers, and that must not travel.
  await page.keyboard.press("t");
  await until(() => page.evaluate(() => localStorage.getItem("loopd.theme") != null), "the theme is remembered");
  // Once: before the first data the page keeps it in mind, and another would go on from there.
  await page.keyboard.press("Shift+N");
  await page.getByTestId("poll-panel").waitFor();
  const search = page.getByRole("searchbox", { name: /^Highlight polls/ });
  await search.fill("sleep_in");
  await until(() => /[?&]poll=.*/.test(page.url()) && /[?&]q=sleep_in/.test(page.url()) && /[?&]from=\d+/.test(page.url()), "what is seen is in the address");
  const state = async (on) => ({
    url: on.url(),
    poll: (await on.getByTestId("poll-panel").locator(".poll-length").innerText()).trim(),
    location: await on.getByTestId("panel-location").innerText(),
    span: await on.getByTestId("span").innerText(),
    filter: await on.getByRole("searchbox", { name: /^Highlight polls/ }).inputValue(),
  });
  // Its task may be spelled with more folders than the lane has.
  await until(async () => /\.rs:\d+/.test(await page.getByTestId("panel-location").innerText()) && !(await page.getByTestId("poll-panel").innerText()).includes("Loading its stack…"), "the selected poll and its task are known");
  await until(async () => /every poll/.test(await page.getByTestId("span").innerText()), "all of the view has come");
  let mine = await state(page);
  await until(async () => {
    const before = JSON.stringify(mine);
    mine = await state(page);
    return JSON.stringify(mine) === before;
  }, "nothing changes any more");

  const other = await walk.newPage({ colorScheme: "dark" });
  await other.goto(mine.url);
  await other.getByTestId("poll-panel").waitFor();
  await until(async () => JSON.stringify(await state(other)) === JSON.stringify(mine), `they see ${JSON.stringify(mine)}`).catch(async (error) => {
    throw new Error(`${error.message}; they see ${JSON.stringify(await state(other))}`);
  });
  check((await other.evaluate(() => localStorage.length)) === 0, "nothing was stored in the fresh browser");
  check((await other.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/g).slice(0, 3).every((part) => Number(part) < 90), "their dark system shows a dark page");
  await walk.shot("journey-shared-link-dark", other);

  const { process: backlog } = await collector.process(tasks.app);
  await walk.open(`/tasks?process=${backlog}`, page);
  const table = page.getByTestId("task-table");
  await page.locator("main [data-search]").fill("order-0000");
  await page.getByRole("button", { name: "Alive", exact: true }).click();
  await table.getByRole("button", { name: "Busy" }).click();
  await until(() => ["q=order-0000", "state=alive", "sort=busy_time"].every((part) => page.url().includes(part)), "filter and order are in the address");
  const rows = (on) => on.getByTestId("task-table").locator("tbody tr[data-index]").allInnerTexts();
  await until(async () => (await rows(page)).length > 5 && (await rows(page)).every((row) => /order-0000/.test(row)), "the rows are those that were asked for", LIMIT);
  await other.goto(page.url());
  await other.getByTestId("task-table").waitFor();
  await until(async () => (await rows(other)).join() === (await rows(page)).join(), "and they see the same rows", LIMIT);
  await other.context().close();
  await page.evaluate(() => localStorage.clear());
}
