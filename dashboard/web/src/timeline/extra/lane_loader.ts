//! Asks for what one lane shows, no more: one request at a time, and the old picture stays until the new one is there.

import { signal } from "@preact/signals";
import { isAbort } from "../../api/client.ts";
import { viewEnd, type Extent, type View } from "../../model/geometry.ts";

/** Asked for on each side of the view, so that a short pan shows data at once. */
const MARGIN = 0.25;
/** Requests wait this long, because a wheel turns in bursts; a little longer than those of the workers, which come first. */
const SETTLE_MS = 90;
/** The least time between two requests that only follow the tail. */
const FOLLOW_MS = 1000;
/** Following the tail, this many pixels may be missing at the right edge before it is worth a request. */
const LATE_PIXELS = 3;
/** The API's limit on columns. */
const MAX_WIDTH = 4000;

export interface Loadable {
  /** What was asked for, as far as the recording reached by then. */
  readonly covers: Extent;
  /** Nothing of it would be finer on a closer look. */
  readonly isExact: boolean;
}

export class LaneLoader<Data extends Loadable> {
  readonly data = signal<Data | null>(null);
  readonly error = signal<Error | null>(null);
  private abort: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private asked: Extent | null = null;
  private answeredAt = 0;
  private failedView: View | null = null;

  constructor(private readonly ask: (range: Extent, columns: number, recorded: Extent, signal: AbortSignal) => Promise<Data>) {}

  /** Makes sure that what `view` shows is loaded or on its way. */
  need(view: View, width: number, recorded: Extent, isFollowing: boolean): void {
    if (width <= 0 || this.suffices(view, width, recorded)) return;
    if (this.failedView && this.failedView.start === view.start && this.failedView.span === view.span) return;
    const isOnItsWay = this.asked != null && this.asked.from <= Math.max(view.start, recorded.from) && this.asked.to >= Math.min(viewEnd(view), recorded.to) && this.asked.to - this.asked.from <= 3 * view.span;
    if (isOnItsWay || (isFollowing && this.asked != null)) return;
    if (this.timer != null) {
      if (isFollowing) return;
      clearTimeout(this.timer);
    }
    const wait = isFollowing ? Math.max(SETTLE_MS, this.answeredAt + FOLLOW_MS - performance.now()) : SETTLE_MS;
    this.timer = setTimeout(() => void this.load(view, width, recorded), wait);
  }

  private suffices(view: View, width: number, recorded: Extent): boolean {
    const data = this.data.peek();
    if (!data) return false;
    const late = (view.span / width) * LATE_PIXELS;
    const isCovered = data.covers.from <= Math.max(view.start, recorded.from) + 1 && data.covers.to >= Math.min(viewEnd(view), recorded.to) - late;
    return isCovered && (data.isExact || data.covers.to - data.covers.from <= 2.5 * view.span);
  }

  private async load(view: View, width: number, recorded: Extent): Promise<void> {
    this.timer = null;
    this.abort?.abort();
    const controller = new AbortController();
    this.abort = controller;
    const margin = view.span * MARGIN;
    const to = Math.min(viewEnd(view) + margin, Math.max(recorded.to, view.start + 1));
    const range = { from: Math.min(Math.max(view.start - margin, Math.min(recorded.from, view.start)), to - 1), to };
    this.asked = range;
    try {
      const columns = Math.round(Math.min(Math.max((width * (range.to - range.from)) / view.span, 1), MAX_WIDTH));
      this.data.value = await this.ask(range, columns, recorded, controller.signal);
      this.error.value = null;
      this.failedView = null;
    } catch (cause) {
      if (isAbort(cause)) return;
      this.error.value = cause as Error;
      // The same question would fail again at once; another view, or more data, asks anew.
      this.failedView = view;
    }
    this.answeredAt = performance.now();
    this.asked = null;
  }

  retry(): void {
    this.failedView = null;
  }

  dispose(): void {
    this.abort?.abort();
    if (this.timer != null) clearTimeout(this.timer);
  }
}
