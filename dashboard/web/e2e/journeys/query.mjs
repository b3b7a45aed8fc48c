import { check, until, writeSql } from "../browser.mjs";

export const title = "SQL is run, and its result is right";
export const needs = ["tasks"];

/** All tasks are counted: a debug build takes its time. */
const LIMIT = 45_000;

export async function run({ collector, recorded: { tasks }, walk, page }) {
  const { process } = await collector.process(tasks.app);
  const sql = `SELECT count(*) AS tasks, sum(polls) AS polls, sum(state = 'alive') AS alive FROM tasks WHERE process = ${process}`;
  await walk.open(`/query?process=${process}`, page);
  const editor = await writeSql(page, sql);
  await editor.press("Control+Enter");
  const result = page.getByTestId("query-result");
  const wanted = [tasks.tasks, tasks.tasks, tasks.alive];
  const cells = async () => (await result.locator("tbody tr").first().locator("td").allInnerTexts()).map((text) => Number(text.replace(/[^\d]/g, "")));
  await until(async () => (await cells()).join() === wanted.join(), `the row is ${wanted.join(", ")}`, LIMIT);
  check(new URL(page.url()).searchParams.get("sql") === sql, "the statement is in the address");
}
