//! The result of a query as spans and points in time.

import type { QueryAnswer } from "../api/types.ts";
import { between, instantOrNull, type Instant, type Nanos } from "../base/instant.ts";

export interface OverlayItem {
  readonly at: Instant;
  /** 0 for a point. */
  readonly length: Nanos;
  /** Whether its end is not known yet. */
  readonly isOpen: boolean;
  /** Empty if no column is one. */
  readonly label: string;
  readonly row: readonly unknown[];
}

export interface Overlay {
  /** The names of the columns that were taken for what; null where there is none. */
  readonly columns: { readonly at: string; readonly length: string | null; readonly end: string | null; readonly label: string | null };
  /** By time. */
  readonly items: readonly OverlayItem[];
  /** Rows that have no time. */
  readonly timeless: number;
}

/** In the order in which they are looked for. */
const STARTS = ["start_at", "at", "began_at", "opened_at", "spawned_at", "since_at", "woken_at", "created_at", "started_at", "first_seen_at"];
const LENGTHS = ["length", "duration", "delay", "lifetime", "length_ns", "duration_ns"];
const ENDS = ["end_at", "ended_at", "closed_at", "last_seen_at", "resolved_at"];
const LABELS = ["label", "name", "title", "message", "function", "location", "op", "kind"];

/** Null where no column is an instant. */
export function overlayOf(answer: QueryAnswer): Overlay | null {
  const names = answer.columns.map((column) => column.name.toLowerCase());
  const first = (wanted: readonly string[]) => wanted.map((name) => names.indexOf(name)).find((index) => index >= 0) ?? -1;
  const hasInstants = (index: number) => answer.rows.some((row) => timeOf(row[index]) != null);
  const known = first(STARTS);
  const at = known >= 0 ? known : names.findIndex((name, index) => /_at$/.test(name) && !ENDS.includes(name) && hasInstants(index));
  if (at < 0 || !hasInstants(at)) return null;
  const length = first(LENGTHS);
  const end = length >= 0 ? -1 : first(ENDS);
  const labelled = first(LABELS);
  const label = labelled >= 0 ? labelled : answer.columns.findIndex(({ type }, index) => type === "text" && index !== at);
  const items: OverlayItem[] = [];
  let timeless = 0;
  for (const row of answer.rows) {
    const start = timeOf(row[at]);
    if (start == null) {
      timeless += 1;
      continue;
    }
    const told = length >= 0 ? lengthOf(row[length]) : end >= 0 ? endOf(start, row[end]) : 0;
    items.push({ at: start, length: Math.max(told ?? 0, 0), isOpen: told == null && (end >= 0 || length >= 0), label: label < 0 || row[label] == null ? "" : String(row[label]), row });
  }
  items.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  const name = (index: number) => (index < 0 ? null : answer.columns[index]!.name);
  return { columns: { at: name(at)!, length: name(length), end: name(end), label: name(label) }, items, timeless };
}

function timeOf(value: unknown): Instant | null {
  const at = typeof value === "string" ? instantOrNull(value) : typeof value === "number" && Number.isInteger(value) ? (BigInt(value) as Instant) : null;
  return at != null && at > 0n ? at : null;
}

function lengthOf(value: unknown): Nanos | null {
  return typeof value === "number" ? value : typeof value === "string" && /^\d+$/.test(value) ? Number(value) : null;
}

function endOf(start: Instant, value: unknown): Nanos | null {
  const end = timeOf(value);
  return end == null ? null : between(start, end);
}

/** Which line each item is drawn in, so that those that overlap are apart; beyond `most` lines they lie on each other. */
export function layLines(items: readonly OverlayItem[], most: number): { readonly lines: Uint8Array; readonly used: number; readonly covered: number } {
  const lines = new Uint8Array(items.length);
  const ends: Instant[] = [];
  let covered = 0;
  items.forEach((item, k) => {
    let line = ends.findIndex((end) => end <= item.at);
    if (line < 0 && ends.length < most) line = ends.length;
    if (line < 0) {
      // The one that ends first hides the least.
      covered += 1;
      line = ends.reduce((best, end, index) => (end < ends[best]! ? index : best), 0);
    }
    const end = (item.at + BigInt(Math.max(Math.round(item.length), 1))) as Instant;
    if (ends[line] == null || end > ends[line]!) ends[line] = end;
    lines[k] = line;
  });
  return { lines, used: Math.max(ends.length, 1), covered };
}
