import { check, until, writeSql } from "../browser.mjs";

export const title = "the rows of a query lie on the timeline where they happened";
export const needs = ["day"];

export async function run({ collector, recorded: { day }, walk, page }) {
  const { process } = await collector.process(day.app);
  const sql = `SELECT start_at, length, task FROM polls WHERE process = ${process} AND length >= ${day.needle_length}`;
  await walk.open(`/query?process=${process}`, page);
  const editor = await writeSql(page, sql);
  await editor.press("Control+Enter");
  await page.getByTestId("query-result").waitFor();
  await page.getByRole("button", { name: "Timeline", exact: true }).click();
  await page.getByTestId("overlay-open").click();
  await until(async () => /^1 row\b/.test(await page.getByTestId("overlay-status").innerText()), "one poll of the day is as long as that");
  check(new URL(page.url()).searchParams.get("overlay") === sql, "the statement is in the address");
  await page.getByTestId("overlay-keys").focus();
  await page.keyboard.press("ArrowRight");
  await until(async () => /40\s*µs/.test(await page.getByTestId("overlay-said").innerText()), "the row is announced with its length");
  // The lanes under it show the poll itself.
  const query = new URL(page.url()).searchParams;
  const [from, to, needle] = [BigInt(query.get("from")), BigInt(query.get("to")), BigInt(day.needle_at)];
  check(from <= needle && needle <= to && to - from < 1_000_000_000n, "the view is where the poll ran");
  await until(async () => (await page.getByTestId("timeline-canvas").getAttribute("data-exact")) === "true", "and shows every poll");
}
