import { describe, expect, test } from "vitest";
import type { Instant } from "../base/instant.ts";
import { extended, isInRegion, isOfLengths, lanesBetween, lengthsFromText, lengthsToText, regionFromText, regionToText, withLanes } from "./region.ts";

const BASE = 1_795_356_000_000_000_000n as Instant;
const LANES = ["1.0", "1.1", "1.2"];
const VIEW = { start: 0, span: 40_000 };
const ALL = { from: 0, to: 100_000 };

describe("a region in the address", () => {
  test("comes back as it was, with its lanes or with all", () => {
    for (const lanes of [null, ["1.0"], ["1.0", "2.7"]]) {
      const region = { from: 5, to: 1_234_567, lanes };
      expect(regionFromText(regionToText(region, BASE), BASE)).toEqual(region);
    }
  });

  test("is at least a nanosecond, and never less than what was drawn", () => {
    expect(regionFromText(regionToText({ from: 7, to: 7, lanes: null }, BASE), BASE)).toEqual({ from: 7, to: 8, lanes: null });
    expect(regionFromText(regionToText({ from: 1.9, to: 2.1, lanes: null }, BASE), BASE)).toEqual({ from: 1, to: 3, lanes: null });
  });

  test("is nothing if it was damaged", () => {
    for (const text of [null, "", "5", "9-5", "5-9:", "5-9:1", "5-9:1.0,", "-5-9", "5-9;drop", "5-99999999999999999999"]) expect(regionFromText(text, BASE)).toBeNull();
  });
});

describe("lanes", () => {
  test("from one to another are the same whichever is above", () => {
    expect(lanesBetween(LANES, 2, 1)).toEqual(["1.1", "1.2"]);
    expect(lanesBetween(LANES, 0, 2)).toBeNull();
    expect(lanesBetween(LANES, -1, 9)).toBeNull();
  });

  test("keys take more and less of them", () => {
    const region = { from: 0, to: 9, lanes: null };
    const one = withLanes(region, VIEW, 1, LANES);
    expect(one.lanes).toEqual(["1.0"]);
    expect(withLanes(one, VIEW, 1, LANES).lanes).toEqual(["1.0", "1.1"]);
    expect(withLanes(one, VIEW, -1, LANES).lanes).toEqual(["1.0"]);
    expect(withLanes(region, VIEW, -1, LANES).lanes).toEqual(["1.0", "1.1"]);
    expect(withLanes({ ...region, lanes: ["1.1"] }, VIEW, 1, LANES).lanes).toEqual(["1.1", "1.2"]);
  });
});

describe("keys", () => {
  test("begin in the middle and move the end", () => {
    const first = extended(null, VIEW, 1, ALL);
    expect(first).toEqual({ from: 20_000, to: 21_000, lanes: null });
    expect(extended(first, VIEW, 1, ALL).to).toBe(22_000);
  });

  test("turn it round rather than have it end before it begins", () => {
    const region = { from: 20_000, to: 20_500, lanes: null };
    expect(extended(region, VIEW, -1, ALL)).toEqual({ from: 19_500, to: 20_000, lanes: null });
  });

  test("stay within the recording", () => {
    expect(extended({ from: 0, to: 99_900, lanes: null }, VIEW, 1, ALL).to).toBe(100_000);
  });
});

test("lengths come back as they were, and end before the next bar", () => {
  for (const lengths of [{ from: 0, to: 100 }, { from: 5e11, to: null }]) expect(lengthsFromText(lengthsToText(lengths))).toEqual(lengths);
  for (const text of [null, "", "5", "9-5", "a-b"]) expect(lengthsFromText(text)).toBeNull();
  expect([99, 100, 199, 200].map((length) => isOfLengths({ from: 100, to: 200 }, length))).toEqual([false, true, true, false]);
});

test("a poll overlaps what it reaches into, and not what began as it ended", () => {
  const region = { from: 100, to: 200 };
  expect([[50, 51], [50, 50], [100, 0], [199, 5], [200, 5]].map(([start, length]) => isInRegion(region, start!, length!))).toEqual([true, false, true, true, false]);
});
