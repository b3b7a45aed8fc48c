//! The window of time a timeline shows, and how it moves. Offsets are nanoseconds since the recording's start, so they fit a number.

import type { Nanos } from "../base/instant.ts";

/** Nanoseconds since the recording began. */
export type Offset = number;

/** What is on screen: `span` nanoseconds from `start`. */
export interface View {
  readonly start: Offset;
  readonly span: Nanos;
}

/** Where the recording lies; a view may look past its ends by half its own span, so that zooming at an edge holds still. */
export interface Extent {
  readonly from: Offset;
  readonly to: Offset;
}

/** Shorter than any poll worth looking at, and still far from what a double can no longer tell apart. */
export const MIN_SPAN: Nanos = 1_000;

/** The whole recording with a little air at both ends. */
export function fit(extent: Extent): View {
  const length = Math.max(extent.to - extent.from, MIN_SPAN);
  const air = length * 0.01;
  return { start: extent.from - air, span: length + 2 * air };
}

/** A view around one poll or region, in which it takes `share` of the width. */
export function focus(start: Offset, length: Nanos, share: number, extent: Extent): View {
  const span = Math.max(length / share, MIN_SPAN);
  return clamp({ start: start + length / 2 - span / 2, span }, extent);
}

/** Zooms by `factor` (below 1 is closer); the instant at `anchor` (0 left … 1 right) stays under the cursor. */
export function zoomAt(view: View, anchor: number, factor: number, extent: Extent): View {
  const span = limitSpan(view.span * factor, extent);
  const held = view.start + view.span * anchor;
  return clamp({ start: held - span * anchor, span }, extent);
}

/** Moves by `shift` nanoseconds, to the right if positive. */
export function pan(view: View, shift: Nanos, extent: Extent): View {
  return clamp({ start: view.start + shift, span: view.span }, extent);
}

/** The view nearest to `view` that still shows some of the recording. */
export function clamp(view: View, extent: Extent): View {
  const span = limitSpan(view.span, extent);
  const lowest = extent.from - span / 2;
  const highest = Math.max(lowest, extent.to - span / 2);
  return { start: Math.min(Math.max(view.start, lowest), highest), span };
}

function limitSpan(span: Nanos, extent: Extent): Nanos {
  const widest = Math.max((extent.to - extent.from) * 1.25, MIN_SPAN);
  return Math.min(Math.max(span, MIN_SPAN), widest);
}

export function toPixel(view: View, width: number, offset: Offset): number {
  return ((offset - view.start) / view.span) * width;
}

export function toOffset(view: View, width: number, pixel: number): Offset {
  return view.start + (pixel / width) * view.span;
}

export function viewEnd(view: View): Offset {
  return view.start + view.span;
}

/** Whether two views would draw the same picture at `width` pixels. */
export function sameView(a: View, b: View, width: number): boolean {
  const pixel = a.span / width;
  return Math.abs(a.start - b.start) < pixel / 4 && Math.abs(a.span - b.span) < pixel / 4;
}
