//! What a timeline knows and what can be done to it. No DOM in here: elements call these methods, drawing reads these signals.

import { batch, computed, effect, signal, untracked } from "@preact/signals";
import { between, instant, plus, type Instant, type Nanos } from "../base/instant.ts";
import { duration } from "../base/format.ts";
import { clamp, fit, focus, pan, toOffset, viewEnd, zoomAt, type Extent, type Offset, type View } from "../model/geometry.ts";
import { laneLife } from "../model/lane_life.ts";
import type { FindingBadge } from "../model/finding_badges.ts";
import { cellStats, lastStartedBy, pollAt } from "../model/polls.ts";
import { ALL, resolveRange, type Range } from "../model/range.ts";
import { Undo } from "../model/undo.ts";
import { place, setQuery } from "../app/router.ts";
import { isLive, lastAt, range, refresh, setRange } from "../app/session.ts";
import { Arrows } from "./arrows.ts";
import { pollOfIndex, pollOfSlow, type Lane, type PollItem, type SlowItem, type TimelineData } from "./data.ts";
import { parsePollKey, pollKey } from "./links.ts";
import { Loader } from "./loader.ts";
import { Notes } from "./notes.ts";
import { Selecting } from "./selecting.ts";
import { Standouts } from "./standouts.ts";

/** Pixels around a poll in which a click still means it. */
const REACH = 4;
/** The URL follows the view this late: browsers limit how often an address may change. */
const URL_MS = 250;
/** Columns of the coarse picture of the whole recording. */
const FAR_WIDTH = 2400;
const FAR_EVERY_MS = 2000;

/** Sums over one stretch of one lane. */
export interface StretchStats {
  readonly polls: number;
  readonly busy: Nanos;
  readonly max: Nanos;
  readonly span: Nanos;
}

export class Timeline {
  readonly view = signal<View>({ start: 0, span: 1e9 });
  /** Where the view would be with all data loaded: ahead of it while following. */
  private readonly target = signal<View>({ start: 0, span: 1e9 });
  readonly hover = signal<{ x: number; y: number; lane: number; poll: PollItem | null } | null>(null);
  readonly selected = signal<PollItem | null>(null);
  /** The whole recording, coarse: the minimap, and what is drawn where nothing finer is loaded. */
  readonly far = signal<TimelineData | null>(null);
  /** Spoken by screen readers after a move with the keyboard. */
  readonly announcement = signal("");
  readonly loader: Loader;
  readonly selecting: Selecting;
  readonly notes: Notes;
  readonly arrows: Arrows;
  readonly standouts: Standouts;
  /** Where findings lie. */
  readonly badges = signal<readonly FindingBadge[]>([]);
  /** CSS pixels that the view is wide on the screen; 0 while it is not shown. */
  readonly shownWidth = signal(0);
  readonly extent = computed<Extent>(() => ({ from: this.far.value?.extent.from ?? 0, to: between(this.base, lastAt.value) }));
  /** Lanes in a stable order, known as soon as any answer is. */
  readonly lanes = computed<readonly Lane[]>(() => this.loader.data.value?.lanes ?? this.far.value?.lanes ?? []);
  readonly data = computed(() => this.loader.data.value);
  private readonly undo = new Undo();
  private urlTimer: ReturnType<typeof setTimeout> | null = null;
  /** Set while the view is ahead of the URL. */
  private isOurs = false;
  private width = 0;
  private farAt = 0;
  private readonly stop: (() => void)[];

  constructor(
    readonly process: number,
    readonly base: Instant,
    readonly slowThreshold: Nanos,
    loop: string | null,
  ) {
    this.loader = new Loader(process, base, loop);
    this.selecting = new Selecting(this);
    this.notes = new Notes(this);
    this.arrows = new Arrows(process, this);
    this.standouts = new Standouts(this);
    this.stop = [
      effect(() => this.followRange()),
      effect(() => this.loader.need(isLive.value ? this.target.value : this.view.value, this.width, this.extent.value, isLive.value)),
      effect(() => this.refreshFar(refresh.value)),
      effect(() => this.resolveSelection()),
      effect(() => {
        if (this.loader.data.value != null) untracked(() => this.standouts.begin());
      }),
    ];
  }

