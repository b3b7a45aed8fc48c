import { expect, test } from "vitest";
import { inkOn } from "./canvas.ts";

test("writing on a colour is black or white, whichever has the better contrast", () => {
  const LIGHT = "#ffffff";
  expect(["#ffffff", "#eba51c", "#ff5a4d", "#9fc3e8", "#5f9de0"].map(inkOn)).not.toContain(LIGHT);
  expect(["#000000", "#b3261e", "#3f7cc4", "#3a5f87"].map(inkOn)).toEqual([LIGHT, LIGHT, LIGHT, LIGHT]);
});
