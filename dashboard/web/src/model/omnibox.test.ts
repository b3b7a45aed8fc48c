import { expect, test } from "vitest";
import { fit, likeLiteral, pick, readAsk } from "./omnibox.ts";

test("the first character says what is asked", () => {
  expect(readAsk("")).toEqual({ kind: "empty" });
  expect(readAsk("  ")).toEqual({ kind: "empty" });
  expect(readAsk(" cart ")).toEqual({ kind: "search", text: "cart" });
  expect(readAsk("> theme")).toEqual({ kind: "command", text: "theme" });
  expect(readAsk(">")).toEqual({ kind: "command", text: "" });
  expect(readAsk("=select 1 > 0")).toEqual({ kind: "sql", text: "select 1 > 0" });
});

test("all words must be there, and how they are decides the order", () => {
  const commands = ["Copy as SQL", "Theme: dark", "Go to Slow", "Go to Tasks", "Copy link"];
  const of = (wanted: string) => pick(commands, wanted, (name) => name);
  expect(of("copy")).toEqual(["Copy as SQL", "Copy link"]);
  expect(of("dark theme")).toEqual(["Theme: dark"]);
  expect(of("s")).toEqual(["Copy as SQL", "Go to Slow", "Go to Tasks"]);
  expect(of("nothing")).toEqual([]);
  expect(of("")).toEqual(commands);
  expect(pick(commands, "co", (name) => name, 1)).toEqual(["Copy as SQL"]);
});

test("a name that begins so comes before one that contains it", () => {
  expect(fit("cart/pricing.rs", "CART")).toBe(3);
  expect(fit("src/cart/pricing.rs", "cart pri")).toBe(2);
  expect(fit("discarded", "card")).toBe(1);
  expect(fit("a", "b")).toBe(0);
});

test("wildcards and quotes are themselves", () => {
  expect(likeLiteral("50%_a'b\\")).toBe("'%50\\%\\_a''b\\\\%'");
});
