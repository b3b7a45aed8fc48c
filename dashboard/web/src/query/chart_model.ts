//! Which columns of a result make a chart, and its points. Nothing is left out without being counted.

import type { QueryAnswer } from "../api/types.ts";
import { instantOrNull } from "../base/instant.ts";
import { unitOf, type Unit } from "./units.ts";

export type Form = "line" | "bars" | "points";

export interface ChartColumn {
  readonly index: number;
  readonly name: string;
  readonly unit: Unit;
  readonly kind: "instant" | "number" | "text";
}

export interface ChartChoice {
  readonly x: number;
  readonly y: readonly number[];
  /** The column whose values are series of their own; null: each of `y` is one. */
  readonly by: number | null;
  readonly form: Form;
}

export interface Series {
  readonly name: string;
  /** By x; y is null where the result has none. */
  readonly points: readonly { readonly x: number; readonly y: number | null }[];
}

export interface ChartData {
  readonly series: readonly Series[];
  /** Names of the places on the x axis, for bars. */
  readonly categories: readonly string[];
  /** Of x when it is a number or an instant; instants count from `base`. */
  readonly extent: { readonly from: number; readonly to: number };
  readonly base: bigint;
  /** Of y, with zero in it. */
  readonly low: number;
  readonly high: number;
  /** What is not drawn, in sentences. */
  readonly leftOut: readonly string[];
}

/** More lines than this cannot be told apart. */
export const MAX_SERIES = 8;
export const MAX_BARS = 60;
/** At most so many readings are drawn at once by default. */
const DEFAULT_Y = 3;

export function chartColumns(answer: QueryAnswer): ChartColumn[] {
  return answer.columns.map(({ name }, index) => {
    const unit = unitOf(name);
    const values = answer.rows.map((row) => row[index]).filter((value) => value != null);
    const isInstant = unit === "instant" && values.length > 0 && values.every((value) => asInstant(value) != null);
    const isNumber = values.length > 0 && values.every((value) => typeof value === "number");
    return { index, name, unit: isInstant || unit !== "instant" ? unit : "none", kind: isInstant ? "instant" : isNumber ? "number" : "text" };
  });
}

function asInstant(value: unknown): bigint | null {
  return typeof value === "string" ? instantOrNull(value) : typeof value === "number" && Number.isInteger(value) ? BigInt(value) : null;
}

/** Identities are numbers, but nobody wants a line through them. */
const IDENTITY = /^(process|task|loop|worker|pid|stack|resource|parent|by_task|line|holder|awaits_task)$/;

/** A first chart of this result; null where it has no numbers. */
export function defaultChoice(columns: readonly ChartColumn[]): ChartChoice | null {
  const numbers = columns.filter((column) => column.kind === "number");
  const quantities = numbers.filter((column) => !IDENTITY.test(column.name));
  const x = columns.find((column) => column.kind === "instant") ?? columns.find((column) => column.kind === "text") ?? numbers.find((column) => IDENTITY.test(column.name)) ?? numbers[0];
  const first = quantities.find((column) => column !== x) ?? numbers.find((column) => column !== x);
  if (!x || !first) return null;
  // Only what has the same unit can share an axis.
  const y = quantities.filter((column) => column !== x && column.unit === first.unit).slice(0, DEFAULT_Y);
  return { x: x.index, y: (y.length > 0 ? y : [first]).map((column) => column.index), by: null, form: defaultForm(x) };
}

export function defaultForm(x: ChartColumn): Form {
  return x.kind === "instant" ? "line" : x.kind === "text" || IDENTITY.test(x.name) ? "bars" : "points";
}

