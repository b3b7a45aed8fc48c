//! A frame of the timeline: lanes, slow polls, losses, selection. Draws what it is given; asks for nothing.

import { durationClass } from "../base/duration_class.ts";
import { count, duration, shortPlace } from "../base/format.ts";
import type { Nanos } from "../base/instant.ts";
import { toPixel, viewEnd, type Extent, type Offset, type View } from "../model/geometry.ts";
import type { Region } from "../model/region.ts";
import { laneLife } from "../model/lane_life.ts";
import { hatch, inkOn, type Palette, type Surface } from "../ui/canvas.ts";
import { classFills } from "../ui/textures.ts";
import { LanePixels, newWidePolls, type WidePolls } from "./draw_lane.ts";
import type { Lane, PollItem, SlowItem, TimelineData } from "./data.ts";
import { drawRegion } from "./draw_region.ts";
import { BADGE, bodyTop, type Layout } from "./layout.ts";
import type { Mark } from "./selecting.ts";
import { lossText, workerLosses } from "./losses.tsx";

export interface Scene {
  readonly view: View;
  readonly lanes: readonly Lane[];
  /** The newest answer for about this view, and a coarse one of the whole recording to fall back on. */
  readonly data: TimelineData | null;
  readonly far: TimelineData | null;
  readonly layout: Layout;
  readonly extent: Extent;
  readonly slowThreshold: Nanos;
  readonly hovered: PollItem | null;
  readonly selected: PollItem | null;
  readonly region: Region | null;
  readonly begun: Offset | null;
  readonly marks: readonly Mark[];
  /** Where notes are. */
  readonly notes: readonly Extent[];
  /** Polls that the search leaves out are faded; null when nothing is searched. */
  readonly matches: ((task: string, location: string, length: Nanos, start: Offset) => boolean) | null;
}

const RADIUS = 3;

export class Renderer {
  /** Busy nanoseconds in view, by lane; read after [`draw`]. */
  readonly busy: number[] = [];
  private pixels: LanePixels | null = null;
  private readonly wide: WidePolls = newWidePolls();
  /** From when to when each lane is known, by lane. */
  private readonly lives: Extent[] = [];

  draw(target: Surface, scene: Scene, palette: Palette): void {
    const { context: c, width, height, ratio } = target;
    c.fillStyle = palette.surface;
    c.fillRect(0, 0, width, height);
    c.font = `11px ${palette.font}`;
    c.textBaseline = "middle";
    scene.lanes.forEach((lane, k) => {
      this.drawLane(target, scene, palette, lane, k);
    });
    drawUnknown(target, scene, this.lives, palette);
    drawLosses(target, scene, palette);
    scene.lanes.forEach((lane, k) => drawSlow(target, scene, palette, lane, k));
    drawSelection(c, width, height, scene, palette, ratio);
  }

  private drawLane(target: Surface, scene: Scene, palette: Palette, lane: Lane, k: number): void {
    const { context: c, width, ratio } = target;
    const body = Math.round(scene.layout.body * ratio);
    const devicePixels = Math.round(width * ratio);
    if (this.pixels?.width !== devicePixels || this.pixels.height !== body) this.pixels = new LanePixels(devicePixels, body);
    const near = scene.data?.lanes.find((candidate) => candidate.key === lane.key) ?? null;
    const far = scene.far?.lanes.find((candidate) => candidate.key === lane.key) ?? null;
    this.busy[k] = this.pixels.measure(near, far, scene.data, scene.view, this.wide);
    const top = bodyTop(scene.layout, k);
    const life = laneLife(lane, [far?.cells, near?.cells], scene.extent);
    this.lives[k] = life;
    if (!near?.parks?.start.length) this.pixels.rest(life, scene.view);
    this.pixels.paint(c, Math.round(top * ratio), palette, ratio);
    drawMaxima(c, this.pixels, top, ratio, scene, palette);
    if (near?.polls && scene.data) {
      drawGaps(target, near, scene, life, palette, top);
      drawWide(c, this.wide, near, scene, palette, top, ratio);
    }
  }
}

