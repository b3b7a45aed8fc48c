//! Readings of the program over time, as lines of a lane: with the least and the most where many share a pixel, rates of what only ever grows,
//! and no line where nothing was read.

import type { BandSeries, MetricLaneAnswer } from "../api/types.ts";
import { bytes, compact, duration, percent } from "../base/format.ts";
import { between, instant, SECOND, type Instant, type Nanos } from "../base/instant.ts";
import type { Offset } from "./geometry.ts";
import { lastStartedBy } from "./polls.ts";

export type Unit = "count" | "bytes" | "time" | "share" | "per second";

/** How a metric is read. */
export interface Reading {
  readonly metric: string;
  readonly label: string;
  /** `last`: as it was read. `rate`: how fast it grows. `per`: how much it grew for each one of another that grew. `less`: what it is less than another. */
  readonly as: "last" | "rate" | { readonly per: string } | { readonly lessOf: string };
  /** Series of workers added up, where each by itself says little. */
  readonly isSummed?: boolean;
}

export interface MetricKind {
  readonly key: string;
  readonly title: string;
  readonly about: string;
  readonly unit: Unit;
  readonly readings: readonly Reading[];
  /** Each loop has its own. */
  readonly isOfLoops?: boolean;
}

/** Lanes of several metrics that belong together. */
const TOGETHER: readonly MetricKind[] = [
  { key: "queues", isOfLoops: true, title: "Run queues", about: "Tasks that are ready and not yet polled: in the queue of all workers, and in those of each", unit: "count", readings: [{ metric: "global_queue_depth", label: "global", as: "last" }, { metric: "worker_queue_depth", label: "local, all workers", as: "last", isSummed: true }] },
  { key: "ready", isOfLoops: true, title: "Ready callbacks", about: "Callbacks that were ready at the last turn of the loop", unit: "count", readings: [{ metric: "ready_callbacks", label: "ready", as: "last" }] },
  { key: "blocking", isOfLoops: true, title: "Blocking pool", about: "Jobs in the queue for blocking threads, and those threads", unit: "count", readings: [{ metric: "blocking_queue_depth", label: "queued", as: "last" }, { metric: "blocking_threads", label: "threads", as: "last" }, { metric: "blocking_threads", label: "busy", as: { lessOf: "idle_blocking_threads" } }] },
  { key: "gc", title: "GC pauses", about: "Share of the time in which Python's garbage collector had stopped the program", unit: "share", readings: [{ metric: "gc_pause_nanos", label: "paused", as: "rate" }] },
  { key: "gil", title: "GIL waits", about: "How long another thread waits for the interpreter's lock, as the agent finds out by asking for it once a second", unit: "time", readings: [{ metric: "gil_wait_nanos", label: "mean wait", as: { per: "gil_probes" } }] },
];

/** What only ever grows, by what it counts; anything else is shown as it was read. */
const COUNTERS: Readonly<Record<string, Unit>> = {
  spawned_tasks: "per second", remote_schedules: "per second", budget_forced_yields: "per second", io_ready_events: "per second", turns: "per second", worker_busy_nanos: "share", worker_parks: "per second", worker_polls: "per second",
  worker_steals: "per second", worker_overflows: "per second", worker_local_schedules: "per second", cpu_nanos: "share", major_faults: "per second", voluntary_switches: "per second", involuntary_switches: "per second",
  run_queue_wait_nanos: "share", cgroup_throttled_nanos: "share", cgroup_throttled_periods: "per second", gil_probes: "per second", gil_wait_nanos: "share", gc_collections: "per second", gc_pause_nanos: "share", agent_faults: "per second",
  agent_cpu_nanos: "share", agent_sent_bytes: "per second", agent_produced_records: "per second", agent_dropped_records: "per second",
};

