import { expect, test } from "vitest";
import { BADGE, bodyTop, laneAt, layoutLanes } from "./layout.ts";

test("rows of a loop lie between its lanes and those of the next", () => {
  const layout = layoutLanes([{ lanes: 2, below: 128 }, { lanes: 1, below: 64 }], 600);
  const [first, second, third] = layout.tops;
  expect(second! - first!).toBe(layout.pitch);
  expect(third! - second!).toBe(layout.pitch + 128);
  expect(layout.below).toEqual([{ top: second! + layout.pitch, height: 128 }, { top: third! + layout.pitch, height: 64 }]);
  expect(bodyTop(layout, 2)).toBe(third! + BADGE);
  expect([first!, second! + 1, second! + layout.pitch, third! - 1, third!, third! + layout.pitch].map((y) => laneAt(layout, y))).toEqual([0, 1, null, null, 2, null]);
  expect(laneAt(layout, 0)).toBeNull();
});

test("lanes share what room there is, and the canvas grows if there is too little", () => {
  expect(layoutLanes([{ lanes: 2, below: 0 }], 300).body).toBeGreaterThan(layoutLanes([{ lanes: 2, below: 100 }], 300).body);
  const many = layoutLanes([{ lanes: 40, below: 64 }], 300);
  expect(many.height).toBe(many.tops.at(-1)! + many.pitch + 64);
  expect(layoutLanes([], 300)).toMatchObject({ tops: [], height: 300 });
});
