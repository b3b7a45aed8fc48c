//! Notes on the timeline: which there are, which one is open, and where a new one would be.

import { computed, effect, signal } from "@preact/signals";
import { apiUrl, change, get, isAbort, post, remove } from "../api/client.ts";
import type { Note, NotesAnswer } from "../api/types.ts";
import { place, setQuery } from "../app/router.ts";
import { refresh } from "../app/session.ts";
import { between, instant, plus, type Instant } from "../base/instant.ts";
import { around, type Placed } from "../model/notes.ts";
import type { Extent } from "../model/geometry.ts";
import type { Timeline } from "./controller.ts";

/** So many are shown at most, as the API gives them. */
const MAX_NOTES = 2000;

/** A note with its place on the axis. */
export interface NoteItem extends Placed {
  readonly note: Note;
}

/** What the person wrote. */
export interface Draft {
  readonly text: string;
  readonly author: string;
  readonly isOfProcess: boolean;
}

export class Notes {
  readonly list = signal<readonly NoteItem[]>([]);
  readonly hasMore = signal(false);
  readonly error = signal<Error | null>(null);
  /** Where the note will be that is being written. */
  readonly newAt = signal<Extent | null>(null);
  /** `new`, a number, or null. */
  readonly open = computed(() => place.value.query.get("note"));
  /** Whether the list is shown. */
  readonly isShown = computed(() => place.value.query.get("notes") === "1" || this.open.value != null);
  private abort: AbortController | null = null;
  private readonly stop: () => void;

  constructor(private readonly timeline: Timeline) {
    this.stop = effect(() => {
      void refresh.value;
      void this.load();
    });
  }

  dispose(): void {
    this.stop();
    this.abort?.abort();
  }

  private async load(): Promise<void> {
    this.abort?.abort();
    const controller = new AbortController();
    this.abort = controller;
    try {
      const answer = await get<NotesAnswer>(apiUrl("/notes", { process: this.timeline.process, limit: MAX_NOTES }), controller.signal);
      this.list.value = answer.notes.map((note) => ({ note, from: this.offset(note.from), to: this.offset(note.to) }));
      this.hasMore.value = answer.more ?? false;
      this.error.value = null;
    } catch (cause) {
      if (!isAbort(cause)) this.error.value = cause as Error;
    }
  }

  private offset(at: string): number {
    return between(this.timeline.base, instant(at));
  }

  /** Begins a note: of the region, else of the selected poll, else at `at`, else in the middle of what is seen. */
  begin(at?: number): void {
    this.newAt.value = this.whereNew(at);
    setQuery({ note: "new" });
  }

  /** Where it was begun, or would be. */
  whereNew(at?: number): Extent {
    const region = this.timeline.selecting.region.peek();
    if (region) return { from: region.from, to: region.to };
    const poll = this.timeline.selected.peek();
    if (poll) return { from: poll.start, to: poll.start + poll.length };
    const { start, span } = this.timeline.view.peek();
    const from = at ?? start + span / 2;
    return { from, to: from };
  }

  private at(offset: number): Instant {
    return plus(this.timeline.base, offset);
  }

  async add(extent: Extent, draft: Draft): Promise<Note> {
    const body = { from: String(this.at(extent.from)), to: String(this.at(extent.to)), text: draft.text, author: draft.author || null, process: draft.isOfProcess ? this.timeline.process : null };
    const note = await post<Note>(apiUrl("/notes"), body);
    await this.load();
    return note;
  }

  async edit(note: Note, draft: Draft): Promise<void> {
    // One that was moved in from another run stays there.
    const process = draft.isOfProcess ? (note.process ?? this.timeline.process) : null;
    await change<Note>(apiUrl(`/notes/${note.note}`), { text: draft.text, author: draft.author || null, process });
    await this.load();
  }

  async remove(note: Note): Promise<void> {
    await remove<Note>(apiUrl(`/notes/${note.note}`));
    await this.load();
  }

  /** Moves the view to a note and opens it. */
  go({ note, from, to }: NoteItem): void {
    const view = this.timeline.view.peek();
    if (from < view.start || to > view.start + view.span) {
      const wanted = around({ from, to });
      this.timeline.show({ start: wanted.from, span: wanted.to - wanted.from });
    }
    setQuery({ note: note.note });
    this.timeline.announcement.value = `Note: ${note.text}`;
  }

  close(): void {
    setQuery({ note: null, notes: null });
  }
}
