//! One task over time: running in its polls, ready between a wake and its poll, waiting for something known, or idle. In this order: what
//! runs does not wait, whatever a wait around it says.

import type { LaneWait, TaskLaneAnswer } from "../api/types.ts";
import { between, instant, type Instant, type Nanos } from "../base/instant.ts";
import { viewEnd, type Extent, type Offset, type View } from "./geometry.ts";
import { shownName } from "./names.ts";
import { lastStartedBy } from "./polls.ts";

export interface Wait {
  readonly from: Offset;
  readonly to: Offset;
  readonly wait: LaneWait;
}

export interface Spans {
  readonly start: Float64Array;
  readonly length: Float64Array;
}

export interface TaskLane {
  readonly covers: Extent;
  readonly answer: TaskLaneAnswer;
  /** When it lived; ends that are not known are those of the recording. */
  readonly life: Extent;
  readonly step: Nanos;
  readonly origin: Offset;
  /** Null if there are too many to be sent singly. */
  readonly polls: (Spans & { readonly loop: readonly string[]; readonly worker: readonly number[] }) | null;
  readonly wakes: (Spans & { readonly by: readonly string[] }) | null;
  readonly waits: readonly Wait[];
  /** Before this polls are not known. */
  readonly knownFrom: Offset | null;
  /** Before this waits are not known. */
  readonly waitsFrom: Offset | null;
}

/** Shares of a stretch, and what is not known of it. */
export interface States {
  running: Nanos;
  ready: Nanos;
  waiting: Nanos;
  idle: Nanos;
  unknown: Nanos;
  /** Before it was spawned and after it ended. */
  gone: Nanos;
  /** By what it waited for. */
  readonly waits: Map<string, Nanos>;
}

export type StateKind = "running" | "ready" | "waiting" | "idle" | "unknown" | "gone";

export function decodeTaskLane(answer: TaskLaneAnswer, base: Instant, asked: Extent, recorded: Extent): TaskLane {
  const offset = (text: string) => between(base, instant(text));
  const origin = offset(answer.t0);
  const spans = (columns: { readonly s: readonly number[]; readonly d: readonly number[] }): Spans => ({ start: Float64Array.from(columns.s, (value) => value + origin), length: Float64Array.from(columns.d) });
  return {
    covers: asked, answer, origin,
    life: { from: answer.spawned_at ? offset(answer.spawned_at) : recorded.from, to: answer.ended_at ? offset(answer.ended_at) : Infinity },
    step: (offset(answer.t1) - origin) / answer.steps,
    polls: answer.polls ? { ...spans(answer.polls), loop: answer.polls.l, worker: answer.polls.w } : null,
    wakes: answer.wakes ? { ...spans(answer.wakes), by: answer.wakes.by } : null,
    waits: answer.waits.map((wait) => ({ from: offset(wait.began_at), to: wait.open ? Infinity : offset(wait.until_at), wait })),
    knownFrom: answer.known_from ? offset(answer.known_from) : null,
    waitsFrom: answer.waits_from ? offset(answer.waits_from) : null,
  };
}

/** `lock mutex config`, or what else is known of it. */
export function waitText(wait: LaneWait): string {
  // By its number where it has no name, because two locks of one line are two locks.
  const what = wait.resource ? `${wait.resource.kind || "resource"} ${wait.resource.name ? shownName(wait.resource.name) : wait.resource.resource}` : "";
  return [wait.op, what].filter(Boolean).join(" ") || "something not known";
}

/** What it did from `from` to `to`, as far as is known; the parts add up to the stretch. */
export function statesIn(lane: TaskLane, from: Offset, to: Offset, recorded: Extent): States {
  const states: States = { running: 0, ready: 0, waiting: 0, idle: 0, unknown: 0, gone: 0, waits: new Map() };
  const alive = clip({ from, to }, lane.life);
  const known = clip(clip(alive, recorded), { from: lane.knownFrom ?? -Infinity, to: Infinity });
  states.gone = to - from - length(alive);
  states.unknown = length(alive) - length(known);
  if (length(known) === 0) return states;
  states.running = lane.polls ? overlap(lane.polls, known) : cellsIn(lane, known, lane.answer.cells.running);
  states.ready = lane.wakes ? overlap(lane.wakes, known) : cellsIn(lane, known, lane.answer.cells.ready);
  const left = Math.max(0, length(known) - states.running - states.ready);
  const waited = union(lane.waits.map((wait) => clip(wait, known)).filter((part) => length(part) > 0));
  // What it ran, or was ready, within its waits is not waiting.
  const busyInWaits = waited.reduce((sum, part) => sum + (lane.polls ? overlap(lane.polls, part) : cellsIn(lane, part, lane.answer.cells.running)) + (lane.wakes ? overlap(lane.wakes, part) : cellsIn(lane, part, lane.answer.cells.ready)), 0);
  states.waiting = Math.min(left, Math.max(0, waited.reduce((sum, part) => sum + length(part), 0) - busyInWaits));
  states.idle = Math.max(0, left - states.waiting);
  for (const wait of lane.waits) {
    const part = length(clip(wait, known));
    if (part > 0) states.waits.set(waitText(wait.wait), (states.waits.get(waitText(wait.wait)) ?? 0) + part);
  }
  return states;
}

