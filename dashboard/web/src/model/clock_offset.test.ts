import { expect, test } from "vitest";
import { clockOffset } from "./clock_offset.ts";

const MS = 1e6;

test("a batch that came later than it was sealed bounds how far the clock is behind, and nothing else", () => {
  const offset = clockOffset(3 * MS);
  expect([offset.from, offset.to, offset.isApart, offset.interval]).toEqual([-3 * MS, null, false, "−3 ms or more"]);
  expect(offset.text).toContain("behind by at most 3 ms");
  expect(offset.text).toContain("may also be ahead");
});

test("a batch that came before it was sealed says that the clock is ahead, and by how much at least", () => {
  const offset = clockOffset(-200 * MS);
  expect([offset.from, offset.to, offset.isApart, offset.interval]).toEqual([200 * MS, null, true, "+200 ms or more"]);
  expect(offset.text).toContain("ahead by at least 200 ms");
});

test("only what no way of a batch explains is called apart", () => {
  expect([0, 50 * MS, 51 * MS, -0.5 * MS, -2 * MS].map((least) => clockOffset(least).isApart)).toEqual([false, false, true, false, true]);
  expect(Object.is(clockOffset(0).from, 0)).toBe(true);
});