  dispose(): void {
    this.stop.forEach((stop) => stop());
    this.loader.dispose();
    this.selecting.dispose();
    this.notes.dispose();
    this.arrows.dispose();
    if (this.urlTimer != null) clearTimeout(this.urlTimer);
  }

  resize(width: number): void {
    this.width = width;
    this.shownWidth.value = width;
    this.loader.need(isLive.peek() ? this.target.peek() : this.view.peek(), width, this.extent.peek(), isLive.peek());
  }

  /** The URL's range is the truth, except while a gesture is ahead of it. */
  private followRange(): void {
    const wanted = range.value;
    const last = wanted.kind === "fixed" ? this.base : lastAt.value;
    const reach = isLive.value ? this.loader.data.value?.covers.to : undefined;
    if (this.isOurs) return;
    untracked(() => {
      this.target.value = this.viewOf(wanted, last, this.extent.peek());
      const late = reach == null ? 0 : this.extent.peek().to - reach;
      // Following, the view trails the tail by what is not loaded yet: a complete picture a moment late, not a torn one.
      const isClose = reach != null && late > 0 && late < this.target.peek().span / 2;
      this.view.value = isClose ? this.viewOf(wanted, plus(this.base, reach), { from: this.extent.peek().from, to: reach }) : this.target.peek();
    });
  }

  private viewOf(wanted: Range, last: Instant, extent: Extent): View {
    if (wanted.kind === "all") return fit(extent);
    const { from, to } = resolveRange(wanted, this.base, last);
    return { start: between(this.base, from), span: Math.max(between(from, to), 1) };
  }

  private refreshFar(_tick: number): void {
    const now = performance.now();
    if (now - this.farAt < FAR_EVERY_MS && this.far.peek() != null) return;
    if (this.far.peek() != null && !isLive.peek() && this.far.peek()!.covers.to >= this.extent.peek().to) return;
    this.farAt = now;
    const extent = { from: Math.min(0, this.extent.peek().from), to: this.extent.peek().to };
    this.loader.fetch(extent, FAR_WIDTH, extent).then((data) => (this.far.value = data), () => {
      // The main request shows the same error where it can be seen.
    });
  }

  /** A poll named in the URL becomes the selection once its lane is loaded. */
  private resolveSelection(): void {
    const key = place.value.query.get("poll");
    const data = this.loader.data.value;
    const far = this.far.value;
    const wanted = parsePollKey(key);
    const old = this.selected.peek();
    if (!wanted) return void (this.selected.value = null);
    if (old?.key === key && old?.location != null) return;
    const start = between(this.base, instant(wanted.startAt));
    const found = this.findPoll(data, wanted.loop, wanted.worker, start) ?? this.findSlow(data ?? far, wanted.loop, wanted.worker, start) ?? this.findSlow(far, wanted.loop, wanted.worker, start);
    if (found) this.selected.value = found;
  }

  private findPoll(data: TimelineData | null, loop: string, worker: number, start: Offset): PollItem | null {
    const lane = data?.lanes.find((candidate) => candidate.loop === loop && candidate.worker === worker);
    if (!data || !lane?.polls) return null;
    const index = lastStartedBy(lane.polls.start, start + 1);
    return index >= 0 && Math.abs(lane.polls.start[index]! - start) < 2 ? pollOfIndex(data, lane, index, this.slowThreshold) : null;
  }

  private findSlow(data: TimelineData | null, loop: string, worker: number, start: Offset): PollItem | null {
    const slow = data?.slow.find((item) => item.loop === loop && item.worker === worker && Math.abs(item.start - start) < 2);
    return slow ? pollOfSlow(this.base, slow) : null;
  }

  /** What is loaded of the recording: the rest is drawn as unknown, because empty would claim that nothing ran. */
  known(): Extent {
    const { from, to } = this.extent.peek();
    const reach = (data: TimelineData | null) => (data ? Math.min(data.covers.to, data.extent.to) : from);
    const loaded = Math.max(reach(this.loader.data.peek()), reach(this.far.peek()));
    return { from, to: Math.max(from, Math.min(to, loaded)) };
  }

