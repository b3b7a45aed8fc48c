import { expect, test } from "vitest";
import type { Instant } from "../base/instant.ts";
import { byteUnit, heldValues, lossSteps, ratesOf } from "./rates.ts";

test("a rate holds from reading to reading, and a total that falls began anew", () => {
  expect(ratesOf([null, 10, null, 30, 5, 6], 2e9)).toEqual([null, null, 5, 5, null, 0.5]);
  expect(ratesOf([], 1e9)).toEqual([]);
});

const loss = (cause: string, count: number, from: number, to: number) => ({ kind: "poll", cause, count, from_at: String(from), to_at: String(to) });

test("a loss is spread over the time in which it happened", () => {
  const steps = lossSteps([loss("ring_full", 30, 5, 20), loss("ring_full", 4, 39, 39), loss("malformed", 1, 40, 40), loss("unknown_tail", 0, 0, 9)], 0n as Instant, 40n as Instant, 4);
  expect(steps.causes).toEqual([{ cause: "ring_full", counts: [10, 20, 0, 4], sum: 34 }, { cause: "malformed", counts: [0, 0, 0, 1], sum: 1 }]);
  expect(steps.uncounted).toBe(1);
  expect(steps.starts).toEqual([0n, 10n, 20n, 30n]);
});

test("what lies outside is at the edge, and nothing is divided by nothing", () => {
  expect(lossSteps([loss("a", 2, -5, -5)], 0n as Instant, 0n as Instant, 2).causes[0]!.counts).toEqual([2, 0]);
  expect(lossSteps([], 0n as Instant, 1n as Instant, 2).causes).toEqual([]);
});

test("a reading holds until the next, and bytes have a unit", () => {
  expect(heldValues([null, 3, null, 4])).toEqual([null, 3, 3, 4]);
  expect([0, 1023, 1024, 5 << 20].map(byteUnit)).toEqual([1, 1, 1024, 1024 ** 2]);
});
