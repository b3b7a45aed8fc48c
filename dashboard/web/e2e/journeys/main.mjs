// What people come for, from the question to the answer, each ending in a fact that is known beforehand:
//   node e2e/journeys/main.mjs BIN_DIR SCREENSHOT_DIR
// BIN_DIR has `loopd`, `zoo` and `examples/feed` (cargo build -p loopd -p loopd-zoo --bins --example feed). Exits with 1 if anything is
// wrong; the last line is `N passed, M failed`. `ONLY=word` runs those whose file has that word in its name. The circle of a deadlock
// and what is shared with every page are in ../journey.mjs.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startWalk } from "../browser.mjs";
import { Collector } from "./collector.mjs";
import { Programs } from "./programs.mjs";
import * as blockingLine from "./blocking_line.mjs";
import * as compare from "./compare.mjs";
import * as findTask from "./find_task.mjs";
import * as liveStall from "./live_stall.mjs";
import * as overlay from "./overlay.mjs";
import * as query from "./query.mjs";
import * as restart from "./restart.mjs";
import * as sharedLink from "./shared_link.mjs";
import * as survivors from "./survivors.mjs";
import * as zoom from "./zoom.mjs";

const JOURNEYS = { blockingLine, findTask, zoom, sharedLink, query, overlay, compare, survivors, liveStall, restart };

const [bin, out = "screenshots"] = process.argv.slice(2);
if (!bin) {
  console.error("usage: node e2e/journeys/main.mjs BIN_DIR [SCREENSHOT_DIR]");
  process.exit(2);
}

const only = (process.env.ONLY ?? "").toLowerCase();
const chosen = Object.entries(JOURNEYS).filter(([name]) => name.toLowerCase().includes(only));
const folder = await mkdtemp(join(tmpdir(), "loopd-journeys-"));
const collector = await Collector.start(join(bin, "loopd"), join(folder, "journeys.db"));
const programs = new Programs(bin, collector.url);
process.on("exit", () => {
  programs.killAll();
  collector.kill();
});

const walk = await startWalk(collector.url, out);
const page = await walk.newPage();
const stage = { collector, programs, walk, page, recorded: {} };
// What a journey needs is recorded to its end before it begins: a busy machine would only make both slow.
for (const [name, journey] of chosen) {
  for (const prepare of journey.needs ?? []) stage.recorded[prepare] ??= await programs.record(prepare);
  await walk.step(journey.title, page, () => journey.run(stage), { mayComplain: journey.mayComplain });
  await walk.shot(`journey-${name}`, page).catch(() => {});
}
programs.killAll();
// Until it has ended, it may still write.
await collector.killHard();
await rm(folder, { recursive: true, force: true });
await walk.finish();
