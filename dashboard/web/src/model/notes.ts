//! Where notes lie on the axis.

import type { Extent, Offset, View } from "./geometry.ts";
import { toPixel, viewEnd } from "./geometry.ts";

/** Notes that are nearer to each other than this, in pixels, share a flag. */
const APART = 18;

export interface Placed {
  readonly from: Offset;
  readonly to: Offset;
}

export interface Flag<Item> {
  readonly x: number;
  readonly items: readonly Item[];
}

/** Flags at the beginnings of notes that are in view, those that would cover each other together. `items` are by time. */
export function flags<Item extends Placed>(items: readonly Item[], view: View, width: number): Flag<Item>[] {
  const list: { x: number; items: Item[] }[] = [];
  for (const item of items) {
    if (item.to < view.start || item.from > viewEnd(view)) continue;
    // One that began before has its flag at the edge: it is still on.
    const x = Math.min(Math.max(toPixel(view, width, item.from), 0), width);
    const last = list.at(-1);
    if (last && x - last.x < APART) last.items.push(item);
    else list.push({ x, items: [item] });
  }
  return list;
}

/** A view around a note: half as much again on both sides, or half a second around an instant. */
export function around({ from, to }: Extent): Extent {
  const air = to > from ? (to - from) / 2 : 5e8;
  return { from: from - air, to: to + air };
}

/** The first line, as short as a flag's title wants it. */
export function firstLine(text: string, most = 80): string {
  const line = text.split(/[\r\n\u2028\u2029]/, 1)[0]!.trim();
  const letters = [...line];
  return letters.length <= most && line.length === text.trim().length ? line : `${letters.slice(0, most - 1).join("")}…`;
}
