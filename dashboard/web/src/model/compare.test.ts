import { expect, test } from "vitest";
import type { CompareAnswer, CompareSite, Finding, Process, SiteFigures } from "../api/types.ts";
import type { Instant } from "../base/instant.ts";
import { apiSide, changesOf, halves, namesOf, ratioText, readSide, runBefore, sideChanges, sideWord, verdictOf } from "./compare.ts";

const MINUTE = 60e9;
const FIGURES: SiteFigures = { spawned_per_min: 1000, polls_per_sec: 100, busy_share: 0.2, poll_p50: 1e5, poll_p99: 2e6, poll_max: 9e6, wake_p99: 1e6, failed: 0 };

/** A minute against a minute. */
function answer(sites: [string, Partial<SiteFigures> | null, Partial<SiteFigures> | null][], more: Partial<CompareAnswer> = {}): CompareAnswer {
  const side = (process: number, app_version: string) => ({ process, app: "shop", app_version, from: "0", to: String(MINUTE) });
  const made = (location: string, a: Partial<SiteFigures> | null, b: Partial<SiteFigures> | null): CompareSite => ({ location, is_callback: false, a: a && { ...FIGURES, ...a }, b: b && { ...FIGURES, ...b } });
  return { a: side(1, "1.0"), b: side(2, "1.1"), changes: [], new: [], gone: [], lasting: [], sites: sites.map((it) => made(...it)), ...more };
}

const finding = (level: Finding["level"], rule = "cpu_bound_poll", subject = "x.rs:1"): Finding => ({ rule, subject, level, harm: 0, score: 1, confidence: "certain", title: "", location: null, occurrences: 1, first_seen_at: "0", last_seen_at: "0", evidence: [], why: "", fix: "" });
const told = (it: CompareAnswer) => changesOf(it).map((change) => `${change.location} ${change.standing} ${change.what} ${ratioText(change)} ${change.sure}`);

test("what takes twice as long and is felt is worse, and the other way round better", () => {
  expect(told(answer([["a.rs:1", {}, { poll_p99: 8e6 }], ["b.rs:1", { wake_p99: 3e7 }, {}], ["c.rs:1", {}, { poll_p99: 3e6 }], ["d.rs:1", { poll_p99: 1e4 }, { poll_p99: 9e5 }]]))).toEqual([
    "b.rs:1 better wake_p99 0.0333× likely",
    "a.rs:1 worse poll_p99 4× likely",
  ]);
});

test("what is not captured is no change, and makes a place that is missing only possible", () => {
  const unknown = { polls_per_sec: null, poll_p99: null, poll_max: null, wake_p99: null, failed: null };
  expect(told(answer([["a.rs:1", { failed: 900 }, unknown]]))).toEqual([]);
  expect(told(answer([["a.rs:1", unknown, null]]))).toEqual(["a.rs:1 gone busy_share gone possible"]);
});

test("few polls make a change possible, very few none", () => {
  expect(told(answer([["a.rs:1", { polls_per_sec: 2 }, { poll_p99: 8e6, polls_per_sec: 2 }], ["b.rs:1", { polls_per_sec: 0.5 }, { poll_p99: 8e6 }]]))).toEqual(["a.rs:1 worse poll_p99 4× possible"]);
});

test("what the server judges as well is as sure as it says", () => {
  const sites: Parameters<typeof answer>[0] = [["a.rs:1", { polls_per_sec: 2 }, { poll_p99: 8e6, polls_per_sec: 2 }]];
  expect(told(answer(sites, { changes: [{ ...finding("warning", "regression", "a.rs:1"), confidence: "certain" }] }))).toEqual(["a.rs:1 worse poll_p99 4× certain"]);
});

test("delays under another load are only possible", () => {
  const [change] = changesOf(answer([["a.rs:1", {}, { wake_p99: 3e7, polls_per_sec: 300 }]]));
  expect([change!.standing, change!.sure, change!.doubt]).toEqual(["worse", "possible", "the load is another"]);
});

test("failures count beyond chance, against as many tasks", () => {
  expect(told(answer([["a.rs:1", { failed: 0 }, { failed: 9 }], ["b.rs:1", { failed: 5 }, { failed: 9 }], ["c.rs:1", { failed: 0 }, { failed: 2 }]]))).toEqual(["a.rs:1 worse failed from none likely"]);
});

test("another rate is neither worse nor better", () => {
  expect(told(answer([["a.rs:1", {}, { spawned_per_min: 100 }], ["b.rs:1", { spawned_per_min: 9 }, { spawned_per_min: 90 }]]))).toEqual(["a.rs:1 other spawned_per_min 0.1× likely"]);
});

test("a place of one side is new or gone, surely only if the other had time for it", () => {
  expect(told(answer([["a.rs:1", null, {}], ["b.rs:1", {}, null], ["c.rs:1", null, { polls_per_sec: 0.1 }]]))).toEqual([
    "a.rs:1 new busy_share new likely",
    "b.rs:1 gone busy_share gone likely",
    "c.rs:1 new busy_share new possible",
  ]);
});

