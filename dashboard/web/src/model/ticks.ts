//! Round instants for a time axis.

import { DAY, HOUR, MINUTE, SECOND, type Nanos } from "../base/instant.ts";

const LONG_STEPS: readonly Nanos[] = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7].map((n) => n * DAY),
];

/** The smallest round step of at least `least`. */
export function tickStep(least: Nanos): Nanos {
  if (least > SECOND / 2) return LONG_STEPS.find((step) => step >= least) ?? Math.ceil(least / (7 * DAY)) * 7 * DAY;
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)) + 1e-9);
  for (const digit of [1, 2, 5, 10]) if (digit * power >= least * (1 - 1e-9)) return digit * power;
  return SECOND;
}

/** Offsets of ticks in `[from, to]`; `phase` is the offset of some round wall time, so that ticks fall on whole seconds of the clock. */
export function ticks(from: number, to: number, step: Nanos, phase: number): number[] {
  const list: number[] = [];
  const first = Math.ceil((from - phase) / step);
  const last = Math.floor((to - phase) / step);
  for (let k = first; k <= last && list.length < 400; k += 1) list.push(phase + k * step);
  return list;
}

/** Round values for a number axis: at most `most` steps up to at least `top`. */
export function niceTop(top: number, most = 4): { step: number; top: number } {
  if (!(top > 0)) return { step: 1, top: 1 };
  const least = top / most;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 2.5, 5, 10].map((digit) => digit * power).find((value) => value >= least * (1 - 1e-9)) ?? 10 * power;
  return { step, top: Math.ceil(top / step - 1e-9) * step };
}
