//! Where the boxes of a graph go: in layers from left to right, so that arrows lead to the right wherever they can.
//!
//! The usual four steps for each connected part (arrows that close a circle are turned round, layers by the longest way, order by
//! the middle of the neighbours, then heights), and the parts one after the other, in rows as wide as needed for a pleasant shape.
//! Who knows the circles says which half of each leads back: then they look like circles, and not like one long arrow.

export interface Arrow {
  readonly from: string;
  readonly to: string;
  /** Leads to the left, if nothing is in the way. */
  readonly isBack?: boolean;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Sizes {
  readonly width: number;
  readonly height: number;
  /** Between layers, and between boxes of a layer. */
  readonly gapX: number;
  readonly gapY: number;
  /** Width by height that the whole should have. */
  readonly aspect: number;
}

export interface Layout {
  /** The left upper corner of each box. */
  readonly boxes: ReadonlyMap<string, Point>;
  /** For each arrow the points from its tail to its head, with level ends. */
  readonly arrows: readonly (readonly Point[])[];
  readonly width: number;
  readonly height: number;
}

/** One box of a layer, or the place where a long arrow crosses it. */
interface Slot {
  readonly id: string | null;
  readonly layer: number;
  readonly left: Slot[];
  readonly right: Slot[];
  y: number;
}

interface Part {
  readonly slots: readonly Slot[];
  readonly width: number;
  readonly height: number;
}

const SWEEPS = 8;

/** Arrows to boxes that are not given are an error. */
export function layered(boxes: readonly string[], arrows: readonly Arrow[], sizes: Sizes): Layout {
  const wished = arrows.map((arrow) => turn(arrow, arrow.isBack === true));
  const isClosing = turned(boxes, wished);
  const forward = wished.map((arrow, k) => turn(arrow, isClosing[k]!));
  const isTurned = arrows.map((arrow, k) => (arrow.isBack === true) !== isClosing[k]);
  const layerOf = layersOf(boxes, forward);
  const slots = new Map(boxes.map((id) => [id, newSlot(id, layerOf.get(id)!)]));
  const ways = forward.map(({ from, to }) => wayThrough(slots.get(from)!, slots.get(to)!));
  const parts = partsOf(boxes.map((id) => slots.get(id)!)).map((part) => place(part, sizes));
  const corners = new Map<Slot, Point>();
  const { width, height } = pack(parts, sizes, corners);
  return {
    boxes: new Map(boxes.map((id) => [id, corners.get(slots.get(id)!)!])),
    arrows: pointsOf(ways, isTurned, corners, sizes),
    width,
    height,
  };
}

function turn({ from, to }: Arrow, isTurned: boolean): Arrow {
  return isTurned ? { from: to, to: from } : { from, to };
}

function newSlot(id: string | null, layer: number): Slot {
  return { id, layer, left: [], right: [], y: 0 };
}

/** Which arrows lead back to a box that is on the way to them; those who have no arrow to them begin. */
function turned(boxes: readonly string[], arrows: readonly Arrow[]): boolean[] {
  const out = new Map<string, number[]>(boxes.map((id) => [id, []]));
  arrows.forEach((arrow, k) => out.get(arrow.from)!.push(k));
  const reached = new Set(arrows.map((arrow) => arrow.to));
  const state = new Map<string, "open" | "done">();
  const back = arrows.map(() => false);
  const visit = (id: string): void => {
    state.set(id, "open");
    for (const k of out.get(id)!) {
      const { to } = arrows[k]!;
      if (state.get(to) === "open") back[k] = true;
      else if (!state.has(to)) visit(to);
    }
    state.set(id, "done");
  };
  for (const id of [...boxes.filter((box) => !reached.has(box)), ...boxes]) if (!state.has(id)) visit(id);
  return back;
}

/** As far right as the longest way to it; but a box without arrows to it is next to what it points to. */
function layersOf(boxes: readonly string[], arrows: readonly Arrow[]): Map<string, number> {
  const open = new Map<string, number>(boxes.map((id) => [id, 0]));
  const out = new Map<string, string[]>(boxes.map((id) => [id, []]));
  for (const { from, to } of arrows) {
    if (from === to) continue;
    open.set(to, open.get(to)! + 1);
    out.get(from)!.push(to);
  }
  const layers = new Map<string, number>(boxes.map((id) => [id, 0]));
  const sources = boxes.filter((id) => open.get(id) === 0);
  for (const ready = [...sources]; ready.length > 0; ) {
    const id = ready.shift()!;
    for (const to of out.get(id)!) {
      layers.set(to, Math.max(layers.get(to)!, layers.get(id)! + 1));
      open.set(to, open.get(to)! - 1);
      if (open.get(to) === 0) ready.push(to);
    }
  }
  for (const id of sources) {
    const next = out.get(id)!.map((to) => layers.get(to)!);
    if (next.length > 0) layers.set(id, Math.min(...next) - 1);
  }
  return layers;
}

/** The slots of an arrow, one in each layer that it crosses. */
function wayThrough(from: Slot, to: Slot): Slot[] {
  const way = [from];
  for (let layer = from.layer + 1; layer < to.layer; layer += 1) way.push(newSlot(null, layer));
  way.push(to);
  for (let k = 1; k < way.length; k += 1) {
    if (way[k] === way[k - 1]) continue;
    way[k - 1]!.right.push(way[k]!);
    way[k]!.left.push(way[k - 1]!);
  }
  return way;
}

/** What hangs together, in the order of its first box. */
function partsOf(slots: readonly Slot[]): Slot[][] {
  const seen = new Set<Slot>();
  const parts: Slot[][] = [];
  for (const start of slots) {
    if (seen.has(start)) continue;
    const part = [start];
    seen.add(start);
    for (let k = 0; k < part.length; k += 1) {
      for (const next of [...part[k]!.left, ...part[k]!.right]) {
        if (seen.has(next)) continue;
        seen.add(next);
        part.push(next);
      }
    }
    parts.push(part);
  }
  return parts;
}

/** Orders the boxes of each layer and gives them their heights. */
function place(slots: readonly Slot[], sizes: Sizes): Part {
  const first = Math.min(...slots.map((slot) => slot.layer));
  const layers: Slot[][] = [];
  for (const slot of slots) (layers[slot.layer - first] ??= []).push(slot);
  const pitch = (a: Slot, b: Slot) => (a.id == null && b.id == null ? 0.4 : a.id == null || b.id == null ? 0.7 : 1) * (sizes.height + sizes.gapY);
  for (const layer of layers) layer.forEach((slot, k) => (slot.y = k === 0 ? 0 : layer[k - 1]!.y + pitch(layer[k - 1]!, slot)));
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const isRightward = sweep % 2 === 0;
    for (const layer of isRightward ? layers : [...layers].reverse()) {
      const wish = new Map(layer.map((slot) => [slot, middle(isRightward ? slot.left : slot.right) ?? slot.y]));
      if (sweep < SWEEPS - 2) layer.sort((a, b) => wish.get(a)! - wish.get(b)!);
      settle(layer, layer.map((slot) => wish.get(slot)!), pitch);
    }
  }
  const top = Math.min(...slots.map((slot) => slot.y));
  for (const slot of slots) slot.y -= top;
  const height = Math.max(...slots.map((slot) => slot.y)) + sizes.height;
  return { slots, width: layers.length * (sizes.width + sizes.gapX) - sizes.gapX, height };
}

