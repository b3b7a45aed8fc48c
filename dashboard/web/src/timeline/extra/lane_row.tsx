//! One lane below the workers: its name, its canvas, what the pointer finds on it.

import { useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { isDark } from "../../app/theme.ts";
import type { Extent } from "../../model/geometry.ts";
import { readPalette, surface, type Palette } from "../../ui/canvas.ts";
import { Icon } from "../../ui/icons.tsx";
import type { Timeline } from "../controller.ts";
import type { ExtraLane, Frame } from "./lane.ts";
import { drawCrosshair } from "./pens.ts";

/** Pixels a pointer may move and still click. */
const CLICK_SLOP = 4;
const TIP_WIDTH = 380;

export function LaneRow({ timeline, lane }: { timeline: Timeline; lane: ExtraLane }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const palette = useRef<Palette | null>(null);
  const pending = useRef(0);
  const [pointer, setPointer] = useState<{ x: number; y: number } | null>(null);
  const data = lane.loader.data.value;
  const error = lane.loader.error.value;
  const height = lane.height(data);
  const frame = (): Frame => frameOf(timeline, lane, (palette.current ??= readPalette()));
  const draw = () => {
    pending.current = 0;
    const target = canvas.current && surface(canvas.current);
    if (!target) return;
    const started = performance.now();
    const current = lane.loader.data.peek();
    const around = frame();
    if (current) lane.draw(target, current, around);
    else target.context.clearRect(0, 0, target.width, target.height);
    const hover = timeline.hover.peek();
    if (hover) drawCrosshair(target, around.palette, hover.x);
    canvas.current!.dataset["frameMs"] = (performance.now() - started).toFixed(2);
  };
  const schedule = () => {
    if (pending.current === 0) pending.current = requestAnimationFrame(draw);
  };
  useSignalEffect(() => {
    void [timeline.view.value, timeline.extent.value, timeline.data.value, timeline.far.value, timeline.hover.value?.x, lane.loader.data.value];
    schedule();
  });
  useEffect(() => {
    palette.current = null;
    schedule();
  }, [isDark.value, height]);
  useEffect(() => {
    const observer = new ResizeObserver(schedule);
    observer.observe(canvas.current!);
    return () => {
      observer.disconnect();
      cancelAnimationFrame(pending.current);
    };
  }, []);
  useLanePointer(canvas, timeline, lane, frame, setPointer);
  const known = { view: timeline.view.value, recorded: knownOf(timeline, lane) };
  // While the view moves the sentence may wait: it is read, not watched.
  const summary = useMemo(() => lane.summary(data, known), [data, lane, Math.round(known.view.start / (known.view.span / 50)), Math.round(Math.log2(known.view.span) * 8)]);
  const rect = pointer && canvas.current?.getBoundingClientRect();
  const tip = pointer && rect && data ? lane.tip(data, frame(), rect.width, pointer.x, pointer.y) : null;
  return (
    <div class="extra-lane" data-testid="extra-lane" data-lane={lane.key}>
      <div class="lane-name extra" style={{ height: `${height}px` }}>
        <span class="row tight">
          <b class="ellipsis grow">{lane.title(data)}</b>
          <button type="button" class="icon-button small" aria-label={`Remove the lane of ${lane.name(data)}`} title="Remove this lane" onClick={() => lane.remove()}><Icon name="close" size={12} /></button>
        </span>
        <span class="muted ellipsis">{error && !data ? "not loaded" : lane.detail(data, known)}</span>
      </div>
      <div class="extra-plot">
        <canvas ref={canvas} class="lane-canvas" role="img" aria-label={summary} style={{ height: `${height}px` }} data-testid="extra-canvas" />
        {error && <p class="lane-error" role="alert">{error.message} <button type="button" class="link" onClick={() => { lane.loader.retry(); lane.loader.need(timeline.view.peek(), canvas.current?.clientWidth ?? 1, timeline.extent.peek(), false); }}>Try again</button></p>}
      </div>
      {tip && rect && <div class="tip" role="presentation" data-testid="lane-tip" style={{ left: `${Math.max(8, Math.min(rect.left + pointer.x + 14, window.innerWidth - TIP_WIDTH))}px`, ...(rect.top > window.innerHeight / 2 ? { bottom: `${window.innerHeight - rect.top + 8}px` } : { top: `${rect.bottom + 8}px` }), maxWidth: `${TIP_WIDTH - 16}px` }}>{tip}</div>}
    </div>
  );
}

export function frameOf(timeline: Timeline, lane: ExtraLane, palette: Palette): Frame {
  const losses = ((timeline.data.peek() ?? timeline.far.peek())?.losses ?? []).filter(({ loss }) => lane.lostKinds.includes(loss.kind));
  return { view: timeline.view.peek(), recorded: knownOf(timeline, lane), losses, palette };
}

/** What is loaded of the recording and of this lane: the rest is drawn as unknown, because empty would claim that nothing happened. */
export function knownOf(timeline: Timeline, lane: ExtraLane): Extent {
  const { from, to } = timeline.known();
  const covers = lane.loader.data.peek()?.covers;
  return covers ? { from: Math.max(from, covers.from), to: Math.max(Math.min(to, covers.to), covers.from) } : { from, to };
}

/** Wheel and drag move all lanes, as they do over the workers. */
function useLanePointer(canvas: { current: HTMLCanvasElement | null }, timeline: Timeline, lane: ExtraLane, frame: () => Frame, setPointer: (at: { x: number; y: number } | null) => void): void {
  useEffect(() => {
    const element = canvas.current!;
    let down: { x: number; start: number; hasMoved: boolean } | null = null;
    const local = (event: MouseEvent) => {
      const rect = element.getBoundingClientRect();
      return { x: event.clientX - rect.left, y: event.clientY - rect.top, width: rect.width };
    };
    const clickAt = (x: number, width: number) => {
      const data = lane.loader.data.peek();
      return data && lane.click ? lane.click(data, frame(), width, x) : null;
    };
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const { x, width } = local(event);
      const unit = event.deltaMode === 1 ? 16 : 1;
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) timeline.panBy(((event.deltaX || event.deltaY) * unit) / width);
      else timeline.zoom(x / width, Math.exp(Math.max(-120, Math.min(120, event.deltaY * unit)) * (event.ctrlKey ? 0.01 : 0.0025)));
    };
    const onDown = (event: PointerEvent) => {
      if (event.button !== 0) return;
      element.setPointerCapture(event.pointerId);
      down = { x: local(event).x, start: timeline.view.peek().start, hasMoved: false };
    };
    const onMove = (event: PointerEvent) => {
      const { x, y, width } = local(event);
      timeline.hover.value = { x, y: -1, lane: -1, poll: null };
      if (!down) {
        setPointer({ x, y });
        element.style.cursor = clickAt(x, width) ? "pointer" : "";
        return;
      }
      if (!down.hasMoved && Math.abs(x - down.x) < CLICK_SLOP) return;
      down.hasMoved = true;
      setPointer(null);
      timeline.panTo(down.start - ((x - down.x) / width) * timeline.view.peek().span);
    };
    const onUp = (event: PointerEvent) => {
      const { x, width } = local(event);
      if (down && !down.hasMoved && event.type === "pointerup") clickAt(x, width)?.();
      down = null;
    };
    const onLeave = () => {
      setPointer(null);
      if (!down) timeline.hover.value = null;
    };
    const onDouble = (event: MouseEvent) => {
      const { x, width } = local(event);
      timeline.zoom(x / width, 0.2);
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    element.addEventListener("pointerdown", onDown);
    element.addEventListener("pointermove", onMove);
    element.addEventListener("pointerup", onUp);
    element.addEventListener("pointercancel", onUp);
    element.addEventListener("pointerleave", onLeave);
    element.addEventListener("dblclick", onDouble);
    return () => {
      element.removeEventListener("wheel", onWheel);
      element.removeEventListener("pointerdown", onDown);
      element.removeEventListener("pointermove", onMove);
      element.removeEventListener("pointerup", onUp);
      element.removeEventListener("pointercancel", onUp);
      element.removeEventListener("pointerleave", onLeave);
      element.removeEventListener("dblclick", onDouble);
    };
  }, [timeline, lane]);
}
