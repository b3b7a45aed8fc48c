import { check, settled, until } from "../browser.mjs";

export const title = "from Overview to the blocking line in three clicks and keys or fewer";
export const needs = ["receiver"];

/** More than this is too many. */
const MAX_STEPS = 3;

export async function run({ collector, recorded: { receiver }, walk, page }) {
  const [line] = receiver.locations;
  const short = line.split("/").at(-1);
  const { process } = await collector.process(receiver.app);
  await walk.open(`/?process=${process}`, page);
  let steps = 0;
  const click = async (what) => {
    steps += 1;
    await what.click();
  };
  await click(page.getByTestId("headline").filter({ hasText: short.split(":")[0] }).first());
  const finding = page.locator("[data-testid=finding][aria-current=true]");
  await finding.waitFor();
  check((await finding.innerText()).includes(line), `the finding names ${line}, which the program has marked`);
  // To the poll that blocked, with the stack that was taken meanwhile.
  const proof = finding.getByRole("list", { name: "Proof" }).getByRole("link").first();
  const to = await proof.getAttribute("href");
  await click(proof);
  if (to.startsWith("/timeline?") && !/[?&]poll=/.test(to)) {
    // It leads to when that was. The next slow poll: of all that stands out, a finding may come first.
    await page.getByTestId("timeline-canvas").waitFor();
    await settled(page);
    steps += 1;
    await page.keyboard.press("Shift+N");
  }
  const stack = page.getByTestId("stack").first();
  await stack.waitFor();
  await until(async () => (await stack.innerText()).includes(short), "the stack of that poll has the line, too");
  check(steps <= MAX_STEPS, `it took ${steps} clicks and keys`);
}