/** What it does at one instant, and since when until when; `reach` finds what is narrower than a pixel. */
export interface Moment {
  readonly kind: StateKind;
  readonly from: Offset | null;
  readonly to: Offset | null;
  readonly wait?: Wait;
  readonly worker?: number;
  readonly loop?: string;
  /** Which task woke it; `0` for none. */
  readonly by?: string;
}

export function momentAt(lane: TaskLane, at: Offset, reach: Nanos, recorded: Extent): Moment {
  if (at < lane.life.from - reach || at > lane.life.to + reach) return { kind: "gone", from: null, to: null };
  if (at > recorded.to || at < (lane.knownFrom ?? recorded.from) - reach) return { kind: "unknown", from: null, to: null };
  const poll = lane.polls ? nearest(lane.polls, at, reach) : null;
  if (poll != null) return { kind: "running", ...rangeOf(lane.polls!, poll), worker: lane.polls!.worker[poll]!, loop: lane.polls!.loop[poll]! };
  const wake = lane.wakes ? nearest(lane.wakes, at, reach) : null;
  if (wake != null) return { kind: "ready", ...rangeOf(lane.wakes!, wake), by: lane.wakes!.by[wake]! };
  const wait = lane.waits.findLast((one) => at >= one.from - reach && at <= one.to + reach);
  if (wait) return { kind: "waiting", from: wait.from, to: wait.to === Infinity ? null : wait.to, wait };
  return { kind: lane.polls ? "idle" : "unknown", from: null, to: null };
}

function nearest(spans: Spans, at: Offset, reach: Nanos): number | null {
  const before = lastStartedBy(spans.start, at);
  let best: number | null = null;
  let distance = reach;
  for (const k of [before, before + 1]) {
    if (k < 0 || k >= spans.start.length) continue;
    const { from, to } = rangeOf(spans, k);
    const gap = at < from ? from - at : at > to ? at - to : 0;
    if (gap > distance) continue;
    best = k;
    distance = gap;
  }
  return best;
}

function rangeOf(spans: Spans, k: number): { from: Offset; to: Offset } {
  return { from: spans.start[k]!, to: spans.start[k]! + spans.length[k]! };
}

function clip(range: Extent, by: Extent): Extent {
  return { from: Math.max(range.from, by.from), to: Math.min(range.to, by.to) };
}

function length(range: Extent): Nanos {
  return Math.max(0, range.to - range.from);
}

function overlap(spans: Spans, range: Extent): Nanos {
  let sum = 0;
  for (let k = Math.max(0, lastStartedBy(spans.start, range.from)); k < spans.start.length && spans.start[k]! < range.to; k += 1) sum += length(clip(rangeOf(spans, k), range));
  return sum;
}

function cellsIn(lane: TaskLane, range: Extent, values: readonly Nanos[]): Nanos {
  let sum = 0;
  lane.answer.cells.i.forEach((i, k) => {
    const from = lane.origin + i * lane.step;
    const part = length(clip({ from, to: from + lane.step }, range)) / lane.step;
    sum += values[k]! * part;
  });
  return sum;
}

/** Ranges that do not overlap, in order. */
export function union(ranges: readonly Extent[]): Extent[] {
  const sorted = [...ranges].sort((a, b) => a.from - b.from);
  const merged: Extent[] = [];
  for (const range of sorted) {
    const last = merged.at(-1);
    if (last && range.from <= last.to) merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, range.to) };
    else merged.push(range);
  }
  return merged;
}

/** Everything that it did in a view, one row each, for the table. */
export function momentsIn(lane: TaskLane, view: View, limit: number): Moment[] {
  const isIn = (from: Offset, to: Offset) => from < viewEnd(view) && to > view.start;
  const rows: Moment[] = [];
  for (const wait of lane.waits) if (isIn(wait.from, wait.to)) rows.push({ kind: "waiting", from: wait.from, to: wait.to === Infinity ? null : wait.to, wait });
  const { polls, wakes } = lane;
  for (let k = 0; polls && k < polls.start.length && rows.length < limit; k += 1) {
    const { from, to } = rangeOf(polls, k);
    if (isIn(from, to)) rows.push({ kind: "running", from, to, worker: polls.worker[k]!, loop: polls.loop[k]! });
  }
  for (let k = 0; wakes && k < wakes.start.length && rows.length < limit; k += 1) {
    const { from, to } = rangeOf(wakes, k);
    if (isIn(from, to)) rows.push({ kind: "ready", from, to, by: wakes.by[k]! });
  }
  return rows.sort((a, b) => a.from! - b.from!).slice(0, limit);
}
