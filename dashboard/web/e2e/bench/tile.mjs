// The timeline goes to random places at random zooms of a large store; what it asks for is timed by the browser.

import { findProcess, jump, randomNumbers, settled, timelinePath } from "./stage.mjs";

/** What the lanes are drawn from. */
const TILES = /\/api\/v1\/(timeline|tiles?|lanes)\b/;
/** The closest look, in nanoseconds. */
const LEAST_SPAN = 100_000;
const JUMP_LIMIT = 30_000;
/** A view that has asked for nothing for so long has what it needs, in milliseconds. */
const QUIET_MS = 150;

/** Counts what the page asks for. */
function countRequests(source) {
  const tiles = new RegExp(source);
  const original = window.fetch;
  window.asked = 0;
  window.fetch = (resource, options) => {
    if (tiles.test(typeof resource === "string" ? resource : resource.url)) window.asked += 1;
    return original(resource, options);
  };
}

/** What was answered since the jump, once all that was asked for is. */
function answers({ source, quiet }) {
  const tiles = performance.getEntriesByType("resource").filter((entry) => new RegExp(source).test(entry.name));
  const lastAt = Math.max(window.jumpedAt, ...tiles.map((entry) => entry.responseEnd));
  if (tiles.length < window.asked || performance.now() - lastAt < quiet) return null;
  // Those that the page gave up for a newer one have no status.
  return tiles.filter((entry) => entry.responseStatus === 200).map(({ startTime, duration, responseEnd, decodedBodySize }) => ({ startTime, duration, responseEnd, decodedBodySize, jumpedAt: window.jumpedAt }));
}

export async function tile({ job, newPage, row }) {
  const { process, polls, from, to } = await findProcess(job.url, job.app);
  const page = await newPage();
  await page.addInitScript(countRequests, TILES.source);
  await page.goto(new URL(timelinePath(process, from, to), job.url).href);
  await settled(page);
  const whole = Number(to - from);
  const random = randomNumbers(1);
  const requests = [];
  const views = [];
  for (let k = 0; k < job.jumps; k += 1) {
    // All zooms alike: as many jumps to milliseconds as to minutes.
    const span = Math.round(whole * (LEAST_SPAN / whole) ** random());
    const start = from + BigInt(Math.floor((whole - span) * random()));
    await page.evaluate(() => {
      performance.clearResourceTimings();
      window.asked = 0;
      window.jumpedAt = performance.now();
    });
    await jump(page, timelinePath(process, start, start + BigInt(span)));
    const seen = await page.waitForFunction(answers, { source: TILES.source, quiet: QUIET_MS }, { timeout: JUMP_LIMIT });
    const entries = await seen.jsonValue();
    requests.push(...entries);
    if (entries.length > 0) views.push(Math.max(...entries.map((entry) => entry.responseEnd)) - entries[0].jumpedAt);
  }
  if (requests.length < job.jumps / 2) throw new Error(`only ${requests.length} requests in ${job.jumps} jumps: does the timeline still ask for ${TILES}?`);
  row(`each request, ${(polls / 1e6).toFixed(0)} M polls`, "ms", requests.map((it) => it.duration), { judged: true });
  row("from the jump to the last answer", "ms", views);
  row("size of an answer", "kB", requests.map((it) => it.decodedBodySize / 1000));
}
