import { expect, test } from "vitest";
import { below, classText, isPicked, logHeight, parsePick, picked, pickText } from "./life.ts";

test("what is chosen survives the address", () => {
  for (const text of ["length:0-100", "delay:200000-500000", "length:5000000000-"]) expect(pickText(parsePick(text)!)).toBe(text);
  for (const text of [null, "", "length", "length:5-5", "length:9-1", "size:1-2", "length:-5-9", "length:1-2x"]) expect(parsePick(text)).toBe(null);
});

test("a class is written with its unit once", () => {
  expect(classText(0, 100)).toBe("under 100 ns");
  expect(classText(200_000, 500_000)).toBe("200–500 µs");
  expect(classText(500_000, 1_000_000)).toBe("500 µs – 1 ms");
  expect(classText(5e18, null)).toContain("and more");
});

test("a click chooses, a second one lets go, Shift adds", () => {
  const [a, b, last] = [{ from: 100, to: 200, count: 1 }, { from: 500, to: 1000, count: 2 }, { from: 5000, to: null, count: 1 }];
  const one = picked(null, "length", a!, false);
  expect(one).toEqual({ by: "length", min: 100, max: 200 });
  expect(picked(one, "length", a!, false)).toBe(null);
  expect(picked(one, "delay", a!, true)).toEqual({ by: "delay", min: 100, max: 200 });
  const more = picked(one, "length", b!, true);
  expect(more).toEqual({ by: "length", min: 100, max: 1000 });
  expect([a, b, last].map((it) => isPicked(more, "length", it!))).toEqual([true, true, false]);
  expect(picked(more, "length", last!, true)?.max).toBe(null);
  expect(isPicked(more, "delay", a!)).toBe(false);
});

test("shares lie below the end of a class", () => {
  const classes = [{ from: 0, to: 100, count: 98 }, { from: 100, to: 200, count: 1 }, { from: 200, to: null, count: 1 }];
  expect([below(classes, 0.5), below(classes, 0.99), below(classes, 1), below([], 0.5)]).toEqual([100, 200, null, null]);
});

test("bars are logarithmic, and one poll is seen beside a million", () => {
  expect([logHeight(0, 10), logHeight(10, 10)]).toEqual([0, 1]);
  expect(logHeight(1, 1_000_000)).toBeGreaterThan(0.04);
});
