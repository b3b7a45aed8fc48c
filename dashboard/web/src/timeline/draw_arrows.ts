//! Arrows over the workers. One whose other end is out of view leads to the edge, where a hint says how far it is and can be clicked.

import { duration } from "../base/format.ts";
import { toPixel, viewEnd, type View } from "../model/geometry.ts";
import type { Arrow, ArrowEnd } from "../model/arrows.ts";
import type { Palette } from "../ui/canvas.ts";
import type { Hint } from "./arrows.ts";
import type { Lane } from "./data.ts";
import { bodyTop, type Layout } from "./layout.ts";

const HEAD = 7;
const HINT_HEIGHT = 16;
/** Nearer together than this on one lane, the ends are one place, and an arrow would only hide them. */
const LEAST_LENGTH = 16;

interface Scene {
  readonly view: View;
  readonly lanes: readonly Lane[];
  readonly layout: Layout;
}

/** Returns where the hints are. */
export function drawArrows(c: CanvasRenderingContext2D, width: number, scene: Scene, arrows: readonly Arrow[], palette: Palette): Hint[] {
  const hints: Hint[] = [];
  const taken: Hint[] = [];
  for (const arrow of arrows) {
    const from = pointOf(arrow.from, width, scene, 0.72);
    const to = pointOf(arrow.to, width, scene, 0.5);
    if (!from || !to) continue;
    const isBefore = from.x < 0;
    const isAfter = to.x > width;
    // Neither end in view: the selected poll is elsewhere.
    if ((isBefore && to.x < 0) || (from.x > width && isAfter)) continue;
    if (arrow.from.lane === arrow.to.lane && to.x - from.x < LEAST_LENGTH) continue;
    const color = arrow.kind === "spawn" ? palette.loss : arrow.kind === "wake" ? palette.accent : palette.ink2;
    drawCurve(c, clampX(from, width), clampX(to, width), color, arrow.kind === "spawn" || !arrow.goal, !isAfter, palette);
    if (!isBefore && !isAfter) {
      dot(c, from.x, from.y, color, palette);
      continue;
    }
    const far = isBefore ? arrow.from.at : arrow.to.at;
    const distance = isBefore ? scene.view.start - far : far - viewEnd(scene.view);
    const text = `${isBefore ? "◂ " : ""}${duration(distance)} · ${arrow.text}${isAfter ? " ▸" : ""}`;
    const hint = place(c, text, isBefore ? "left" : "right", isBefore ? from.y : to.y, width, taken, palette);
    drawHint(c, hint, text, color, palette);
    taken.push({ ...hint, arrow });
    hints.push({ ...hint, arrow });
  }
  return hints;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

function pointOf(end: ArrowEnd, width: number, { view, lanes, layout }: Scene, share: number): Point | null {
  const k = lanes.findIndex((lane) => lane.key === end.lane);
  return k < 0 ? null : { x: toPixel(view, width, end.at), y: bodyTop(layout, k) + layout.body * share };
}

function clampX(point: Point, width: number): Point {
  return { x: Math.min(Math.max(point.x, 0), width), y: point.y };
}

function drawCurve(c: CanvasRenderingContext2D, from: Point, to: Point, color: string, isDashed: boolean, hasHead: boolean, palette: Palette): void {
  const bend = Math.min(Math.max(Math.abs(to.x - from.x) * 0.4, 10), 80);
  const path = () => {
    c.beginPath();
    c.moveTo(from.x, from.y);
    c.bezierCurveTo(from.x + bend, from.y, to.x - bend - HEAD, to.y, to.x - (hasHead ? HEAD : 0), to.y);
  };
  // A halo keeps it apart from whatever it crosses.
  c.lineCap = "round";
  c.strokeStyle = palette.surface;
  c.lineWidth = 5;
  path();
  c.stroke();
  c.strokeStyle = color;
  c.lineWidth = 2;
  c.setLineDash(isDashed ? [5, 4] : []);
  path();
  c.stroke();
  c.setLineDash([]);
  c.lineCap = "butt";
  if (!hasHead) return;
  c.beginPath();
  c.moveTo(to.x, to.y);
  c.lineTo(to.x - HEAD - 1, to.y - 5);
  c.lineTo(to.x - HEAD - 1, to.y + 5);
  c.closePath();
  c.lineWidth = 3;
  c.strokeStyle = palette.surface;
  c.stroke();
  c.fillStyle = color;
  c.fill();
}

function dot(c: CanvasRenderingContext2D, x: number, y: number, color: string, palette: Palette): void {
  c.beginPath();
  c.arc(x, y, 3.5, 0, 2 * Math.PI);
  c.lineWidth = 3;
  c.strokeStyle = palette.surface;
  c.stroke();
  c.fillStyle = color;
  c.fill();
}

/** At the edge beside its lane, below those that are there already. */
function place(c: CanvasRenderingContext2D, text: string, side: "left" | "right", y: number, width: number, taken: readonly Hint[], palette: Palette): Omit<Hint, "arrow"> {
  c.font = `600 11px ${palette.font}`;
  const w = Math.min(c.measureText(text).width + 12, width / 2);
  const x = side === "left" ? 4 : width - w - 4;
  let top = y - HINT_HEIGHT / 2;
  while (taken.some((other) => x < other.x + other.width && x + w > other.x && top < other.y + other.height + 2 && top + HINT_HEIGHT + 2 > other.y)) top += HINT_HEIGHT + 3;
  return { x, y: top, width: w, height: HINT_HEIGHT };
}

function drawHint(c: CanvasRenderingContext2D, hint: Omit<Hint, "arrow">, text: string, color: string, palette: Palette): void {
  c.beginPath();
  c.roundRect(hint.x, hint.y, hint.width, hint.height, 3);
  c.fillStyle = palette.surface;
  c.fill();
  c.strokeStyle = color;
  c.lineWidth = 1.5;
  c.stroke();
  c.save();
  c.clip();
  c.fillStyle = palette.ink;
  c.textAlign = "left";
  c.fillText(text, hint.x + 6, hint.y + hint.height / 2 + 0.5);
  c.restore();
}
