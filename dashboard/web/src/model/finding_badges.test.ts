import { describe, expect, it } from "vitest";
import type { Finding } from "../api/types.ts";
import type { Instant } from "../base/instant.ts";
import { badgesOf, clustered, worst } from "./finding_badges.ts";

const BASE = 1000n as Instant;

function finding(rule: string, level: Finding["level"], hrefs: readonly string[], first = 100, last = 900): Finding {
  return {
    rule, subject: rule, level, harm: 0, score: 0, confidence: "certain", title: rule, location: null, occurrences: 1, first_seen_at: String(1000 + first), last_seen_at: String(1000 + last),
    evidence: hrefs.map((href) => ({ text: "", href })), why: "", fix: "",
  };
}

const SLOW = [
  { lane: "1.0", start: 300, length: 50, task: "7" },
  { lane: "1.1", start: 500, length: 90, task: "7" },
  { lane: "1.0", start: 950, length: 99, task: "7" },
  { lane: "1.0", start: 350, length: 99, task: "8" },
];

describe("badges of findings", () => {
  it("lie on the slow polls that prove them, within the time in which they were seen", () => {
    const badges = badgesOf([finding("blocking_call", "error", ["/tasks/1/7"])], SLOW, BASE);
    expect(badges.map(({ at, lane }) => [at, lane])).toEqual([[300, "1.0"], [500, "1.1"]]);
  });

  it("lie at the instant that a link means, or where they were seen first", () => {
    const badges = badgesOf([finding("loss", "warning", ["/timeline?process=1&from=1210&to=1410"]), finding("leak", "info", ["/leaks?process=1"])], SLOW, BASE);
    expect(badges.map(({ finding: { rule }, at, lane }) => [rule, at, lane])).toEqual([["leak", 100, null], ["loss", 310, null]]);
    // An instant at which a slow poll began is on the worker of that poll.
    expect(badgesOf([finding("cpu", "error", ["/timeline?process=1&from=1250&to=1350"])], SLOW, BASE)).toMatchObject([{ at: 300, lane: "1.0" }]);
    expect(badgesOf([finding("odd", "info", ["/timeline?from=<b>&to=2"])], [], BASE)[0]!.at).toBe(100);
  });

  it("are one where they would lie over each other, and as bad as the worst", () => {
    const badges = badgesOf([finding("a", "info", [], 100), finding("b", "error", [], 104), finding("c", "warning", [], 300)], [], BASE);
    const clusters = clustered(badges, (at) => at, 1000, 10);
    expect(clusters.map(({ x, badges: list }) => [x, list.length])).toEqual([[100, 2], [300, 1]]);
    expect(worst(clusters[0]!.badges).rule).toBe("b");
    expect(clustered(badges, (at) => at - 200, 1000, 10)).toHaveLength(1);
  });
});