/** A tick above each column in which a poll of the worst class lies, higher if it was slow: no outlier hides in an average. */
function drawMaxima(c: CanvasRenderingContext2D, pixels: LanePixels, top: number, ratio: number, scene: Scene, palette: Palette): void {
  const { max } = pixels.columns;
  c.fillStyle = palette.classes[3];
  c.beginPath();
  for (let column = 0; column < pixels.width; column += 1) {
    if (durationClass(max[column]!) < 3) continue;
    const height = max[column]! >= scene.slowThreshold ? 5 : 2;
    c.rect(column / ratio, top - 1 - height, 1 / ratio, height);
  }
  c.fill();
}

/** Time in which a worker neither polled nor parked as far as we know: hatched, if wide enough to see. */
function drawGaps(target: Surface, lane: Lane, scene: Scene, life: Extent, palette: Palette, top: number): void {
  const { polls, parks } = lane;
  const least = (scene.view.span / target.width) * 6;
  if (!polls || !parks || parks.start.length === 0) return;
  const pattern = hatch(target.context, palette.unknown, target.ratio);
  if (!pattern) return;
  target.context.fillStyle = pattern;
  let known = Math.max(scene.view.start, scene.data!.covers.from, life.from);
  let p = 0;
  let q = 0;
  const end = viewEnd(scene.view);
  while (known < end && (p < polls.start.length || q < parks.start.length)) {
    const isPoll = q >= parks.start.length || (p < polls.start.length && polls.start[p]! <= parks.start[q]!);
    const spans = isPoll ? polls : parks;
    const k = isPoll ? p++ : q++;
    const start = spans.start[k]!;
    if (start - known > least) {
      const x = toPixel(scene.view, target.width, known);
      target.context.fillRect(x, top, Math.min(toPixel(scene.view, target.width, start), target.width) - x, scene.layout.body);
    }
    known = Math.max(known, start + spans.length[k]!);
  }
  const last = Math.min(end, scene.data!.covers.to, life.to);
  if (last - known > least) {
    const x = toPixel(scene.view, target.width, known);
    target.context.fillRect(x, top, toPixel(scene.view, target.width, last) - x, scene.layout.body);
  }
}

function drawWide(c: CanvasRenderingContext2D, wide: WidePolls, lane: Lane, scene: Scene, palette: Palette, top: number, ratio: number): void {
  const polls = lane.polls!;
  const { body } = scene.layout;
  const fills = classFills(c, palette, ratio);
  for (const isFaded of scene.matches ? [true, false] : [false]) {
    c.globalAlpha = isFaded ? 0.22 : 1;
    for (let cls = 0; cls < 4; cls += 1) {
      c.fillStyle = fills[cls]!;
      c.beginPath();
      for (let k = 0; k < wide.count; k += 1) {
        const index = wide.index[k]!;
        if (durationClass(polls.length[index]!) !== cls) continue;
        if (scene.matches && scene.matches(polls.task[index]!, scene.data!.locations[polls.location[index]!] ?? "", polls.length[index]!, polls.start[index]!) === isFaded) continue;
        // Half a device pixel of air between neighbours, so that two polls never read as one.
        c.rect(wide.x[k]! / ratio, top, Math.max(wide.width[k]! / ratio - 0.5 / ratio, 1 / ratio), body);
      }
      c.fill();
    }
  }
  c.globalAlpha = 1;
  drawLabels(c, wide, lane, scene, palette, top, ratio);
}

/** Room a label needs before it says anything. */
const LABEL_FROM = 72;

function drawLabels(c: CanvasRenderingContext2D, wide: WidePolls, lane: Lane, scene: Scene, palette: Palette, top: number, ratio: number): void {
  const polls = lane.polls!;
  c.textAlign = "left";
  for (let k = 0; k < wide.count; k += 1) {
    const left = Math.max(wide.x[k]! / ratio, 0);
    const right = (wide.x[k]! + wide.width[k]!) / ratio;
    if (right - left < LABEL_FROM) continue;
    const index = wide.index[k]!;
    const length = polls.length[index]!;
    const cls = durationClass(length);
    c.save();
    c.beginPath();
    c.rect(left + 6, top, right - left - 12, scene.layout.body);
    c.clip();
    c.fillStyle = inkOn(palette.classes[cls]);
    const place = shortPlace(scene.data!.locations[polls.location[index]!] ?? `task ${polls.task[index]}`);
    const middle = top + scene.layout.body / 2;
    if (scene.layout.body >= 36) {
      c.font = `600 11px ${palette.font}`;
      c.fillText(duration(length), left + 6, middle - 7);
      c.font = `11px ${palette.font}`;
      c.fillText(place, left + 6, middle + 7);
    } else c.fillText(`${duration(length)} · ${place}`, left + 6, middle);
    c.restore();
  }
}

