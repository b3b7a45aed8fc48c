import { check, until } from "../browser.mjs";

export const title = "from Overview to the blocking line in three clicks or fewer";
export const needs = ["receiver"];

/** More than this is too many. */
const MAX_CLICKS = 3;

export async function run({ collector, recorded: { receiver }, walk, page }) {
  const [line] = receiver.locations;
  const short = line.split("/").at(-1);
  const { process } = await collector.process(receiver.app);
  await walk.open(`/?process=${process}`, page);
  let clicks = 0;
  const click = async (what) => {
    clicks += 1;
    await what.click();
  };
  await click(page.getByTestId("headline").filter({ hasText: short.split(":")[0] }).first());
  const finding = page.locator("[data-testid=finding][aria-current=true]");
  await finding.waitFor();
  check((await finding.innerText()).includes(line), `the finding names ${line}, which the program has marked`);
  // To the poll that blocked, with the stack that was taken meanwhile.
  await click(finding.getByRole("list", { name: "Proof" }).getByRole("link").first());
  if (await until(() => page.url().includes("/timeline?") && !page.url().includes("poll="), "", 2_000).catch(() => false)) await click(page.getByTestId("next-standout"));
  const stack = page.getByTestId("stack").first();
  await stack.waitFor();
  await until(async () => (await stack.innerText()).includes(short), "the stack of that poll has the line, too");
  check(clicks <= MAX_CLICKS, `it took ${clicks} clicks`);
}
