//! Draws the boxes of a flame graph. Boxes of the program are filled, bold and have a bar on their left; others are outlines.

import { depthOf, eachVisible, NARROW, rowOf, spanOf, type Boxes, type Span } from "../model/flame_boxes.ts";
import type { Func, Node } from "../model/flame.ts";
import type { Surface } from "../ui/canvas.ts";
import { fitted } from "./labels.ts";

export const ROW = 20;

export interface FlamePalette {
  readonly own: readonly [string, string];
  readonly surface: string;
  readonly same: string;
  readonly more: string;
  readonly less: string;
  readonly hit: string;
  readonly hitLine: string;
  readonly ink: string;
  readonly ink2: string;
  readonly line: string;
  readonly bar: string;
  readonly mono: string;
}

/** Reads the style sheet's names; do it once per theme, not per frame. */
export function readFlamePalette(): FlamePalette {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    own: [color("flame-own-0"), color("flame-own-1")], surface: color("surface"), same: color("sunken"), more: color("flame-more"), less: color("flame-less"),
    hit: color("flame-hit"), hitLine: color("loss"), ink: color("ink"), ink2: color("ink-2"), line: color("line-strong"), bar: color("flame-bar"), mono: color("mono"),
  };
}

export interface FlameScene {
  readonly boxes: Boxes;
  readonly funcs: readonly Func[];
  readonly labelOf: (node: Node) => string;
  /** The box that fills the width, -1 for all of them. */
  readonly focus: number;
  readonly hovered: number;
  readonly selected: number;
  /** By function, 1 for what was searched for; null without a search. */
  readonly matches: Uint8Array | null;
  /** Colours say what changed. */
  readonly isDiff: boolean;
  /** Row 0 is at the bottom. */
  readonly isUp: boolean;
  readonly scrollTop: number;
}

export function viewOf(scene: FlameScene): Span {
  return spanOf(scene.boxes, scene.focus);
}

/** The top of a row, in the whole graph. */
export function topOf(boxes: Boxes, row: number, isUp: boolean): number {
  return (isUp ? depthOf(boxes) - 1 - row : row) * ROW;
}

export function drawFlame({ context: c, width, height, ratio }: Surface, scene: FlameScene, palette: FlamePalette): void {
  const { boxes, scrollTop, isUp } = scene;
  c.fillStyle = palette.surface;
  c.fillRect(0, 0, width, height);
  c.textBaseline = "middle";
  c.textAlign = "left";
  const view = viewOf(scene);
  const focusRow = scene.focus < 0 ? -1 : rowOf(boxes, scene.focus);
  const fonts: [string, string] = [`12px ${palette.mono}`, `600 12px ${palette.mono}`];
  c.font = fonts[0];
  const charWidth = c.measureText("0").width;
  const slivers = new Slivers(c, stripesOf(c, palette, ratio));
  for (let row = 0; row < depthOf(boxes); row += 1) {
    const y = topOf(boxes, row, isUp) - scrollTop;
    if (y >= height || y + ROW <= 0) continue;
    const isAbove = row < focusRow;
    eachVisible(boxes, row, view, width,
      (index, left, right) => {
        const w = right - left;
        if (w <= SLIVER) return slivers.add(left, right, y, sliverColor(scene, palette, boxes.nodes[index]!), alphaOf(scene, boxes.nodes[index]!, isAbove));
        slivers.end();
        drawBox(c, scene, palette, { index, x: left, y, w, isAbove, fonts, charWidth });
      },
      (first, last, left, right) => {
        const { color, alpha } = lookOf(scene, palette, first, last, isAbove);
        slivers.add(left, right, y, color, alpha, last - first + 1);
      });
    slivers.end();
  }
  c.globalAlpha = 1;
  for (const [index, color, thick] of [[scene.hovered, palette.ink2, 1], [scene.selected, palette.ink, 2]] as const) outline(c, scene, view, width, index, color, thick);
}

/** Boxes up to this many pixels have no border, no bar and no name. */
const SLIVER = 3;

/** Draws slivers that lie side by side and look alike as one, with stripes that say that they are many. */
class Slivers {
  readonly #context: CanvasRenderingContext2D;
  readonly #stripes: CanvasPattern | null;
  #open: { left: number; right: number; y: number; color: string; alpha: number; count: number } | null = null;

  constructor(context: CanvasRenderingContext2D, stripes: CanvasPattern | null) {
    this.#context = context;
    this.#stripes = stripes;
  }

  add(left: number, right: number, y: number, color: string, alpha: number, count = 1): void {
    const open = this.#open;
    if (open && open.color === color && open.alpha === alpha && left - open.right < 0.01) {
      open.right = right;
      open.count += count;
      return;
    }
    this.end();
    this.#open = { left, right, y, color, alpha, count };
  }