/** Where a lane is not known, as before its worker started and after it stopped: hatched, because empty would claim that it was idle. */
function drawUnknown(target: Surface, scene: Scene, lives: readonly Extent[], palette: Palette): void {
  const { context: c, width, ratio } = target;
  const pattern = hatch(c, palette.line, ratio, 8);
  for (let lane = 0; lane < scene.lanes.length; lane += 1) {
    const life = lives[lane]!;
    const from = Math.min(toPixel(scene.view, width, life.from), width);
    const to = Math.max(toPixel(scene.view, width, life.to), from, 0);
    const top = bodyTop(scene.layout, lane);
    for (const [x, w] of [[0, from], [to, width - to]] as const) {
      if (w <= 0) continue;
      c.fillStyle = palette.surface;
      c.fillRect(x, top, w, scene.layout.body);
      if (pattern) c.fillStyle = pattern;
      c.fillRect(x, top, w, scene.layout.body);
    }
  }
}

function drawLosses(target: Surface, scene: Scene, palette: Palette): void {
  const losses = [...workerLosses(scene.data ?? scene.far)].sort((a, b) => a.from - b.from);
  const { context: c, width, ratio } = target;
  const pattern = losses.length > 0 ? hatch(c, palette.loss, ratio, 7) : null;
  const bottom = bodyTop(scene.layout, scene.lanes.length - 1) + scene.layout.body;
  const top = bodyTop(scene.layout, 0);
  let pillEnd = -Infinity;
  for (const { from, to, loss } of losses) {
    const x = Math.max(toPixel(scene.view, width, from), -2);
    const right = Math.min(toPixel(scene.view, width, to), width + 2);
    if (right < 0 || x > width) continue;
    const w = Math.max(right - x, 3);
    c.fillStyle = pattern ?? palette.loss;
    c.globalAlpha = 0.85;
    c.fillRect(x, top, w, bottom - top);
    c.globalAlpha = 1;
    const text = lossText(loss);
    c.font = pillFont(palette);
    const room = w > c.measureText(text).width + 12;
    // Losses side by side, each with its pill, would write over one another.
    if (!room && x < pillEnd) continue;
    pillEnd = Math.max(x, 2) + drawPill(c, Math.max(x, 2), bottom - 18, room ? text : loss.count > 0 ? `${count(loss.count)} lost` : "lost", [palette.loss, palette.surface], width, palette) + 4;
  }
}

/** The font has to be that of pills. */
function drawPill(c: CanvasRenderingContext2D, x: number, y: number, text: string, [background, ink]: readonly [string, string], width: number, palette: Palette): number {
  const w = pillWidth(c, text, palette);
  const left = Math.min(Math.max(x, 0), width - w);
  c.fillStyle = background;
  c.beginPath();
  c.roundRect(left, y, w, 14, RADIUS);
  c.fill();
  c.fillStyle = ink;
  c.textAlign = "left";
  c.fillText(text, left + 5, y + 7.5);
  return w;
}

/** So many widths are kept: a screen has some hundred pills. */
const MAX_WIDTHS = 2_000;
const widths = new WeakMap<Palette, Map<string, number>>();

/** With what is around the text. Measuring costs more than all else about a pill. */
function pillWidth(c: CanvasRenderingContext2D, text: string, palette: Palette): number {
  let known = widths.get(palette);
  if (!known || known.size >= MAX_WIDTHS) widths.set(palette, (known = new Map()));
  const width = known.get(text) ?? c.measureText(text).width + 10;
  known.set(text, width);
  return width;
}