export function chartData(answer: QueryAnswer, columns: readonly ChartColumn[], choice: ChartChoice): ChartData {
  const x = columns[choice.x]!;
  const leftOut: string[] = [];
  const isBars = choice.form === "bars" || x.kind === "text";
  const instants = x.kind === "instant" ? answer.rows.map((row) => asInstant(row[x.index])).filter((at) => at != null) : [];
  const base = instants.reduce((least, at) => (at < least ? at : least), instants[0] ?? 0n);
  const categories: string[] = [];
  const places = new Map<string, number>();
  const place = (value: unknown): number | null => {
    if (isBars) {
      const text = value == null ? "NULL" : String(value);
      const old = places.get(text);
      if (old != null) return old;
      places.set(text, places.size);
      if (places.size <= MAX_BARS) categories.push(text);
      return places.size - 1;
    }
    if (x.kind === "instant") {
      const at = asInstant(value);
      return at == null ? null : Number(at - base);
    }
    return typeof value === "number" && Number.isFinite(value) ? value : null;
  };
  const bySeries = new Map<string, { x: number; y: number | null }[]>();
  let placeless = 0;
  let crowded = 0;
  for (const row of answer.rows) {
    const at = place(row[x.index]);
    if (at == null || (isBars && at >= MAX_BARS)) {
      if (at == null) placeless += 1;
      continue;
    }
    for (const index of choice.by == null ? choice.y : choice.y.slice(0, 1)) {
      const name = choice.by == null ? columns[index]!.name : row[choice.by] == null ? "NULL" : String(row[choice.by]);
      if (!bySeries.has(name) && bySeries.size >= MAX_SERIES) {
        crowded += 1;
        continue;
      }
      const points = bySeries.get(name) ?? [];
      const value = row[index];
      points.push({ x: at, y: typeof value === "number" && Number.isFinite(value) ? value : null });
      bySeries.set(name, points);
    }
  }
  if (places.size > MAX_BARS) leftOut.push(`Only the first ${MAX_BARS} of ${places.size} bars are drawn.`);
  if (placeless > 0) leftOut.push(`${placeless} rows have no ${x.name} and are not drawn.`);
  if (crowded > 0) leftOut.push(`Only the first ${MAX_SERIES} series are drawn; ${crowded} rows of others are not.`);
  if (answer.truncated) leftOut.push("The result was cut off, and so is the chart.");
  const series = [...bySeries].map(([name, points]) => ({ name, points: isBars ? points : points.sort((a, b) => a.x - b.x) }));
  let [low, high, from, to] = [0, 0, Infinity, -Infinity];
  for (const { points } of series) {
    for (const point of points) {
      if (point.y != null) [low, high] = [Math.min(low, point.y), Math.max(high, point.y)];
      [from, to] = [Math.min(from, point.x), Math.max(to, point.x)];
    }
  }
  return { series, categories, base, low, high, extent: from <= to ? { from, to } : { from: 0, to: 0 }, leftOut };
}

/** Steps of an axis from at most `low` to at least `high`; lengths of time step in round seconds and minutes. */
export function axisSteps(low: number, high: number, unit: Unit, most = 5): number[] {
  const bottom = Math.min(low, 0);
  // Nothing but zeros still needs an axis.
  const top = Math.max(high, 0) || (bottom < 0 ? 0 : 1);
  const step = roundStep((top - bottom) / most, unit);
  // A hair below zero takes no step of its own.
  const first = Math.floor(bottom / step + 0.02);
  const last = Math.ceil(top / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, k) => (first + k) * step);
}

const MINUTES: readonly number[] = [1, 2, 5, 10, 15, 30].flatMap((n) => [n * 60e9]).concat([1, 2, 6, 12, 24].map((n) => n * 3600e9));

function roundStep(least: number, unit: Unit): number {
  if (unit === "ns" && least > 30e9) return MINUTES.find((step) => step >= least) ?? Math.ceil(least / 86400e9) * 86400e9;
  if (unit === "bytes") return 2 ** Math.ceil(Math.log2(Math.max(least, 1)));
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 2.5, 5, 10].map((digit) => digit * power).find((value) => value >= least * (1 - 1e-9))!;
}
