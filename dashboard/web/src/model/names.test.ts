import { expect, it } from "vitest";
import { shownName } from "./names.ts";

it("shows a name on one line, as text, and only its beginning if it is long", () => {
  expect(shownName("reporter")).toBe("reporter");
  expect(shownName("<script>\n\u202eevil\u0000x")).toBe("<script> evil x");
  const long = shownName("😀".repeat(10_000));
  expect(Array.from(long)).toHaveLength(161);
  expect(long.endsWith("😀…")).toBe(true);
});
