//! The whole recording on one strip, and the window of it that the lanes show. Drag the window, its edges, or draw a new one.

import { useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { isDark } from "../app/theme.ts";
import { clock, plural } from "../base/format.ts";
import { plus, SECOND } from "../base/instant.ts";
import { clamp, toOffset, toPixel, viewEnd, type View } from "../model/geometry.ts";
import { fillColumns, heights, newColumns } from "../model/columns.ts";
import { readPalette, surface, type Palette, type Surface } from "../ui/canvas.ts";
import { classFills } from "../ui/textures.ts";
import type { Timeline } from "./controller.ts";

/** Pixels around an edge of the window in which it can be grabbed. */
const GRIP = 6;

export function Minimap({ timeline }: { timeline: Timeline }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const palette = useRef<Palette | null>(null);
  const picture = useRef(new Picture());
  const frame = useRef(0);
  const draw = () => {
    frame.current = 0;
    const target = canvas.current && surface(canvas.current, { isOpaque: true });
    if (target) drawMinimap(target, timeline, (palette.current ??= readPalette()), picture.current);
  };
  useSignalEffect(() => {
    void [timeline.view.value, timeline.far.value, timeline.extent.value, timeline.lanes.value];
    if (frame.current === 0) frame.current = requestAnimationFrame(draw);
  });
  useEffect(() => {
    palette.current = null;
    draw();
  }, [isDark.value]);
  useEffect(() => {
    const observer = new ResizeObserver(draw);
    observer.observe(canvas.current!);
    const stop = listen(canvas.current!, timeline);
    return () => {
      observer.disconnect();
      cancelAnimationFrame(frame.current);
      stop();
    };
  }, [timeline]);
  const extent = timeline.extent.value;
  const far = timeline.far.value;
  return (
    <div class="minimap">
      <div class="minimap-name"><b>Whole recording</b><span class="muted">{clock(plus(timeline.base, extent.from), SECOND)} – {clock(plus(timeline.base, extent.to), SECOND)}</span></div>
      <canvas ref={canvas} role="img" aria-label={`The whole recording${far ? `, ${far.slow.length < MOST_SLOW ? "" : "at least "}${plural(far.slow.length, "slow poll")} in it` : ""}; the bright part is what the lanes below show`} data-testid="minimap" />
    </div>
  );
}

/** No answer marks more slow polls than these. */
const MOST_SLOW = 2000;

/** The strip always shows all data, so its own view is the extent. */
function whole(timeline: Timeline): View {
  const { from, to } = timeline.extent.peek();
  return { start: from, span: Math.max(to - from, 1) };
}

/** All but the window: what is recorded changes seldom, the window with every frame. */
class Picture {
  private readonly canvas = document.createElement("canvas");
  private drawn: readonly unknown[] = [];

  draw({ context, width, height, ratio }: Surface, timeline: Timeline, all: View, palette: Palette): void {
    const wanted = [timeline.far.peek(), all.start, all.span, palette, width, height, ratio];
    if (wanted.some((it, k) => it !== this.drawn[k])) {
      this.canvas.width = context.canvas.width;
      this.canvas.height = context.canvas.height;
      const pen = this.canvas.getContext("2d", { alpha: false });
      if (!pen) return;
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      drawRecording({ context: pen, width, height, ratio }, timeline, all, palette);
      this.drawn = wanted;
    }
    context.drawImage(this.canvas, 0, 0, width, height);
  }
}

function drawMinimap(target: Surface, timeline: Timeline, palette: Palette, picture: Picture): void {
  const all = whole(timeline);
  picture.draw(target, timeline, all, palette);
  drawWindow(target.context, target.width, target.height, timeline.view.peek(), all, palette);
}

function drawRecording({ context: c, width, height, ratio }: Surface, timeline: Timeline, all: View, palette: Palette): void {
  const far = timeline.far.peek();
  c.fillStyle = palette.lane;
  c.fillRect(0, 0, width, height);
  if (far) drawBusy(c, width, height, ratio, timeline, all, palette);
  for (const slow of far?.slow ?? []) {
    c.fillStyle = palette.bad;
    c.fillRect(toPixel(all, width, slow.start), 0, Math.max((slow.length / all.span) * width, 1.5), 3);
  }
  for (const { from, to } of far?.losses ?? []) {
    c.fillStyle = palette.loss;
    c.fillRect(toPixel(all, width, from), height - 3, Math.max(((to - from) / all.span) * width, 2), 3);
  }
}

function drawBusy(c: CanvasRenderingContext2D, width: number, height: number, ratio: number, timeline: Timeline, all: View, palette: Palette): void {
  const lanes = timeline.far.peek()!.lanes;
  const columns = Math.max(1, Math.floor(width));
  const sum = newColumns(columns);
  const one = newColumns(columns);
  for (const lane of lanes) {
    if (!lane.cells) continue;
    fillColumns(lane.cells, all, one);
    one.share.forEach((share, k) => (sum.share[k]! += share / lanes.length));
  }
  const rows = new Int16Array(4);
  const room = height - 6;
  const paths = [0, 1, 2, 3].map(() => new Path2D());
  for (let column = 0; column < columns; column += 1) {
    heights(sum, column, room, rows);
    let below = 0;
    for (let cls = 0; cls < 4; cls += 1) {
      const tall = rows[cls]! - below;
      if (tall <= 0) continue;
      paths[cls]!.rect(column, height - 3 - rows[cls]!, 1, tall);
      below = rows[cls]!;
    }
  }
  const fills = classFills(c, palette, ratio);
  paths.forEach((path, cls) => {
    c.fillStyle = fills[cls]!;
    c.fill(path);
  });
}

function drawWindow(c: CanvasRenderingContext2D, width: number, height: number, view: View, all: View, palette: Palette): void {
  const left = Math.max(0, toPixel(all, width, view.start));
  const right = Math.min(width, toPixel(all, width, viewEnd(view)));
  const shownRight = Math.max(right, left + 2);
  c.fillStyle = palette.surface;
  c.globalAlpha = 0.5;
  c.fillRect(0, 0, left, height);
  c.fillRect(shownRight, 0, width - shownRight, height);
  c.globalAlpha = 1;
  c.strokeStyle = palette.accent;
  c.lineWidth = 1.5;
  c.strokeRect(left + 0.75, 0.75, Math.max(shownRight - left - 1.5, 1), height - 1.5);
  c.fillStyle = palette.accent;
  for (const x of [left, shownRight]) {
    c.beginPath();
    c.roundRect(Math.min(Math.max(x - 2.5, 0), width - 5), height / 2 - 8, 5, 16, 2.5);
    c.fill();
  }
}

type Grab = { kind: "move" | "left" | "right" | "new"; x: number; view: View };

function listen(element: HTMLCanvasElement, timeline: Timeline): () => void {
  let grab: Grab | null = null;
  const local = (event: PointerEvent) => {
    const rect = element.getBoundingClientRect();
    return { x: event.clientX - rect.left, width: rect.width };
  };
  const kindAt = (x: number, width: number): Grab["kind"] => {
    const all = whole(timeline);
    const left = toPixel(all, width, timeline.view.peek().start);
    const right = toPixel(all, width, viewEnd(timeline.view.peek()));
    if (Math.abs(x - left) <= GRIP && right - left > GRIP) return "left";
    if (Math.abs(x - right) <= GRIP && right - left > GRIP) return "right";
    // A window over everything cannot be moved, so dragging in it draws a new one.
    return x >= left - GRIP && x <= right + GRIP && right - left < width * 0.95 ? "move" : "new";
  };
  const onDown = (event: PointerEvent) => {
    const { x, width } = local(event);
    element.setPointerCapture(event.pointerId);
    grab = { kind: kindAt(x, width), x, view: timeline.view.peek() };
  };
  const onMove = (event: PointerEvent) => {
    const { x, width } = local(event);
    if (!grab) {
      element.style.cursor = { move: "grab", left: "ew-resize", right: "ew-resize", new: "crosshair" }[kindAt(x, width)];
      return;
    }
    if (Math.abs(x - grab.x) < 2) return;
    timeline.show(clamp(dragged(grab, x, width, whole(timeline)), timeline.extent.peek()));
  };
  const onUp = (event: PointerEvent) => {
    const { x, width } = local(event);
    if (grab && Math.abs(x - grab.x) < 2 && grab.kind === "new") timeline.panTo(toOffset(whole(timeline), width, x) - timeline.view.peek().span / 2);
    grab = null;
  };
  element.addEventListener("pointerdown", onDown);
  element.addEventListener("pointermove", onMove);
  element.addEventListener("pointerup", onUp);
  return () => {
    element.removeEventListener("pointerdown", onDown);
    element.removeEventListener("pointermove", onMove);
    element.removeEventListener("pointerup", onUp);
  };
}

function dragged(grab: Grab, x: number, width: number, all: View): View {
  const shift = ((x - grab.x) / width) * all.span;
  const { start, span } = grab.view;
  if (grab.kind === "move") return { start: start + shift, span };
  if (grab.kind === "left") return { start: Math.min(start + shift, start + span - 1000), span: Math.max(span - shift, 1000) };
  if (grab.kind === "right") return { start, span: Math.max(span + shift, 1000) };
  const a = toOffset(all, width, Math.min(grab.x, x));
  const b = toOffset(all, width, Math.max(grab.x, x));
  return { start: a, span: b - a };
}
