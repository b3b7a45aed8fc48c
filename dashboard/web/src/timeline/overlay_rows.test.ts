import { expect, test } from "vitest";
import type { QueryAnswer } from "../api/types.ts";
import { layLines, overlayOf } from "./overlay_rows.ts";

const answer = (columns: readonly string[], rows: unknown[][]): QueryAnswer => ({ columns: columns.map((name) => ({ name, type: rows.some((row) => typeof row[columns.indexOf(name)] === "number") ? "integer" : "text" })), rows, truncated: false, elapsed_ns: 1, hints: [] });
const T = 1_795_804_242_000_000_000n;

test("a start and a length make spans, by time, whatever the order of the rows", () => {
  const overlay = overlayOf(answer(["label", "start_at", "length"], [["b", String(T + 5n), 3], ["a", String(T), null], ["c", null, 1]]))!;
  expect(overlay.columns).toEqual({ at: "start_at", length: "length", end: null, label: "label" });
  expect(overlay.items.map(({ at, length, isOpen, label }) => [at - T, length, isOpen, label])).toEqual([[0n, 0, true, "a"], [5n, 3, false, "b"]]);
  expect(overlay.timeless).toBe(1);
});

test("an end is as good as a length, and only an instant makes points", () => {
  const ended = overlayOf(answer(["opened_at", "closed_at", "kind"], [[String(T), String(T + 9n), "tcp"], [String(T), null, "file"]]))!;
  expect(ended.items.map(({ length, isOpen, label }) => [length, isOpen, label])).toEqual([[9, false, "tcp"], [0, true, "file"]]);
  const points = overlayOf(answer(["when_at", "n"], [[String(T), 4]]))!;
  expect(points.items.map(({ length, isOpen, label }) => [length, isOpen, label])).toEqual([[0, false, ""]]);
});

test("without an instant there is nothing to lay", () => {
  expect(overlayOf(answer(["name", "n"], [["a", 1]]))).toBeNull();
  expect(overlayOf(answer(["at"], [[null]]))).toBeNull();
  expect(overlayOf(answer(["at"], [["<script>"]]))).toBeNull();
});

test("what overlaps lies on lines of its own, as far as there are lines", () => {
  const at = (start: number, length: number) => [String(T + BigInt(start)), length];
  const { items } = overlayOf(answer(["at", "length"], [at(0, 10), at(5, 10), at(10, 5), at(6, 1), at(20, 1)]))!;
  const laid = layLines(items, 2);
  expect([...laid.lines]).toEqual([0, 1, 0, 0, 0]);
  expect(laid.covered).toBe(1);
  expect(layLines(items, 6)).toMatchObject({ used: 3, covered: 0 });
});
