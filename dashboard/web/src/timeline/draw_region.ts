//! The selected region over the lanes, where one begins that has no end yet, and the polls that the panel highlights.

import { toPixel } from "../model/geometry.ts";
import type { Region } from "../model/region.ts";
import type { Palette } from "../ui/canvas.ts";
import { bodyTop } from "./layout.ts";
import type { Scene } from "./draw.ts";
import type { Mark } from "./selecting.ts";

/** Half the width of the mark above a poll. */
const MARK = 3;

export function drawRegion(c: CanvasRenderingContext2D, width: number, height: number, scene: Scene, palette: Palette): void {
  if (scene.begun != null) drawBegun(c, toPixel(scene.view, width, scene.begun), height, palette);
  if (scene.region) for (const [top, bottom] of bands(scene.region, scene, height)) drawBand(c, width, top, bottom, scene, palette);
  drawMarks(c, width, scene.marks, scene, palette);
  drawNotes(c, width, height, scene, palette);
}

/** A dotted line down from each flag. */
function drawNotes(c: CanvasRenderingContext2D, width: number, height: number, scene: Scene, palette: Palette): void {
  c.strokeStyle = palette.ink3;
  c.globalAlpha = 0.7;
  c.lineWidth = 1;
  c.setLineDash([1, 3]);
  c.beginPath();
  for (const { from } of scene.notes) {
    const x = Math.round(toPixel(scene.view, width, from)) + 0.5;
    if (x < 0 || x > width) continue;
    c.moveTo(x, 0);
    c.lineTo(x, height);
  }
  c.stroke();
  c.setLineDash([]);
  c.globalAlpha = 1;
}

/** From the top to the bottom of each run of selected lanes that lie side by side. */
function bands(region: Region, scene: Scene, height: number): [number, number][] {
  if (region.lanes == null) return [[0, height]];
  const { pitch, tops } = scene.layout;
  const list: [number, number][] = [];
  scene.lanes.forEach((lane, k) => {
    if (!region.lanes!.includes(lane.key)) return;
    const top = tops[k]!;
    const last = list.at(-1);
    if (last && Math.abs(last[1] - top) < 1) last[1] = top + pitch;
    else list.push([top, top + pitch]);
  });
  return list;
}

function drawBand(c: CanvasRenderingContext2D, width: number, top: number, bottom: number, scene: Scene, palette: Palette): void {
  const x = toPixel(scene.view, width, scene.region!.from);
  const right = Math.max(toPixel(scene.view, width, scene.region!.to), x + 1);
  if (right < 0 || x > width) return;
  const [left, end] = [Math.max(x, -2), Math.min(right, width + 2)];
  c.fillStyle = palette.selection;
  c.fillRect(left, top, end - left, bottom - top);
  c.strokeStyle = palette.accent;
  c.lineWidth = 1;
  c.strokeRect(Math.round(left) + 0.5, top + 0.5, Math.max(Math.round(end - left) - 1, 1), bottom - top - 1);
}

function drawBegun(c: CanvasRenderingContext2D, x: number, height: number, palette: Palette): void {
  c.strokeStyle = palette.accent;
  c.lineWidth = 1.5;
  c.setLineDash([5, 4]);
  c.beginPath();
  c.moveTo(Math.round(x) + 0.5, 0);
  c.lineTo(Math.round(x) + 0.5, height);
  c.stroke();
  c.setLineDash([]);
}

function drawMarks(c: CanvasRenderingContext2D, width: number, marks: readonly Mark[], scene: Scene, palette: Palette): void {
  if (marks.length === 0) return;
  const place = new Map(scene.lanes.map((lane, k) => [lane.key, k]));
  c.fillStyle = palette.accent;
  c.beginPath();
  for (const { lane, start, length } of marks) {
    const k = place.get(lane);
    const x = toPixel(scene.view, width, start + length / 2);
    if (k == null || x < -MARK || x > width + MARK) continue;
    const top = bodyTop(scene.layout, k);
    c.moveTo(x - MARK, top - 2 - 2 * MARK);
    c.lineTo(x + MARK, top - 2 - 2 * MARK);
    c.lineTo(x, top - 2);
    c.closePath();
  }
  c.fill();
}
