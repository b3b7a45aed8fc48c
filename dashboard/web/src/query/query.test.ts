import { expect, test } from "vitest";
import type { QueryAnswer, Schema } from "../api/types.ts";
import { axisSteps, chartColumns, chartData, defaultChoice } from "./chart_model.ts";
import { completionsAt } from "./complete.ts";
import { errorRange } from "./error_place.ts";
import { examples } from "./examples.ts";
import { readRecent, readSaved, withRecent, withSaved } from "./saved.ts";
import { searchSchema } from "./search_schema.ts";
import { readable, unitOf } from "./units.ts";

const column = (name: string, about = "") => ({ name, type: "integer", about });
const SCHEMA: Schema = {
  views: [
    { name: "tasks", about: "one task", columns: [column("task"), column("location", "where it was spawned"), column("busy_time", "ns inside finished polls")] },
    { name: "polls", about: "one poll of a task", columns: [column("task"), column("start_at", "unix ns"), column("length", "ns")] },
  ],
  functions: [{ name: "duration(ns)", about: "ns as text" }],
};
/** What is offered where `|` is. */
const offered = (text: string, isAsked = false) => {
  const at = text.indexOf("|");
  return completionsAt(SCHEMA, text.replace("|", ""), at, isAsked)?.offered.map((one) => one.label) ?? null;
};
const answer = (columns: readonly string[], rows: unknown[][], truncated = false): QueryAnswer => ({ columns: columns.map((name) => ({ name, type: "mixed" })), rows, truncated, elapsed_ns: 1, hints: [] });

test("after FROM and JOIN only views follow, elsewhere the columns of those that are named", () => {
  expect(offered("SELECT task FROM p|")).toEqual(["tasks", "polls"]);
  expect(offered("SELECT 1 FROM tasks JOIN |", true)).toEqual(["tasks", "polls"]);
  expect(offered("SELECT l| FROM polls")).toEqual(["task", "start_at", "length", "duration", "tasks", "polls"]);
  expect(completionsAt(SCHEMA, "SELECT t FROM polls, tasks", 8, false)!.offered[0]).toMatchObject({ label: "task", detail: "tasks, polls" });
});

test("a dot asks for the columns of a view or of what stands for it", () => {
  expect(offered("SELECT tasks.| FROM tasks")).toEqual(["task", "location", "busy_time"]);
  expect(offered("SELECT p.st| FROM polls AS p")).toEqual(["task", "start_at", "length"]);
  expect(offered("SELECT p.| FROM tasks t JOIN polls p")).toEqual(["task", "start_at", "length"]);
  expect(offered("SELECT x.| FROM tasks")).toBeNull();
});

test("nothing is offered in strings and comments, and nothing unasked after a space", () => {
  expect(offered("SELECT 'ta|")).toBeNull();
  expect(offered("SELECT 1 -- ta|")).toBeNull();
  expect(offered("SELECT 'a', t|")).not.toBeNull();
  expect(offered("SELECT |")).toBeNull();
  expect(offered("SELECT |", true)).not.toBeNull();
});

test("an error is marked to the end of its word, counted in characters", () => {
  const marked = (text: string, line: number, col: number) => {
    const range = errorRange(text, { line, column: col });
    return range && text.slice(range.from, range.to);
  };
  expect(marked("SELECT loc FROM tasks", 1, 8)).toBe("loc");
  expect(marked("SELECT '🦀🦀', nope\nFROM tasks", 1, 14)).toBe("nope");
  expect(marked("SELECT 1\nFORM tasks", 2, 1)).toBe("FORM");
  expect(marked("SELECT (1", 1, 10)).toBe("1");
  expect(marked("SELECT 1", 9, 1)).toBeNull();
  expect(errorRange("SELECT 1", null)).toBeNull();
});

test("the schema is searched by names and meanings, word by word", () => {
  const found = (text: string) => searchSchema(SCHEMA, text).views.map((view) => [view.name, ...view.columns.map((one) => one.name)].join(" "));
  expect(found("")).toEqual(["tasks task location busy_time", "polls task start_at length"]);
  expect(found("spawned")).toEqual(["tasks location"]);
  expect(found("polls len")).toEqual(["polls length"]);
  expect(found("nothing")).toEqual([]);
  expect(searchSchema(SCHEMA, "durat").functions).toHaveLength(1);
});

