// Runs the program of the demo beside the demo, until loopd at BASE_URL has all of it that the walks look at, and ends it: a run in which
// nothing changes any more while it is looked at.
//   node e2e/past.mjs LOOPD http://127.0.0.1:7411

import { spawn } from "node:child_process";
import { until } from "./browser.mjs";
import { ask } from "./scenes.mjs";

const [loopd, base] = process.argv.slice(2);
if (!base) {
  console.error("usage: node e2e/past.mjs LOOPD BASE_URL");
  process.exit(2);
}
/** Some seconds are enough; a busy machine may take a while until it has so much as one stack. */
const LIMIT = 180_000;

// It ends when its standard input does, however we end.
const child = spawn(loopd, ["demo-service", "orders"], { stdio: ["pipe", "ignore", "inherit"], env: { ...process.env, LOOPD_ENDPOINT: base } });
const ended = new Promise((done) => child.once("exit", done));
const tooSoon = ended.then((code) => {
  throw new Error(`the program ended by itself, with ${code}`);
});
const whileItRuns = (wait) => Promise.race([wait, tooSoon]);
const run = await whileItRuns(until(async () => (await ask(base, "processes")).processes.find((it) => it.pid === child.pid), "the program is recorded", LIMIT));

/** What is not there yet; empty when all is. */
async function missing() {
  const of = (path) => ask(base, `${path}${path.includes("?") ? "&" : "?"}process=${run.process}`);
  const [slow, stacks, { findings }, resources, waits] = await Promise.all([of("slow"), of("stacks"), ask(base, `processes/${run.process}/findings`), of("resources?state=all&limit=1"), of("waits?limit=1")]);
  const important = findings.filter((it) => it.level !== "info" && /\.rs:\d+/.test(it.location));
  const there = {
    "slow polls": slow.polls > 4,
    "one with a stack": slow.sites.some(({ examples }) => examples.some((poll) => poll.stack?.length > 0)) && stacks.samples.some(({ stack }) => stacks.stacks[stack].some((frame) => frame.own)),
    "findings": important.length > 1 && important.some((it) => it.evidence.some(({ href }) => href?.startsWith("/timeline?"))),
    "something worth knowing": findings.some((it) => it.level === "info" && it.rule !== "capture_incomplete"),
    "resources": resources.total > 0,
    "waits": waits.total > 0,
  };
  return Object.keys(there).filter((it) => !there[it]).join(", ");
}

let lacking = "";
const began = Date.now();
const isComplete = async () => (lacking = await missing()) === "";
await whileItRuns(until(isComplete, "all that is looked at is recorded", LIMIT)).catch((error) => {
  throw new Error(`${error.message}; not there: ${lacking}`);
});
child.stdin.end();
const code = await ended;
if (code !== 0) throw new Error(`it ended with ${code}`);
await until(async () => (await ask(base, "processes")).processes.find((it) => it.process === run.process).state !== "live", "loopd knows that it is over");
console.log(`recorded a run of ${((Date.now() - began) / 1000).toFixed(1)} s`);
