import { expect, test } from "vitest";
import { sumsOf } from "./sums.ts";

test("only what is known is counted", () => {
  expect(sumsOf([null, undefined, NaN])).toBeNull();
  expect(sumsOf([3, null, 1])).toEqual({ count: 2, sum: 4, mean: 2, p50: 1, p99: 3, max: 3 });
});

test("percentiles are values of the column", () => {
  const sums = sumsOf(Array.from({ length: 200 }, (_, k) => 200 - k))!;
  expect([sums.p50, sums.p99, sums.max]).toEqual([100, 198, 200]);
});
