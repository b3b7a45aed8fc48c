//! Asks for what the view needs, no more: one request at a time, the old picture stays until the new one is there.

import { signal } from "@preact/signals";
import { apiUrl, get, isAbort } from "../api/client.ts";
import type { TimelineAnswer } from "../api/types.ts";
import { plus, type Instant, type Nanos } from "../base/instant.ts";
import { viewEnd, type Extent, type View } from "../model/geometry.ts";
import { decode, onlyLoop, type TimelineData } from "./data.ts";

/** Asked for on each side of the view, so that a short pan shows data at once. */
const MARGIN = 0.25;
/** Buckets come in steps of four: asked for one column a pixel, the answer may have one for every four. */
const COLUMNS_PER_PIXEL = 2;
/** The API's limit on columns. */
const MAX_WIDTH = 4000;
/** Requests wait this long, because a wheel turns in bursts. */
const SETTLE_MS = 40;
/** The least time between two requests that only follow the tail. */
const FOLLOW_MS = 500;

/** Following the tail of a long recording, this much may be missing at the right edge before it is worth a request. */
const LATE_PIXELS = 2;

export class Loader {
  readonly data = signal<TimelineData | null>(null);
  readonly error = signal<Error | null>(null);
  readonly isLoading = signal(false);
  private abort: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private asked: Extent | null = null;
  private answeredAt = 0;

  constructor(
    private readonly process: number,
    private readonly base: Instant,
    /** Only lanes of this loop; null for all. */
    private readonly loop: string | null,
  ) {}

  /** Makes sure that what `view` shows is loaded or on its way. `isFollowing`: the view moves with the tail, so a little late is fine. */
  need(view: View, width: number, extent: Extent, isFollowing: boolean): void {
    if (width <= 0 || this.suffices(view, width, extent)) return;
    const isOnItsWay = this.asked != null && this.asked.from <= Math.max(view.start, extent.from) && this.asked.to >= Math.min(viewEnd(view), extent.to) && this.asked.to - this.asked.from <= 2 * (1 + 2 * MARGIN) * view.span;
    if (isOnItsWay || (isFollowing && this.asked != null)) return;
    if (this.timer != null) clearTimeout(this.timer);
    const wait = isFollowing ? Math.max(0, this.answeredAt + FOLLOW_MS - performance.now()) : SETTLE_MS;
    this.timer = setTimeout(() => void this.load(view, width, extent), this.data.peek() == null ? 0 : wait);
  }

  private suffices(view: View, width: number, extent: Extent): boolean {
    const data = this.data.peek();
    if (!data) return false;
    const late = (view.span / width) * LATE_PIXELS;
    const isCovered = data.covers.from <= Math.max(view.start, extent.from) + 1 && data.covers.to >= Math.min(viewEnd(view), extent.to) - late;
    if (!isCovered || data.isExact) return isCovered;
    // Closer looks may become exact even where buckets cannot get finer, so a much smaller view asks again.
    const askedSpan = data.covers.to - data.covers.from;
    return data.step <= (view.span / width) * 1.5 ? askedSpan <= 4 * view.span : askedSpan <= 1.8 * view.span;
  }

  private async load(view: View, width: number, extent: Extent): Promise<void> {
    this.abort?.abort();
    const controller = new AbortController();
    this.abort = controller;
    const margin = view.span * MARGIN;
    const asked = { from: Math.max(view.start - margin, Math.min(extent.from, view.start)), to: Math.min(viewEnd(view) + margin, Math.max(extent.to, viewEnd(view))) };
    this.asked = asked;
    this.isLoading.value = true;
    try {
      this.data.value = await this.fetch(asked, (COLUMNS_PER_PIXEL * width * (asked.to - asked.from)) / view.span, extent, controller.signal);
      this.error.value = null;
    } catch (cause) {
      if (isAbort(cause)) return;
      this.error.value = cause as Error;
    }
    this.answeredAt = performance.now();
    this.asked = null;
    this.isLoading.value = false;
  }

  /** `range` at about `width` columns; `extent` is how far the recording reached when this was asked. */
  async fetch(range: Extent, width: number, extent: Extent, abort?: AbortSignal): Promise<TimelineData> {
    const url = apiUrl("/timeline", { process: this.process, from: String(plus(this.base, Math.floor(range.from))), to: String(plus(this.base, Math.ceil(range.to))), width: Math.round(Math.min(Math.max(width, 1), MAX_WIDTH)) });
    const answer = await get<TimelineAnswer>(url, abort);
    return decode(this.loop == null ? answer : onlyLoop(answer, this.loop), this.base, { from: range.from, to: Math.min(range.to, extent.to) });
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
