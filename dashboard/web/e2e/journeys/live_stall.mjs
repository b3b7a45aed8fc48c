import { check, until } from "../browser.mjs";
import { childrenOf } from "./programs.mjs";

export const title = "a stall is seen while it blocks, on a page that was open before";

/** Waits for another program in a handler. When that one is stopped, so is the worker. */
const APP = "blocking_child";
const SECONDS = 90;
/** From the stop to the page that says so. */
const SEEN_WITHIN_MS = 8_000;
/** Its usual polls take a quarter of a second. */
const STALL_S = 1;

export async function run({ collector, programs, walk, page }) {
  const child = programs.start(APP, SECONDS);
  const { process } = await until(() => collector.process(APP), "the program is recorded");
  await walk.open(`/timeline?process=${process}&last=20s`, page);
  await page.getByTestId("timeline-canvas").waitFor();
  check((await page.getByTestId("live").getAttribute("aria-pressed")) === "true", "the page follows");

  const stopped = await until(async () => (await childrenOf(child.pid))[0], "it has started the other program");
  globalThis.process.kill(stopped, "SIGSTOP");
  const stoppedAt = Date.now();
  try {
    // To the latest slow poll, until that is one which has not ended.
    const panel = page.getByTestId("poll-panel");
    const text = await until(
      async () => {
        await page.keyboard.press("Escape");
        await page.keyboard.press("l");
        await page.keyboard.press("p");
        const said = await panel.innerText({ timeout: 1_000 });
        const length = /([\d.]+)\s*s so far/.exec(said);
        return length && Number(length[1]) >= STALL_S ? said : null;
      },
      "a poll is running now",
      SEEN_WITHIN_MS,
    );
    check(/Poll running now/.test(text), `the panel says that it is running now: ${text.slice(0, 60)}`);
    check(isStopped(stopped), "the worker still blocks");
    console.log(`      seen ${((Date.now() - stoppedAt) / 1000).toFixed(1)} s after it began`);
    await walk.shot("journey-live-stall", page);
  } finally {
    globalThis.process.kill(stopped, "SIGCONT");
    child.kill("SIGTERM");
  }
}

function isStopped(pid) {
  try {
    return globalThis.process.kill(pid, 0);
  } catch {
    return false;
  }
}
