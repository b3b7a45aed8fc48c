import { expect, test } from "vitest";
import { around, firstLine, flags } from "./notes.ts";

const VIEW = { start: 1000, span: 1000 };
const at = (from: number, to = from) => ({ from, to });

test("notes that would cover each other share a flag, and the next one has its own", () => {
  const list = flags([at(1100), at(1110), at(1500)], VIEW, 1000);
  expect(list.map(({ x, items }) => [x, items.length])).toEqual([[100, 2], [500, 1]]);
});

test("a note that lasts has its flag at the edge, and what is out of view has none", () => {
  const list = flags([at(0, 500), at(0, 1500), at(3000)], VIEW, 1000);
  expect(list.map(({ x, items }) => [x, items.length])).toEqual([[0, 1]]);
});

test("a note is seen with some air around it", () => {
  expect(around(at(100, 300))).toEqual({ from: 0, to: 400 });
  expect(around(at(5e9))).toEqual({ from: 4.5e9, to: 5.5e9 });
});

test("a title is one short line, and says when there is more", () => {
  expect(firstLine("deploy 1.2\nwith the new pool")).toBe("deploy 1.2…");
  expect(firstLine("  deploy ")).toBe("deploy");
  expect(firstLine("x".repeat(100), 10)).toBe(`${"x".repeat(9)}…`);
});