export function metricKind(key: string): MetricKind {
  const known = TOGETHER.find((kind) => kind.key === key);
  if (known) return known;
  const counted = COUNTERS[key];
  const title = key.replace(/_nanos$/, "_time").replaceAll("_", " ");
  const unit: Unit = counted ?? (key.endsWith("_bytes") ? "bytes" : key.endsWith("_nanos") ? "time" : "count");
  return { key, title: title.charAt(0).toUpperCase() + title.slice(1), about: counted ? `How fast ${key} grows` : `${key} as it was read`, unit, readings: [{ metric: key, label: "", as: counted ? "rate" : "last" }] };
}

/** What is shown unless somebody chooses otherwise: what stands in line. */
export function usualLanes(runtime: "tokio" | "asyncio" | "unknown"): readonly string[] {
  return runtime === "asyncio" ? ["gc", "gil"] : runtime === "tokio" ? ["queues", "blocking"] : [];
}

/** Metrics that a kind needs from the server, once each. */
export function neededBy(kind: MetricKind): string[] {
  const names = kind.readings.flatMap(({ metric, as }) => [metric, ...(typeof as === "object" ? ["per" in as ? as.per : as.lessOf] : [])]);
  return [...new Set(names)];
}

/** What can be added: what belongs together if it was read, and every metric by itself. */
export function offered(names: readonly string[]): MetricKind[] {
  return [...TOGETHER.filter((kind) => kind.readings.some((reading) => names.includes(reading.metric))), ...names.map(metricKind)];
}

export interface Line {
  readonly label: string;
  /** The loop that it is of; null if of the whole process. */
  readonly loop: string | null;
  /** When each value was read. A value holds until the next. */
  readonly at: Float64Array;
  readonly value: Float64Array;
  /** The least and the most around it. */
  readonly min: Float64Array;
  readonly max: Float64Array;
  /** For a rate: since when each has been so. */
  readonly since: Float64Array | null;
  /** Readings farther apart than this have something missing between them. */
  readonly apart: Nanos;
  readonly isSampled: boolean;
}

/** A pause of less than this is no hole, however often there were readings before. */
const LEAST_HOLE: Nanos = 3 * SECOND;

interface Points {
  at: number[];
  value: number[];
  min: number[];
  max: number[];
  isSampled: boolean;
}

export function linesOf(kind: MetricKind, answer: MetricLaneAnswer, base: Instant): Line[] {
  const byName = new Map(answer.metrics.map((metric) => [metric.name, metric]));
  const origin = between(base, instant(answer.t0));
  return kind.readings.flatMap((reading) => {
    const metric = byName.get(reading.metric);
    if (!metric) return [];
    const loopOf = (one: BandSeries) => (one.loop === "0" ? null : one.loop);
    if (reading.isSummed) {
      const loops = new Set(metric.series.map(loopOf));
      return [...loops].map((loop) => lineOf({ label: reading.label, loop }, summed(metric.series.filter((one) => loopOf(one) === loop).map((one) => pointsOf(one, origin)))));
    }
    return metric.series.flatMap((one) => {
      const points = pointsOf(one, origin);
      const name = { label: [reading.label, one.worker == null ? "" : `worker ${one.worker}`].filter(Boolean).join(" · "), loop: loopOf(one) };
      if (reading.as === "last") return [lineOf(name, points)];
      if (reading.as === "rate") return rateOf(name, points, kind.unit === "per second" ? SECOND : 1);
      const wanted = "per" in reading.as ? reading.as.per : reading.as.lessOf;
      const other = byName.get(wanted)?.series.find((candidate) => candidate.loop === one.loop && candidate.worker === one.worker);
      if (!other) return [];
      const others = pointsOf(other, origin);
      return "per" in reading.as ? perOf(name, points, others) : [lineOf(name, less(points, others))];
    });
  });
}

