import { readFile } from "node:fs/promises";
import { check, settled, until } from "../browser.mjs";
import { childrenOf } from "./programs.mjs";

export const title = "a stall is seen while it blocks, on a page that was open before";

/** Waits for another program in a handler. When that one is stopped, so is the worker. */
const APP = "blocking_child";
/** What that other program is called. */
const CHILD = "sleep";
/** It is ended before. */
const SECONDS = 600;
/** From the stop to the page that says so. */
const SEEN_LIMIT = 90_000;
/** Its usual polls take a quarter of a second. */
const STALL_S = 1;
/** Slow polls that are looked at before the newest data are. */
const MAX_NEWER = 8;

export async function run({ collector, programs, walk, page }) {
  const [line] = (await programs.ofZoo(APP)).locations;
  const child = programs.start(APP, SECONDS);
  let stopped = null;
  try {
    const { process } = await until(() => collector.process(APP), "the program is recorded");
    await walk.open(`/timeline?process=${process}&last=20s`, page);
    await page.getByTestId("timeline-canvas").waitFor();
    await until(async () => (await page.getByTestId("live").getAttribute("aria-pressed")) === "true", "the page follows");

    stopped = await until(() => stopOne(child.pid), "it has started the other program");
    const stoppedAt = Date.now();
    const ended = new Set();
    const text = await until(() => stalledPoll(page, line.split("/").at(-1), ended), `a poll is running now, and the stack that was taken meanwhile has ${line}`, SEEN_LIMIT);
    check(/Poll running now/.test(text), `the panel says that it is running now: ${text.slice(0, 60)}`);
    check(await isStopped(stopped), "the worker still blocks");
    console.log(`      seen ${((Date.now() - stoppedAt) / 1000).toFixed(1)} s after it began`);
    await walk.shot("journey-live-stall", page);
  } finally {
    child.kill("SIGTERM");
    if (stopped) globalThis.process.kill(stopped, "SIGCONT");
  }
}

/**
 * Back from the newest data, from slow poll to slow poll, to one which has not ended: what the panel says of it; null if there is none yet.
 * On another worker newer ones may have begun. `ended` has the tasks of those that were looked at before.
 */
async function stalledPoll(page, line, ended) {
  await followAgain(page);
  for (let k = 0; k < MAX_NEWER; k += 1) {
    await page.keyboard.press("Shift+P");
    await settled(page);
    const [, task] = /^Slow poll: .* of task (\d+)/.exec(await page.getByTestId("announcement").textContent()) ?? [];
    if (!task || ended.has(task)) return null;
    const panel = page.getByTestId("poll-panel");
    const said = await until(async () => {
      const text = await panel.innerText();
      return !text.includes("Loading its stack…") && text;
    }, "the panel has what is known");
    const length = /([\d.]+)\s*s so far/.exec(said);
    if (length && Number(length[1]) >= STALL_S && said.includes(line)) return said;
    if (!said.includes("so far")) ended.add(task);
  }
  return null;
}

/** Lets go of what is selected, and looks at the newest data. */
async function followAgain(page) {
  const back = page.getByTestId("go-live");
  if (await page.getByTestId("poll-panel").isVisible()) {
    // It is followed no more, which the address says a little later.
    await back.waitFor();
    await page.keyboard.press("Escape");
  }
  await until(async () => {
    if (await back.isVisible()) await back.click();
    return !/[?&](from|poll)=/.test(page.url()) && (await page.getByTestId("live").getAttribute("aria-pressed")) === "true";
  }, "the page follows");
}

/** The program that it waits for now, stopped; an error if that has ended in between. */
async function stopOne(parent) {
  const [pid] = await childrenOf(parent);
  // Before it is that program, whoever starts it is not yet waiting for it, but stuck in the kernel.
  if (!pid || (await readFile(`/proc/${pid}/comm`, "utf8")).trim() !== CHILD) return null;
  globalThis.process.kill(pid, "SIGSTOP");
  return (await isStopped(pid)) ? pid : null;
}

async function isStopped(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")")).startsWith(") T");
}
