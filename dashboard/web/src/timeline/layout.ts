//! Where lanes lie on the canvas, in CSS pixels from its top: those of a loop, then room for what else belongs to that loop.

export interface Layout {
  /** The top of each lane's room. */
  readonly tops: readonly number[];
  readonly pitch: number;
  /** Height of the part that shows time in polls. */
  readonly body: number;
  readonly height: number;
  /** Below the lanes of each group: where its other rows are. */
  readonly below: readonly { readonly top: number; readonly height: number }[];
}

/** Lanes that belong together, and how much room something else below them takes. */
export interface Group {
  readonly lanes: number;
  readonly below: number;
}

/** Room above each body for badges of slow polls. */
export const BADGE = 16;
const GAP = 8;
const TOP = 4;
const LEAST_BODY = 24;
const MOST_BODY = 140;

/** Spreads lanes over `available` pixels; with many lanes the canvas grows and scrolls. */
export function layoutLanes(groups: readonly Group[], available: number): Layout {
  const lanes = groups.reduce((sum, group) => sum + group.lanes, 0);
  const taken = groups.reduce((sum, group) => sum + group.below, 0);
  const room = Math.floor((available - TOP - taken) / Math.max(lanes, 1)) - BADGE - GAP;
  const body = Math.min(Math.max(room, LEAST_BODY), MOST_BODY);
  const pitch = body + BADGE + GAP;
  const tops: number[] = [];
  const below: { top: number; height: number }[] = [];
  let top = TOP;
  for (const group of groups) {
    for (let k = 0; k < group.lanes; k += 1, top += pitch) tops.push(top);
    below.push({ top, height: group.below });
    top += group.below;
  }
  return { tops, pitch, body, below, height: Math.max(top, available) };
}

export function bodyTop(layout: Layout, lane: number): number {
  return (layout.tops[lane] ?? TOP) + BADGE;
}

/** Which lane is at `y`; null where none is. */
export function laneAt(layout: Layout, y: number): number | null {
  const lane = layout.tops.findLastIndex((top) => y >= top);
  return lane >= 0 && y < layout.tops[lane]! + layout.pitch ? lane : null;
}
