//! Tile cells → pixel columns, honestly: the four heights of a column add up to the share of that column's time spent in polls.
//!
//! A cell wider than a pixel is spread evenly over the pixels it covers, a narrower one is shared out by overlap. The longest poll is
//! kept apart from the heights, so that it stays visible without pretending that the column was full.

import type { Nanos } from "../base/instant.ts";
import type { Offset, View } from "./geometry.ts";

/** Non-empty buckets of one lane, `i` ascending; bucket `i` covers `step` nanoseconds from `origin + i * step`. */
export interface Cells {
  readonly origin: Offset;
  readonly step: Nanos;
  readonly i: ArrayLike<number>;
  /** Busy nanoseconds by duration class. */
  readonly busy: readonly [ArrayLike<number>, ArrayLike<number>, ArrayLike<number>, ArrayLike<number>];
  readonly max: ArrayLike<number>;
  readonly n: ArrayLike<number>;
}

/** One lane's columns; reused from frame to frame because a frame has no time for garbage. */
export interface Columns {
  readonly width: number;
  /** Share of the column's time in class c: `share[column * 4 + c]`. */
  readonly share: Float32Array;
  /** Longest poll overlapping the column. */
  readonly max: Float32Array;
}

export function newColumns(width: number): Columns {
  return { width, share: new Float32Array(width * 4), max: new Float32Array(width) };
}

/** Fills `out` for `view`; returns the busy nanoseconds that fell inside the view. */
export function fillColumns(cells: Cells, view: View, out: Columns): Nanos {
  const { width, share, max } = out;
  share.fill(0);
  max.fill(0);
  const perPixel = view.span / width;
  const last = cells.i.length;
  let busyTime = 0;
  for (let k = firstCell(cells, view.start); k < last; k += 1) {
    const from = (cells.origin + cells.i[k]! * cells.step - view.start) / perPixel;
    if (from >= width) break;
    const to = from + cells.step / perPixel;
    busyTime += addCell(cells, k, from, to, perPixel, width, share, max);
  }
  return busyTime;
}

function addCell(
  cells: Cells, k: number, from: number, to: number, perPixel: number, width: number, share: Float32Array, max: Float32Array,
): Nanos {
  const length = to - from;
  const end = Math.min(to, width);
  let inside = 0;
  for (let column = Math.max(0, Math.floor(from)); column < end; column += 1) {
    const overlap = Math.min(to, column + 1) - Math.max(from, column);
    if (overlap <= 0) continue;
    const part = overlap / length;
    for (let c = 0; c < 4; c += 1) {
      const busy = cells.busy[c]![k]! * part;
      share[column * 4 + c]! += busy / perPixel;
      inside += busy;
    }
    if (cells.max[k]! > max[column]!) max[column] = cells.max[k]!;
  }
  return inside;
}

/** Index of the first cell that ends after `offset`. */
function firstCell(cells: Cells, offset: Offset): number {
  const bucket = Math.floor((offset - cells.origin) / cells.step);
  let low = 0;
  let high = cells.i.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cells.i[middle]! < bucket) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Cumulative pixel rows of one column, rounded so that the total is the rounded busy share and no class borrows from another. */
export function heights(columns: Columns, column: number, rows: number, out: Int16Array): number {
  let sum = 0;
  for (let c = 0; c < 4; c += 1) {
    sum += columns.share[column * 4 + c]!;
    out[c] = Math.min(rows, Math.round(Math.min(sum, 1) * rows));
  }
  return out[3]!;
}
