// What a frame of the timeline costs the main thread while somebody pans and zooms over two million polls.

import { findProcess, settled, timelinePath } from "./stage.mjs";

const CATEGORIES = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"];

export async function frame({ job, browser, newPage, row }) {
  const { process, polls, from, to } = await findProcess(job.url, job.app);
  const wanted = Math.min(job.inRange, polls);
  const span = Math.min(Number(to - from), Math.ceil((Number(to - from) * wanted * 1.05) / polls));
  const start = from + BigInt(Math.floor((Number(to - from) - span) / 2));
  const inRange = await countPolls(job.url, process, start, start + BigInt(span));
  if (inRange < wanted * 0.95) throw new Error(`there are only ${inRange} polls in a range that was to have ${wanted}`);

  const page = await newPage();
  await page.goto(new URL(timelinePath(process, start, start + BigInt(span)), job.url).href);
  await settled(page);
  const box = await page.getByTestId("timeline-canvas").boundingBox();
  const middle = [box.x + box.width / 2, box.y + Math.min(box.height / 2, 120)];
  // Once without being measured, until the functions are compiled and the tiles around are there.
  await sweep(page, middle, box, 1);
  await browser.startTracing(page, { categories: CATEGORIES });
  await sweep(page, middle, box, job.sweeps);
  const trace = JSON.parse(await browser.stopTracing());
  if (job.trace) await (await import("node:fs/promises")).writeFile(job.trace, JSON.stringify(trace));
  const frames = framesOf(trace.traceEvents ?? trace);
  if (frames.length < 60) throw new Error(`only ${frames.length} frames were drawn`);
  const variant = `${(inRange / 1e6).toFixed(1)} M polls in range`;
  row(`${variant}, main thread`, "ms", frames.map((it) => it.wall), { judged: true });
  if (frames.some((it) => it.cpu > 0)) row(`${variant}, its processor time`, "ms", frames.map((it) => it.cpu));
  row("from one frame to the next", "ms", frames.slice(1).map((it, k) => it.at - frames[k].at));
}

/** Polls that begin in a range. */
async function countPolls(url, process, from, to) {
  const sql = `select count(*) from polls where process = ${process} and start_at >= ${from} and start_at < ${to}`;
  const answer = await fetch(new URL("/api/v1/query", url), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ sql, limit: 1, timeout_ms: 60_000 }) });
  const { rows, error } = await answer.json();
  if (!answer.ok) throw new Error(`${sql}: ${error}`);
  return Number(rows[0][0]);
}

/** Drags to both sides and back, and turns the wheel out and in again: the range never has fewer polls than at the start. */
async function sweep(page, [x, y], box, times) {
  for (let k = 0; k < times; k += 1) {
    for (const direction of [-1, 1, 1, -1]) {
      await page.mouse.move(x, y);
      await page.mouse.down();
      for (let step = 1; step <= 40; step += 1) await page.mouse.move(x + direction * step * (box.width / 160), y);
      await page.mouse.up();
    }
    await page.mouse.move(x, y);
    for (const direction of [1, -1]) for (let step = 0; step < 30; step += 1) await page.mouse.wheel(0, direction * 40);
    await page.keyboard.press("d");
    await page.keyboard.press("a");
  }
}

/** Of each frame that was drawn: all tasks of the page's main thread since the one before, up to the end of its own; in milliseconds. */
export function framesOf(events) {
  const key = (event) => `${event.pid}.${event.tid}`;
  const draws = events.filter((event) => event.name === "FireAnimationFrame");
  const counts = new Map();
  for (const event of draws) counts.set(key(event), (counts.get(key(event)) ?? 0) + 1);
  const [main] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? [];
  const isMine = (event) => key(event) === main;
  const tasks = events.filter((event) => isMine(event) && event.ph === "X" && (event.name === "RunTask" || event.name === "ThreadControllerImpl::RunTask")).sort((a, b) => a.ts - b.ts);
  const drawnAt = draws.filter(isMine).map((event) => event.ts).sort((a, b) => a - b);
  const frames = [];
  let wall = 0;
  let cpu = 0;
  let end = 0;
  let next = 0;
  for (const task of tasks) {
    // A task inside another one is in its time already.
    if (task.ts < end) continue;
    end = task.ts + task.dur;
    wall += task.dur;
    cpu += task.tdur ?? 0;
    if (next >= drawnAt.length || drawnAt[next] >= end) continue;
    while (next < drawnAt.length && drawnAt[next] < end) next += 1;
    frames.push({ at: end / 1000, wall: wall / 1000, cpu: cpu / 1000 });
    wall = 0;
    cpu = 0;
  }
  // Before the first one lies whatever ran before.
  return frames.slice(1);
}
