import { expect, test } from "vitest";
import { HOUR, MILLISECOND, SECOND, type Instant } from "../base/instant.ts";
import { keyStep, stepOf, within } from "./slider.ts";

const at = (value: number) => BigInt(value) as Instant;

test("a step is a round length, about a hundredth of all", () => {
  expect(stepOf(62 * SECOND)).toBe(SECOND);
  expect(stepOf(100 * SECOND)).toBe(SECOND);
  expect(stepOf(101 * SECOND)).toBe(2 * SECOND);
  expect(stepOf(24 * HOUR)).toBe(1000 * SECOND);
  expect(stepOf(300 * MILLISECOND)).toBe(5 * MILLISECOND);
  expect(stepOf(0)).toBe(1000);
});

test("keys step, and never out of the recording", () => {
  const [from, to] = [at(0), at(100 * SECOND)];
  expect(keyStep("ArrowRight", false, at(0), from, to)).toBe(at(SECOND));
  expect(keyStep("ArrowLeft", true, at(SECOND), from, to)).toBe(at(0.9 * SECOND));
  expect(keyStep("PageUp", false, at(0), from, to)).toBe(at(10 * SECOND));
  expect(keyStep("ArrowLeft", false, at(5), from, to)).toBe(from);
  expect(keyStep("End", false, at(5), from, to)).toBe(to);
  expect(keyStep("Home", false, at(5), from, to)).toBe(from);
  expect(keyStep("a", false, at(5), from, to)).toBe(null);
  expect(within(at(-4), from, to)).toBe(from);
});
