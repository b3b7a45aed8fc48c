//! The four classes of poll length that the store counts busy time in, and their names. Colours live in the style sheet.

import { MICROSECOND, MILLISECOND, type Nanos } from "./instant.ts";

/** 0 is harmless, 3 is where other tasks begin to wait noticeably. */
export type DurationClass = 0 | 1 | 2 | 3;

export const CLASSES: readonly DurationClass[] = [0, 1, 2, 3];

/** Upper bounds, the same as the tiles': a poll of exactly 100 µs belongs to class 1. */
const BOUNDS: readonly Nanos[] = [100 * MICROSECOND, MILLISECOND, 10 * MILLISECOND];

export const CLASS_NAMES: readonly string[] = ["< 100 µs", "< 1 ms", "< 10 ms", "≥ 10 ms"];

export function durationClass(length: Nanos): DurationClass {
  if (length < BOUNDS[0]!) return 0;
  if (length < BOUNDS[1]!) return 1;
  return length < BOUNDS[2]! ? 2 : 3;
}
