//! The arrows of the selected poll: asked for when it is selected, drawn over the workers, and followed from one end to the other.

import { effect, signal, untracked } from "@preact/signals";
import { apiUrl, get, isAbort } from "../api/client.ts";
import type { ArrowsAnswer } from "../api/types.ts";
import { between, plus } from "../base/instant.ts";
import { focus } from "../model/geometry.ts";
import { arrowsOf, type Arrow, type Goal } from "../model/arrows.ts";
import { setQuery } from "../app/router.ts";
import type { Timeline } from "./controller.ts";
import { showPoll } from "./follow.ts";
import { pollKey } from "./links.ts";

/** Where a hint at the edge of the canvas was drawn, in CSS pixels. */
export interface Hint {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly arrow: Arrow;
}

export class Arrows {
  /** What is known of the selected poll; null while it is asked for, or without one. */
  readonly answer = signal<ArrowsAnswer | null>(null);
  readonly error = signal<Error | null>(null);
  readonly list = signal<readonly Arrow[]>([]);
  /** Those of the last frame. */
  hints: readonly Hint[] = [];
  private abort: AbortController | null = null;
  private asked = "";
  private readonly stop: () => void;

  constructor(
    private readonly process: number,
    private readonly timeline: Timeline,
  ) {
    this.stop = effect(() => {
      const poll = timeline.selected.value;
      untracked(() => this.ask(poll?.key ?? "", poll?.task ?? "", poll?.lane ?? "", poll?.start ?? 0));
    });
  }

  dispose(): void {
    this.stop();
    this.abort?.abort();
  }

  private ask(key: string, task: string, lane: string, start: number): void {
    const wanted = `${key} ${task}`;
    if (wanted === this.asked) return;
    this.asked = wanted;
    this.abort?.abort();
    this.answer.value = null;
    this.error.value = null;
    this.list.value = [];
    // A callback of no task, and a poll whose task is not known, have none.
    if (!key || !task || task === "0") return;
    const controller = new AbortController();
    this.abort = controller;
    const url = apiUrl("/lanes/arrows", { process: this.process, task, start_at: String(plus(this.timeline.base, start)) });
    get<ArrowsAnswer>(url, controller.signal).then(
      (answer) => {
        this.answer.value = answer;
        this.list.value = arrowsOf(answer, lane, this.timeline.base);
      },
      (cause: Error) => {
        if (!isAbort(cause)) this.error.value = cause;
      },
    );
  }

  /** Follows the hint at a point of the canvas; false if there is none. */
  clickAt(x: number, y: number): boolean {
    const hint = this.hintAt(x, y);
    if (hint) this.follow(hint.arrow);
    return hint != null;
  }

  hintAt(x: number, y: number): Hint | null {
    return this.hints.find((hint) => x >= hint.x && x <= hint.x + hint.width && y >= hint.y && y <= hint.y + hint.height) ?? null;
  }

  /** To who woke it, or else who spawned it (−1); to the first that it woke (1). */
  step(direction: -1 | 1): void {
    const wanted = direction < 0 ? (["wake", "spawn"] as const) : (["woke"] as const);
    const found = wanted.map((kind) => this.list.peek().find((arrow) => arrow.kind === kind && arrow.goal)).find((arrow) => arrow != null);
    if (found) return this.follow(found);
    const hasNone = this.timeline.selected.peek() == null ? "Select a poll first" : direction < 0 ? "It is not known which poll woke or spawned this one" : "This poll woke no task, as far as is known";
    this.timeline.announcement.value = hasNone;
  }

  follow(arrow: Arrow): void {
    if (arrow.goal) return this.goTo(arrow.goal);
    // Nobody's poll is at the other end: show the instant.
    const length = arrow.to.at - arrow.from.at;
    this.timeline.show(focus(arrow.from.at, length, 0.6, this.timeline.extent.peek()));
  }

  goTo(goal: Goal): void {
    const { loop, worker, start, length, task } = goal;
    if (length != null) return showPoll(this.timeline, { loop, worker, start, length, task });
    const lane = this.timeline.data.peek()?.lanes.find((candidate) => candidate.key === `${loop}.${worker}`);
    const index = lane?.polls?.start.findIndex((at) => Math.abs(at - start) < 1000) ?? -1;
    if (lane?.polls && index >= 0) return showPoll(this.timeline, { loop, worker, start: lane.polls.start[index]!, length: lane.polls.length[index]!, task });
    // Close enough that every poll is loaded: then the one that the address names is found.
    setQuery({ poll: pollKey(loop, worker, String(plus(this.timeline.base, start))) });
    this.timeline.show(focus(start, 2e6, 0.5, this.timeline.extent.peek()));
  }

  /** How far away an instant is from what is seen, for hints. */
  distance(at: number): number {
    const { start, span } = this.timeline.view.peek();
    return at < start ? start - at : at > start + span ? at - start - span : 0;
  }

  startOf(text: string): number {
    return between(this.timeline.base, BigInt(text));
  }
}
