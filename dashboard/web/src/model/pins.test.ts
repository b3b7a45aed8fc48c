import { describe, expect, it } from "vitest";
import { MAX_PINS, metricsText, parseMetrics, parsePins, pinsText, typedTask, withoutPin, withPin } from "./pins.ts";

describe("pins in the address", () => {
  it("come back as they were, once each, and no more than there is room for", () => {
    expect(pinsText(parsePins("t12,r3,t12, t4"))).toBe("t12,r3,t4");
    expect(parsePins("t,x9,r-1,<script>,t1e3")).toEqual([]);
    expect(parsePins(Array.from({ length: 20 }, (_, k) => `t${k}`).join(","))).toHaveLength(MAX_PINS);
    expect(pinsText(parsePins(null))).toBeNull();
  });

  it("are added once and taken away", () => {
    const pins = withPin(parsePins("t1"), { kind: "resource", id: "1" });
    expect(pinsText(pins)).toBe("t1,r1");
    expect(pinsText(withPin(pins, { kind: "task", id: "1" }))).toBe("t1,r1");
    expect(pinsText(withoutPin(pins, { kind: "task", id: "1" }))).toBe("r1");
    const full = parsePins("t1,t2,t3,t4,t5,t6,t7,t8");
    expect(withPin(full, { kind: "task", id: "9" })).toEqual(full);
  });

  it("know an id from a name", () => {
    expect(["12", " task 12 ", "t12", "T7"].map(typedTask)).toEqual(["12", "12", "12", "7"]);
    expect(["reporter", "12a", "", "task"].map(typedTask)).toEqual([null, null, null, null]);
  });
});

describe("metric lanes in the address", () => {
  it("are the usual ones if nothing is said, and none if that is said", () => {
    const usual = ["queues", "blocking"];
    expect(parseMetrics(null, usual)).toEqual(usual);
    expect(parseMetrics("none", usual)).toEqual([]);
    expect(parseMetrics("rss_bytes,rss_bytes,<b>", usual)).toEqual(["rss_bytes"]);
    expect(metricsText(usual, usual)).toBeNull();
    expect(metricsText([], usual)).toBe("none");
    expect(metricsText(["queues"], usual)).toBe("queues");
  });
});