  /** What all polls of a lane near a point add up to, for a look at columns. */
  sumAtPoint(x: number, width: number, lane: number): StretchStats | null {
    const key = this.lanes.peek()[lane]?.key;
    const view = this.view.peek();
    const found = this.loader.data.peek()?.lanes.find((candidate) => candidate.key === key);
    if (!found?.cells || found.polls) return null;
    const { origin, step } = found.cells;
    // Whole buckets, so that the numbers are exact for the stretch that they are said to be of.
    const from = origin + Math.floor((toOffset(view, width, x - 1) - origin) / step) * step;
    const to = Math.max(from + step, origin + Math.ceil((toOffset(view, width, x + 1) - origin) / step) * step);
    return { ...cellStats(found.cells, from, to), span: to - from };
  }

  /** Why a lane shows nothing at an instant: its worker was not there; null if it was. */
  whyNothing(lane: number, at: Offset): string | null {
    const worker = this.lanes.peek()[lane];
    if (!worker) return null;
    const cells = [this.far.peek(), this.loader.data.peek()].map((data) => data?.lanes.find(({ key }) => key === worker.key)?.cells);
    const { from, to } = laneLife(worker, cells, this.known());
    if (at < from) return from > this.known().from ? "not recorded: this worker had not started" : "before the recording";
    if (at > to) return to < this.known().to ? "not recorded: this worker had stopped" : "not recorded yet";
    return null;
  }

  // Moving.

  /** Shows `next`; freezes if the view was following. */
  show(next: View): void {
    this.undo.moves(this.view.peek(), performance.now());
    this.apply(next);
  }

  private apply(next: View): void {
    batch(() => {
      this.isOurs = true;
      this.view.value = next;
    });
    if (this.urlTimer != null) clearTimeout(this.urlTimer);
    this.urlTimer = setTimeout(() => this.writeUrl(), URL_MS);
  }

  private writeUrl(): void {
    const { start, span } = this.view.peek();
    this.urlTimer = null;
    setRange({ kind: "fixed", from: plus(this.base, start), to: plus(this.base, start + Math.max(span, 1)) }, { push: false });
    this.isOurs = false;
  }

  zoom(anchor: number, factor: number): void {
    this.show(zoomAt(this.view.peek(), anchor, factor, this.extent.peek()));
  }

  panBy(share: number): void {
    const view = this.view.peek();
    this.show(pan(view, view.span * share, this.extent.peek()));
  }

  panTo(start: Offset): void {
    this.show(clamp({ start, span: this.view.peek().span }, this.extent.peek()));
  }

  /** The selected region, else the selected poll, else the whole recording; what is shown so already makes way for the next. */
  fit(): void {
    const region = this.selecting.region.peek();
    const poll = this.selected.peek();
    if (region) {
      if (!this.selecting.isFitted()) return this.show(focus(region.from, region.to - region.from, 0.94, this.extent.peek()));
    } else if (poll) {
      const wanted = focus(poll.start, poll.length, 0.5, this.extent.peek());
      if (Math.abs(wanted.span - this.view.peek().span) > wanted.span / 100) return this.show(wanted);
    }
    this.undo.jumps(this.view.peek());
    this.cancelUrl();
    setRange(ALL);
  }

  back(): void {
    const previous = this.undo.back(performance.now());
    if (previous) this.apply(previous);
    else this.announcement.value = "Nothing to undo";
  }

  private cancelUrl(): void {
    if (this.urlTimer != null) clearTimeout(this.urlTimer);
    this.urlTimer = null;
    this.isOurs = false;
  }

  /** Back to the tail, as wide as now. */
  goLive(): void {
    this.cancelUrl();
    const { span } = this.view.peek();
    setRange(span >= this.extent.peek().to ? ALL : { kind: "last", span: Math.max(Math.round(span), 1e6) });
  }

  // Finding.

  /** The poll at a point of the canvas, exact polls first, slow ones at any zoom. */
  pollAtPoint(x: number, width: number, lane: number): PollItem | null {
    const view = this.view.peek();
    const found = this.lanes.peek()[lane];
    if (!found) return null;
    const offset = toOffset(view, width, x);
    const reach = (view.span / width) * REACH;
    const data = this.loader.data.peek();
    const near = data?.lanes.find((candidate) => candidate.key === found.key);
    if (data && near?.polls) {
      const index = pollAt(near.polls, offset, reach);
      if (index != null) return pollOfIndex(data, near, index, this.slowThreshold);
    }
    const slow = this.allSlow().find((item) => item.lane === found.key && offset >= item.start - reach && offset <= item.start + item.length + reach);
    return slow ? pollOfSlow(this.base, slow) : null;
  }

