//! One lane's pixels: honest columns where polls are narrower than a pixel, rectangles where they are not.

import { durationClass } from "../base/duration_class.ts";
import { fillColumns, heights, newColumns, type Columns } from "../model/columns.ts";
import { toPixel, viewEnd, type Extent, type View } from "../model/geometry.ts";
import { lastStartedBy } from "../model/polls.ts";
import type { Palette } from "../ui/canvas.ts";
import { pixelOf, texturesOf } from "../ui/textures.ts";
import type { Lane, TimelineData } from "./data.ts";

/** Polls at least this wide, in device pixels, are drawn as rectangles. */
const WIDE = 2;

/** Wide polls of one lane: x, width (device pixels), index of the poll. */
export interface WidePolls {
  count: number;
  x: Float32Array;
  width: Float32Array;
  index: Int32Array;
}

export function newWidePolls(): WidePolls {
  return { count: 0, x: new Float32Array(4096), width: new Float32Array(4096), index: new Int32Array(4096) };
}

/** Buffers for one canvas width; a frame allocates nothing. */
export class LanePixels {
  readonly columns: Columns;
  private readonly spare: Columns;
  private readonly park: Float32Array;
  private readonly image: ImageData;
  private readonly words: Uint32Array;
  private readonly rows = new Int16Array(4);

  constructor(readonly width: number, readonly height: number) {
    this.columns = newColumns(width);
    this.spare = newColumns(width);
    this.park = new Float32Array(width);
    this.image = new ImageData(width, height);
    this.words = new Uint32Array(this.image.data.buffer);
  }

  /** Computes the columns of `lane` and collects its wide polls; returns busy nanoseconds in view. */
  measure(lane: Lane | null, far: Lane | null, data: TimelineData | null, view: View, wide: WidePolls): number {
    wide.count = 0;
    this.park.fill(0);
    let busy = far?.cells ? fillColumns(far.cells, view, this.columns) : (this.columns.share.fill(0), this.columns.max.fill(0), 0);
    if (!lane || !data) return busy;
    const perPixel = view.span / this.width;
    const from = Math.max(0, Math.floor((data.covers.from - view.start) / perPixel));
    const to = Math.min(this.width, Math.ceil((data.covers.to - view.start) / perPixel));
    if (to <= from) return busy;
    if (lane.polls) {
      this.spare.share.fill(0);
      this.spare.max.fill(0);
      this.addPolls(lane, view, perPixel, wide);
      this.addParks(lane, view, perPixel);
    } else if (lane.cells) fillColumns(lane.cells, view, this.spare);
    this.columns.share.set(this.spare.share.subarray(from * 4, to * 4), from * 4);
    this.columns.max.set(this.spare.max.subarray(from, to), from);
    busy = 0;
    for (const share of this.columns.share) busy += share;
    busy *= perPixel;
    return busy + wideTime(lane, wide, view);
  }

  private addPolls(lane: Lane, view: View, perPixel: number, wide: WidePolls): void {
    const { start, length } = lane.polls!;
    const { share, max } = this.spare;
    const end = viewEnd(view);
    for (let k = Math.max(0, lastStartedBy(start, view.start)); k < start.length && start[k]! < end; k += 1) {
      const x = (start[k]! - view.start) / perPixel;
      const w = length[k]! / perPixel;
      if (x + w <= 0) continue;
      if (w >= WIDE) {
        pushWide(wide, x, w, k);
        continue;
      }
      const c = durationClass(length[k]!);
      for (let column = Math.max(0, Math.floor(x)); column < Math.min(x + w, this.width); column += 1) {
        share[column * 4 + c]! += Math.min(x + w, column + 1) - Math.max(x, column);
        if (length[k]! > max[column]!) max[column] = length[k]!;
      }
    }
  }

  private addParks(lane: Lane, view: View, perPixel: number): void {
    if (!lane.parks) return;
    const { start, length } = lane.parks;
    const end = viewEnd(view);
    for (let k = Math.max(0, lastStartedBy(start, view.start)); k < start.length && start[k]! < end; k += 1) {
      const x = (start[k]! - view.start) / perPixel;
      const to = Math.min(x + length[k]! / perPixel, this.width);
      for (let column = Math.max(0, Math.floor(x)); column < to; column += 1) {
        this.park[column]! += Math.min(to, column + 1) - Math.max(x, column);
      }
    }
  }

  /** Takes it as idle wherever it runs nothing in `life`: single parks are not told, or too many to be told. */
  rest(life: Extent, view: View): void {
    const from = Math.max(0, Math.round(toPixel(view, this.width, life.from)));
    const to = Math.min(this.width, Math.round(toPixel(view, this.width, life.to)));
    if (to > from) this.park.fill(1, from, to);
  }

  /** Writes columns to the canvas at device row `top`. */
  paint(context: CanvasRenderingContext2D, top: number, palette: Palette, ratio: number): void {
    const { width, height, words, rows } = this;
    const lane = pixelOf(palette.lane);
    const park = pixelOf(palette.park);
    const textures = texturesOf(palette, ratio);
    const { size } = textures[0]!;
    const mask = size - 1;
    for (let column = 0; column < width; column += 1) {
      const background = this.park[column]! >= 0.5 ? park : lane;
      const busy = heights(this.columns, column, height, rows);
      const across = column & mask;
      let row = height - 1;
      let at = row * width + column;
      for (let c = 0; c < 4; c += 1) {
        const texture = textures[c]!.words;
        // From the canvas's own corner, as rectangles have it.
        for (; row >= height - rows[c]!; row -= 1, at -= width) words[at] = texture[((row + top) & mask) * size + across]!;
      }
      // Something that rounds to nothing still leaves one row: a trace, not a bar.
      if (busy === 0 && this.columns.max[column]! > 0) {
        words[at] = pixelOf(palette.classes[durationClass(this.columns.max[column]!)]);
        row -= 1;
        at -= width;
      }
      for (; row >= 0; row -= 1, at -= width) words[at] = background;
    }
    context.putImageData(this.image, 0, top);
  }
}

function wideTime(lane: Lane, wide: WidePolls, view: View): number {
  let sum = 0;
  const end = viewEnd(view);
  for (let k = 0; k < wide.count; k += 1) {
    const start = lane.polls!.start[wide.index[k]!]!;
    sum += Math.min(end, start + lane.polls!.length[wide.index[k]!]!) - Math.max(view.start, start);
  }
  return sum;
}

function pushWide(wide: WidePolls, x: number, width: number, index: number): void {
  if (wide.count === wide.x.length) grow(wide);
  wide.x[wide.count] = x;
  wide.width[wide.count] = width;
  wide.index[wide.count] = index;
  wide.count += 1;
}

function grow(wide: WidePolls): void {
  const bigger = { x: new Float32Array(wide.x.length * 2), width: new Float32Array(wide.x.length * 2), index: new Int32Array(wide.x.length * 2) };
  bigger.x.set(wide.x);
  bigger.width.set(wide.width);
  bigger.index.set(wide.index);
  Object.assign(wide, bigger);
}