  end(): void {
    const open = this.#open;
    if (!open) return;
    this.#open = null;
    const c = this.#context;
    const width = Math.max(open.right - open.left, NARROW);
    c.globalAlpha = open.alpha;
    c.fillStyle = open.color;
    c.fillRect(open.left, open.y, width, ROW - 1);
    if (open.count < 2 || width < SLIVER || !this.#stripes) return;
    c.globalAlpha = 1;
    c.fillStyle = this.#stripes;
    c.fillRect(open.left, open.y, width, ROW - 1);
  }
}

/** One pixel of the surface in three: as if there were gaps between boxes that are too narrow for gaps. */
function stripesOf(c: CanvasRenderingContext2D, palette: FlamePalette, ratio: number): CanvasPattern | null {
  const tile = document.createElement("canvas");
  [tile.width, tile.height] = [Math.round(3 * ratio), 1];
  const pen = tile.getContext("2d");
  if (!pen) return null;
  pen.fillStyle = palette.surface;
  pen.fillRect(0, 0, Math.round(ratio), 1);
  const pattern = c.createPattern(tile, "repeat");
  pattern?.setTransform(new DOMMatrix().scale(3 / tile.width));
  return pattern;
}

/** Of boxes that are drawn together: what was searched for shows, else the program. */
function lookOf(scene: FlameScene, palette: FlamePalette, first: number, last: number, isAbove: boolean): { color: string; alpha: number } {
  const { nodes } = scene.boxes;
  let shown = nodes[first]!;
  for (let k = first; k <= last; k += 1) {
    const node = nodes[k]!;
    if (scene.matches?.[node.func] === 1) {
      shown = node;
      break;
    }
    if (!scene.funcs[shown.func]!.own && scene.funcs[node.func]!.own) shown = node;
    if (!scene.matches && scene.funcs[shown.func]!.own) break;
  }
  return { color: sliverColor(scene, palette, shown), alpha: alphaOf(scene, shown, isAbove) };
}

function sliverColor(scene: FlameScene, palette: FlamePalette, node: Node): string {
  if (scene.matches?.[node.func] === 1) return palette.hit;
  if (!scene.isDiff) return scene.funcs[node.func]!.own ? palette.own[0] : palette.line;
  const change = changeOf(node);
  return Math.abs(change) < SAME ? palette.same : change > 0 ? palette.more : palette.less;
}

/** What calls the box in focus steps back, and so does what was not searched for. */
function alphaOf(scene: FlameScene, node: Node, isAbove: boolean): number {
  return isAbove || (scene.matches && scene.matches[node.func] !== 1) ? 0.5 : 1;
}

interface Spot {
  readonly index: number;
  readonly x: number;
  readonly y: number;
  readonly w: number;
  /** Calls what is in focus. */
  readonly isAbove: boolean;
  readonly fonts: readonly [string, string];
  readonly charWidth: number;
}

function drawBox(c: CanvasRenderingContext2D, scene: FlameScene, palette: FlamePalette, { index, x, y, w, isAbove, fonts, charWidth }: Spot): void {
  const node = scene.boxes.nodes[index]!;
  const func = scene.funcs[node.func]!;
  const isHit = scene.matches?.[node.func] === 1;
  c.globalAlpha = alphaOf(scene, node, isAbove);
  // A gap of half a pixel keeps neighbours apart.
  const inner = w - 0.5;
  const color = isHit ? palette.hit : scene.isDiff ? palette.same : func.own ? palette.own[index % 2]! : palette.surface;
  const isOutlined = isHit || !func.own || scene.isDiff;
  if (isOutlined) {
    c.fillStyle = isHit ? palette.hitLine : palette.line;
    c.fillRect(x, y, inner, ROW - 1);
  }
  c.fillStyle = color;
  if (isOutlined) c.fillRect(x + 1, y + 1, inner - 2, ROW - 3);
  else c.fillRect(x, y, inner, ROW - 1);
  if (scene.isDiff && !isHit) tint(c, node, palette, x, y, inner, isOutlined);
  if (func.own && w > 6) {
    c.fillStyle = palette.bar;
    c.fillRect(x, y, 3, ROW - 1);
  }
  if (w < 4 * charWidth) return;
  const sign = scene.isDiff ? signOf(node) : "";
  const room = Math.floor((inner - 10) / charWidth);
  const text = fitted(sign + scene.labelOf(node), room);
  if (text === "") return;
  c.font = fonts[func.own ? 1 : 0];
  c.fillStyle = func.own || isHit ? palette.ink : palette.ink2;
  // Letters of other scripts may be wider than one of ours: the box ends the text, whatever it is.
  if (/^[\x20-\x7e…−·–]*$/.test(text)) return void c.fillText(text, x + 7, y + ROW / 2);
  c.fillText(text, x + 7, y + ROW / 2, inner - 10);
}

/** How much of what it is now, or was, came or went. */
export function changeOf(node: Pick<Node, "total" | "before">): number {
  return (node.total - node.before) / Math.max(node.total, node.before, 1);
}

/** Changes below this are none. */
const SAME = 0.02;

function signOf(node: Node): string {
  const change = changeOf(node);
  return Math.abs(change) < SAME ? "" : change > 0 ? "+ " : "− ";
}

function tint(c: CanvasRenderingContext2D, node: Node, palette: FlamePalette, x: number, y: number, w: number, isOutlined: boolean): void {
  const change = changeOf(node);
  if (Math.abs(change) < SAME) return;
  const alpha = c.globalAlpha;
  c.globalAlpha = alpha * (0.25 + 0.75 * Math.min(Math.abs(change), 1));
  c.fillStyle = change > 0 ? palette.more : palette.less;
  if (isOutlined) c.fillRect(x + 1, y + 1, w - 2, ROW - 3);
  else c.fillRect(x, y, w, ROW - 1);
  c.globalAlpha = alpha;
}

function outline(c: CanvasRenderingContext2D, scene: FlameScene, view: Span, width: number, index: number, color: string, thick: number): void {
  const node = scene.boxes.nodes[index];
  if (!node) return;
  const scale = width / view.span;
  const left = Math.max((scene.boxes.starts[index]! - view.start) * scale, 0);
  const right = Math.min((scene.boxes.starts[index]! + node.total - view.start) * scale, width);
  if (right < 0 || left > width) return;
  const y = topOf(scene.boxes, rowOf(scene.boxes, index), scene.isUp) - scene.scrollTop;
  c.strokeStyle = color;
  c.lineWidth = thick;
  c.strokeRect(left + thick / 2, y + thick / 2, Math.max(right - left - thick, 1), ROW - 1 - thick);
}
