//! Asks for what the view needs, no more: tiles, which are the same however one pans, so that those that were seen are there at once. The old
//! picture stays until the new one is complete.

import { signal } from "@preact/signals";
import { apiUrl, get, getBytes, isAbort } from "../api/client.ts";
import { generation, recovered } from "../api/live.ts";
import type { Status, TimelineAnswer } from "../api/types.ts";
import { plus, type Instant, type Nanos } from "../base/instant.ts";
import { viewEnd, type Extent, type View } from "../model/geometry.ts";
import { decode, onlyLoop, type TimelineData } from "./data.ts";
import { decodeTile, type Tile } from "./tile.ts";
import { merge, tileExtent, tilesOver, zoomFor, type Wanted } from "./tiles.ts";

/** Asked for on each side of the view, so that a short pan shows data at once. */
const MARGIN = 0.25;
/** The API's limit on columns. */
const MAX_WIDTH = 4000;
/** Requests wait this long, because a wheel turns in bursts. */
const SETTLE_MS = 40;
/** The least time between two requests that only follow the tail. */
const FOLLOW_MS = 500;
/** Following the tail of a long recording, this much may be missing at the right edge before it is worth a request. */
const LATE_PIXELS = 2;
/** So many tiles are kept decoded, those last used: some views of the widest screen, and at most some tens of megabytes. */
const MAX_TILES = 48;
/** What is not sealed may change even if it is past: after so long it is asked for again, which costs little if it is the same. */
const FRESH_MS = 10_000;
const TILE_TYPE = "application/vnd.loopd.tile";

/** A tile, and how far the recording reached when it was asked for: what comes later is not in it. */
interface Held {
  readonly tile: Tile;
  readonly reach: number;
  readonly answeredAt: number;
}

export class Loader {
  readonly data = signal<TimelineData | null>(null);
  readonly error = signal<Error | null>(null);
  readonly isLoading = signal(false);
  private abort: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  /** What is on its way. */
  private asked: Wanted | null = null;
  /** What is shown. */
  private shown: Wanted | null = null;
  private answeredAt = 0;
  /** The first is the one unused for longest. */
  private readonly held = new Map<string, Held>();
  /** Which run of loopd they are of. */
  private heldOf = generation.peek();
  private store: Promise<string | null> | null = null;

  constructor(
    private readonly process: number,
    private readonly base: Instant,
    /** Only lanes of this loop; null for all. */
    private readonly loop: string | null,
  ) {}

  /** Makes sure that what `view` shows is loaded or on its way. `isFollowing`: the view moves with the tail, so a little late is fine. */
  need(view: View, width: number, extent: Extent, isFollowing: boolean): void {
    // Read, so that an effect asks again when loopd was started again, or is back.
    void recovered.value;
    if (this.heldOf !== generation.value) this.forget();
    if (width <= 0 || this.suffices(view, width, extent)) return;
    const wanted = this.wanted(view, width, extent);
    const isOnItsWay = this.asked != null && this.asked.zoom === wanted.zoom && this.asked.first <= wanted.first && this.asked.last >= wanted.last;
    if (isOnItsWay || (isFollowing && this.asked != null)) return;
    if (this.timer != null) clearTimeout(this.timer);
    const wait = isFollowing ? Math.max(0, this.answeredAt + FOLLOW_MS - performance.now()) : SETTLE_MS;
    this.timer = setTimeout(() => void this.load(wanted, view, extent, width), this.data.peek() == null ? 0 : wait);
  }

  private forget(): void {
    this.heldOf = generation.peek();
    this.held.clear();
    this.store = null;
    this.shown = null;
  }

  private suffices(view: View, width: number, extent: Extent): boolean {
    const data = this.data.peek();
    if (!data || this.shown?.zoom !== zoomFor(view.span, width)) return false;
    const late = (view.span / width) * LATE_PIXELS;
    const oldest = tileExtent(this.shown.zoom, this.wanted(view, width, extent).first, this.base).from;
    return data.covers.from <= Math.max(view.start, extent.from, oldest) + 1 && data.covers.to >= Math.min(viewEnd(view), extent.to) - late;
  }

  private wanted(view: View, width: number, extent: Extent): Wanted {
    const margin = view.span * MARGIN;
    const range = { from: Math.max(view.start - margin, Math.min(extent.from, view.start)), to: Math.min(viewEnd(view) + margin, Math.max(extent.to, viewEnd(view))) };
    return tilesOver(zoomFor(view.span, width), range, this.base);
  }

