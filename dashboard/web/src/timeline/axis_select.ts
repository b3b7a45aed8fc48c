//! Dragging along the axis selects time on all workers.

import { useEffect } from "preact/hooks";
import type { Timeline } from "./controller.ts";

/** Pixels a pointer may move and still mean nothing. */
const SLOP = 4;

export function useAxisSelect(axis: { current: HTMLCanvasElement | null }, timeline: Timeline): void {
  useEffect(() => {
    const element = axis.current!;
    let from: number | null = null;
    let hasMoved = false;
    const local = (event: PointerEvent) => event.clientX - element.getBoundingClientRect().left;
    const onDown = (event: PointerEvent) => {
      if (event.button !== 0) return;
      element.setPointerCapture(event.pointerId);
      from = local(event);
      hasMoved = false;
    };
    const onMove = (event: PointerEvent) => {
      if (from == null) return;
      const x = local(event);
      hasMoved ||= Math.abs(x - from) >= SLOP;
      const all = { lane: 0 };
      if (hasMoved) timeline.selecting.draw({ ...timeline.selecting.ofPoints({ x: from, ...all }, { x, ...all }, element.clientWidth), lanes: null });
    };
    const onUp = () => {
      if (from != null && hasMoved) timeline.selecting.keep();
      from = null;
    };
    element.addEventListener("pointerdown", onDown);
    element.addEventListener("pointermove", onMove);
    element.addEventListener("pointerup", onUp);
    element.addEventListener("pointercancel", onUp);
    return () => {
      element.removeEventListener("pointerdown", onDown);
      element.removeEventListener("pointermove", onMove);
      element.removeEventListener("pointerup", onUp);
      element.removeEventListener("pointercancel", onUp);
    };
  }, [timeline]);
}
