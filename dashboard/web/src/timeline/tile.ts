//! The bytes of a tile as typed arrays that look into them: nothing is copied. The layout is that of `GET /api/v1/tiles/…` in the server's
//! own description; tests read bytes that the server's tests wrote.

import type { Loss, SlowMark } from "../api/types.ts";
import { instantOrNull, type Instant, type Nanos } from "../base/instant.ts";

export interface TileCells {
  /** Which bucket, from the tile's `t0`. */
  readonly i: Uint32Array;
  readonly busy: readonly [Float64Array, Float64Array, Float64Array, Float64Array];
  readonly max: Float64Array;
  readonly n: Float64Array;
}

export interface TilePolls {
  /** After the tile's `t0`; before it if negative. */
  readonly start: Float64Array;
  readonly length: Float64Array;
  readonly task: BigUint64Array;
  /** Place in the tile's `locations`, or NOWHERE. */
  readonly location: Uint32Array;
}

export interface TileLane {
  readonly loop: string;
  readonly loopName: string;
  readonly worker: number;
  readonly threadName: string;
  /** Null where it is not known, or the worker still runs. */
  readonly startedAt: Instant | null;
  readonly stoppedAt: Instant | null;
  readonly cells: TileCells;
  /** Empty unless the tile is exact. */
  readonly polls: TilePolls;
  readonly parks: { readonly start: Float64Array; readonly length: Float64Array };
}

export interface Tile {
  readonly zoom: number;
  readonly level: number;
  readonly isExact: boolean;
  /** Nothing of it can change any more. */
  readonly isSealed: boolean;
  readonly t0: Instant;
  readonly step: Nanos;
  /** The part of the tile that has data. */
  readonly dataFrom: Instant;
  readonly dataTo: Instant;
  readonly lanes: readonly TileLane[];
  readonly slow: readonly SlowMark[];
  readonly losses: readonly Loss[];
  /** Spawn locations: id and `file:line`. */
  readonly locations: readonly (readonly [string, string])[];
}

export const NOWHERE = 0xffff_ffff;
const VERSION = 1;
const IS_EXACT = 1;
const IS_SEALED = 2;
const HEADER = 48;

interface Words {
  lanes: { loop: string; loop_name: string; worker: number; thread_name: string; started_at?: string; stopped_at?: string }[];
  slow: SlowMark[];
  losses: Loss[];
  locations: [string, string][];
}

/** Throws if the bytes are not a tile of this layout. */
export function decodeTile(bytes: ArrayBuffer): Tile {
  const head = new DataView(bytes);
  if (bytes.byteLength < HEADER || head.getUint8(0) !== VERSION) throw new Error("loopd sent a tile that this page cannot read. Load the page again.");
  const flags = head.getUint8(1);
  const length = head.getUint32(40, true);
  const words = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, HEADER, length))) as Words;
  const reader = new Reader(bytes, HEADER + length);
  return {
    zoom: head.getUint8(2), level: head.getUint8(3), isExact: (flags & IS_EXACT) !== 0, isSealed: (flags & IS_SEALED) !== 0,
    t0: head.getBigInt64(8, true) as Instant, step: Number(head.getBigUint64(16, true)),
    dataFrom: head.getBigInt64(24, true) as Instant, dataTo: head.getBigInt64(32, true) as Instant,
    lanes: words.lanes.map((lane) => ({ loop: lane.loop, loopName: lane.loop_name, worker: lane.worker, threadName: lane.thread_name, startedAt: instantOrNull(lane.started_at ?? null), stoppedAt: instantOrNull(lane.stopped_at ?? null), ...reader.lane() })),
    slow: words.slow, losses: words.losses, locations: words.locations,
  };
}

/** Reads columns one after the other. A browser is little endian wherever it runs, as the layout is. */
class Reader {
  constructor(
    private readonly bytes: ArrayBuffer,
    private at: number,
  ) {}

  lane(): Pick<TileLane, "cells" | "polls" | "parks"> {
    const [cells, polls, parks] = this.u32s(4) as unknown as [number, number, number];
    return {
      cells: { i: this.u32s(cells), busy: [this.f64s(cells), this.f64s(cells), this.f64s(cells), this.f64s(cells)], max: this.f64s(cells), n: this.f64s(cells) },
      polls: { start: this.f64s(polls), length: this.f64s(polls), task: this.u64s(polls), location: this.u32s(polls) },
      parks: { start: this.f64s(parks), length: this.f64s(parks) },
    };
  }

  private u32s(count: number): Uint32Array {
    return new Uint32Array(this.bytes, this.take(4 * count), count);
  }

  private f64s(count: number): Float64Array {
    return new Float64Array(this.bytes, this.take(8 * count), count);
  }

  private u64s(count: number): BigUint64Array {
    return new BigUint64Array(this.bytes, this.take(8 * count), count);
  }

  /** Where the next part begins. */
  private take(length: number): number {
    const start = Math.ceil(this.at / 8) * 8;
    this.at = start + length;
    return start;
  }
}
