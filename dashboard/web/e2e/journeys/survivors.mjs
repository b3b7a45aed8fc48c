import { check, until } from "../browser.mjs";

export const title = "what a program spawns after a mark, and never ends, is counted at the line that spawned it";

const APP = "spawn_leak";
/** It is killed in the end. */
const SECONDS = 600;
/** Twenty a second are leaked. */
const ENOUGH = 20;

export async function run({ collector, programs, walk, page }) {
  const [line] = (await programs.ofZoo(APP)).locations;
  const child = programs.start(APP, SECONDS);
  try {
    const { process } = await until(() => collector.process(APP), "the program is recorded");
    await walk.open(`/leaks?process=${process}`, page);
    await page.getByTestId("mark-now").click();
    const site = page.getByTestId("survivor-site").filter({ hasText: line }).first();
    await until(async () => (await counts(site)).left >= ENOUGH, `${line} has survivors`);
    // From now on the range has an end: what is born later does not count.
    await page.getByRole("button", { name: "Mark again" }).click();
    const marks = await until(() => /^(\d+),(\d+)$/.exec(new URL(page.url()).searchParams.get("mark"))?.slice(1), "both marks are in the address");
    const born = `process = ${process} and spawned_at > ${marks[0]} and spawned_at <= ${marks[1]} and location like '%${line.split("/").at(-1)}'`;
    await until(async () => {
      const said = await counts(site);
      const stored = { left: await collector.number(`select count(*) from tasks where state = 'alive' and ${born}`), born: await collector.number(`select count(*) from tasks where ${born}`) };
      check(said.left === stored.left && said.born === stored.born, `the page says ${said.left} of ${said.born}, the database ${stored.left} of ${stored.born}`);
      return said.left >= ENOUGH && said.left === said.born;
    }, "none of them has ended, and the database has as many");
    await walk.shot("journey-survivors-marked", page);
  } finally {
    child.kill("SIGKILL");
  }
}

/** `12 of 340 still alive`, of one line. */
async function counts(site) {
  const [, left, born] = /([\d\u202f]+) of ([\d\u202f]+) still alive/.exec(await site.innerText()) ?? [];
  const number = (text) => Number((text ?? "0").replace(/\D/g, ""));
  return { left: number(left), born: number(born) };
}
