//! Where lanes lie on the canvas, in CSS pixels from its top.

export interface Layout {
  readonly lanes: number;
  readonly pitch: number;
  /** Height of the part that shows time in polls. */
  readonly body: number;
  readonly height: number;
}

/** Room above each body for badges of slow polls. */
export const BADGE = 16;
const GAP = 8;
const TOP = 4;
const LEAST_BODY = 24;
const MOST_BODY = 140;

/** Spreads lanes over `available` pixels; with many lanes the canvas grows and scrolls. */
export function layoutLanes(lanes: number, available: number): Layout {
  const room = Math.floor((available - TOP) / Math.max(lanes, 1)) - BADGE - GAP;
  const body = Math.min(Math.max(room, LEAST_BODY), MOST_BODY);
  const pitch = body + BADGE + GAP;
  return { lanes, pitch, body, height: Math.max(TOP + lanes * pitch, available) };
}

export function bodyTop(layout: Layout, lane: number): number {
  return TOP + lane * layout.pitch + BADGE;
}

/** Which lane is at `y`; null below the last one. */
export function laneAt(layout: Layout, y: number): number | null {
  const lane = Math.floor((y - TOP) / layout.pitch);
  return lane >= 0 && lane < layout.lanes ? lane : null;
}
