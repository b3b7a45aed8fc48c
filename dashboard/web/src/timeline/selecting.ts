//! What is selected on a timeline: a region of time and workers. The address keeps it; pointer and keys change it.

import { effect, signal } from "@preact/signals";
import { duration, plural } from "../base/format.ts";
import { between } from "../base/instant.ts";
import { isOfLengths, lengthsFromText, regionFromText, regionToText, extended, isInRegion, lanesBetween, withLanes, type Region } from "../model/region.ts";
import { toOffset, viewEnd, type Offset } from "../model/geometry.ts";
import { place, setQuery } from "../app/router.ts";
import type { Timeline } from "./controller.ts";
import type { PollItem } from "./data.ts";

/** A poll that the panel lists, to be marked on its lane at any zoom. */
export interface Mark {
  readonly lane: string;
  readonly start: Offset;
  readonly length: number;
}

export class Selecting {
  readonly region = signal<Region | null>(null);
  /** Where a region begins whose end is not chosen yet. */
  readonly begun = signal<Offset | null>(null);
  /** Polls that the panel highlights. */
  readonly marks = signal<readonly Mark[]>([]);
  private text: string | null = null;
  readonly dispose: () => void;

  constructor(private readonly timeline: Timeline) {
    this.dispose = effect(() => this.follow());
  }

  /** What the address says, unless that is what was said last: a pointer that still draws is ahead of it. */
  private follow(): void {
    const text = place.value.query.get("sel");
    if (text === this.text) return;
    this.text = text;
    this.region.value = regionFromText(text, this.timeline.base);
  }

  /** While it is being drawn. */
  draw(region: Region): void {
    this.begun.value = null;
    this.region.value = region;
  }

  /** What is drawn, for good. */
  keep(): void {
    this.choose(this.region.peek());
  }

  choose(region: Region | null): void {
    this.begun.value = null;
    this.text = region && regionToText(region, this.timeline.base);
    // As the address has it, in whole nanoseconds.
    this.region.value = regionFromText(this.text, this.timeline.base);
    setQuery({ sel: this.text, ...(region ? {} : { len: null, part: null }) });
    if (region) this.say(`${duration(region.to - region.from)} of ${region.lanes ? plural(region.lanes.length, "worker") : "all workers"} selected`);
    else this.say("Selection cleared");
  }

  private say(sentence: string): void {
    this.timeline.announcement.value = sentence;
  }

  /** The instant at a pixel, as it is now: the view may move on while a region is drawn. */
  at(x: number, width: number): Offset {
    return toOffset(this.timeline.view.peek(), width, x);
  }

  /** Between two points: on their lanes alone, or on all. */
  ofPoints(from: { at: Offset; lane: number | null }, to: { at: Offset; lane: number | null }): Region {
    const all = this.timeline.lanes.peek().map((lane) => lane.key);
    const last = all.length - 1;
    return {
      from: Math.min(from.at, to.at), to: Math.max(from.at, to.at),
      lanes: lanesBetween(all, from.lane ?? last, to.lane ?? last),
    };
  }

  /** `m`: of the selected poll; else its beginning, and pressed again its end. */
  mark(at: Offset): void {
    const begun = this.begun.peek();
    const poll = this.timeline.selected.peek();
    if (begun != null) {
      if (Math.abs(begun - at) < 1) return this.say("Point at the other end, and press m again");
      return this.choose({ from: Math.min(begun, at), to: Math.max(begun, at), lanes: null });
    }
    if (poll && !this.isOf(poll)) return this.choose(this.ofPoll(poll));
    this.begun.value = at;
    this.say("Selection begins here; m again ends it");
  }

  private ofPoll(poll: PollItem): Region {
    const isOnly = this.timeline.lanes.peek().length === 1;
    return { from: poll.start, to: poll.start + Math.max(poll.length, 1), lanes: isOnly ? null : [poll.lane] };
  }

  private isOf(poll: PollItem): boolean {
    const region = this.region.peek();
    return region != null && regionToText(region, this.timeline.base) === regionToText(this.ofPoll(poll), this.timeline.base);
  }

  /** All that is in view. */
  markView(): void {
    const view = this.timeline.view.peek();
    const { from, to } = this.timeline.extent.peek();
    this.choose({ from: Math.max(view.start, from), to: Math.min(viewEnd(view), to), lanes: null });
  }

  extend(direction: 1 | -1): void {
    this.choose(extended(this.region.peek(), this.timeline.view.peek(), direction, this.timeline.extent.peek()));
  }

  addLane(direction: 1 | -1): void {
    this.choose(withLanes(this.region.peek(), this.timeline.view.peek(), direction, this.timeline.lanes.peek().map((lane) => lane.key)));
  }

  /** False if there was nothing to clear. */
  clear(): boolean {
    if (this.begun.peek() != null) this.begun.value = null;
    else if (this.region.peek()) this.choose(null);
    else return false;
    return true;
  }

  /** Whether the view shows the region as `f` would. */
  isFitted(): boolean {
    const region = this.region.peek();
    const view = this.timeline.view.peek();
    if (!region) return false;
    const air = (region.to - region.from) * 0.2;
    return view.start >= region.from - air && view.start <= region.from && viewEnd(view) >= region.to && viewEnd(view) <= region.to + air;
  }
}

/** Polls whose length is chosen in the histogram, in the region; null if none is chosen. */
export function lengthMatcher(timeline: Timeline): ((task: string, location: string, length: number, start: Offset) => boolean) | null {
  const lengths = lengthsFromText(place.value.query.get("len"));
  const region = timeline.selecting.region.value;
  if (!lengths || !region) return null;
  return (_task, _location, length, start) => isOfLengths(lengths, length) && isInRegion(region, start, length);
}

/** Offsets of rows that the server listed. */
export function offsetOf(timeline: Timeline, at: string): Offset {
  return between(timeline.base, BigInt(at));
}