test("the sentence comes first", () => {
  const say = (it: CompareAnswer) => verdictOf(it, changesOf(it)).sentence;
  const worse: Parameters<typeof answer>[0] = [["a.rs:1", {}, { poll_p99: 8e6 }]];
  expect(say(answer([["a.rs:1", {}, {}]]))).toBe("Version 1.1 is neither worse nor better than version 1.0, as far as was seen");
  expect(say(answer(worse, { new: [finding("error"), finding("info")] }))).toBe("Version 1.1 is worse than version 1.0: 1 place became worse and 1 finding is new");
  expect(say(answer([], { gone: [finding("warning"), finding("error")] }))).toBe("Version 1.1 is better than version 1.0: 2 findings are gone");
  expect(say(answer(worse, { gone: [finding("warning")] }))).toBe("Version 1.1 is worse than version 1.0 in part: 1 place became worse, but 1 finding is gone");
  expect(say(answer([], { new: [finding("warning", "capture_incomplete")] }))).toMatch(/neither/);
});

test("what is only possible does not make the verdict, and is said", () => {
  const it = answer([["a.rs:1", { polls_per_sec: 2 }, { poll_p99: 8e6, polls_per_sec: 2 }]], { gone: [{ ...finding("warning"), confidence: "possible" }] });
  const { sentence, also } = verdictOf(it, changesOf(it));
  expect([sentence, also]).toEqual(["Version 1.1 is neither worse nor better than version 1.0, as far as was seen", ["2 differences are only possible, and do not count here"]]);
  expect(verdictOf(answer([], { new: [{ ...finding("error"), confidence: "possible" }] }), []).word).toBe("Worse");
});

test("what makes the comparison weak is said", () => {
  const it = answer([["a.rs:1", null, {}]], { lasting: [finding("info", "capture_incomplete")] });
  expect(verdictOf(it, changesOf(it)).also).toEqual(["1 place is new", "Records were lost, so all counts are lower bounds"]);
  const same = answer([]);
  expect(verdictOf({ ...same, b: same.a }, []).also).toEqual(["Both sides are the same range"]);
  expect(verdictOf({ ...same, b: { ...same.a, from: "1000" } }, []).also[0]).toMatch(/overlap/);
  expect(verdictOf({ ...same, b: { ...same.b, to: "3000000000" } }, []).also).toEqual(["One side lasts 3 s: that is little to judge by"]);
});

test("sides are called by what sets them apart", () => {
  const { a, b } = answer([]);
  expect(namesOf(a, b)).toEqual(["version 1.0", "version 1.1"]);
  expect(namesOf(a, { ...b, app_version: "" })).toEqual(["process 1", "process 2"]);
  expect(namesOf(a, { ...b, app: "cart" })).toEqual(["process 1 (shop)", "process 2 (cart)"]);
  expect(namesOf(a, a)).toEqual(["the first range", "the second range"]);
});

test("a side is in the address and comes back", () => {
  const fixed = { process: 3, range: { kind: "fixed", from: 5n as Instant, to: 9n as Instant } } as const;
  const last = { process: 3, range: { kind: "last", span: 300e9 } } as const;
  const all = { process: 3, range: { kind: "all" } } as const;
  for (const side of [fixed, last, all]) {
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(sideChanges("b", side))) if (value != null) query.set(key, String(value));
    expect(readSide(query, "b")).toEqual(side);
    expect(readSide(query, "a")).toBeNull();
  }
  expect(sideWord(all)).toBe("3");
  expect(sideWord(last)).toBe("3@-5m..");
  expect(readSide(new URLSearchParams("a=-1"), "a")).toBeNull();
  expect(readSide(new URLSearchParams("a=1&a_from=9&a_to=5"), "a")).toEqual({ process: 1, range: { kind: "all" } });
  expect(apiSide("a", fixed, undefined)).toEqual({ a: 3, a_from: "5", a_to: "9" });
  expect(apiSide("a", last, { last_at: "400000000000" } as Process)).toEqual({ a: 3, a_from: "100000000000", a_to: null });
});

test("the run before is of the same program, and the newest of those", () => {
  const run = (process: number, app: string, started_at: string, app_version: string | null = null) => ({ process, app, app_version, started_at, last_at: String(BigInt(started_at) + 100n) }) as Process;
  const list = [run(4, "shop", "400", "2"), run(3, "shop", "300", "2"), run(2, "other", "350"), run(1, "shop", "100", "1")];
  expect(runBefore(list[0]!, list)?.process).toBe(3);
  expect(runBefore(list[0]!, list, true)?.process).toBe(1);
  expect(runBefore(list[3]!, list)).toBeNull();
  expect(halves(list[0]!)).toEqual({ a: { process: 4, range: { kind: "fixed", from: 400n, to: 450n } }, b: { process: 4, range: { kind: "fixed", from: 450n, to: 500n } } });
  expect(halves({ ...list[0]!, last_at: "400" })).toBeNull();
});
