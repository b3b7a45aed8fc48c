//! Links from any page to one poll on the timeline, or to a note.

import type { Note } from "../api/types.ts";
import type { InstantText, Nanos } from "../base/instant.ts";
import { between, instant, plus, SECOND } from "../base/instant.ts";
import { around } from "../model/notes.ts";
import { link } from "../app/session.ts";
import { pollKey } from "./parts.ts";

export { pollKey };

/** Air around the poll: its own length on each side, at least a millisecond, and never so much that it becomes a dot. */
const LEAST_AIR: Nanos = 1_000_000;

export interface PollRef {
  readonly loop: string;
  readonly worker: number;
  readonly start_at: InstantText;
  readonly length: Nanos | null;
}

export function pollHref(poll: PollRef): string {
  const length = poll.length ?? SECOND;
  const air = Math.max(length, LEAST_AIR);
  const start = instant(poll.start_at);
  return link("/timeline", { last: null, from: String(plus(start, -air)), to: String(plus(start, length + air)), poll: pollKey(poll.loop, poll.worker, poll.start_at) });
}

export function parsePollKey(text: string | null): { loop: string; worker: number; startAt: InstantText } | null {
  const match = /^(\d+)\.(\d+)\.(\d{1,19})$/.exec(text ?? "");
  return match ? { loop: match[1]!, worker: Number(match[2]), startAt: match[3]! } : null;
}

/** From any page to a note. */
export function noteHref(note: Note): string {
  const from = instant(note.from);
  const wanted = around({ from: 0, to: between(from, instant(note.to)) });
  return link("/timeline", { ...(note.process == null ? {} : { process: note.process }), last: null, from: String(plus(from, wanted.from)), to: String(plus(from, wanted.to)), note: note.note });
}
