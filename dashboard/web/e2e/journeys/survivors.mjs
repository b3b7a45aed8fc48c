import { check, until } from "../browser.mjs";

export const title = "what a program spawns after a mark, and never ends, is counted at the line that spawned it";

const APP = "spawn_leak";
const SECONDS = 60;
/** Twenty a second are leaked. */
const ENOUGH = 20;

export async function run({ collector, programs, walk, page }) {
  const [line] = (await programs.ofZoo(APP)).locations;
  const child = programs.start(APP, SECONDS);
  const { process } = await until(() => collector.process(APP), "the program is recorded");
  await walk.open(`/leaks?process=${process}`, page);
  await page.getByTestId("mark-now").click();
  const site = page.getByTestId("survivor-site").filter({ hasText: line }).first();
  const alive = async () => Number(/(\d+) of (\d+) still alive/.exec(await site.innerText())?.[1] ?? 0);
  await until(async () => (await alive()) >= ENOUGH, `${line} has survivors`);
  const [, left, born] = /(\d+) of (\d+) still alive/.exec(await site.innerText());
  check(left === born, `none of ${born} has ended, but ${left} are said to be left`);
  const mark = new URL(page.url()).searchParams.get("mark");
  // Those that the page has not counted yet may be there, too.
  const counted = await collector.number(`select count(*) from tasks where process = ${process} and state = 'alive' and spawned_at >= ${mark} and location like '%${line.split("/").at(-1)}'`);
  check(counted >= Number(left), `the database has ${counted} of them, the page ${left}`);
  await walk.shot("journey-survivors-marked", page);
  child.kill("SIGKILL");
}
