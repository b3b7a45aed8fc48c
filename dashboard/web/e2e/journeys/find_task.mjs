import { check, until } from "../browser.mjs";

export const title = "a task is found by its name among a hundred thousand";
export const needs = ["tasks"];

const LEAST_TASKS = 100_000;
/** All names are looked through: a debug build takes its time. */
const LIMIT = 45_000;

export async function run({ collector, recorded: { tasks }, walk, page }) {
  const { process } = await collector.process(tasks.app);
  check(tasks.tasks > LEAST_TASKS, "there are enough of them");
  await until(async () => (await collector.number(`select count(*) from tasks where process = ${process}`)) === tasks.tasks, `${tasks.tasks} tasks are stored`);
  await walk.open(`/tasks?process=${process}`, page);
  const row = page.getByTestId("task-table").locator("tbody tr[data-index='0']");
  await until(async () => /order-\d+/.test(await row.innerText()), "the first row is loaded");
  await page.locator("main").focus();
  await page.keyboard.press("/");
  await until(() => page.locator("main [data-search]").evaluate((field) => field === document.activeElement), "the search field has the focus");
  await page.keyboard.type(tasks.name);
  await until(async () => (await row.innerText()).includes(tasks.name), `the first row is ${tasks.name}`, LIMIT);
  await until(async () => /^1 task\b/.test(await page.getByTestId("task-total").innerText()), "there is one of that name");
  await row.focus();
  await page.keyboard.press("Enter");
  await page.getByTestId("task-facts").waitFor();
  check(page.url().includes(`/tasks/${process}/${tasks.task}`), `it is task ${tasks.task}, not ${page.url()}`);
  await until(async () => {
    const facts = await page.locator("main").innerText();
    return facts.includes(tasks.name) && facts.includes(tasks.location);
  }, "its page has its name and its line");
}
