import { describe, expect, it } from "vitest";
import type { LaneWait, TaskLaneAnswer } from "../api/types.ts";
import type { Instant } from "../base/instant.ts";
import { decodeTaskLane, momentAt, momentsIn, statesIn, union } from "./task_lane.ts";

const BASE = 1000n as Instant;
const RECORDED = { from: 0, to: 1000 };

function wait(from: number, to: number | null): LaneWait {
  return { wait: "1", task: "7", task_name: null, resource: { resource: "3", kind: "mutex", name: "config", location: null }, op: "lock", location: null, began_at: String(1000 + from), until_at: String(1000 + (to ?? 1000)), open: to == null, state: to == null ? "pending" : "ready", holder: null };
}

function answer(changes: Partial<TaskLaneAnswer> = {}): TaskLaneAnswer {
  return {
    task: "7", name: null, location: null, spawned_at: "1100", ended_at: "1900", outcome: "completed", has_wakes: true, t0: "1000", t1: "2000", steps: 10,
    cells: { i: [2, 5], running: [50, 20], ready: [10, 0] },
    polls: { s: [200, 500], d: [50, 20], l: ["1", "1"], w: [0, 1] }, wakes: { s: [190], d: [10], by: ["9"] }, waits: [wait(250, 500)], ...changes,
  };
}

const whole = (changes?: Partial<TaskLaneAnswer>) => decodeTaskLane(answer(changes), BASE, RECORDED, RECORDED);

describe("states of a task", () => {
  it("add up to the stretch, and running comes before waiting", () => {
    const states = statesIn(whole(), 0, 1000, RECORDED);
    expect(states).toMatchObject({ running: 70, ready: 10, waiting: 250, idle: 470, unknown: 0, gone: 200 });
    expect([...states.waits]).toEqual([["lock mutex config", 250]]);
    const inside = statesIn(whole({ waits: [wait(150, 600)] }), 100, 900, RECORDED);
    expect(inside).toMatchObject({ running: 70, ready: 10, waiting: 370, idle: 350 });
  });

  it("are the same from steps, where there are too many polls", () => {
    const { polls: _polls, wakes: _wakes, ...rest } = answer({ waits: [wait(300, 500)] });
    const summed = decodeTaskLane(rest, BASE, RECORDED, RECORDED);
    expect(statesIn(summed, 0, 1000, RECORDED)).toMatchObject({ running: 70, ready: 10, waiting: 200, idle: 520 });
    // Half of a step has half of it.
    expect(statesIn(summed, 200, 250, RECORDED).running).toBe(25);
  });

  it("are unknown where nothing was looked at or recorded", () => {
    expect(statesIn(whole({ known_from: "1300" }), 100, 900, RECORDED)).toMatchObject({ unknown: 200, running: 20 });
    const alive = decodeTaskLane({ ...answer(), ended_at: null }, BASE, RECORDED, RECORDED);
    expect(statesIn(alive, 900, 1100, RECORDED)).toMatchObject({ idle: 100, unknown: 100, gone: 0 });
  });

  it("are found at an instant, also when they are narrower than a pixel", () => {
    const lane = whole();
    const kind = (at: number, reach = 0) => momentAt(lane, at, reach, RECORDED).kind;
    expect([50, 150, 195, 210, 300, 510, 700, 950].map((at) => kind(at))).toEqual(["gone", "idle", "ready", "running", "waiting", "running", "idle", "gone"]);
    expect(kind(525, 10)).toBe("running");
    expect(momentAt(lane, 195, 0, RECORDED).by).toBe("9");
    expect(momentsIn(lane, { start: 0, span: 1000 }, 10).map((row) => row.kind)).toEqual(["ready", "running", "waiting", "running"]);
    expect(momentsIn(lane, { start: 0, span: 1000 }, 2)).toHaveLength(2);
  });

  it("has a wait that lasts, and no end for it", () => {
    const lane = whole({ ended_at: null, waits: [wait(600, null)] });
    expect(momentAt(lane, 999, 0, RECORDED)).toMatchObject({ kind: "waiting", from: 600, to: null });
    expect(statesIn(lane, 600, 1000, RECORDED)).toMatchObject({ waiting: 400, idle: 0 });
  });
});

describe("union", () => {
  it("joins what touches", () => {
    expect(union([{ from: 5, to: 7 }, { from: 0, to: 2 }, { from: 2, to: 3 }, { from: 6, to: 9 }])).toEqual([{ from: 0, to: 3 }, { from: 5, to: 9 }]);
  });
});
