//! Steps of a slider over time: round lengths, so that what it stops at can be said.

import { between, plus, type Instant, type Nanos } from "../base/instant.ts";

/** 1, 2 or 5 times a power of ten: about a hundredth of the span, and never less than a microsecond. */
export function stepOf(span: Nanos): Nanos {
  const wanted = Math.max(span / 100, 1000);
  const power = 10 ** Math.floor(Math.log10(wanted) + 1e-9);
  return power * ([1, 2, 5].find((factor) => factor * power >= wanted * 0.999) ?? 10);
}

/** Where a key leads from an instant; null if it is no key of a slider. Shift is for a tenth of a step. */
export function keyStep(key: string, isShift: boolean, at: Instant, from: Instant, to: Instant): Instant | null {
  const step = stepOf(between(from, to)) / (isShift ? 10 : 1);
  const steps: Readonly<Record<string, number>> = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
  if (key === "Home") return from;
  if (key === "End") return to;
  const by = steps[key];
  return by == null ? null : within(plus(at, by * step), from, to);
}

export function within(at: Instant, from: Instant, to: Instant): Instant {
  return at < from ? from : at > to ? to : at;
}
