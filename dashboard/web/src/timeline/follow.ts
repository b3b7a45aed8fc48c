//! Going from one poll to another that is known by its worker and its beginning.

import { plus } from "../base/instant.ts";
import type { Offset } from "../model/geometry.ts";
import type { Nanos } from "../base/instant.ts";
import type { Timeline } from "./controller.ts";
import type { PollItem } from "./data.ts";
import { pollKey } from "./links.ts";

export interface KnownPoll {
  readonly loop: string;
  readonly worker: number;
  readonly start: Offset;
  readonly length: Nanos;
  readonly task: string;
}

/** Selects it, and moves only as far as needed to see it. */
export function showPoll(timeline: Timeline, poll: KnownPoll): void {
  timeline.select(itemOf(timeline, poll), { reveal: true });
}

function itemOf(timeline: Timeline, { loop, worker, start, length, task }: KnownPoll): PollItem {
  // Where it was spawned is known once its lane is loaded.
  return { key: pollKey(loop, worker, String(plus(timeline.base, start))), lane: `${loop}.${worker}`, loop, worker, start, length, task, location: null, isSlow: length >= timeline.slowThreshold, isRunning: false };
}
