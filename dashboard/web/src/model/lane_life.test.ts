import { expect, test } from "vitest";
import type { Cells } from "./columns.ts";
import { laneLife } from "./lane_life.ts";

const RECORDED = { from: 0, to: 1000 };
const none = { startedAt: null, stoppedAt: null };

function ran(...buckets: number[]): Cells {
  const zero = buckets.map(() => 0);
  return { origin: 0, step: 10, i: buckets, busy: [zero, zero, zero, zero], max: zero, n: zero };
}

test("a worker is there from its start to its stop, and as long as is recorded where neither is known", () => {
  expect(laneLife({ startedAt: 100, stoppedAt: 700 }, [], RECORDED)).toEqual({ from: 100, to: 700 });
  expect(laneLife(none, [ran(50)], RECORDED)).toEqual(RECORDED);
});

test("what ran before its last start, or after its stop, was there too", () => {
  expect(laneLife({ startedAt: 600, stoppedAt: null }, [ran(20, 70), null, ran()], RECORDED)).toEqual({ from: 200, to: 1000 });
  expect(laneLife({ startedAt: 100, stoppedAt: 300 }, [ran(15, 40)], RECORDED)).toEqual({ from: 100, to: 410 });
});

test("the bucket in which it starts or stops does not stretch its life", () => {
  expect(laneLife({ startedAt: 105, stoppedAt: 305 }, [ran(10, 30)], RECORDED)).toEqual({ from: 105, to: 305 });
});

test("nothing beyond what is recorded is known", () => {
  expect(laneLife({ startedAt: -50, stoppedAt: 2000 }, [], RECORDED)).toEqual(RECORDED);
});
