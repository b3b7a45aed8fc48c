import { expect, test } from "vitest";
import { apart, byMute, findingKey, isReason, localHref, looked } from "./findings.ts";
import { withChanges } from "./query_string.ts";

test("information is apart from what matters, but for an incomplete capture", () => {
  const found = (rule: string, level: "info" | "warning" | "error") => ({ rule, level });
  const all = [found("capture_incomplete", "info"), found("deadlock", "error"), found("task_leak", "warning"), found("spawn_storm", "info")];
  const { important, worthKnowing } = apart(all);
  expect(important.map((it) => it.rule)).toEqual(["capture_incomplete", "deadlock", "task_leak"]);
  expect(worthKnowing.map((it) => it.rule)).toEqual(["spawn_storm"]);
});

test("what names a finding survives the way through an address", () => {
  const key = findingKey({ rule: "deadlock", subject: "mutex `a&b` = 100 %" });
  const query = withChanges(new URLSearchParams(), { finding: key });
  expect(new URLSearchParams(query.toString()).get("finding")).toBe(key);
});

test("rules that could not look are counted apart", () => {
  const rules = (...states: ("found" | "ok" | "needs" | "not_applicable")[]) => states.map((state) => ({ state }));
  expect(looked(rules("found", "ok", "ok", "not_applicable"))).toBe("3 rules looked");
  expect(looked(rules("ok", "needs"))).toBe("1 rule looked, 1 more needs what was not captured");
  expect(looked(rules("needs", "needs"))).toBe("0 rules looked, 2 more need what was not captured");
});

test("no link leads away from the page", () => {
  for (const href of ["https://elsewhere", "//elsewhere", "/api/v1/live", "javascript:1", ""]) expect(localHref(href, "/findings")).toBe("/findings");
  expect(localHref("/tasks/1/2", "/findings")).toBe("/tasks/1/2");
});

test("what is muted is apart from what is heard, and keeps its order", () => {
  const found = [{ rule: "a" }, { rule: "b", muted: "known" }, { rule: "c" }, { rule: "d", muted: "wanted" }];
  const { heard, muted } = byMute(found);
  expect(heard.map((it) => it.rule)).toEqual(["a", "c"]);
  expect(muted.map((it) => it.rule)).toEqual(["b", "d"]);
});

test("a reason is something, and not a novel", () => {
  expect(isReason("it is a demo")).toBe(true);
  for (const text of ["", "   ", "é".repeat(513)]) expect(isReason(text)).toBe(false);
});