/** The lines of one loop; of all with the names of their loops, if there are several, where none is given. */
export function linesFor(lines: readonly Line[], loop: string | null, loopNames: ReadonlyMap<string, string>): Line[] {
  if (loop != null) return lines.filter((line) => line.loop === loop);
  const isOneLoop = loopNames.size < 2;
  return lines.map((line) => {
    const name = line.loop == null || isOneLoop ? "" : loopNames.get(line.loop) || `loop ${line.loop}`;
    return { ...line, label: [line.label, name].filter(Boolean).join(" · ") };
  });
}

/** Lanes of single loops beyond so many are too much to look at: then one lane has all loops. */
export const MAX_LOOP_LANES = 24;

/** Where lanes of metrics go: below the workers of the loop that they are of, or below all. */
export interface MetricPlace {
  readonly key: string;
  /** Null: all of it in one lane. */
  readonly loop: string | null;
}

/**
 * `loopsOf`: the loops that a metric has lines of, the process itself among them as null; undefined while that is not known. `shown`:
 * the loops that have workers, in their order.
 */
export function placed(keys: readonly string[], loopsOf: (key: string) => ReadonlySet<string | null> | undefined, shown: readonly string[]): MetricPlace[] {
  const isOfLoops = (key: string) => {
    const loops = loopsOf(key) ?? (metricKind(key).isOfLoops ? new Set(shown) : new Set([null]));
    return loops.size > 0 && !loops.has(null) && [...loops].some((loop) => shown.includes(loop!));
  };
  const loopsWith = (key: string) => shown.filter((loop) => loopsOf(key)?.has(loop) ?? true);
  const apart = keys.filter(isOfLoops);
  const isTooMany = apart.reduce((sum, key) => sum + loopsWith(key).length, 0) > MAX_LOOP_LANES;
  return keys.flatMap((key): readonly MetricPlace[] => (apart.includes(key) && !isTooMany ? loopsWith(key).map((loop) => ({ key, loop })) : [{ key, loop: null }]));
}

function pointsOf(series: BandSeries, origin: Offset): Points {
  const points: Points = { at: series.at.map((at) => at + origin), value: [...series.last], min: [...series.min], max: [...series.max], isSampled: series.sampled ?? false };
  const [at, value] = series.before ?? [];
  if (at == null || value == null) return points;
  for (const list of [points.value, points.min, points.max]) list.unshift(value);
  points.at.unshift(at + origin);
  return points;
}

/** What a line is called and which loop it is of. */
type Name = Pick<Line, "label" | "loop">;

function lineOf(name: Name, points: Points, since: readonly number[] | null = null): Line {
  return {
    ...name, at: Float64Array.from(points.at), value: Float64Array.from(points.value), min: Float64Array.from(points.min), max: Float64Array.from(points.max),
    since: since && Float64Array.from(since), apart: Math.max(LEAST_HOLE, 4 * median(points.at)), isSampled: points.isSampled,
  };
}

function median(at: readonly number[]): number {
  const gaps = at.slice(1).map((value, k) => value - at[k]!).sort((a, b) => a - b);
  return gaps[gaps.length >> 1] ?? 0;
}

/** How fast it grew between neighbours; a fall is a new beginning, of which no rate is known. */
function rateOf(name: Name, points: Points, unit: Nanos): Line[] {
  return [grown(name, points, (k) => ((points.value[k]! - points.value[k - 1]!) / (points.at[k]! - points.at[k - 1]!)) * unit)];
}

function perOf(name: Name, points: Points, others: Points): Line[] {
  const at = Float64Array.from(others.at);
  const otherAt = (when: number) => others.value[lastStartedBy(at, when)] ?? 0;
  return [grown(name, points, (k) => {
    const more = otherAt(points.at[k]!) - otherAt(points.at[k - 1]!);
    return more > 0 ? (points.value[k]! - points.value[k - 1]!) / more : NaN;
  })];
}