  /** Those that are known, earliest first. */
  allSlow(): readonly SlowItem[] {
    const near = this.loader.data.peek()?.slow ?? [];
    const seen = new Set(near.map((item) => `${item.lane} ${item.start}`));
    return [...near, ...(this.far.peek()?.slow ?? []).filter((item) => !seen.has(`${item.lane} ${item.start}`))].sort((a, b) => a.start - b.start);
  }

  select(poll: PollItem | null, { reveal = false } = {}): void {
    this.standouts.leave(poll);
    this.selected.value = poll;
    setQuery({ poll: poll ? pollKey(poll.loop, poll.worker, String(plus(this.base, poll.start))) : null });
    if (poll && reveal) this.reveal(poll);
    if (poll) this.announcement.value = this.describe(poll);
  }

  describe(poll: PollItem): string {
    const where = poll.location ? ` spawned at ${poll.location}` : "";
    return `${poll.isSlow ? "Slow poll" : "Poll"} of task ${poll.task}${where}, ${duration(poll.length)} on worker ${poll.worker}, ${duration(poll.start)} after the start`;
  }

  /** Moves only as far as needed to see the poll. */
  private reveal(poll: PollItem): void {
    const view = this.view.peek();
    if (poll.start >= view.start && poll.start + poll.length <= viewEnd(view)) return;
    if (poll.length > view.span * 0.8) this.show(focus(poll.start, poll.length, 0.5, this.extent.peek()));
    else this.panTo(poll.start + poll.length / 2 - view.span / 2);
  }

  /** Arrow keys: the neighbour on the same worker, or the poll at the same instant on another. */
  stepPoll(along: -1 | 0 | 1, across: -1 | 0 | 1): void {
    const data = this.loader.data.peek();
    if (!data?.isExact) {
      if (along !== 0) this.standouts.step(along, "slow");
      else this.announcement.value = "Zoom in to step from poll to poll";
      return;
    }
    const current = this.selected.peek();
    const center = this.view.peek().start + this.view.peek().span / 2;
    const lanes = data.lanes;
    const at = Math.max(0, lanes.findIndex((lane) => lane.key === current?.lane));
    const lane = lanes[Math.min(Math.max(at + (current ? across : 0), 0), lanes.length - 1)];
    if (!lane?.polls || lane.polls.start.length === 0) return void (this.announcement.value = "No polls on this worker here");
    const nearest = Math.max(0, lastStartedBy(lane.polls.start, current ? current.start + (across === 0 ? 1 : current.length / 2) : center));
    const index = Math.min(Math.max(nearest + (current ? along : 0), 0), lane.polls.start.length - 1);
    this.select(pollOfIndex(data, lane, index, this.slowThreshold), { reveal: true });
  }

  /** The next poll that matches the search, after the selection or the left edge. */
  stepMatch(matches: (task: string, location: string, length: Nanos, start: Offset) => boolean): void {
    const data = this.loader.data.peek();
    if (!data?.isExact) return void (this.announcement.value = "Zoom in until single polls show; then Enter steps through the matches");
    const from = this.selected.peek()?.start ?? this.view.peek().start;
    let best: PollItem | null = null;
    for (const lane of data.lanes) {
      if (!lane.polls) continue;
      for (let k = Math.max(0, lastStartedBy(lane.polls.start, from + 1) + 1); k < lane.polls.start.length; k += 1) {
        if (!matches(lane.polls.task[k]!, data.locations[lane.polls.location[k]!] ?? "", lane.polls.length[k]!, lane.polls.start[k]!)) continue;
        if (!best || lane.polls.start[k]! < best.start) best = pollOfIndex(data, lane, k, this.slowThreshold);
        break;
      }
    }
    if (best) this.select(best, { reveal: true });
    else this.announcement.value = "No later match in what is loaded";
  }
}
