//! One lock, semaphore or channel over time: who had it, how many waited, what was in it.

import type { LaneHold, LaneWait, ResourceLaneAnswer } from "../api/types.ts";
import { between, instant, type Instant, type Nanos } from "../base/instant.ts";
import type { Extent, Offset } from "./geometry.ts";
import { lastStartedBy } from "./polls.ts";
import { union } from "./task_lane.ts";

export interface Held {
  readonly from: Offset;
  /** Infinity while it lasts, as far as is known. */
  readonly to: Offset;
  readonly hold: LaneHold;
  /** Holders side by side are in rows of their own; those beyond the last row share it. */
  readonly row: number;
}

export interface Waiting {
  readonly from: Offset;
  readonly to: Offset;
  readonly wait: LaneWait;
}

export interface LockLane {
  readonly covers: Extent;
  readonly answer: ResourceLaneAnswer;
  readonly life: Extent;
  readonly holds: readonly Held[];
  /** How many rows the holds take. */
  readonly rows: number;
  readonly waits: readonly Waiting[];
  /** How many wait from each instant on. */
  readonly waiters: Counts;
  /** What was in it, or how many permits were free; null if that was never told. */
  readonly filled: Filled | null;
  readonly knownFrom: Offset | null;
}

/** A number that changes at instants. */
export interface Counts {
  readonly at: Float64Array;
  readonly count: Int32Array;
  readonly most: number;
}

export interface Filled {
  readonly what: "queued" | "free";
  readonly at: Float64Array;
  readonly value: Float64Array;
  readonly capacity: number | null;
  readonly most: number;
}

export const MAX_HOLD_ROWS = 4;

export function decodeLockLane(answer: ResourceLaneAnswer, base: Instant, asked: Extent, recorded: Extent): LockLane {
  const offset = (text: string) => between(base, instant(text));
  const holds = inRows(answer.holds.map((hold) => ({ from: offset(hold.since_at), to: hold.over ? offset(hold.until_at) : heldTo(hold, offset, recorded), hold })));
  const waits = answer.waits.map((wait) => ({ from: offset(wait.began_at), to: wait.open ? Infinity : offset(wait.until_at), wait }));
  return {
    covers: asked, answer, holds, waits,
    life: { from: answer.opened_at ? offset(answer.opened_at) : recorded.from, to: answer.closed_at ? offset(answer.closed_at) : Infinity },
    rows: Math.max(1, ...holds.map((hold) => hold.row + 1)),
    waiters: countsOf(waits),
    filled: filledOf(answer, offset(answer.t0)),
    knownFrom: answer.known_from ? offset(answer.known_from) : null,
  };
}

/** What is held up to the last that is known may be held on. */
function heldTo(hold: LaneHold, offset: (text: string) => Offset, recorded: Extent): Offset {
  const to = offset(hold.until_at);
  return to >= recorded.to - 1 ? Infinity : to;
}

function inRows(holds: readonly Omit<Held, "row">[]): Held[] {
  const ends: number[] = [];
  return [...holds].sort((a, b) => a.from - b.from).map((hold) => {
    let row = ends.findIndex((end) => end <= hold.from);
    if (row < 0) row = Math.min(ends.length, MAX_HOLD_ROWS - 1);
    ends[row] = Math.max(ends[row] ?? -Infinity, hold.to);
    return { ...hold, row };
  });
}

/** How many of the ranges lie over each instant. */
export function countsOf(ranges: readonly Extent[]): Counts {
  const steps = ranges.flatMap(({ from, to }) => [[from, 1] as const, [to, -1] as const]).filter(([at]) => at !== Infinity);
  steps.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const at: number[] = [];
  const count: number[] = [];
  let sum = 0;
  for (const [when, by] of steps) {
    sum += by;
    if (at.at(-1) === when) count[count.length - 1] = sum;
    else {
      at.push(when);
      count.push(sum);
    }
  }
  return { at: Float64Array.from(at), count: Int32Array.from(count), most: count.reduce((most, value) => Math.max(most, value), 0) };
}

export function countAt(counts: Counts, offset: Offset): number {
  const k = lastStartedBy(counts.at, offset);
  return k < 0 ? 0 : counts.count[k]!;
}

function filledOf({ readings }: ResourceLaneAnswer, origin: Offset): Filled | null {
  const what = readings.depth.some((value) => value != null) ? "queued" : readings.permits.some((value) => value != null) ? "free" : null;
  if (!what) return null;
  const values = what === "queued" ? readings.depth : readings.permits;
  const known = values.map((value, k) => [readings.s[k]! + origin, value] as const).filter(([, value]) => value != null);
  const capacity = readings.capacity.findLast((value) => value != null) ?? null;
  const most = Math.max(1, ...known.map(([, value]) => value!));
  return { what, capacity, most, at: Float64Array.from(known, ([at]) => at), value: Float64Array.from(known, ([, value]) => value!) };
}

/** The last that was told of it before an instant. */
export function filledAt(filled: Filled, offset: Offset): number | null {
  const k = lastStartedBy(filled.at, offset);
  return k < 0 ? null : filled.value[k]!;
}

export function holdersAt(lane: LockLane, offset: Offset, reach: Nanos): Held[] {
  return lane.holds.filter((hold) => offset >= hold.from - reach && offset <= hold.to + reach);
}

export function waitersAt(lane: LockLane, offset: Offset): Waiting[] {
  return lane.waits.filter((wait) => offset >= wait.from && offset < wait.to);
}

/** Time from `from` to `to` in which somebody had it, and in which somebody waited. */
export function heldIn(lane: LockLane, from: Offset, to: Offset): { held: Nanos; waited: Nanos } {
  const sum = (ranges: readonly Extent[]) => union(ranges.map((range) => ({ from: Math.max(range.from, from), to: Math.min(range.to, to) })).filter((range) => range.to > range.from)).reduce((total, range) => total + range.to - range.from, 0);
  return { held: sum(lane.holds), waited: sum(lane.waits) };
}
