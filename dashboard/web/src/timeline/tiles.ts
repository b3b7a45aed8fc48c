//! Which tiles a view needs, and several of them as one answer.

import type { Loss } from "../api/types.ts";
import { between, instant, plus, type Instant, type Nanos } from "../base/instant.ts";
import type { Cells } from "../model/columns.ts";
import type { Extent, Offset } from "../model/geometry.ts";
import type { Polls } from "../model/polls.ts";
import type { Lane, LossItem, SlowItem, TimelineData } from "./data.ts";
import { decodeSlow, laneName } from "./parts.ts";
import { NOWHERE, type Tile, type TileLane } from "./tile.ts";

/** A tile has at most so many buckets. Those of odd zooms have as many, if they are longer than that many of the finest. */
const BUCKETS = 512;
/** What the server has: 33 µs to 39 hours. */
const MIN_ZOOM = 15;
const MAX_ZOOM = 47;
/** Of a view that is longer than so many tiles, 78 days, only the newest are asked for. */
export const MAX_WANTED = 48;
/** Buckets come in steps of four: at most so many of them a pixel, and at least a quarter of that. */
const COLUMNS_PER_PIXEL = 2;

/** The tiles from `first` to `last` of one zoom. */
export interface Wanted {
  readonly zoom: number;
  readonly first: bigint;
  readonly last: bigint;
}

/** The zoom whose tiles show `span` in `width` pixels as finely as makes sense. */
export function zoomFor(span: Nanos, width: number): number {
  const least = (BUCKETS * span) / (COLUMNS_PER_PIXEL * width);
  let zoom = MIN_ZOOM;
  while (zoom < MAX_ZOOM && 2 ** zoom < least) zoom += 2;
  return zoom;
}

/** The tiles of `zoom` that cover `range`. */
export function tilesOver(zoom: number, range: Extent, base: Instant): Wanted {
  const of = (offset: Offset) => plus(base, offset) >> BigInt(zoom);
  const first = of(Math.floor(range.from));
  const last = of(Math.ceil(range.to) - 1);
  if (last < first) return { zoom, first, last: first };
  const oldest = last - BigInt(MAX_WANTED - 1);
  return { zoom, first: first < oldest ? oldest : first, last };
}

/** From where to where a tile goes. */
export function tileExtent(zoom: number, number: bigint, base: Instant): Extent {
  const at = (n: bigint) => between(base, (n << BigInt(zoom)) as Instant);
  return { from: at(number), to: at(number + 1n) };
}

/** Tiles side by side, oldest first, as one answer. What touches several is in each of them, and counted once. */
export function merge(tiles: readonly Tile[], base: Instant, covers: Extent): TimelineData {
  const isExact = tiles.every((tile) => tile.isExact);
  const offsetOf = (text: string) => between(base, instant(text));
  const lanes = new Map<string, { parts: Part[] }>();
  const slow = new Map<string, SlowItem>();
  const losses = new Map<string, LossItem>();
  const locations: Record<string, string> = {};
  for (const tile of tiles) {
    const origin = between(base, tile.t0);
    for (const lane of tile.lanes) {
      const key = `${lane.loop}.${lane.worker}`;
      const known = lanes.get(key);
      if (known) known.parts.push({ tile, lane, origin });
      else lanes.set(key, { parts: [{ tile, lane, origin }] });
    }
    // The last word about a poll that runs is the newest.
    for (const mark of tile.slow) slow.set(`${mark.loop}.${mark.worker}.${mark.start_at}`, decodeSlow(mark, offsetOf));
    for (const loss of tile.losses) losses.set(lossKey(loss), { from: offsetOf(loss.from_at), to: offsetOf(loss.to_at), loss });
    for (const [id, place] of tile.locations) locations[id] = place;
  }
  const first = tiles[0];
  const step = first?.step ?? 1;
  return {
    base, covers, isExact, step, locations,
    extent: { from: first ? between(base, first.dataFrom) : covers.from, to: tiles.length > 0 ? between(base, tiles.at(-1)!.dataTo) : covers.to },
    lanes: [...lanes.values()].map(({ parts }) => mergeLane(parts, step, isExact, base)).sort(byLoopAndWorker),
    slow: [...slow.values()].sort((a, b) => a.start - b.start),
    losses: [...losses.values()],
  };
}

