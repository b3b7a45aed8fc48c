import { expect, test } from "vitest";
import { layered, pathOf, type Arrow } from "./layers.ts";

const SIZES = { width: 10, height: 4, gapX: 10, gapY: 2, aspect: 1.6 };

/** `"a>b b<c"`: the second leads back from c to b. */
function lay(script: string, more: readonly string[] = []) {
  const arrows: Arrow[] = script.split(" ").filter(Boolean).map((pair) => {
    const [left, right] = pair.split(/[<>]/) as [string, string];
    return pair.includes(">") ? { from: left, to: right } : { from: right, to: left, isBack: true };
  });
  const boxes = [...new Set([...arrows.flatMap(({ from, to }) => [from, to]), ...more])];
  const layout = layered(boxes, arrows, SIZES);
  const column = (id: string) => layout.boxes.get(id)!.x / (SIZES.width + SIZES.gapX);
  return { layout, boxes, column, y: (id: string) => layout.boxes.get(id)!.y };
}

function overlaps({ layout, boxes }: ReturnType<typeof lay>): boolean {
  return boxes.some((a, k) => boxes.slice(k + 1).some((b) => {
    const [p, q] = [layout.boxes.get(a)!, layout.boxes.get(b)!];
    return Math.abs(p.x - q.x) < SIZES.width && Math.abs(p.y - q.y) < SIZES.height;
  }));
}

test("arrows lead to the right, layer by layer", () => {
  const { column } = lay("a>r r>b b>s s>c");
  expect(["a", "r", "b", "s", "c"].map(column)).toEqual([0, 1, 2, 3, 4]);
});

test("who waits for the last of a chain stands next to it, not at the far left", () => {
  const { column } = lay("a>r r>b b>s z>s");
  expect(column("z")).toBe(2);
});

test("what many wait for is in the middle of them", () => {
  const found = lay("a>r b>r c>r");
  expect(found.y("r")).toBe(found.y("b"));
  expect(overlaps(found)).toBe(false);
});

test("a circle is drawn with one arrow back, whose head is where it points to", () => {
  const { layout, column } = lay("a>r r>b b>s s>a");
  expect(["a", "r", "b", "s"].map(column)).toEqual([0, 1, 2, 3]);
  const back = layout.arrows[3]!;
  expect(back[0]!.x).toBe(layout.boxes.get("s")!.x);
  expect(back.at(-1)!.x).toBe(layout.boxes.get("a")!.x + SIZES.width);
  // It crosses the two layers between beside their boxes.
  expect(back.length).toBe(6);
  const [r, b] = [layout.boxes.get("r")!, layout.boxes.get("b")!];
  for (const point of back.slice(1, -1)) {
    for (const box of [r, b]) expect(point.y > box.y && point.y < box.y + SIZES.height && point.x >= box.x && point.x <= box.x + SIZES.width).toBe(false);
  }
});

test("half of a circle leads back where that is asked for", () => {
  const found = lay("a>r r>b s<b a<s");
  expect(["a", "r", "b", "s"].map(found.column)).toEqual([0, 1, 2, 1]);
  expect(found.y("r")).not.toBe(found.y("s"));
  const [, , back] = found.layout.arrows;
  expect(back!.map(({ x }) => x)).toEqual([found.layout.boxes.get("b")!.x, found.layout.boxes.get("s")!.x + SIZES.width]);
});

test("one that waits for itself has an arrow there and a lower one back", () => {
  const { layout } = lay("a>r r>a");
  const [there, back] = layout.arrows;
  expect(back![0]!.y).toBeGreaterThan(there![0]!.y);
});

test("an arrow to the box itself is no trouble", () => {
  expect(lay("a>a").layout.boxes.get("a")).toEqual({ x: 0, y: 0 });
});

test("lines that can do without crossing do not cross", () => {
  const { y } = lay("a>r b>s c>t r>x s>x t>x b>r");
  const order = (ids: string[]) => [...ids].sort((p, q) => y(p) - y(q)).join("");
  expect(order(["a", "b", "c"]).indexOf("a") < order(["a", "b", "c"]).indexOf("c")).toBe(order(["r", "s", "t"]).indexOf("r") < order(["r", "s", "t"]).indexOf("t"));
});

test("parts do not overlap, and fill rows", () => {
  const found = lay(Array.from({ length: 12 }, (_, k) => `a${k}>b${k}`).join(" "), ["alone"]);
  expect(overlaps(found)).toBe(false);
  expect(found.layout.width / found.layout.height).toBeGreaterThan(0.8);
  expect(found.layout.width / found.layout.height).toBeLessThan(3);
  for (const { x, y } of found.layout.boxes.values()) {
    expect(x >= 0 && x + SIZES.width <= found.layout.width).toBe(true);
    expect(y >= 0 && y + SIZES.height <= found.layout.height).toBe(true);
  }
});

test("nothing overlaps in a tangle, and each arrow starts and ends at its boxes", () => {
  let seed = 7;
  const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
  for (let round = 0; round < 40; round += 1) {
    const script = Array.from({ length: 40 }, () => `n${random(24)}${"<>"[random(2)]}n${random(24)}`).join(" ");
    const found = lay(script);
    expect(overlaps(found)).toBe(false);
    expect(found.layout.arrows.every((points) => points.every(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)))).toBe(true);
  }
});

test("a path is level at its points", () => {
  expect(pathOf([{ x: 0, y: 0 }, { x: 10, y: 4 }, { x: 20, y: 4 }])).toBe("M0 0C5 0 5 4 10 4L20 4");
});
