//! What answers in JSON and tiles have in common, and what needs nothing of the page around it.

import type { SlowMark } from "../api/types.ts";
import type { InstantText } from "../base/instant.ts";
import type { Offset } from "../model/geometry.ts";
import type { SlowItem } from "./data.ts";

/** What every list calls a lane. */
export function laneName(loop: string, loopName: string, worker: number): string {
  return `${loopName || `loop ${loop}`} · worker ${worker}`;
}

export function decodeSlow(mark: SlowMark, offsetOf: (text: string) => Offset): SlowItem {
  return {
    lane: `${mark.loop}.${mark.worker}`, loop: mark.loop, worker: mark.worker, start: offsetOf(mark.start_at), length: mark.length ?? 0, task: mark.task, isRunning: mark.running,
  };
}

/** `loop.worker.start`: names one poll in the URL. */
export function pollKey(loop: string, worker: number, startAt: InstantText): string {
  return `${loop}.${worker}.${startAt}`;
}
