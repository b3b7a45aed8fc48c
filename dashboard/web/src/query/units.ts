//! What the numbers of a column are, told by its name, as the documented views name theirs.

import { bytes, count, dateTime, duration, percent } from "../base/format.ts";
import { instantOrNull, MICROSECOND } from "../base/instant.ts";

export type Unit = "instant" | "ns" | "bytes" | "share" | "none";

export function unitOf(name: string): Unit {
  const last = name.toLowerCase();
  if (/(^|_)(at|since)$/.test(last)) return "instant";
  if (/(^|_)(time|length|delay|lifetime|duration|ns|nanos)$/.test(last)) return "ns";
  if (/(^|_)bytes$/.test(last)) return "bytes";
  if (/(^|_)share$/.test(last)) return "share";
  return "none";
}

/** Behind the name of a column; empty for plain numbers and text. */
export const UNIT_WORDS: Readonly<Record<Unit, string>> = { instant: "local time", ns: "length", bytes: "bytes", share: "%", none: "" };

/** A number with its unit. */
export function withUnit(value: number, unit: Unit): string {
  if (unit === "ns") return duration(value);
  if (unit === "bytes") return bytes(value);
  if (unit === "share") return percent(value);
  return Number.isInteger(value) ? count(value) : String(Number(value.toPrecision(6)));
}

/** A value as people read it, or null where only its own text says what it is. */
export function readable(value: unknown, unit: Unit): string | null {
  if (unit === "none" || value == null) return null;
  if (unit === "instant") {
    const at = typeof value === "number" && Number.isInteger(value) ? instantOrNull(String(value)) : typeof value === "string" ? instantOrNull(value) : null;
    // Before 1973 it is a count of something else.
    return at == null || at < 100_000_000_000_000_000n ? null : dateTime(at, MICROSECOND);
  }
  return typeof value === "number" && Number.isFinite(value) ? withUnit(value, unit) : null;
}
