import { describe, expect, it } from "vitest";
import type { ArrowsAnswer } from "../api/types.ts";
import type { Instant } from "../base/instant.ts";
import { arrowsOf, MAX_WOKE_DRAWN, outside } from "./arrows.ts";

const BASE = 1_000n as Instant;

const answer: ArrowsAnswer = {
  task: "41", start_at: "3000", has_wakes: true,
  wake: { at: "2500", delay: 500, count: 1, by: { task: "40", name: "feeder" }, by_itself: false, from: { loop: "1", worker: 0, start_at: "2400", length: 200 } },
  spawn: { at: "1100", by: { task: "40", name: "feeder" }, from: null, first_poll: { loop: "1", worker: 2, start_at: "1200", length: 10 } },
  woke: Array.from({ length: 30 }, (_, k) => ({ task: String(k), at: "3010", delay: 5 + k, loop: "1", worker: 1 })), woke_all: true,
};

describe("arrows of a poll", () => {
  it("lead from who woke it and who spawned it, and to whom it woke", () => {
    const [wake, spawn, ...woke] = arrowsOf(answer, "1.3", BASE);
    expect(wake).toMatchObject({ kind: "wake", from: { lane: "1.0", at: 1500 }, to: { lane: "1.3", at: 2000 }, text: "woken by feeder 500 ns before" });
    expect(wake!.goal).toEqual({ loop: "1", worker: 0, start: 1400, length: 200, task: "40" });
    // Where its spawner ran is not known, so the arrow stays on the lane of the first poll, and leads there.
    expect(spawn).toMatchObject({ from: { lane: "1.2", at: 100 }, to: { lane: "1.2", at: 200 }, goal: { task: "41", start: 200 } });
    expect(woke).toHaveLength(MAX_WOKE_DRAWN);
    expect(woke[0]).toMatchObject({ from: { lane: "1.3", at: 2010 }, to: { lane: "1.1", at: 2015 }, goal: { length: null } });
  });

  it("say what is known where nobody woke it", () => {
    const alone = arrowsOf({ ...answer, wake: { ...answer.wake!, by: null, from: null }, spawn: null, woke: [] }, "1.3", BASE);
    expect(alone).toMatchObject([{ from: { lane: "1.3", at: 1500 }, text: "woken by no task 500 ns before", goal: null }]);
    expect(arrowsOf({ ...answer, wake: null, spawn: null, woke: [] }, "1.3", BASE)).toEqual([]);
  });

  it("know which way an end lies that is out of view", () => {
    expect([1, 5, 11].map((at) => outside(at, 2, 10))).toEqual(["before", null, "after"]);
  });
});