function grown(name: Name, points: Points, of: (k: number) => number): Line {
  const rates: Points = { at: [], value: [], min: [], max: [], isSampled: false };
  const since: number[] = [];
  for (let k = 1; k < points.at.length; k += 1) {
    const value = of(k);
    if (!(value >= 0)) continue;
    rates.at.push(points.at[k]!);
    since.push(points.at[k - 1]!);
    for (const list of [rates.value, rates.min, rates.max]) list.push(value);
  }
  return lineOf(name, rates, since);
}

/** Series added up at the instants of the first; those taken together have the same instants. */
function summed(series: readonly Points[]): Points {
  const [first, ...others] = [...series].sort((a, b) => b.at.length - a.at.length);
  const sum: Points = { at: [...first!.at], value: [...first!.value], min: [...first!.min], max: [...first!.max], isSampled: series.some((one) => one.isSampled) };
  for (const one of others) {
    const at = Float64Array.from(one.at);
    sum.at.forEach((when, k) => {
      const found = lastStartedBy(at, when);
      if (found < 0) return;
      sum.value[k]! += one.value[found]!;
      // Not all had their least, or their most, at once: the band is as wide as it can have been.
      sum.min[k]! += one.min[found]!;
      sum.max[k]! += one.max[found]!;
    });
  }
  return sum;
}

function less(points: Points, others: Points): Points {
  const at = Float64Array.from(others.at);
  const result: Points = { at: [], value: [], min: [], max: [], isSampled: points.isSampled };
  points.at.forEach((when, k) => {
    const found = lastStartedBy(at, when);
    if (found < 0) return;
    result.at.push(when);
    result.value.push(Math.max(0, points.value[k]! - others.value[found]!));
    result.min.push(Math.max(0, points.min[k]! - others.max[found]!));
    result.max.push(Math.max(0, points.max[k]! - others.min[found]!));
  });
  return result;
}

/** What a line says at an instant; null where nothing was read. */
export function valueAt(line: Line, offset: Offset): { value: number; min: number; max: number; at: Offset } | null {
  const read = (k: number) => ({ value: line.value[k]!, min: line.min[k]!, max: line.max[k]!, at: line.at[k]! });
  if (line.since) {
    const k = lastStartedBy(line.since, offset);
    return k >= 0 && offset <= line.at[k]! ? read(k) : null;
  }
  const k = lastStartedBy(line.at, offset);
  return k >= 0 && offset - line.at[k]! <= line.apart ? read(k) : null;
}

/** The most in a stretch, for the axis. */
export function mostIn(lines: readonly Line[], from: Offset, to: Offset): number {
  let most = 0;
  for (const line of lines) {
    for (let k = Math.max(0, lastStartedBy(line.at, from)); k < line.at.length; k += 1) {
      if ((line.since ? line.since[k]! : line.at[k]!) > to) break;
      if (line.at[k]! >= from - line.apart && line.max[k]! > most) most = line.max[k]!;
    }
  }
  return most;
}

/** The next round number, so that the axis does not shiver: 1, 2 or 5 times a power of ten, or of 1024 for bytes. */
export function axisTop(most: number, unit: Unit): number {
  if (unit === "share") return most <= 0.01 ? 0.01 : most <= 0.1 ? 0.1 : most <= 1 ? 1 : Math.ceil(most);
  if (most <= 0) return unit === "count" ? 1 : unit === "time" ? 1000 : 1;
  const power = unit === "bytes" ? 1024 ** Math.floor(Math.log(most) / Math.log(1024)) : 10 ** Math.floor(Math.log10(most));
  const steps = unit === "bytes" ? [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] : [1, 2, 5, 10];
  const top = power * steps.find((step) => power * step >= most * (1 - 1e-9))!;
  return unit === "count" ? Math.max(1, top) : top;
}

export function valueText(value: number, unit: Unit): string {
  if (unit === "bytes") return bytes(value);
  if (unit === "time") return duration(value);
  if (unit === "share") return percent(value);
  return unit === "per second" ? `${compact(value)}/s` : compact(value);
}
