import { expect, test } from "vitest";
import { RowCache } from "./row_cache.ts";

test("rows are asked for by page, once, when they are looked at", async () => {
  const asked: number[] = [];
  let changes = 0;
  const load = async (offset: number) => {
    asked.push(offset);
    return { total: 1000, offset, rows: Array.from({ length: 100 }, (_, k) => offset + k) };
  };
  const cache = new RowCache<number>(100, load, () => (changes += 1));
  cache.want(0, 40);
  cache.want(10, 50);
  cache.want(190, 210);
  expect(asked).toEqual([0, 100, 200]);
  expect(cache.at(5)).toBeUndefined();
  await Promise.resolve().then(() => Promise.resolve());
  expect(changes).toBe(3);
  expect([cache.total, cache.at(5), cache.at(205), cache.at(305)]).toEqual([1000, 5, 205, undefined]);
});

test("a page that failed is asked for again, and pages far away are forgotten", async () => {
  let fails = true;
  const cache = new RowCache<number>(1, async (offset) => (fails ? null : { total: 100, offset, rows: [offset] }), () => {});
  cache.want(0, 1);
  await Promise.resolve().then(() => Promise.resolve());
  fails = false;
  for (let k = 0; k < 100; k += 1) {
    cache.want(k, k + 1);
    await Promise.resolve().then(() => Promise.resolve());
  }
  expect(cache.at(99)).toBe(99);
  expect(cache.at(0)).toBeUndefined();
});
