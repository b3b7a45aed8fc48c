//! The time axis: wall time on round instants, the time since the recording's start beneath, and the instant under the pointer.

import { clock, duration } from "../base/format.ts";
import { plus, SECOND, split, type Instant } from "../base/instant.ts";
import { toOffset, toPixel, viewEnd, type View } from "../model/geometry.ts";
import { ticks, tickStep } from "../model/ticks.ts";
import type { Palette, Surface } from "../ui/canvas.ts";

/** Pixels between labels: the longest, with nine digits below the second, must fit. */
const SPACING = 132;

export function drawAxis(target: Surface, view: View, base: Instant, pointer: number | null, palette: Palette): void {
  const { context: c, width, height } = target;
  c.clearRect(0, 0, width, height);
  const step = tickStep((view.span / width) * SPACING);
  const phase = phaseOf(base, step);
  const minor = step / 5;
  c.fillStyle = palette.line;
  for (const at of ticks(view.start, viewEnd(view), minor, phase)) c.fillRect(Math.round(toPixel(view, width, at)), height - 4, 1, 4);
  c.textBaseline = "middle";
  c.textAlign = "left";
  for (const at of ticks(view.start - step, viewEnd(view), step, phase)) {
    const x = Math.round(toPixel(view, width, at));
    if (x < 0) continue; // Half a label at the edge would read as another time.
    c.fillStyle = palette.ink3;
    c.fillRect(x, height - 8, 1, 8);
    c.font = `600 11px ${palette.font}`;
    c.fillStyle = palette.ink2;
    c.fillText(clock(plus(base, at), step), x + 4, 10);
    c.font = `11px ${palette.font}`;
    c.fillStyle = palette.ink3;
    c.fillText(relative(at, step), x + 4, 24);
  }
  if (pointer != null) drawPointer(target, view, base, pointer, palette);
}

/** Offset of a whole second of the wall clock, so that ticks fall on what people read on their watch. */
function phaseOf(base: Instant, step: number): number {
  if (step <= SECOND) return -Number(base % BigInt(SECOND));
  const { millis } = split(base);
  const zone = BigInt(new Date(millis).getTimezoneOffset() * 60) * BigInt(SECOND);
  return -Number((base - zone) % BigInt(Math.round(step)));
}

function relative(at: number, step: number): string {
  // Ticks lie on round wall times, so the offset needs one digit more than the step to be true.
  const unit = Math.min(step, SECOND) / 10;
  const size = Math.round(Math.abs(at) / unit) * unit;
  if (size === 0) return "start";
  const sign = at < 0 ? "−" : "+";
  if (size < SECOND || step >= SECOND) return sign + duration(size >= 100 * SECOND ? Math.round(size / SECOND) * SECOND : size);
  const digits = Math.min(9, Math.ceil(-Math.log10(step / SECOND) - 1e-9));
  return `${sign}${(size / SECOND).toFixed(digits)} s`;
}

function drawPointer(target: Surface, view: View, base: Instant, pointer: number, palette: Palette): void {
  const { context: c, width, height } = target;
  const text = clock(plus(base, toOffset(view, width, pointer)), (view.span / width) * 2);
  c.font = `600 11px ${palette.font}`;
  const w = c.measureText(text).width + 10;
  const left = Math.min(Math.max(pointer - w / 2, 0), width - w);
  c.fillStyle = palette.ink;
  c.beginPath();
  c.roundRect(left, 2, w, 16, 3);
  c.fill();
  c.fillStyle = palette.surface;
  c.textAlign = "left";
  c.fillText(text, left + 5, 10.5);
  c.fillStyle = palette.cursor;
  c.fillRect(Math.round(pointer), 18, 1, height - 18);
}
