//! Ranges of time as people type them and as URLs keep them.
//!
//! A relative range follows the recording's tail, an absolute one stands still: that difference *is* the Live switch.

import { clock, dateTime, duration } from "../base/format.ts";
import {
  between, DAY, HOUR, instantOrNull, MICROSECOND, MILLISECOND, MINUTE, plus, SECOND, type Instant, type Nanos,
} from "../base/instant.ts";

export type Range =
  | { readonly kind: "all" }
  | { readonly kind: "last"; readonly span: Nanos }
  | { readonly kind: "fixed"; readonly from: Instant; readonly to: Instant };

export const ALL: Range = { kind: "all" };

const UNIT_LENGTHS: Readonly<Record<string, Nanos>> = {
  ns: 1, us: MICROSECOND, "µs": MICROSECOND, ms: MILLISECOND, s: SECOND, m: MINUTE, min: MINUTE, h: HOUR, d: DAY,
};

/** `5m`, `1.5 s`, `250µs`, `1h30m`; null if it is no length. */
export function parseLength(text: string): Nanos | null {
  const compact = text.replace(/[\s\u202f]/g, "").toLowerCase();
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|min|m|h|d))+$/.test(compact)) return null;
  let sum = 0;
  for (const [, amount, unit] of compact.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|min|m|h|d)/g)) {
    sum += Number(amount) * UNIT_LENGTHS[unit!]!;
  }
  return sum > 0 ? sum : null;
}

/** The shortest exact spelling of a length: `300s` is `5m`. Understood by [`parseLength`] and by the command line. */
export function lengthText(length: Nanos): string {
  const whole = Math.round(length);
  for (const unit of ["d", "h", "m", "s", "ms", "us"] as const) {
    if (whole % UNIT_LENGTHS[unit]! === 0) return `${whole / UNIT_LENGTHS[unit]!}${unit}`;
  }
  return `${whole}ns`;
}

/** What a person typed into the range field, or null. `day` says which date a bare wall time belongs to. */
export function parseRange(text: string, day: Instant): Range | null {
  const trimmed = text.trim().toLowerCase();
  if (trimmed === "" || trimmed === "all" || trimmed.startsWith("whole")) return ALL;
  const relative = /^(?:last|-|−)\s*(.+)$/.exec(trimmed);
  const span = parseLength(relative?.[1] ?? trimmed);
  if (span != null) return { kind: "last", span };
  const from_length = /^(.+?)\s*\+\s*(.+)$/.exec(trimmed);
  if (from_length) {
    const from = parseInstant(from_length[1]!, day);
    const length = parseLength(from_length[2]!);
    return from != null && length != null ? { kind: "fixed", from, to: plus(from, length) } : null;
  }
  const ends = /^(.+?)(?:\s*[–—]\s*|\s*\.\.\.?\s*|\s+-\s+|\s+to\s+)(.+)$/.exec(trimmed);
  if (!ends) return null;
  const from = parseInstant(ends[1]!, day);
  const to = parseInstant(ends[2]!, day);
  return from != null && to != null && to > from ? { kind: "fixed", from, to } : null;
}

/** An instant that a person typed, or `+12.5s` after the start: as much of time around it as is seen now. Null for anything else. */
export function rangeAround(text: string, day: Instant, startedAt: Instant, span: Nanos): Range | null {
  const after = /^\+\s*(.+)$/.exec(text.trim());
  const length = after && parseLength(after[1]!);
  const at = after ? length && plus(startedAt, length) : parseInstant(text, day);
  return at ? { kind: "fixed", from: plus(at, -span / 2), to: plus(at, span / 2) } : null;
}

/** `14:03`, `14:03:07.412345`, `2026-11-22 14:03:07`, RFC 3339, or unix nanoseconds. */
export function parseInstant(text: string, day: Instant): Instant | null {
  const trimmed = text.trim().toUpperCase();
  if (/^\d{16,19}$/.test(trimmed)) return instantOrNull(trimmed);
  const match = /^(?:(\d{4}-\d{2}-\d{2})[ T])?(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]([\d\s\u202f]{1,12}))?)?(Z|[+-]\d{2}:\d{2})?$/.exec(trimmed);
  if (!match) return null;
  const [, date, hours, minutes, seconds = "00", fraction = "", zone = ""] = match;
  const onDay = date ?? dateTime(day, SECOND).slice(0, 10);
  const millis = Date.parse(`${onDay}T${hours!.padStart(2, "0")}:${minutes}:${seconds}${zone}`);
  if (!Number.isFinite(millis)) return null;
  const nanos = fraction.replace(/\D/g, "").padEnd(9, "0").slice(0, 9);
  return (BigInt(millis) * 1_000_000n + BigInt(nanos)) as Instant;
}

/** What the range field shows; [`parseRange`] understands it again. */
export function rangeLabel(range: Range): string {
  if (range.kind === "all") return "whole recording";
  if (range.kind === "last") return `last ${duration(range.span)}`;
  const span = between(range.from, range.to);
  const resolution = Math.max(1, span / 1000);
  const from = dateTime(range.from, resolution);
  const isSameDay = from.slice(0, 10) === dateTime(range.to, SECOND).slice(0, 10);
  return `${from} – ${isSameDay ? clock(range.to, resolution) : dateTime(range.to, resolution)}`;
}

/** Reads `last=` or `from=`&`to=`; null when the URL says nothing, so that the page may choose. */
export function rangeFromQuery(query: URLSearchParams): Range | null {
  const last = query.get("last");
  if (last === "all") return ALL;
  if (last != null) {
    const span = parseLength(last);
    if (span != null) return { kind: "last", span };
  }
  const from = instantOrNull(query.get("from"));
  const to = instantOrNull(query.get("to"));
  return from != null && to != null && to > from ? { kind: "fixed", from, to } : null;
}

/** The inverse of [`rangeFromQuery`]: keys to set, null for keys to remove. */
export function rangeToQuery(range: Range): Record<"last" | "from" | "to", string | null> {
  if (range.kind === "all") return { last: "all", from: null, to: null };
  if (range.kind === "last") return { last: lengthText(range.span), from: null, to: null };
  return { last: null, from: String(range.from), to: String(range.to) };
}

/** The instants a range means for a recording that lies between `startedAt` and `lastAt`. */
export function resolveRange(range: Range, startedAt: Instant, lastAt: Instant): { from: Instant; to: Instant } {
  if (range.kind === "all") return { from: startedAt, to: lastAt };
  if (range.kind === "fixed") return { from: range.from, to: range.to };
  return { from: plus(lastAt, -range.span), to: lastAt };
}
