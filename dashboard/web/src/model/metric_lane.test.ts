import { describe, expect, it } from "vitest";
import type { BandSeries, MetricLaneAnswer } from "../api/types.ts";
import type { Instant } from "../base/instant.ts";
import { axisTop, linesFor, linesOf, MAX_LOOP_LANES, metricKind, mostIn, neededBy, offered, placed, valueAt, valueText } from "./metric_lane.ts";

const BASE = 0n as Instant;
const S = 1e9;

type Metric = MetricLaneAnswer["metrics"][number];

function answer(name: string, series: Partial<BandSeries>[]): Metric {
  return { name, series: series.map((one) => ({ loop: "1", worker: null, before: null, i: [], at: [], last: [], min: one.last ?? [], max: one.last ?? [], ...one })) };
}

const lines = (key: string, ...metrics: Metric[]) => linesOf(metricKind(key), { t0: "0", t1: String(60 * S), steps: 60, metrics }, BASE);

describe("metric lanes", () => {
  it("hold a reading until the next, and know nothing where none was taken", () => {
    const [line] = lines("alive_tasks", answer("alive_tasks", [{ at: [1 * S, 2 * S, 3 * S, 20 * S], last: [5, 6, 7, 9], min: [4, 6, 7, 9], max: [8, 6, 7, 9] }]));
    expect([0.5, 1, 1.5, 5, 15, 21].map((second) => valueAt(line!, second * S)?.value ?? null)).toEqual([null, 5, 5, 7, null, 9]);
    expect(mostIn([line!], 0, 60 * S)).toBe(9);
    expect(mostIn([line!], 1 * S, 2.5 * S)).toBe(8);
  });

  it("show how fast a counter grows, and nothing over its new beginning", () => {
    const [line] = lines("gc", answer("gc_pause_nanos", [{ loop: "0", before: [-1 * S, 0], at: [1 * S, 2 * S, 3 * S, 4 * S], last: [1e9, 1.5e9, 2e8, 3e8] }]));
    expect([0, 1.5, 2.5, 3.5].map((second) => valueAt(line!, second * S)?.value ?? null)).toEqual([0.5, 0.5, null, 0.1]);
  });

  it("show how much one grew for each of another", () => {
    const [line] = lines("gil", answer("gil_wait_nanos", [{ loop: "0", at: [1 * S, 2 * S, 3 * S], last: [0, 6e6, 6e6] }]), answer("gil_probes", [{ loop: "0", at: [1 * S, 2 * S, 3 * S], last: [1, 4, 4] }]));
    expect(valueAt(line!, 1.5 * S)?.value).toBe(2e6);
    expect(valueAt(line!, 2.5 * S)).toBeNull();
    expect(neededBy(metricKind("gil"))).toEqual(["gil_wait_nanos", "gil_probes"]);
  });

  it("add up workers, and tell busy threads from idle ones", () => {
    const at = [1 * S, 2 * S];
    const queues = lines("queues", answer("worker_queue_depth", [{ worker: 0, at, last: [1, 2], max: [3, 2] }, { worker: 1, at, last: [10, 20] }]));
    expect(queues.map((line) => [line.label, ...line.value, ...line.max])).toEqual([["local, all workers", 11, 22, 13, 22]]);
    const pool = lines("blocking", answer("blocking_threads", [{ at, last: [4, 4] }]), answer("idle_blocking_threads", [{ at, last: [1, 4] }]), answer("blocking_queue_depth", [{ at, last: [0, 0] }]));
    expect(pool.map((line) => [line.label, ...line.value])).toEqual([["queued", 0, 0], ["threads", 4, 4], ["busy", 3, 0]]);
  });

  it("are of the loop that was read, workers of each added up by themselves", () => {
    const at = [1 * S];
    const two = lines("queues", answer("global_queue_depth", [{ at, last: [7] }, { loop: "2", at, last: [9] }]), answer("worker_queue_depth", [{ worker: 0, at, last: [1] }, { loop: "2", worker: 0, at, last: [10] }, { loop: "2", worker: 1, at, last: [20] }]));
    const shown = (loop: string | null) => linesFor(two, loop, new Map([["1", "api"], ["2", ""]])).map((line) => [line.label, ...line.value]);
    expect(shown("1")).toEqual([["global", 7], ["local, all workers", 1]]);
    expect(shown("2")).toEqual([["global", 9], ["local, all workers", 30]]);
    expect(shown(null)).toEqual([["global · api", 7], ["global · loop 2", 9], ["local, all workers · api", 1], ["local, all workers · loop 2", 30]]);
    expect(linesFor(two, null, new Map([["1", "api"]])).map((line) => line.label)).toEqual(["global", "global", "local, all workers", "local, all workers"]);
  });

  it("lie with the loops that they are of, and below all if they are of the process", () => {
    const known = new Map<string, ReadonlySet<string | null>>([["queues", new Set(["1", "2"])], ["rss_bytes", new Set([null])], ["alive_tasks", new Set(["2"])]]);
    const loopsOf = (key: string) => known.get(key);
    const at = (keys: string[], shown: string[]) => placed(keys, loopsOf, shown).map(({ key, loop }) => `${key} ${loop}`);
    expect(at(["queues", "rss_bytes", "alive_tasks"], ["1", "2"])).toEqual(["queues 1", "queues 2", "rss_bytes null", "alive_tasks 2"]);
    expect(at(["queues"], ["2"])).toEqual(["queues 2"]);
    // Before anything was read, by what it is.
    expect(at(["blocking", "gc", "turns"], ["1"])).toEqual(["blocking 1", "gc null", "turns null"]);
    expect(at(["queues"], ["7"])).toEqual(["queues null"]);
  });

  it("are one lane for all loops where there would be too many", () => {
    const shown = Array.from({ length: MAX_LOOP_LANES + 1 }, (_, k) => String(k + 1));
    expect(placed(["blocking"], () => undefined, shown.slice(1)).length).toBe(MAX_LOOP_LANES);
    expect(placed(["blocking"], () => undefined, shown)).toEqual([{ key: "blocking", loop: null }]);
  });

  it("are offered as what belongs together and one by one", () => {
    expect(offered(["rss_bytes", "gc_pause_nanos"]).map((kind) => kind.key)).toEqual(["gc", "rss_bytes", "gc_pause_nanos"]);
    expect(metricKind("rss_bytes").unit).toBe("bytes");
    expect(metricKind("of_their_own")).toMatchObject({ unit: "count", title: "Of their own" });
  });

  it("have an axis that ends in a round number and says its unit", () => {
    expect([0, 1, 3, 7, 11, 480].map((most) => axisTop(most, "count"))).toEqual([1, 1, 5, 10, 20, 500]);
    expect([0.004, 0.3, 1.7].map((most) => axisTop(most, "share"))).toEqual([0.01, 1, 2]);
    expect(valueText(axisTop(53 * 1024 * 1024, "bytes"), "bytes")).toBe("64 MiB");
    expect(valueText(2e6, "time")).toBe("2 ms");
    expect(valueText(1200, "per second")).toBe("1.2 k/s");
  });
});
