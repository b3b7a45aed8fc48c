import { expect, it } from "vitest";
import { fitted, lastParts, signed } from "./labels.ts";

it("a name that does not fit ends with its last parts", () => {
  const name = "tokio::runtime::task::harness::Harness<T,S>::poll";
  expect([fitted(name, 80), fitted(name, 20), fitted(name, 8), fitted(name, 2)]).toEqual([name, "Harness<T,S>::poll", "Harness…", ""]);
});

it("a closure is said with its function, and a sign stays", () => {
  expect(lastParts("shop::cart::price::{{closure}}")).toBe("cart::price::{{closure}}");
  expect(lastParts("− shop::cart::price")).toBe("− cart::price");
  expect(fitted("x".repeat(10_000), 700)).toHaveLength(600);
});

it("a change has a sign", () => {
  expect([signed(1.5e6), signed(-2e9), signed(0)]).toEqual(["+1.5 ms", "−2 s", "±0"]);
});
