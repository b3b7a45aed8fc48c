//! Views that one can go back to. Moves that are one gesture, such as a turn of the wheel, are one step.

import type { View } from "./geometry.ts";

/** Views one can go back to; of more the oldest are forgotten. */
const MAX_UNDO = 50;
/** Moves closer together than this, in milliseconds, are one gesture. */
const GESTURE_MS = 500;

export class Undo {
  private readonly views: View[] = [];
  private lastMove = -Infinity;

  /** The view was `before`, and moves at `now`, in milliseconds. */
  moves(before: View, now: number): void {
    if (now - this.lastMove > GESTURE_MS) this.keep(before);
    this.lastMove = now;
  }

  /** The view was `before`, and becomes another one at once: whatever moved just now, or moves next, is another gesture. */
  jumps(before: View): void {
    this.keep(before);
    this.lastMove = -Infinity;
  }

  /** The view before the last step; null if there was none. */
  back(now: number): View | null {
    this.lastMove = now;
    return this.views.pop() ?? null;
  }

  private keep(view: View): void {
    this.views.push(view);
    if (this.views.length > MAX_UNDO) this.views.shift();
  }
}
