import { expect, test } from "vitest";
import { abridged, bytes, clock, compact, count, dateTime, duration, nameText, percent, plural, shortPlace } from "./format.ts";
import { durationClass } from "./duration_class.ts";
import { between, instant, plus, split } from "./instant.ts";

test("lengths keep three digits and pick the unit", () => {
  const cases: [number, string][] = [
    [0, "0 s"], [48, "48 ns"], [999, "999 ns"], [1250, "1.25 µs"], [12_500, "12.5 µs"], [1_250_000, "1.25 ms"], [999_700, "1 ms"],
    [100e6, "100 ms"], [1.5e9, "1.5 s"], [59.94e9, "59.9 s"], [125e9, "2 m 05 s"], [3600e9, "1 h"], [11_520e9, "3 h 12 m"],
    [100 * 3600e9, "4 d 04 h"], [-1e6, "−1 ms"],
  ];
  for (const [length, text] of cases) expect(duration(length)).toBe(text);
  expect(duration(null)).toBe("–");
});

test("counts, shares and sizes", () => {
  expect(count(1234567)).toBe("1\u202f234\u202f567");
  expect(compact(12_345)).toBe("12.3 k");
  expect(percent(0.00001)).toBe("<0.1 %");
  expect(percent(0.123)).toBe("12 %");
  expect(percent(0.0123)).toBe("1.2 %");
  expect(percent(1)).toBe("100 %");
  expect(bytes(1536)).toBe("1.5 KiB");
  expect(plural(1, "poll")).toBe("1 poll");
});

test("instants keep every nanosecond", () => {
  const at = instant("1795354987412345678");
  expect(clock(at, 1).slice(-10)).toBe(".412345678");
  expect(clock(at, 1e6).slice(-4)).toBe(".412");
  expect(clock(at, 1e9)).toMatch(/^\d\d:\d\d:\d\d$/);
  expect(dateTime(at)).toMatch(/^2026-11-2\d \d\d:\d\d:07\.412$/);
  expect(plus(at, 5)).toBe(1795354987412345683n);
  expect(between(at, plus(at, 5))).toBe(5);
  expect(split(-1n)).toEqual({ millis: -1, nanos: 999_999 });
});

test("what is too long is abridged, and keeps its end", () => {
  expect(abridged("src/cart.rs:88")).toBe("src/cart.rs:88");
  expect(abridged("abcdefghijklmnop", 10)).toBe("abc…klmnop");
  expect([...abridged("💥".repeat(300))].length).toBe(120);
});

test("a name without any shape is called blank", () => {
  expect([" ", "\u200b\ufeff", "\u0007", ""].map(nameText)).toEqual(["(blank)", "(blank)", "(blank)", "(blank)"]);
  expect(nameText(" x ")).toBe(" x ");
});

test("class bounds belong to the class above", () => {
  expect([99_999, 100_000, 1e6, 1e7].map(durationClass)).toEqual([0, 1, 2, 3]);
});

test("places keep the part that people recognise", () => {
  expect(shortPlace("src/cart.rs:88")).toBe("src/cart.rs:88");
  expect(shortPlace("/home/ada/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-1.47.1/src/runtime/task/core.rs:365")).toBe(
    "tokio-1.47.1/src/runtime/task/core.rs:365");
  expect(shortPlace("/home/ada/work/shop/src/cart.rs:88")).toBe("…/shop/src/cart.rs:88");
  expect(shortPlace("/home/ada/.venv/lib/python3.13/site-packages/aiohttp/web.py:7")).toBe("aiohttp/web.py:7");
  expect(shortPlace("/usr/lib/python3/dist-packages/yaml/reader.py")).toBe("yaml/reader.py");
  expect(shortPlace("/usr/lib/python3.12/asyncio/base_events.py:1987")).toBe("asyncio/base_events.py:1987");
  expect(shortPlace("/home/ada/work/shop/orders/app.py:12")).toBe("…/shop/orders/app.py:12");
});
