//! Running totals as rates, and losses as sums over even steps of time.

import type { Loss } from "../api/types.ts";
import { between, instant, plus, SECOND, type Instant, type Nanos } from "../base/instant.ts";

/** How fast a total rises per second, from each reading to the next; unknown before the first rise. */
export function ratesOf(values: readonly (number | null)[], step: Nanos): (number | null)[] {
  const rates: (number | null)[] = values.map(() => null);
  let last: number | null = null;
  values.forEach((value, k) => {
    if (value == null) return;
    // A total that falls began anew.
    if (last != null && value >= values[last]!) rates.fill((value - values[last]!) / (((k - last) * step) / SECOND), last + 1, k + 1);
    last = k;
  });
  return rates;
}

/** A reading that is told when it changes holds until the next. */
export function heldValues(values: readonly (number | null)[]): (number | null)[] {
  let last: number | null = null;
  return values.map((value) => (last = value ?? last));
}

/** The largest of B, KiB, MiB … that `most` has one of, so that an axis has round steps of it. */
export function byteUnit(most: number): number {
  return 1024 ** Math.max(0, Math.min(4, Math.floor(Math.log2(Math.max(most, 1)) / 10)));
}

export interface LossSteps {
  /** The beginnings of the steps. */
  readonly starts: readonly Instant[];
  /** By cause, most first: how many were lost in each step. */
  readonly causes: readonly { readonly cause: string; readonly counts: readonly number[]; readonly sum: number }[];
  /** Losses of which nobody knows how many. */
  readonly uncounted: number;
}

/** Spreads each loss evenly over the time in which it happened. */
export function lossSteps(losses: readonly Loss[], from: Instant, to: Instant, steps: number): LossSteps {
  const width = Math.max(between(from, to) / steps, 1);
  const byCause = new Map<string, number[]>();
  let uncounted = 0;
  for (const { cause, count, from_at, to_at } of losses) {
    if (from_at == null || to_at == null) continue;
    if (count === 0) {
      uncounted += 1;
      continue;
    }
    const counts = byCause.get(cause) ?? Array.from({ length: steps }, () => 0);
    byCause.set(cause, counts);
    const place = (text: string) => Math.min(Math.max(between(from, instant(text)) / width, 0), steps);
    const [begin, end] = [place(from_at), place(to_at)];
    if (end - begin < 1e-9) {
      counts[Math.min(Math.floor(begin), steps - 1)]! += count;
      continue;
    }
    for (let k = Math.floor(begin); k < Math.min(Math.ceil(end), steps); k += 1) counts[k]! += (count * (Math.min(end, k + 1) - Math.max(begin, k))) / (end - begin);
  }
  const causes = [...byCause].map(([cause, counts]) => ({ cause, counts, sum: counts.reduce((sum, n) => sum + n, 0) }));
  return { starts: Array.from({ length: steps }, (_, k) => plus(from, k * width)), causes: causes.sort((a, b) => b.sum - a.sum), uncounted };
}
