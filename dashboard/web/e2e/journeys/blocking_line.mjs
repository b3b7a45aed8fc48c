import { check, until } from "../browser.mjs";

export const title = "from Overview to the blocking line in three clicks or fewer";
export const needs = ["sleeper"];

/** More than this is too many. */
const MAX_CLICKS = 3;

export async function run({ collector, recorded: { sleeper }, walk, page }) {
  const [line] = sleeper.locations;
  const { process } = await collector.process(sleeper.app);
  await walk.open(`/?process=${process}`, page);
  let clicks = 0;
  const click = async (what) => {
    clicks += 1;
    await what.click();
  };
  await click(page.getByTestId("headline").filter({ hasText: line.split("/").at(-1) }).first());
  const finding = page.locator("[data-testid=finding][aria-current=true]");
  await finding.waitFor();
  await until(async () => (await finding.innerText()).includes(line), `the finding names ${line}, which the program has marked`);
  // Not only the line: also the poll in which it blocked, with the stack that was taken meanwhile.
  await click(finding.getByRole("list", { name: "Proof" }).getByRole("link").first());
  const stack = page.getByTestId("stack").first();
  await stack.waitFor();
  await until(async () => (await stack.innerText()).includes(line.split("/").at(-1)), "the stack of a poll that blocked has that line");
  check(clicks <= MAX_CLICKS, `it took ${clicks} clicks`);
}
