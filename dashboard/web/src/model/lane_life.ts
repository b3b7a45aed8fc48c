//! From when to when a worker was there. Within it, where nothing was lost, it was idle whenever it ran no poll; outside of it
//! nothing is known, and empty would claim that it was idle.

import type { Cells } from "./columns.ts";
import type { Extent, Offset } from "./geometry.ts";

export interface Worker {
  readonly startedAt: Offset | null;
  readonly stoppedAt: Offset | null;
}

/** `seen`: buckets in which it ran, which say more than its last start: another thread may have been this worker before. */
export function laneLife({ startedAt, stoppedAt }: Worker, seen: readonly (Cells | null | undefined)[], recorded: Extent): Extent {
  let from = startedAt ?? recorded.from;
  let to = stoppedAt ?? recorded.to;
  for (const cells of seen) {
    if (!cells || cells.i.length === 0) continue;
    const start = (k: number) => cells.origin + cells.i[k]! * cells.step;
    // A worker that started within a bucket did not run before.
    if (start(0) + cells.step < from) from = start(0);
    if (start(cells.i.length - 1) > to) to = start(cells.i.length - 1) + cells.step;
  }
  return { from: Math.max(from, recorded.from), to: Math.min(to, recorded.to) };
}
