//! What lanes below the workers are drawn with: the ground, holes in it, labels, the line under the pointer.

import { toPixel, type Extent } from "../../model/geometry.ts";
import { hatch, type Surface } from "../../ui/canvas.ts";
import type { Frame } from "./lane.ts";

/** Room that a label needs before it says anything. */
const LABEL_FROM = 40;

/** The whole height as not known, and `life` as known ground. */
export function drawGround(target: Surface, { view, recorded, palette }: Frame, known: Extent): void {
  const { context: c, width, height, ratio } = target;
  c.fillStyle = palette.surface;
  c.fillRect(0, 0, width, height);
  c.font = `11px ${palette.font}`;
  c.textBaseline = "middle";
  c.textAlign = "left";
  const from = Math.max(toPixel(view, width, Math.max(known.from, recorded.from)), 0);
  const to = Math.min(toPixel(view, width, Math.min(known.to, recorded.to)), width);
  const pattern = hatch(c, palette.line, ratio, 8);
  if (pattern && (from > 0 || to < width)) {
    c.fillStyle = pattern;
    if (from > 0) c.fillRect(0, 2, Math.min(from, width), height - 4);
    if (to < width) c.fillRect(Math.max(to, 0), 2, width - Math.max(to, 0), height - 4);
  }
  if (to > from) {
    c.fillStyle = palette.lane;
    c.fillRect(from, 2, to - from, height - 4);
  }
}

/** A stretch of which nothing is told, because there is too much of it. */
export function drawHole(target: Surface, { view, palette }: Frame, hole: Extent): void {
  const { context: c, width, height, ratio } = target;
  const x = Math.max(toPixel(view, width, hole.from), 0);
  const right = Math.min(toPixel(view, width, hole.to), width);
  const pattern = hatch(c, palette.unknown, ratio);
  if (right <= x || !pattern) return;
  c.fillStyle = palette.surface;
  c.fillRect(x, 2, right - x, height - 4);
  c.fillStyle = pattern;
  c.fillRect(x, 2, right - x, height - 4);
  const text = "too much to show at once: zoom in here";
  const w = c.measureText(text).width + 12;
  if (w > right - x - 8) return;
  c.fillStyle = palette.surface;
  c.fillRect((x + right - w) / 2, height / 2 - 8, w, 16);
  drawLabel(c, text, (x + right - w) / 2, (x + right + w) / 2, height / 2, width, palette.ink2);
}

export function drawLaneLosses(target: Surface, { view, losses, palette }: Frame): void {
  const { context: c, width, height, ratio } = target;
  const pattern = losses.length > 0 ? hatch(c, palette.loss, ratio, 7) : null;
  if (!pattern) return;
  c.fillStyle = pattern;
  for (const { from, to } of losses) {
    const x = toPixel(view, width, from);
    const w = Math.max(toPixel(view, width, to) - x, 3);
    if (x + w >= 0 && x <= width) c.fillRect(x, 2, w, height - 4);
  }
}

/** Text in a box, as far as it fits; nothing if that would say nothing. */
export function drawLabel(c: CanvasRenderingContext2D, text: string, x: number, right: number, middle: number, canvasWidth: number, color: string): void {
  const left = Math.max(x, 0) + 4;
  const room = Math.min(right, canvasWidth) - left - 4;
  if (room < LABEL_FROM) return;
  c.save();
  c.beginPath();
  c.rect(left, middle - 8, room, 16);
  c.clip();
  c.fillStyle = color;
  c.fillText(text, left, middle + 0.5);
  c.restore();
}

export function drawCrosshair(target: Surface, palette: Frame["palette"], x: number): void {
  target.context.fillStyle = palette.cursor;
  target.context.globalAlpha = 0.45;
  target.context.fillRect(Math.round(x), 0, 1, target.height);
  target.context.globalAlpha = 1;
}
