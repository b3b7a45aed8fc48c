//! Going from one thing that stands out to the next: slow polls, findings, losses and notes, in order of time.

import { computed, signal } from "@preact/signals";
import { place, setQuery } from "../app/router.ts";
import { link } from "../app/session.ts";
import { duration } from "../base/format.ts";
import { around, firstLine } from "../model/notes.ts";
import { findingKey } from "../model/findings.ts";
import { focus, viewEnd, type Offset } from "../model/geometry.ts";
import { shownName } from "../model/names.ts";
import { inOrder, isSame, KIND_WORDS, neighbour, readKind, type Standout, type StandoutKind } from "../model/standouts.ts";
import type { Timeline } from "./controller.ts";
import { pollOfSlow, type PollItem, type SlowItem } from "./data.ts";
import { lossText } from "./losses.tsx";
import type { NoteItem } from "./notes.ts";

/** What it is in one line, and what is done to show it. */
interface Stop extends Standout {
  readonly text: string;
  readonly href: string | null;
  show(): void;
}

/** What has no length of its own is shown as if it had this, in nanoseconds: in a second of what was around it, as notes are. */
const LEAST = 5e8;

export class Standouts {
  private readonly last = signal<Stop | null>(null);
  /** The one that was stepped to, as long as it is in view. */
  readonly current = computed<Stop | null>(() => {
    const stop = this.last.value;
    const view = this.timeline.view.value;
    return stop && stop.at <= viewEnd(view) && stop.to >= view.start ? stop : null;
  });
  /** The kind that is stepped through; null: all. */
  readonly kind = computed<StandoutKind | null>(() => readKind(place.value.query.get("step")));
  /** A step that was asked for before there was anything to step to. */
  private early: (() => void) | null = null;

  constructor(private readonly timeline: Timeline) {}

  choose(kind: StandoutKind | null): void {
    setQuery({ step: kind });
  }

  /** What was asked for too early is done now. */
  begin(): void {
    const early = this.early;
    this.early = null;
    early?.();
  }

  /** Another poll was selected: the next step goes on from there. */
  leave(poll: PollItem | null): void {
    const stop = this.last.peek();
    if (poll ? stop?.id !== idOf(poll) : stop?.kind === "slow") this.last.value = null;
  }

  /** The kind of the one that was stepped to, to go on with that alone. */
  sameKind(): StandoutKind {
    return this.current.peek()?.kind ?? "slow";
  }

  /** Shows the next (1) or previous (−1), and says what it is. */
  step(direction: 1 | -1, kind: StandoutKind | null = this.kind.peek()): void {
    if (this.timeline.loader.data.peek() == null) return void (this.early = () => this.step(direction, kind));
    const list = this.all().filter((stop) => kind == null || stop.kind === kind);
    const poll = this.timeline.selected.peek();
    const view = this.timeline.view.peek();
    const from = this.current.peek() ?? (poll && { kind: "slow", at: poll.start, to: poll.start, id: idOf(poll) } satisfies Standout);
    const next = neighbour(list, from, from?.at ?? (direction > 0 ? view.start : viewEnd(view)), direction);
    if (!next) return void (this.timeline.announcement.value = `No ${direction > 0 ? "later" : "earlier"} ${kind ? KIND_WORDS[kind][0] : "slow poll, finding, loss or note"}`);
    next.show();
    this.last.value = next;
    const number = list.findIndex((stop) => isSame(stop, next)) + 1;
    this.timeline.announcement.value = `${next.text}, ${at(next.at)}; ${number} of ${list.length}`;
  }

  private all(): Stop[] {
    const { timeline } = this;
    const losses = [...(timeline.far.peek()?.losses ?? []), ...(timeline.loader.data.peek()?.losses ?? [])];
    return inOrder([
      ...timeline.allSlow().map((slow) => this.ofSlow(slow)),
      ...timeline.badges.peek().map((badge): Stop => {
        const { level, title } = badge.finding;
        const href = link("/findings", { finding: findingKey(badge.finding) });
        return this.stop("finding", badge.at, badge.at, `${findingKey(badge.finding)} ${badge.at}`, `Finding, ${level}: ${shownName(title.replaceAll("`", ""))}`, href);
      }),
      ...losses.map(({ from, to, loss }) => this.stop("loss", from, to, `${loss.kind} ${loss.cause} ${from} ${to} ${loss.count}`, `Loss: ${lossText(loss)}, within ${duration(to - from)}`, link("/sources"))),
      ...timeline.notes.list.peek().map((item) => this.ofNote(item)),
    ]);
  }

  private ofSlow(slow: SlowItem): Stop {
    const { timeline } = this;
    const poll = pollOfSlow(timeline.base, slow);
    return {
      kind: "slow", at: slow.start, to: slow.start + slow.length, id: idOf(poll), href: null,
      text: `Slow poll: ${duration(slow.length)}${slow.isRunning ? " so far" : ""} of task ${slow.task} on worker ${slow.worker}`,
      show: () => {
        this.closeNote();
        timeline.show(focus(slow.start, slow.length, 0.3, timeline.extent.peek()));
        timeline.select(poll);
      },
    };
  }

  private ofNote(item: NoteItem): Stop {
    const { from, to, note } = item;
    const { start, span } = viewOf(around(item));
    return {
      kind: "note", at: from, to, id: String(note.note), href: null, text: `Note: ${firstLine(note.text)}`,
      show: () => {
        this.timeline.show({ start, span });
        this.timeline.select(null);
        setQuery({ note: note.note });
      },
    };
  }

  /** Something that is no poll and has a page of its own. */
  private stop(kind: StandoutKind, from: Offset, to: Offset, id: string, text: string, href: string): Stop {
    const show = () => {
      this.closeNote();
      this.timeline.select(null);
      this.timeline.show(focus(from, Math.max(to - from, LEAST), 0.5, this.timeline.extent.peek()));
    };
    return { kind, at: from, to, id, text, href, show };
  }

  /** The panel of a note that was stepped to makes way. */
  private closeNote(): void {
    if (this.last.peek()?.kind === "note") setQuery({ note: null });
  }
}

function idOf(poll: { readonly lane: string; readonly start: Offset }): string {
  return `${poll.lane} ${Math.round(poll.start)}`;
}

function viewOf({ from, to }: { from: Offset; to: Offset }): { start: Offset; span: number } {
  return { start: from, span: to - from };
}

function at(offset: Offset): string {
  return offset < 0 ? `${duration(-offset)} before the start` : `${duration(offset)} after the start`;
}
