import { readFile } from "node:fs/promises";
import { check, until } from "../browser.mjs";
import { childrenOf } from "./programs.mjs";

export const title = "a stall is seen while it blocks, on a page that was open before";

/** Waits for another program in a handler. When that one is stopped, so is the worker. */
const APP = "blocking_child";
const SECONDS = 90;
/** From the stop to the page that says so. */
const SEEN_WITHIN_MS = 15_000;
/** Its usual polls take a quarter of a second. */
const STALL_S = 1;

export async function run({ collector, programs, walk, page }) {
  const [line] = (await programs.ofZoo(APP)).locations;
  const child = programs.start(APP, SECONDS);
  const { process } = await until(() => collector.process(APP), "the program is recorded");
  await walk.open(`/timeline?process=${process}&last=20s`, page);
  await page.getByTestId("timeline-canvas").waitFor();
  check((await page.getByTestId("live").getAttribute("aria-pressed")) === "true", "the page follows");

  const stopped = await until(() => stopOne(child.pid), "it has started the other program");
  const stoppedAt = Date.now();
  try {
    // To the latest slow poll, until that is one which has not ended.
    const panel = page.getByTestId("poll-panel");
    const text = await until(
      async () => {
        await followAgain(page);
        await page.keyboard.press("Shift+P");
        const said = await panel.innerText({ timeout: 1_000 });
        const length = /([\d.]+)\s*s so far/.exec(said);
        return length && Number(length[1]) >= STALL_S ? said : null;
      },
      "a poll is running now",
      SEEN_WITHIN_MS,
    );
    check(/Poll running now/.test(text), `the panel says that it is running now: ${text.slice(0, 60)}`);
    await until(async () => (await panel.innerText()).includes(line.split("/").at(-1)), `the stack that was taken meanwhile has ${line}`);
    check(await isStopped(stopped), "the worker still blocks");
    console.log(`      seen ${((Date.now() - stoppedAt) / 1000).toFixed(1)} s after it began`);
    await walk.shot("journey-live-stall", page);
  } finally {
    globalThis.process.kill(stopped, "SIGCONT");
    child.kill("SIGTERM");
  }
}

/** Lets go of what is selected, and looks at the newest data. */
async function followAgain(page) {
  await page.keyboard.press("Escape");
  const newest = page.waitForResponse((answer) => /\/api\/v1\/(timeline|tiles?)\b/.test(answer.url()));
  if (await page.getByTestId("go-live").isVisible()) await page.getByTestId("go-live").click();
  await (await newest).finished();
}

/** The program that it waits for now, stopped; an error if that has ended in between. */
async function stopOne(parent) {
  const [pid] = await childrenOf(parent);
  if (!pid) return null;
  globalThis.process.kill(pid, "SIGSTOP");
  return (await isStopped(pid)) ? pid : null;
}

async function isStopped(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")")).startsWith(") T");
}
