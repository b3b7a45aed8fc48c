//! Dragging along the axis selects time on all workers.

import { useLayoutEffect } from "preact/hooks";
import type { Timeline } from "./controller.ts";

/** Pixels a pointer may move and still mean nothing. */
const SLOP = 4;

export function useAxisSelect(axis: { current: HTMLCanvasElement | null }, timeline: Timeline): void {
  useLayoutEffect(() => {
    const element = axis.current!;
    let down: { x: number; at: number } | null = null;
    let hasMoved = false;
    const local = (event: PointerEvent) => event.clientX - element.getBoundingClientRect().left;
    const onDown = (event: PointerEvent) => {
      if (event.button !== 0) return;
      element.setPointerCapture(event.pointerId);
      const x = local(event);
      down = { x, at: timeline.selecting.at(x, element.clientWidth) };
      hasMoved = false;
    };
    const onMove = (event: PointerEvent) => {
      if (!down) return;
      const x = local(event);
      hasMoved ||= Math.abs(x - down.x) >= SLOP;
      const at = timeline.selecting.at(x, element.clientWidth);
      if (hasMoved) timeline.selecting.draw({ from: Math.min(down.at, at), to: Math.max(down.at, at), lanes: null });
    };
    const onUp = () => {
      if (down && hasMoved) timeline.selecting.keep();
      down = null;
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
