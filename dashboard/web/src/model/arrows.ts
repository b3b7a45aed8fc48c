//! What led to a poll, and what it led to, as arrows between lanes. An end that is not known is on the lane of the other: then the arrow only
//! says how long it took.

import type { ArrowPoll, ArrowsAnswer, LaneTask } from "../api/types.ts";
import { duration } from "../base/format.ts";
import { between, instant, type Instant, type Nanos } from "../base/instant.ts";
import type { Offset } from "./geometry.ts";
import { shownName } from "./names.ts";

export interface ArrowEnd {
  /** `loop.worker`. */
  readonly lane: string;
  readonly at: Offset;
}

/** A poll that an arrow leads from or to. */
export interface Goal {
  readonly loop: string;
  readonly worker: number;
  readonly start: Offset;
  /** Null if it is not known. */
  readonly length: Nanos | null;
  readonly task: string;
}

export interface Arrow {
  readonly kind: "wake" | "spawn" | "woke";
  readonly from: ArrowEnd;
  readonly to: ArrowEnd;
  /** What it says in a few words. */
  readonly text: string;
  /** The poll at its other end; null if it is not known. */
  readonly goal: Goal | null;
}

/** Drawn at most; a poll that wakes more is told in words. */
export const MAX_WOKE_DRAWN = 12;

export function taskText(task: LaneTask | null): string {
  return task == null ? "no task" : task.name ? shownName(task.name) : `task ${task.task}`;
}

/** Arrows of the poll of `answer` on the lane `lane`. */
export function arrowsOf(answer: ArrowsAnswer, lane: string, base: Instant): Arrow[] {
  const offset = (text: string) => between(base, instant(text));
  const start = offset(answer.start_at);
  const laneOf = (poll: ArrowPoll) => `${poll.loop}.${poll.worker}`;
  const goalOf = (poll: ArrowPoll | null, task: string | undefined): Goal | null => (poll && task != null ? { loop: poll.loop, worker: poll.worker, start: offset(poll.start_at), length: poll.length, task } : null);
  const arrows: Arrow[] = [];
  const { wake, spawn } = answer;
  if (wake) {
    const by = wake.by_itself ? "by itself" : `by ${taskText(wake.by)}`;
    arrows.push({ kind: "wake", from: { lane: wake.from ? laneOf(wake.from) : lane, at: offset(wake.at) }, to: { lane, at: start }, text: `woken ${by} ${duration(wake.delay)} before`, goal: goalOf(wake.from, wake.by?.task) });
  }
  if (spawn?.first_poll) {
    const first = offset(spawn.first_poll.start_at);
    const at = offset(spawn.at);
    arrows.push({ kind: "spawn", from: { lane: spawn.from ? laneOf(spawn.from) : laneOf(spawn.first_poll), at }, to: { lane: laneOf(spawn.first_poll), at: first }, text: `spawned by ${taskText(spawn.by)} ${duration(Math.max(0, first - at))} before its first poll`, goal: goalOf(spawn.from, spawn.by?.task) ?? (first === start ? null : goalOf(spawn.first_poll, answer.task)) });
  }
  for (const woken of answer.woke.slice(0, MAX_WOKE_DRAWN)) {
    const at = offset(woken.at);
    const to = { lane: `${woken.loop}.${woken.worker}`, at: at + woken.delay };
    arrows.push({ kind: "woke", from: { lane, at }, to, text: `woke task ${woken.task}, polled ${duration(woken.delay)} later`, goal: { loop: woken.loop, worker: woken.worker, start: to.at, length: null, task: woken.task } });
  }
  return arrows;
}

/** Which way an end lies that is not in view. */
export function outside(at: Offset, from: Offset, to: Offset): "before" | "after" | null {
  return at < from ? "before" : at > to ? "after" : null;
}