const pillFont = (palette: Palette): string => `600 11px ${palette.font}`;

/** Slow polls: outlined where they are wide enough, badged with their length, longest first so that the worst is always named. */
function drawSlow({ context: c, width, ratio }: Surface, scene: Scene, palette: Palette, lane: Lane, k: number): void {
  const top = bodyTop(scene.layout, k);
  const taken: [number, number][] = [];
  const here = slowOf(scene, lane).sort((a, b) => b.length - a.length);
  c.font = pillFont(palette);
  for (const slow of here) {
    const x = toPixel(scene.view, width, slow.start);
    const right = toPixel(scene.view, width, slow.isRunning ? scene.extent.to : slow.start + slow.length);
    if (right < 0 || x > width) continue;
    if (right - x >= 1) outlineSlow(c, x, right - x, top, slow.isRunning, scene, palette, ratio);
    const text = slow.isRunning ? "running" : duration(slow.length);
    const w = pillWidth(c, text, palette);
    const left = Math.min(Math.max(Math.min(x, width - w), 0), width - w);
    if (taken.some(([from, to]) => left < to + 2 && left + w + 2 > from)) continue;
    taken.push([left, left + w]);
    drawPill(c, left, top - BADGE - 1, text, [palette.bad, palette.onBad], width, palette);
  }
}

/**
 * A slow poll's own ends are known at any zoom, so among coarse columns it is drawn exactly. Among exact polls it is already there
 * and gets a line inside its edge, which also tells two neighbours apart.
 */
function outlineSlow(c: CanvasRenderingContext2D, x: number, w: number, top: number, isRunning: boolean, scene: Scene, palette: Palette, ratio: number): void {
  const { body } = scene.layout;
  if (isRunning) {
    c.fillStyle = palette.bad;
    c.globalAlpha = 0.3;
    c.fillRect(x, top, w, body);
    c.globalAlpha = 1;
    c.strokeStyle = palette.bad;
    c.lineWidth = 2;
    c.setLineDash([4, 3]);
    c.strokeRect(x, top, w, body);
    c.setLineDash([]);
  } else if (!scene.data?.isExact) {
    c.fillStyle = classFills(c, palette, ratio)[3]!;
    c.fillRect(x, top, w, body);
  } else if (w >= 8) {
    c.strokeStyle = palette.surface;
    c.globalAlpha = 0.75;
    c.lineWidth = 1.5;
    c.strokeRect(x + 2, top + 2, w - 4.5, body - 4);
    c.globalAlpha = 1;
  }
}

function slowOf(scene: Scene, lane: Lane): SlowItem[] {
  const list = (scene.data && covers(scene.data, scene.view, scene.extent) ? scene.data : scene.far)?.slow ?? scene.data?.slow ?? [];
  return list.filter((slow) => slow.lane === lane.key);
}

function covers(data: TimelineData, view: View, extent: Extent): boolean {
  return data.covers.from <= Math.max(view.start, extent.from) + 1 && data.covers.to >= Math.min(viewEnd(view), extent.to) - view.span * 0.02;
}

function drawSelection(c: CanvasRenderingContext2D, width: number, height: number, scene: Scene, palette: Palette, ratio: number): void {
  const outline = (poll: PollItem, thickness: number) => {
    const k = scene.lanes.findIndex((lane) => lane.key === poll.lane);
    if (k < 0) return;
    const x = toPixel(scene.view, width, poll.start);
    const w = Math.max(toPixel(scene.view, width, poll.start + poll.length) - x, 2 / ratio);
    const top = bodyTop(scene.layout, k);
    c.lineWidth = thickness;
    c.strokeStyle = palette.surface;
    c.strokeRect(x - thickness, top - thickness, w + 2 * thickness, scene.layout.body + 2 * thickness);
    c.strokeStyle = palette.cursor;
    c.strokeRect(x - thickness / 2, top - thickness / 2, w + thickness, scene.layout.body + thickness);
  };
  if (scene.hovered) outline(scene.hovered, 1);
  if (scene.selected) outline(scene.selected, 2);
  drawRegion(c, width, height, scene, palette);
}
