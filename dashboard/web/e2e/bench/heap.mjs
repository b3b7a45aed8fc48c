// What the page keeps in memory while it follows a program that makes a million polls a second.

import { spawn } from "node:child_process";
import { findProcess } from "./stage.mjs";

const READ_EVERY_MS = 10_000;
/** Until the program that is to be watched has connected. */
const START_LIMIT_MS = 30_000;
const HOUR = 60;

/** `job.clock` seconds of the program's time pass in each of ours: its recording is an hour long in the end. */
export async function heap({ job, newPage, row }) {
  const feed = spawn(job.feed, [job.url, "live", "--rate", job.rate, "--seconds", job.minutes * 60, "--clock", job.clock].map(String), { stdio: ["ignore", "pipe", "inherit"] });
  let told = "";
  feed.stdout.on("data", (chunk) => (told += chunk));
  let status = null;
  const ended = new Promise((resolve) => feed.on("close", (code) => resolve((status = code ?? 1))));
  try {
    const { process } = await connected(job.url);
    const watched = { timeline: await follow(newPage, job.url, `/timeline?process=${process}`), overview: await follow(newPage, job.url, `/?process=${process}`) };
    const readings = { timeline: [], overview: [] };
    while (status == null) {
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, READ_EVERY_MS))]);
      for (const [name, read] of Object.entries(watched)) readings[name].push({ minute: performance.now() / 60_000, ...(await read()) });
    }
    if (status !== 0) throw new Error(`the program that is watched failed: ${status}`);
    const { polls, seconds } = JSON.parse(told);
    row("polls that arrived, a second", "M", [polls / seconds / 1e6]);
    for (const [name, of] of Object.entries(readings)) {
      row(`${name} follows, after a collection`, "MB", of.map((it) => it.kept), { judged: true });
      if (job.minutes < HOUR) row(`${name}, if it grew on for ${HOUR} minutes`, "MB", [afterAnHour(of, job.minutes)], { judged: true });
      row(`${name}, before a collection`, "MB", of.map((it) => it.used));
    }
  } finally {
    feed.kill();
  }
}

async function connected(url) {
  const end = Date.now() + START_LIMIT_MS;
  while (Date.now() < end) {
    const found = await findProcess(url, "live").catch(() => null);
    if (found?.polls > 0) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("the program that is to be watched has not sent anything");
}

/** A page that stays where it is; gives what reads its memory. */
async function follow(newPage, url, path) {
  const page = await newPage();
  await page.goto(new URL(path, url).href);
  await page.getByTestId(path.startsWith("/timeline") ? "timeline-canvas" : "verdict").waitFor();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("HeapProfiler.enable");
  const megabytes = async () => {
    const { usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 } = await devtools.send("Runtime.getHeapUsage");
    // Typed arrays and the document lie beside the heap of JavaScript, and are of the page all the same.
    return (usedSize + embedderHeapUsedSize + backingStorageSize) / 1e6;
  };
  return async () => {
    const used = await megabytes();
    await devtools.send("HeapProfiler.collectGarbage");
    return { used, kept: await megabytes() };
  };
}

/** The last reading and what the second half of them grew by, as if it went on; never less than was read. */
function afterAnHour(readings, minutes) {
  const half = readings.slice(Math.floor(readings.length / 2));
  const mean = (key) => half.reduce((sum, it) => sum + it[key], 0) / half.length;
  const [minute, kept] = [mean("minute"), mean("kept")];
  const spread = half.reduce((sum, it) => sum + (it.minute - minute) ** 2, 0);
  const growth = spread > 0 ? half.reduce((sum, it) => sum + (it.minute - minute) * (it.kept - kept), 0) / spread : 0;
  return readings.at(-1).kept + Math.max(0, growth) * (HOUR - minutes);
}