/** What one tile has of a lane. */
interface Part {
  readonly tile: Tile;
  readonly lane: TileLane;
  readonly origin: Offset;
}

function byLoopAndWorker(a: Lane, b: Lane): number {
  const [loop, other] = [BigInt(a.loop), BigInt(b.loop)];
  return loop < other ? -1 : loop > other ? 1 : a.worker - b.worker;
}

function lossKey(loss: Loss): string {
  return `${loss.kind} ${loss.cause} ${loss.from_at} ${loss.to_at} ${loss.count}`;
}

function mergeLane(parts: readonly Part[], step: Nanos, isExact: boolean, base: Instant): Lane {
  // The newest knows best whether it has stopped.
  const { lane } = parts.at(-1)!;
  const offset = (at: Instant | null) => (at == null ? null : between(base, at));
  return {
    key: `${lane.loop}.${lane.worker}`, loop: lane.loop, loopName: lane.loopName, worker: lane.worker, threadName: lane.threadName, name: laneName(lane.loop, lane.loopName, lane.worker),
    startedAt: offset(lane.startedAt), stoppedAt: offset(lane.stoppedAt),
    cells: mergeCells(parts, step),
    polls: isExact ? mergePolls(parts) : null,
    parks: isExact ? mergeParks(parts) : null,
  };
}

/** Tiles shorter than a bucket have the same one: it is taken once. */
function mergeCells(parts: readonly Part[], step: Nanos): Cells {
  const origin = parts[0]!.origin;
  const most = parts.reduce((sum, part) => sum + part.lane.cells.i.length, 0);
  const i = new Float64Array(most);
  const column = () => new Float64Array(most);
  const [max, n] = [column(), column()];
  const busy = [column(), column(), column(), column()] as const;
  let length = 0;
  for (const { lane, origin: begin } of parts) {
    const shift = Math.round((begin - origin) / step);
    const { cells } = lane;
    for (let k = 0; k < cells.i.length; k += 1) {
      const bucket = cells.i[k]! + shift;
      if (length > 0 && bucket <= i[length - 1]!) continue;
      i[length] = bucket;
      for (let c = 0; c < 4; c += 1) busy[c]![length] = cells.busy[c]![k]!;
      max[length] = cells.max[k]!;
      n[length] = cells.n[k]!;
      length += 1;
    }
  }
  const cut = (values: Float64Array) => values.subarray(0, length);
  return { origin, step, i: cut(i), busy: [cut(busy[0]), cut(busy[1]), cut(busy[2]), cut(busy[3])], max: cut(max), n: cut(n) };
}

/** A poll that goes on into the next tile is in both. */
function mergePolls(parts: readonly Part[]): Polls {
  const most = parts.reduce((sum, part) => sum + part.lane.polls.start.length, 0);
  const start = new Float64Array(most);
  const length = new Float64Array(most);
  const task: string[] = [];
  const location: string[] = [];
  for (const { tile, lane, origin } of parts) {
    const { polls } = lane;
    for (let k = 0; k < polls.start.length; k += 1) {
      const begin = polls.start[k]! + origin;
      const count = task.length;
      if (count > 0 && begin <= start[count - 1]!) continue;
      start[count] = begin;
      length[count] = polls.length[k]!;
      task.push(String(polls.task[k]!));
      const place = polls.location[k]!;
      location.push(place === NOWHERE ? "0" : (tile.locations[place]?.[0] ?? "0"));
    }
  }
  return { start: start.subarray(0, task.length), length: length.subarray(0, task.length), task, location };
}

function mergeParks(parts: readonly Part[]): { start: Float64Array; length: Float64Array } {
  const most = parts.reduce((sum, part) => sum + part.lane.parks.start.length, 0);
  const start = new Float64Array(most);
  const length = new Float64Array(most);
  let count = 0;
  for (const { lane, origin } of parts) {
    for (let k = 0; k < lane.parks.start.length; k += 1) {
      const begin = lane.parks.start[k]! + origin;
      if (count > 0 && begin <= start[count - 1]!) continue;
      start[count] = begin;
      length[count] = lane.parks.length[k]!;
      count += 1;
    }
  }
  return { start: start.subarray(0, count), length: length.subarray(0, count) };
}
