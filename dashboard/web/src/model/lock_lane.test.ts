import { describe, expect, it } from "vitest";
import type { LaneHold, LaneWait, ResourceLaneAnswer } from "../api/types.ts";
import type { Instant } from "../base/instant.ts";
import { countAt, countsOf, decodeLockLane, filledAt, heldIn, holdersAt, MAX_HOLD_ROWS, waitersAt } from "./lock_lane.ts";

const BASE = 1000n as Instant;
const RECORDED = { from: 0, to: 1000 };

function hold(task: string, from: number, to: number, over = true): LaneHold {
  return { task, task_name: null, since_at: String(1000 + from), until_at: String(1000 + to), over, location: null, amount: 1, waits: over ? 0 : null };
}

function wait(task: string, from: number, to: number, open = false): LaneWait {
  return { wait: task, task, task_name: null, resource: null, op: "lock", location: null, began_at: String(1000 + from), until_at: String(1000 + to), open, state: open ? "pending" : "ready", holder: null };
}

function lane(changes: Partial<ResourceLaneAnswer>) {
  const answer: ResourceLaneAnswer = {
    resource: { resource: "1", kind: "mutex", name: "config", location: null }, opened_at: "1000", closed_at: null, t0: "1000", t1: "2000", holds: [], waits: [],
    readings: { s: [], depth: [], capacity: [], permits: [], waiters: [] }, ...changes,
  };
  return decodeLockLane(answer, BASE, RECORDED, RECORDED);
}

describe("a lock over time", () => {
  it("has its holders side by side, and what is held to the last goes on", () => {
    const { holds, rows } = lane({ holds: [hold("1", 0, 100), hold("2", 50, 300), hold("3", 100, 1000, false)] });
    expect(holds.map(({ hold: { task }, row, to }) => [task, row, to])).toEqual([["1", 0, 100], ["2", 1, 300], ["3", 0, Infinity]]);
    expect(rows).toBe(2);
    const crowd = lane({ holds: Array.from({ length: 9 }, (_, k) => hold(String(k), k, 500)) });
    expect(crowd.rows).toBe(MAX_HOLD_ROWS);
  });

  it("counts who waits at each instant", () => {
    const locked = lane({ holds: [hold("1", 100, 400)], waits: [wait("2", 150, 400), wait("3", 200, 1000, true)] });
    expect([100, 150, 200, 399, 400, 2000].map((at) => countAt(locked.waiters, at))).toEqual([0, 1, 2, 2, 1, 1]);
    expect(locked.waiters.most).toBe(2);
    expect(waitersAt(locked, 300).map((one) => one.wait.task)).toEqual(["2", "3"]);
    expect(holdersAt(locked, 450, 60).map((one) => one.hold.task)).toEqual(["1"]);
    expect(heldIn(locked, 0, 1000)).toEqual({ held: 300, waited: 850 });
  });

  it("knows what is in a channel from the last that was told", () => {
    const channel = lane({ readings: { s: [-50, 100, 300], depth: [4, null, 9], capacity: [16, 16, 16], permits: [null, null, null], waiters: [0, 0, 0] } });
    expect(channel.filled).toMatchObject({ what: "queued", capacity: 16, most: 9 });
    expect([-100, 0, 200, 300].map((at) => filledAt(channel.filled!, at))).toEqual([null, 4, 4, 9]);
    expect(lane({}).filled).toBeNull();
  });
});

describe("countsOf", () => {
  it("has one step for what begins as another ends", () => {
    const counts = countsOf([{ from: 0, to: 10 }, { from: 10, to: 20 }]);
    expect([...counts.at]).toEqual([0, 10, 20]);
    expect([...counts.count]).toEqual([1, 1, 0]);
  });
});