function middle(slots: readonly Slot[]): number | null {
  return slots.length === 0 ? null : slots.reduce((sum, slot) => sum + slot.y, 0) / slots.length;
}

/** As near to the wishes as the order and the gaps allow: the mean of giving way downwards and giving way upwards. */
function settle(layer: readonly Slot[], wishes: readonly number[], pitch: (a: Slot, b: Slot) => number): void {
  const down = [...wishes];
  const up = [...wishes];
  for (let k = 1; k < layer.length; k += 1) down[k] = Math.max(down[k]!, down[k - 1]! + pitch(layer[k - 1]!, layer[k]!));
  for (let k = layer.length - 2; k >= 0; k -= 1) up[k] = Math.min(up[k]!, up[k + 1]! - pitch(layer[k]!, layer[k + 1]!));
  layer.forEach((slot, k) => (slot.y = (down[k]! + up[k]!) / 2));
}

/** The parts in rows, in their order. */
function pack(parts: readonly Part[], sizes: Sizes, corners: Map<Slot, Point>): { width: number; height: number } {
  const [apartX, apartY] = [sizes.gapX, sizes.gapY * 2.5];
  const area = parts.reduce((sum, part) => sum + (part.width + apartX) * (part.height + apartY), 0);
  const limit = Math.max(...parts.map((part) => part.width), Math.sqrt(area * sizes.aspect));
  let [x, y, row, width] = [0, 0, 0, 0];
  for (const part of parts) {
    if (x > 0 && x + part.width > limit) [x, y, row] = [0, y + row + apartY, 0];
    const first = Math.min(...part.slots.map((slot) => slot.layer));
    for (const slot of part.slots) corners.set(slot, { x: x + (slot.layer - first) * (sizes.width + sizes.gapX), y: y + slot.y });
    width = Math.max(width, x + part.width);
    row = Math.max(row, part.height);
    x += part.width + apartX;
  }
  return { width, height: y + row };
}

/** Where arrows in both directions meet a side of a box, those that were turned round are lower, so that neither hides the other. */
function pointsOf(ways: readonly (readonly Slot[])[], isTurned: readonly boolean[], corners: ReadonlyMap<Slot, Point>, sizes: Sizes): Point[][] {
  const straight = { left: new Set<Slot>(), right: new Set<Slot>() };
  ways.forEach((way, k) => {
    if (isTurned[k]) return;
    straight.right.add(way[0]!);
    straight.left.add(way.at(-1)!);
  });
  return ways.map((way, k) => {
    const end = (slot: Slot, side: "left" | "right"): Point => {
      const { x, y } = corners.get(slot)!;
      const share = isTurned[k] && straight[side].has(slot) ? 0.75 : 0.5;
      return { x: side === "left" ? x : x + sizes.width, y: y + sizes.height * share };
    };
    const between = way.slice(1, -1).flatMap((slot) => [end(slot, "left"), end(slot, "right")]);
    const points = [end(way[0]!, "right"), ...between, end(way.at(-1)!, "left")];
    return isTurned[k] ? points.reverse() : points;
  });
}

/** The points as the path of an SVG, level at each of them. */
export function pathOf(points: readonly Point[]): string {
  const n = (value: number) => String(Math.round(value * 10) / 10);
  return points.map(({ x, y }, k) => {
    if (k === 0) return `M${n(x)} ${n(y)}`;
    const before = points[k - 1]!;
    const half = (before.x + x) / 2;
    return before.y === y ? `L${n(x)} ${n(y)}` : `C${n(half)} ${n(before.y)} ${n(half)} ${n(y)} ${n(x)} ${n(y)}`;
  }).join("");
}
