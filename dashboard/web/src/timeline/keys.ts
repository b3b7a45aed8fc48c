//! Keys of the timeline. Letters that move are bound to places on the keyboard, so that WASD lies under the left hand on any layout.

import { setQuery } from "../app/router.ts";
import { place } from "../app/router.ts";
import type { Timeline } from "./controller.ts";
import { stepTo } from "./stepping.ts";

const ZOOM = 0.7;
const PAN = 0.15;

/** Keys that work anywhere on the page. True if the key was one. */
export function onPageKey(event: KeyboardEvent, timeline: Timeline): boolean {
  const actions: Record<string, () => void> = {
    KeyW: () => timeline.zoom(anchor(timeline), ZOOM),
    KeyS: () => timeline.zoom(anchor(timeline), 1 / ZOOM),
    KeyA: () => timeline.panBy(-PAN),
    KeyD: () => timeline.panBy(PAN),
  };
  const byLetter: Record<string, () => void> = {
    f: () => timeline.fit(),
    z: () => timeline.back(),
    n: () => timeline.standouts.step(1),
    p: () => timeline.standouts.step(-1),
    N: () => timeline.standouts.step(1, timeline.standouts.sameKind()),
    P: () => timeline.standouts.step(-1, timeline.standouts.sameKind()),
    "[": () => timeline.arrows.step(-1),
    "]": () => timeline.arrows.step(1),
    v: () => setQuery({ table: place.peek().query.get("table") !== "1" }),
    m: () => timeline.selecting.mark(pointed(timeline)),
    b: () => timeline.notes.begin(pointed(timeline)),
    M: () => timeline.selecting.markView(),
    ".": () => void stepTo(timeline, "lane", 1),
    ",": () => void stepTo(timeline, "lane", -1),
    ">": () => void stepTo(timeline, "task", 1),
    "<": () => void stepTo(timeline, "task", -1),
    Escape: () => timeline.selecting.clear() || (timeline.notes.isShown.peek() ? timeline.notes.close() : timeline.select(null)),
  };
  const action = (event.shiftKey ? null : actions[event.code]) ?? byLetter[event.key];
  if (!action) return false;
  action();
  return true;
}

/** Keys that need the focus on the timeline, because elsewhere they scroll. */
export function onTimelineKey(event: KeyboardEvent, timeline: Timeline): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const actions: Record<string, () => void> = event.shiftKey ? {
    ArrowLeft: () => timeline.selecting.extend(-1),
    ArrowRight: () => timeline.selecting.extend(1),
    ArrowUp: () => timeline.selecting.addLane(-1),
    ArrowDown: () => timeline.selecting.addLane(1),
  } : {
    ArrowLeft: () => timeline.stepPoll(-1, 0),
    ArrowRight: () => timeline.stepPoll(1, 0),
    ArrowUp: () => timeline.stepPoll(0, -1),
    ArrowDown: () => timeline.stepPoll(0, 1),
    Enter: () => document.querySelector<HTMLElement>("[data-testid=poll-panel] a")?.focus(),
  };
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

/** The instant under the pointer; without one where zooming holds still. */
function pointed(timeline: Timeline): number {
  const { start, span } = timeline.view.peek();
  return start + anchor(timeline) * span;
}

/** Zooms at the pointer if it is over the lanes, else at the selection, else in the middle. */
function anchor(timeline: Timeline): number {
  const view = timeline.view.peek();
  const hover = timeline.hover.peek();
  if (hover) return hover.x / Math.max(document.querySelector<HTMLElement>("[data-testid=timeline-canvas]")?.clientWidth ?? 1, 1);
  const selected = timeline.selected.peek();
  const middle = selected ? (selected.start + selected.length / 2 - view.start) / view.span : 0.5;
  return middle >= 0 && middle <= 1 ? middle : 0.5;
}