  private async load(wanted: Wanted, view: View, extent: Extent, width: number): Promise<void> {
    this.abort?.abort();
    const controller = new AbortController();
    this.abort = controller;
    this.asked = wanted;
    this.isLoading.value = true;
    const late = (view.span / width) * LATE_PIXELS;
    try {
      const numbers: bigint[] = [];
      for (let number = wanted.first; number <= wanted.last; number += 1n) numbers.push(number);
      const held = await Promise.all(numbers.map((number) => this.tile(wanted.zoom, number, extent, late, controller.signal)));
      if (controller.signal.aborted) return;
      const ends = numbers.map((number, k) => Math.min(tileExtent(wanted.zoom, number, this.base).to, held[k]!.reach));
      // Complete up to the first tile that was asked for before the recording had passed it.
      const torn = ends.findIndex((end, k) => end < tileExtent(wanted.zoom, numbers[k]!, this.base).to);
      const covers = { from: tileExtent(wanted.zoom, wanted.first, this.base).from, to: torn < 0 ? ends.at(-1)! : ends[torn]! };
      this.shown = wanted;
      this.data.value = onlyLoop(merge(held.map((one) => one.tile), this.base, covers), this.loop);
      this.error.value = null;
    } catch (cause) {
      if (isAbort(cause) || controller.signal.aborted) return;
      // One failed: the others are of no use alone.
      controller.abort();
      this.error.value = cause as Error;
    }
    this.answeredAt = performance.now();
    this.asked = null;
    this.isLoading.value = false;
  }

  /** The tile as it was seen, unless the recording has gone on in it by more than `late` since. */
  private async tile(zoom: number, number: bigint, extent: Extent, late: Nanos, abort: AbortSignal): Promise<Held> {
    const key = `${zoom}/${number}`;
    const end = tileExtent(zoom, number, this.base).to;
    const known = this.held.get(key);
    const isFresh = known != null && (known.tile.isSealed || performance.now() - known.answeredAt < FRESH_MS);
    if (known && isFresh && known.reach >= Math.min(end, extent.to) - late) {
      this.keep(key, known);
      return known;
    }
    const store = await this.storeEpoch();
    const of = this.heldOf;
    const bytes = await getBytes(apiUrl(`/tiles/${this.process}/${key}`, { store }), TILE_TYPE, abort);
    const tile = decodeTile(bytes);
    // What is sealed will not go on.
    const answered = { tile, reach: tile.isSealed ? Infinity : extent.to, answeredAt: performance.now() };
    if (of === this.heldOf) this.keep(key, answered);
    return answered;
  }

  private keep(key: string, held: Held): void {
    this.held.delete(key);
    this.held.set(key, held);
    for (const oldest of this.held.keys()) {
      if (this.held.size <= MAX_TILES) break;
      this.held.delete(oldest);
    }
  }

  /** Names the store, so that no tile is of another. Null if loopd does not say; the tiles then say what is wrong. */
  private storeEpoch(): Promise<string | null> {
    this.store ??= get<Status>(apiUrl("/status")).then(
      (status) => status.store.epoch,
      () => {
        this.store = null;
        return null;
      },
    );
    return this.store;
  }

  /** `range` at about `width` columns; `extent` is how far the recording reached when this was asked. */
  async fetch(range: Extent, width: number, extent: Extent, abort?: AbortSignal): Promise<TimelineData> {
    const url = apiUrl("/timeline", { process: this.process, from: String(plus(this.base, Math.floor(range.from))), to: String(plus(this.base, Math.ceil(range.to))), width: Math.round(Math.min(Math.max(width, 1), MAX_WIDTH)) });
    const data = decode(await get<TimelineAnswer>(url, abort), this.base, { from: range.from, to: Math.min(range.to, extent.to) });
    return onlyLoop(data, this.loop);
  }

  dispose(): void {
    this.abort?.abort();
    if (this.timer != null) clearTimeout(this.timer);
  }
}

/** Share of the view that a lane was busy, and the length the share is of. */
export function busyShare(busy: Nanos, view: View, extent: Extent): number | null {
  const known = Math.min(viewEnd(view), extent.to) - Math.max(view.start, extent.from);
  return known > 0 ? Math.min(1, busy / known) : null;
}