test("units go by the names of columns", () => {
  expect(["start_at", "at", "busy_time", "length", "rss_bytes", "self_share", "polls", "format", "late_time"].map(unitOf)).toEqual(["instant", "instant", "ns", "ns", "bytes", "share", "none", "none", "ns"]);
  expect(readable(1_500_000, "ns")).toBe("1.5 ms");
  expect(readable("1795804242438467165", "instant")).toMatch(/^2026-11-2\d \d\d:\d\d:42\.438467$/);
  expect(readable(7, "instant")).toBeNull();
  expect(readable("text", "ns")).toBeNull();
});

test("a first chart draws what shares a unit over time, or by name", () => {
  const times = answer(["at", "tasks", "busy_time", "wait_time"], [["1795804242000000000", 3, 5, 6]]);
  expect(defaultChoice(chartColumns(times))).toEqual({ x: 0, y: [1], by: null, form: "line" });
  const names = answer(["location", "busy_time", "p99_time", "task"], [["a", 3, 5, 1]]);
  expect(defaultChoice(chartColumns(names))).toEqual({ x: 0, y: [1, 2], by: null, form: "bars" });
  expect(defaultChoice(chartColumns(answer(["name"], [["a"]])))).toBeNull();
});

test("a chart keeps what is unknown unknown, and counts what it does not draw", () => {
  const given = answer(["at", "v"], [["1795804242000000002", 3], ["1795804242000000000", null], [null, 5]], true);
  const columns = chartColumns(given);
  const data = chartData(given, columns, { x: 0, y: [1], by: null, form: "line" });
  expect(data.series).toEqual([{ name: "v", points: [{ x: 0, y: null }, { x: 2, y: 3 }] }]);
  expect(data.leftOut).toEqual(["1 rows have no at and are not drawn.", "The result was cut off, and so is the chart."]);
  const many = answer(["name", "v", "by"], Array.from({ length: 100 }, (_, k) => [`n${k}`, k, `s${k % 10}`]));
  const bars = chartData(many, chartColumns(many), { x: 0, y: [1], by: 2, form: "bars" });
  expect(bars.categories).toHaveLength(60);
  expect(bars.series).toHaveLength(8);
  expect(bars.leftOut).toEqual(["Only the first 60 of 100 bars are drawn.", "Only the first 8 series are drawn; 12 rows of others are not."]);
});

test("axes have zero in them and round steps of their unit", () => {
  expect(axisSteps(0, 93, "none")).toEqual([0, 20, 40, 60, 80, 100]);
  expect(axisSteps(-3, 3, "none", 3)).toEqual([-4, -2, 0, 2, 4]);
  expect(axisSteps(0, 200e9, "ns", 4)).toEqual([0, 60e9, 120e9, 180e9, 240e9]);
  expect(axisSteps(0, 5000, "bytes", 4)).toEqual([0, 2048, 4096, 6144]);
  expect(axisSteps(0, 0, "none")).toHaveLength(6);
});

test("what the browser kept is taken as far as it has our shape", () => {
  expect(readSaved("{")).toEqual([]);
  expect(readSaved('[{"name":"a","sql":"SELECT 1"},{"name":3},null]')).toEqual([{ name: "a", sql: "SELECT 1" }]);
  expect(readRecent('["SELECT 1",2]')).toEqual(["SELECT 1"]);
  expect(withSaved([{ name: "b", sql: "1" }, { name: "a", sql: "2" }], " a ", "3")).toEqual([{ name: "a", sql: "3" }, { name: "b", sql: "1" }]);
  expect(withRecent(["a", "b"], " b ")).toEqual(["b", "a"]);
  expect(withRecent(Array.from({ length: 20 }, (_, k) => `${k}`), "new")).toHaveLength(20);
});

test("examples are about the chosen process", () => {
  for (const { sql } of examples(42)) expect(sql).not.toContain(":process");
  expect(examples(42).every(({ sql }) => sql.includes("process = 42"))).toBe(true);
});
