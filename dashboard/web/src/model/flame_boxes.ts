//! Where the boxes of a flame graph are, and which of them a frame has to draw.

import type { Nanos } from "../base/instant.ts";
import type { Node } from "./flame.ts";

/** All boxes, row by row, each row from left to right. */
export interface Boxes {
  readonly nodes: readonly Node[];
  /** Left edges, in nanoseconds from the left edge of the whole. */
  readonly starts: Float64Array;
  /** `rows[d]` to `rows[d + 1]` is row `d`. */
  readonly rows: readonly number[];
  readonly total: Nanos;
}

/** What is on screen, in nanoseconds from the left edge of the whole. */
export interface Span {
  readonly start: Nanos;
  readonly span: Nanos;
}

/** Children lie below their parent from its left edge on; what they leave free is the parent's own time. */
export function boxesOf(root: Node): Boxes {
  const nodes: Node[] = [];
  const starts: number[] = [];
  const rows = [0];
  let row: [Node, number][] = [[root, 0]];
  while (row.length > 0) {
    const next: [Node, number][] = [];
    for (const [parent, start] of row) {
      let at = start;
      for (const child of parent.children) {
        if (child.total > 0) next.push([child, at]);
        at += child.total;
      }
    }
    for (const [child, start] of next) {
      nodes.push(child);
      starts.push(start);
    }
    if (next.length > 0) rows.push(nodes.length);
    row = next;
  }
  return { nodes, starts: Float64Array.from(starts), rows, total: root.total };
}

export function depthOf(boxes: Boxes): number {
  return boxes.rows.length - 1;
}

/** The box of a node, -1 if it has none. */
export function indexOf(boxes: Boxes, node: Node | null): number {
  return node ? boxes.nodes.indexOf(node) : -1;
}

export function rowOf(boxes: Boxes, index: number): number {
  let row = 0;
  while (row + 1 < boxes.rows.length && boxes.rows[row + 1]! <= index) row += 1;
  return row;
}

/** The span of a box; all of it without one. */
export function spanOf(boxes: Boxes, index: number): Span {
  const node = boxes.nodes[index];
  return node ? { start: boxes.starts[index]!, span: Math.max(node.total, 1) } : { start: 0, span: Math.max(boxes.total, 1) };
}

/** The box at an instant of a row, -1 if there is none. */
export function boxAt(boxes: Boxes, row: number, at: Nanos): number {
  if (row < 0 || row >= depthOf(boxes)) return -1;
  const index = lastStartingBy(boxes, boxes.rows[row]!, boxes.rows[row + 1]!, at);
  return index >= 0 && at < boxes.starts[index]! + boxes.nodes[index]!.total ? index : -1;
}

/** The last box of `[from, to)` that starts at or before `at`, -1 if none does. */
function lastStartingBy(boxes: Boxes, from: number, to: number, at: Nanos): number {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (boxes.starts[middle]! <= at) low = middle + 1;
    else high = middle;
  }
  return low > from ? low - 1 : -1;
}

/** Boxes narrower than this many pixels are drawn together. */
export const NARROW = 0.5;

/**
 * Hands the boxes of one row that are on screen to `box`, and stretches of those too narrow to be seen to `narrow`, as pixels
 * `[left, right)` and, of a stretch, its first and last box.
 */
export function eachVisible(
  boxes: Boxes, row: number, view: Span, width: number, box: (index: number, left: number, right: number) => void, narrow: (first: number, last: number, left: number, right: number) => void,
): void {
  const [from, to] = [boxes.rows[row]!, boxes.rows[row + 1]!];
  const scale = width / view.span;
  const end = view.start + view.span;
  let [first, left, right] = [-1, 0, 0];
  let k = Math.max(lastStartingBy(boxes, from, to, view.start), from);
  for (; k < to && boxes.starts[k]! < end; k += 1) {
    const x = (boxes.starts[k]! - view.start) * scale;
    const w = boxes.nodes[k]!.total * scale;
    if (x + w <= 0) continue;
    if (w >= NARROW) {
      if (first >= 0) narrow(first, k - 1, left, right);
      first = -1;
      box(k, Math.max(x, 0), Math.min(x + w, width));
      continue;
    }
    // A gap that can be seen ends a stretch.
    if (first >= 0 && x - right > 1) {
      narrow(first, k - 1, left, right);
      first = -1;
    }
    if (first < 0) [first, left] = [k, x];
    right = x + w;
  }
  if (first >= 0) narrow(first, k - 1, left, right);
}

export type Step = "in" | "out" | "next" | "previous";

/** The box that an arrow key leads to; itself where there is none. */
export function stepFrom(boxes: Boxes, index: number, step: Step): number {
  if (index < 0) return boxes.nodes.length > 0 ? 0 : -1;
  const node = boxes.nodes[index]!;
  const row = rowOf(boxes, index);
  if (step === "out") return row === 0 ? index : boxAt(boxes, row - 1, boxes.starts[index]!);
  if (step === "in") {
    const widest = node.children.reduce<Node | null>((best, child) => (child.total > (best?.total ?? 0) ? child : best), null);
    return widest ? boxes.nodes.indexOf(widest, boxes.rows[row + 1]) : index;
  }
  const target = step === "next" ? index + 1 : index - 1;
  return target >= boxes.rows[row]! && target < boxes.rows[row + 1]! ? target : index;
}
