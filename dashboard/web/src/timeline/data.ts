//! The timeline's answer in the shape that drawing and hit-testing want: offsets from the recording's start, typed arrays.

import type { Loss, TimelineAnswer, WireLane } from "../api/types.ts";
import { between, instant, plus, type Instant, type Nanos } from "../base/instant.ts";
import type { Cells } from "../model/columns.ts";
import type { Extent, Offset } from "../model/geometry.ts";
import type { Polls } from "../model/polls.ts";
import { decodeSlow, laneName, pollKey } from "./parts.ts";

export interface Lane {
  /** `loop.worker`. */
  readonly key: string;
  readonly loop: string;
  readonly loopName: string;
  readonly worker: number;
  /** Empty if nobody named it. */
  readonly threadName: string;
  /** `api · worker 0`: what every list calls this lane. */
  readonly name: string;
  /** When a thread last became this worker, and when it stopped; null where that is not known, or it still runs. */
  readonly startedAt: Offset | null;
  readonly stoppedAt: Offset | null;
  readonly cells: Cells | null;
  /** Null unless the answer is exact. */
  readonly polls: Polls | null;
  readonly parks: { readonly start: Float64Array; readonly length: Float64Array } | null;
}

export interface SlowItem {
  readonly lane: string;
  readonly loop: string;
  readonly worker: number;
  readonly start: Offset;
  readonly length: Nanos;
  readonly task: string;
  readonly isRunning: boolean;
}

export interface LossItem {
  readonly from: Offset;
  readonly to: Offset;
  readonly loss: Loss;
}

/** One answer. Nothing outside `covers` is known. */
export interface TimelineData {
  readonly base: Instant;
  readonly covers: Extent;
  /** Where the process has data at all. */
  readonly extent: Extent;
  readonly isExact: boolean;
  readonly step: Nanos;
  readonly lanes: readonly Lane[];
  readonly slow: readonly SlowItem[];
  readonly losses: readonly LossItem[];
  readonly locations: Readonly<Record<string, string>>;
}

/** A poll somebody pointed at or selected. */
export interface PollItem {
  readonly key: string;
  readonly lane: string;
  readonly loop: string;
  readonly worker: number;
  readonly start: Offset;
  /** So far, if it is still running. */
  readonly length: Nanos;
  readonly task: string;
  /** Where its task was spawned; null when the answer did not say. */
  readonly location: string | null;
  readonly isSlow: boolean;
  readonly isRunning: boolean;
}

/** `asked`: the range of the request, which is complete in the answer up to where the recording reached by then. */
export function decode(answer: TimelineAnswer, base: Instant, asked: Extent): TimelineData {
  const origin = between(base, instant(answer.t0));
  const offsetOf = (text: string) => between(base, instant(text));
  const extent = {
    from: answer.data_from == null ? asked.from : offsetOf(answer.data_from),
    to: answer.data_to == null ? asked.to : offsetOf(answer.data_to),
  };
  return {
    base, extent, isExact: answer.exact, step: answer.step,
    covers: asked,
    lanes: answer.lanes.map((lane) => decodeLane(lane, origin, answer.step, offsetOf)),
    slow: answer.slow.map((mark) => decodeSlow(mark, offsetOf)),
    losses: answer.losses.map((loss) => ({ from: offsetOf(loss.from_at), to: offsetOf(loss.to_at), loss })),
    locations: answer.locations ?? {},
  };
}

/** The part of what is known that is of one loop; all if none is named. Losses are of the whole process. */
export function onlyLoop(data: TimelineData, loop: string | null): TimelineData {
  if (loop == null) return data;
  const isOfLoop = (it: { readonly loop: string }) => it.loop === loop;
  return { ...data, lanes: data.lanes.filter(isOfLoop), slow: data.slow.filter(isOfLoop) };
}

function decodeLane(lane: WireLane, origin: Offset, step: Nanos, offsetOf: (text: string) => Offset): Lane {
  const { cells, polls, parks } = lane;
  return {
    key: `${lane.loop}.${lane.worker}`, loop: lane.loop, loopName: lane.loop_name, worker: lane.worker, threadName: lane.thread_name ?? "", name: laneName(lane.loop, lane.loop_name, lane.worker),
    startedAt: lane.started_at == null ? null : offsetOf(lane.started_at), stoppedAt: lane.stopped_at == null ? null : offsetOf(lane.stopped_at),
    cells: cells ? { origin, step, i: cells.i, busy: [cells.b0, cells.b1, cells.b2, cells.b3], max: cells.max, n: cells.n } : null,
    polls: polls ? { start: shifted(polls.s, origin), length: Float64Array.from(polls.d), task: polls.t, location: polls.l.map(String) } : null,
    parks: parks ? { start: shifted(parks.s, origin), length: Float64Array.from(parks.d) } : null,
  };
}

function shifted(values: readonly number[], origin: Offset): Float64Array {
  return Float64Array.from(values, (value) => value + origin);
}

export function pollOfIndex(data: TimelineData, lane: Lane, index: number, slowThreshold: Nanos): PollItem {
  const polls = lane.polls!;
  const start = polls.start[index]!;
  const length = polls.length[index]!;
  return {
    key: pollKey(lane.loop, lane.worker, String(plus(data.base, start))), lane: lane.key, loop: lane.loop, worker: lane.worker, start, length, task: polls.task[index]!,
    location: data.locations[polls.location[index]!] ?? null, isSlow: length >= slowThreshold, isRunning: false,
  };
}

export function pollOfSlow(base: Instant, slow: SlowItem): PollItem {
  return {
    key: pollKey(slow.loop, slow.worker, String(plus(base, slow.start))), lane: slow.lane, loop: slow.loop, worker: slow.worker, start: slow.start, length: slow.length, task: slow.task,
    location: null, isSlow: true, isRunning: slow.isRunning,
  };
}
