//! From poll to poll of a worker or a task, at any zoom: what is not loaded is asked for.

import { apiUrl, get } from "../api/client.ts";
import type { RegionAnswer } from "../api/types.ts";
import { between, instant, plus } from "../base/instant.ts";
import { viewEnd } from "../model/geometry.ts";
import type { Timeline } from "./controller.ts";
import type { PollItem } from "./data.ts";
import { pollKey } from "./links.ts";

type Of = "lane" | "task";

/** The first stretch that is looked through, in nanoseconds, and how much longer each next one is. */
const LEAST_STRETCH = 1e6;
const GROWTH = 16;

let asking: AbortController | null = null;

/** Selects the next (1) or previous (−1) poll of the selected one's worker, or of its task. */
export async function stepTo(timeline: Timeline, of: Of, direction: 1 | -1): Promise<void> {
  const say = (text: string) => (timeline.announcement.value = text);
  const poll = timeline.selected.peek();
  if (of === "task" && !poll) return void say("Select a poll first; then its task's others can be stepped through");
  const lane = poll?.lane ?? timeline.lanes.peek()[0]?.key;
  const view = timeline.view.peek();
  if (lane == null) return;
  asking?.abort();
  const controller = new AbortController();
  asking = controller;
  const start = poll ? (direction > 0 ? poll.start + Math.max(poll.length, 1) : poll.start) : direction > 0 ? view.start : viewEnd(view);
  try {
    const found = await search(timeline, { lanes: of === "lane" ? lane : null, task: of === "task" ? poll!.task : null }, start, direction, controller.signal);
    if (found === "too many") say("Too many polls before the next one to look through: zoom in, or choose another way");
    else if (found) timeline.select(found, { reveal: true });
    else say(`No ${direction > 0 ? "later" : "earlier"} poll of this ${of === "lane" ? "worker" : "task"}, or it is no longer kept`);
  } catch (cause) {
    if (!controller.signal.aborted) say((cause as Error).message);
  }
}

/** Looks through ever longer stretches: the next poll is mostly near. */
async function search(timeline: Timeline, whose: { lanes: string | null; task: string | null }, start: number, direction: 1 | -1, signal: AbortSignal): Promise<PollItem | null | "too many"> {
  const extent = timeline.extent.peek();
  const whole = { from: Math.min(extent.from, 0), to: extent.to + 1 };
  for (let stretch = Math.max(LEAST_STRETCH, timeline.view.peek().span / 4); ; stretch *= GROWTH) {
    const from = Math.floor(direction > 0 ? start : Math.max(whole.from, start - stretch));
    const to = Math.ceil(direction > 0 ? Math.min(whole.to, start + stretch) : start);
    if (to <= from) return null;
    const at = (offset: number) => String(plus(timeline.base, offset));
    const answer = await get<RegionAnswer>(apiUrl("/region", { process: timeline.process, from: at(from), to: at(to), ...whose, sort: "start_at", desc: direction < 0, limit: 1 }), signal);
    if (!answer.exact) return "too many";
    const row = answer.rows[0];
    if (row) return pollOfRow(timeline, row);
    if (direction > 0 ? to >= whole.to : from <= whole.from) return null;
  }
}

/** A poll that the server listed, as one that can be selected. */
export function pollOfRow(timeline: Timeline, row: RegionAnswer["rows"][number]): PollItem {
  return {
    key: pollKey(row.loop, row.worker, row.start_at), lane: `${row.loop}.${row.worker}`, loop: row.loop, worker: row.worker, start: between(timeline.base, instant(row.start_at)),
    length: row.length, task: row.task, location: row.location, isSlow: row.slow, isRunning: false,
  };
}
