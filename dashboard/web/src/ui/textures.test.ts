import { expect, test } from "vitest";
import type { Palette } from "./canvas.ts";
import { pixelOf, texturesOf, type Texture } from "./textures.ts";

const palette = { classes: ["#000001", "#000002", "#000003", "#000004"], lines: ["#0000f1", "#0000f2", "#0000f3", "#0000f4"] } as unknown as Palette;

/** Where the second tone is, as text. */
function drawn({ size, words }: Texture, line: string): string {
  const rows = Array.from({ length: size }, (_, y) => Array.from(words.subarray(y * size, (y + 1) * size), (word) => (word === pixelOf(line) ? "#" : "·")).join(""));
  return rows.join("\n");
}

test("each class has a texture of its own, so that it is told apart without its colour", () => {
  const shapes = texturesOf(palette, 1).map((texture, cls) => drawn(texture, palette.lines[cls]!));
  expect(new Set(shapes).size).toBe(4);
  expect(shapes[0]).not.toContain("#");
  // The longer the polls, the more of the second tone: a scan of grey still has an order.
  const amounts = shapes.map((shape) => shape.split("#").length);
  expect(amounts[1]).toBeLessThanOrEqual(amounts[2]!);
  for (const shape of shapes.slice(1)) expect(shape).toContain("·");
});

test("textures go on over the edges of their tiles", () => {
  for (const [cls, { size, words }] of texturesOf(palette, 1).entries()) {
    const isLine = (x: number, y: number) => words[(y % size) * size + (x % size)] === pixelOf(palette.lines[cls]!);
    // What is drawn is the same one step along its own direction, also from the last row to the first.
    for (let y = 0; y < size; y += 1) for (let x = 0; x < size; x += 1) if (cls === 2) expect(isLine(x + 1, y + size - 1)).toBe(isLine(x, y));
  }
});

test("a denser screen has the same texture with more pixels, and it is made once", () => {
  const [plain, dense] = [texturesOf(palette, 1), texturesOf(palette, 2)];
  expect([plain[2]!.size, dense[2]!.size, texturesOf(palette, 3)[2]!.size]).toEqual([8, 16, 32]);
  for (let y = 0; y < 16; y += 1) for (let x = 0; x < 16; x += 1) expect(dense[3]!.words[y * 16 + x]).toBe(plain[3]!.words[(y >> 1) * 8 + (x >> 1)]);
  expect(texturesOf(palette, 2)).toBe(dense);
});
