//! What tells the classes of poll lengths apart without their colours: nothing, level lines, slanted lines, a grid. The same
//! pixels whether a poll is drawn as columns or as a rectangle, and made once for each theme and density of screen.

import type { Palette } from "./canvas.ts";

export interface Texture {
  /** Device pixels on each side: a power of two, so that a place in it is found by masking. */
  readonly size: number;
  /** Its pixels row by row, as ImageData holds them. */
  readonly words: Uint32Array;
}

/** CSS pixels after which a texture repeats. */
const PERIOD = 8;

/** Whether a pixel of each class is of the second tone, by its place in the period. */
const IS_LINE: readonly ((x: number, y: number) => boolean)[] = [
  () => false,
  (_x, y) => y % 4 === 1,
  (x, y) => (x + y) % 8 < 2,
  (x, y) => (x + y) % 8 < 1 || (x + PERIOD - y) % 8 < 1,
];

const made = new WeakMap<Palette, Map<number, readonly Texture[]>>();

/** One for each class. */
export function texturesOf(palette: Palette, ratio: number): readonly Texture[] {
  // Half a pixel more or less is not seen.
  const scale = 2 ** Math.max(0, Math.round(Math.log2(ratio)));
  const known = made.get(palette) ?? new Map<number, readonly Texture[]>();
  made.set(palette, known);
  const found = known.get(scale) ?? palette.classes.map((color, cls) => texture(pixelOf(color), pixelOf(palette.lines[cls]!), IS_LINE[cls]!, scale));
  known.set(scale, found);
  return found;
}

function texture(color: number, line: number, isLine: (x: number, y: number) => boolean, scale: number): Texture {
  const size = PERIOD * scale;
  const words = new Uint32Array(size * size);
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) words[y * size + x] = isLine(Math.floor(x / scale), Math.floor(y / scale)) ? line : color;
  }
  return { size, words };
}

const fills = new WeakMap<CanvasRenderingContext2D, { palette: Palette; ratio: number; fills: (CanvasPattern | string)[] }>();

/** What to fill polls of each class with; their colours where the browser makes no patterns. */
export function classFills(context: CanvasRenderingContext2D, palette: Palette, ratio: number): readonly (CanvasPattern | string)[] {
  const known = fills.get(context);
  if (known?.palette === palette && known.ratio === ratio) return known.fills;
  const list = texturesOf(palette, ratio).map((one, cls) => (cls === 0 ? palette.classes[0] : patternOf(context, one, ratio)) ?? palette.classes[cls as 0]);
  fills.set(context, { palette, ratio, fills: list });
  return list;
}

function patternOf(context: CanvasRenderingContext2D, { size, words }: Texture, ratio: number): CanvasPattern | null {
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const image = new ImageData(size, size);
  new Uint32Array(image.data.buffer).set(words);
  tile.getContext("2d")?.putImageData(image, 0, 0);
  const pattern = context.createPattern(tile, "repeat");
  // In device pixels, whatever the canvas is scaled by.
  pattern?.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern;
}

/** `#rrggbb` as the little-endian word that ImageData holds. */
export function pixelOf(hex: string): number {
  const value = Number.parseInt(hex.slice(1), 16);
  return (0xff000000 | ((value & 0xff) << 16) | (value & 0xff00) | ((value >> 16) & 0xff)) >>> 0;
}
