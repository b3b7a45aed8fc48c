//! What a column of numbers adds up to.

export interface Sums {
  readonly count: number;
  readonly sum: number;
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Of the values that are known; null without any. A percentile is the smallest value that so many do not exceed, as in SQL. */
export function sumsOf(values: readonly (number | null | undefined)[]): Sums | null {
  const known = values.filter((value): value is number => typeof value === "number" && Number.isFinite(value)).sort((a, b) => a - b);
  if (known.length === 0) return null;
  const sum = known.reduce((total, value) => total + value, 0);
  const quantile = (share: number) => known[Math.max(1, Math.ceil(share * known.length)) - 1]!;
  return { count: known.length, sum, mean: sum / known.length, p50: quantile(0.5), p99: quantile(0.99), max: known.at(-1)! };
}
