import { expect, test } from "vitest";
import type { Instant } from "../base/instant.ts";
import type { Tile, TileLane } from "./tile.ts";
import { MAX_WANTED, merge, tileExtent, tilesOver, zoomFor } from "./tiles.ts";

const START = 1_795_356_000_000_000_000n as Instant;
const STEP = 2 ** 20;
const f64 = (...values: number[]) => Float64Array.from(values);

function tile(number: bigint, zoom: number, lane: Partial<TileLane>, rest: Partial<Tile> = {}): Tile {
  const nothing = f64();
  const whole: TileLane = {
    loop: "1", loopName: "main", worker: 0, threadName: "", startedAt: null, stoppedAt: null,
    cells: { i: Uint32Array.of(), busy: [nothing, nothing, nothing, nothing], max: nothing, n: nothing },
    polls: { start: nothing, length: nothing, task: BigUint64Array.of(), location: Uint32Array.of() },
    parks: { start: nothing, length: nothing },
    ...lane,
  };
  const t0 = (number << BigInt(zoom)) as Instant;
  return { zoom, level: 0, isExact: false, isSealed: true, t0, step: STEP, dataFrom: t0, dataTo: ((number + 1n) << BigInt(zoom)) as Instant, lanes: [whole], slow: [], losses: [], locations: [], ...rest };
}

function cells(i: number[], n: number[]): TileLane["cells"] {
  const zero = new Float64Array(i.length);
  return { i: Uint32Array.from(i), busy: [Float64Array.from(n), zero, zero, zero], max: zero, n: Float64Array.from(n) };
}

test("a zoom gives from half to two buckets a pixel, and panning changes only which tiles", () => {
  for (const span of [1e3, 40e3, 1e6, 16e6, 1e9, 60e9, 3600e9, 86400e9]) {
    const zoom = zoomFor(span, 1200);
    const perPixel = (span / (2 ** zoom / 512)) / 1200;
    expect(zoom % 2).toBe(1);
    if (zoom > 15) expect(perPixel).toBeGreaterThan(0.49);
    expect(perPixel).toBeLessThanOrEqual(2.001);
    const here = tilesOver(zoom, { from: 5e9, to: 5e9 + span }, START);
    const there = tilesOver(zoom, { from: 5e9 + 2 ** zoom, to: 5e9 + span + 2 ** zoom }, START);
    expect([there.first - here.first, there.last - here.last]).toEqual([1n, 1n]);
    expect(tileExtent(zoom, here.first, START).from).toBeLessThanOrEqual(5e9);
    expect(tileExtent(zoom, here.last, START).to).toBeGreaterThanOrEqual(5e9 + span);
  }
});

test("what is longer than the longest tile is several, the newest of them if they are too many", () => {
  const day = 86400e9;
  const month = tilesOver(zoomFor(30 * day, 1200), { from: 0, to: 30 * day }, START);
  expect([month.zoom, month.last - month.first > 10n]).toEqual([47, true]);
  expect(tileExtent(47, month.first, START).from).toBeLessThanOrEqual(0);
  expect(tileExtent(47, month.last, START).to).toBeGreaterThanOrEqual(30 * day);
  const range = { from: 0, to: 1000 * day };
  const years = tilesOver(zoomFor(1000 * day, 1200), range, START);
  expect(Number(years.last - years.first) + 1).toBe(MAX_WANTED);
  expect(tileExtent(47, years.last, START).to).toBeGreaterThanOrEqual(range.to);
});

test("buckets of tiles side by side count on from the first", () => {
  const base = (8n << 29n) as Instant;
  const data = merge([tile(8n, 29, { cells: cells([0, 511], [1, 2]) }), tile(9n, 29, { cells: cells([0, 3], [3, 4]) })], base, { from: 0, to: 2 ** 30 });
  const [lane] = data.lanes;
  expect([...(lane!.cells!.i as Float64Array)]).toEqual([0, 511, 512, 515]);
  expect([...(lane!.cells!.n as Float64Array)]).toEqual([1, 2, 3, 4]);
  expect([data.isExact, lane!.polls, lane!.cells!.origin]).toEqual([false, null, 0]);
  expect(data.extent).toEqual({ from: 0, to: 2 ** 30 });
});

test("what touches two tiles is there once", () => {
  const base = (8n << 19n) as Instant;
  // Both are shorter than a bucket, and begin with the same one.
  const t0 = base;
  const spans = { start: f64(-5, 100), length: f64(10, 2 ** 20), task: BigUint64Array.of(7n, 2n ** 63n), location: Uint32Array.of(0, 0xffff_ffff) };
  const slow = [{ loop: "1", worker: 0, start_at: String(base + 100n), length: 5, task: "8", running: true }];
  const losses = [{ kind: "poll", cause: "RING_FULL", count: 3, from_at: String(base), to_at: String(base + 9n) }];
  const parts = [8n, 9n].map((number) =>
    tile(number, 19, { cells: cells([0], [1]), polls: spans, parks: { start: f64(50), length: f64(9) } }, { t0, isExact: true, slow: slow.map((mark) => ({ ...mark, length: Number(number) })), losses, locations: [["3", "src/a.rs:3"]] }),
  );
  const data = merge(parts, base, { from: 0, to: 2 ** 20 });
  const [lane] = data.lanes;
  expect([...(lane!.cells!.i as Float64Array)]).toEqual([0]);
  expect([...lane!.polls!.start]).toEqual([-5, 100]);
  expect(lane!.polls!.task).toEqual(["7", String(2n ** 63n)]);
  expect(lane!.polls!.location).toEqual(["3", "0"]);
  expect([...lane!.parks!.start]).toEqual([50]);
  // The newest word about a poll that runs.
  expect(data.slow.map((mark) => mark.length)).toEqual([9]);
  expect(data.losses.length).toBe(1);
  expect(data.locations).toEqual({ "3": "src/a.rs:3" });
});

test("lanes are in one order, whichever tile knows them first", () => {
  const lane = (loop: string, worker: number): Partial<TileLane> => ({ loop, worker });
  const first = tile(8n, 29, lane("10", 1));
  const second = { ...tile(9n, 29, lane("9", 2)), lanes: [lane("9", 2), lane("10", 0)].map((part) => ({ ...tile(9n, 29, {}).lanes[0]!, ...part })) };
  const data = merge([first, second], START, { from: 0, to: 1 });
  expect(data.lanes.map((one) => one.key)).toEqual(["9.2", "10.0", "10.1"]);
});

test("since when and until when a worker ran is what the newest tile says", () => {
  const base = (8n << 29n) as Instant;
  const at = (offset: bigint) => (base + offset) as Instant;
  const data = merge([tile(8n, 29, { startedAt: at(5n) }), tile(9n, 29, { startedAt: at(5n), stoppedAt: at(900n) })], base, { from: 0, to: 2 ** 30 });
  expect([data.lanes[0]!.startedAt, data.lanes[0]!.stoppedAt]).toEqual([5, 900]);
});
