//! Instants that somebody marked, to see later what was born since the last of them, or between two.

import { instantOrNull, type Instant } from "../base/instant.ts";

/** One, from which on everything counts, or two, between which. */
export type Marks = readonly [] | readonly [Instant] | readonly [Instant, Instant];

/** Reads what [`marksText`] wrote, and makes the best of what a person did to it. */
export function readMarks(text: string | null): Marks {
  const found = (text ?? "").split(",").map(instantOrNull).filter((at): at is Instant => at != null);
  const [first, second] = found.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  if (first == null) return [];
  return second == null || second === first ? [first] : [first, second];
}

/** Null: nothing is marked. */
export function marksText(marks: Marks): string | null {
  return marks.length === 0 ? null : marks.join(",");
}

/** A second mark ends the range; one more begins the next where that ended. */
export function addMark(marks: Marks, at: Instant): Marks {
  const last = marks.at(-1);
  if (last == null) return [at];
  return at > last ? [last, at] : marks;
}
