//! Exact polls of one lane: finding the one under the cursor, the neighbour of one, and sums over a region.

import type { Nanos } from "../base/instant.ts";
import type { Cells } from "./columns.ts";
import type { Offset } from "./geometry.ts";

/** Polls of one worker in starting order. They never overlap: a worker polls one task at a time. */
export interface Polls {
  readonly start: Float64Array;
  readonly length: Float64Array;
  readonly task: readonly string[];
  readonly location: readonly string[];
}

/** Index of the last poll starting at or before `offset`, −1 when there is none. */
export function lastStartedBy(start: ArrayLike<number>, offset: Offset): number {
  let low = 0;
  let high = start.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (start[middle]! <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The poll at `offset`, or the nearest one no farther than `tolerance`: a 2 µs poll must stay clickable at any zoom. */
export function pollAt(polls: Polls, offset: Offset, tolerance: Nanos): number | null {
  const before = lastStartedBy(polls.start, offset);
  let best: number | null = null;
  let distance = tolerance;
  for (const k of [before, before + 1]) {
    if (k < 0 || k >= polls.start.length) continue;
    const from = polls.start[k]!;
    const to = from + polls.length[k]!;
    const gap = offset < from ? from - offset : offset > to ? offset - to : 0;
    if (gap <= distance) {
      best = k;
      distance = gap;
    }
  }
  return best;
}

/** What the statistics bar says about one lane of a region. */
export interface RegionStats {
  polls: number;
  busy: Nanos;
  max: Nanos;
  /** False when the numbers come from cells, whose edges need not be the region's. */
  isExact: boolean;
}

export function pollStats(polls: Polls, from: Offset, to: Offset): RegionStats {
  const stats = { polls: 0, busy: 0, max: 0, isExact: true };
  for (let k = Math.max(0, lastStartedBy(polls.start, from)); k < polls.start.length; k += 1) {
    const start = polls.start[k]!;
    const length = polls.length[k]!;
    if (start >= to) break;
    const overlap = Math.min(to, start + length) - Math.max(from, start);
    if (overlap <= 0) continue;
    stats.busy += overlap;
    if (start >= from) stats.polls += 1;
    if (length > stats.max) stats.max = length;
  }
  return stats;
}

export function cellStats(cells: Cells, from: Offset, to: Offset): RegionStats {
  const stats = { polls: 0, busy: 0, max: 0, isExact: false };
  for (let k = 0; k < cells.i.length; k += 1) {
    const start = cells.origin + cells.i[k]! * cells.step;
    if (start >= to) break;
    const part = (Math.min(to, start + cells.step) - Math.max(from, start)) / cells.step;
    if (part <= 0) continue;
    for (const busy of cells.busy) stats.busy += busy[k]! * part;
    stats.polls += cells.n[k]! * part;
    if (cells.max[k]! > stats.max) stats.max = cells.max[k]!;
  }
  stats.polls = Math.round(stats.polls);
  return stats;
}
