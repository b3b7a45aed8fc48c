import { expect, test } from "vitest";
import { clamp, fit, focus, MIN_SPAN, pan, toOffset, toPixel, zoomAt, type View } from "./geometry.ts";
import { fillColumns, heights, newColumns, type Cells } from "./columns.ts";
import { cellStats, pollAt, pollStats, type Polls } from "./polls.ts";
import { niceTop, ticks, tickStep } from "./ticks.ts";
import { rowWindow } from "./window.ts";
import { toCsv, toJson } from "./csv.ts";
import { lengthText, parseInstant, parseLength, parseRange, rangeFromQuery, rangeLabel, rangeToQuery, resolveRange, type Range } from "./range.ts";
import { href, matchPath, withChanges } from "./query_string.ts";
import { instant } from "../base/instant.ts";

const minute = { from: 0, to: 60e9 };

test("zooming keeps the instant under the cursor", () => {
  let view: View = fit(minute);
  for (const anchor of [0, 0.1, 0.37, 0.5, 0.99, 1]) {
    for (const factor of [0.9, 0.5, 0.1, 1.3]) {
      const next = zoomAt({ start: 20e9, span: 10e9 }, anchor, factor, minute);
      const before = 20e9 + 10e9 * anchor;
      expect(next.start + next.span * anchor).toBeCloseTo(before, 3);
    }
    view = zoomAt(view, anchor, 0.8, minute);
  }
  expect(view.span).toBeGreaterThan(MIN_SPAN);
});

test("a view can go from the whole recording down to a microsecond and no further", () => {
  let view = fit(minute);
  for (let k = 0; k < 400; k += 1) view = zoomAt(view, 0.3, 0.9, minute);
  expect(view.span).toBe(MIN_SPAN);
  for (let k = 0; k < 400; k += 1) view = zoomAt(view, 0.3, 1.1, minute);
  expect(view.span).toBeLessThanOrEqual(75e9);
});

test("panning never loses the recording", () => {
  const view = { start: 10e9, span: 4e9 };
  expect(pan(view, 1e15, minute).start).toBe(58e9);
  expect(pan(view, -1e15, minute).start).toBe(-2e9);
  expect(clamp(pan(view, 1e9, minute), minute)).toEqual({ start: 11e9, span: 4e9 });
});

test("focus centres a poll at the wanted share of the width", () => {
  const view = focus(30e9, 100e6, 0.25, minute);
  expect(view.span).toBe(400e6);
  expect(toPixel(view, 1000, 30e9 + 50e6)).toBeCloseTo(500);
  expect(toOffset(view, 1000, 500)).toBeCloseTo(30e9 + 50e6);
});

function cells(step: number, rows: [number, number, number, number, number, number][]): Cells {
  return {
    origin: 0, step, i: rows.map((row) => row[0]),
    busy: [1, 2, 3, 4].map((c) => rows.map((row) => row[c]!)) as unknown as Cells["busy"],
    max: rows.map((row) => row[5]), n: rows.map(() => 1),
  };
}

test("heights of all columns together are the busy share of the view", () => {
  const rows: [number, number, number, number, number, number][] = [];
  for (let k = 0; k < 500; k += 1) rows.push([k, 100 * (k % 3), 50, k % 7 ? 0 : 200, k % 11 ? 0 : 300, 400]);
  const total = rows.reduce((sum, row) => sum + row[1] + row[2] + row[3] + row[4], 0);
  for (const width of [97, 500, 1333]) {
    const columns = newColumns(width);
    const busy = fillColumns(cells(1000, rows), { start: 0, span: 500_000 }, columns);
    expect(busy).toBeCloseTo(total, 3);
    const mean = columns.share.reduce((sum, share) => sum + share, 0) / width;
    expect(mean).toBeCloseTo(total / 500_000, 5);
  }
});

test("a column is never higher than its busy share", () => {
  const columns = newColumns(1);
  fillColumns(cells(1000, [[0, 100, 50, 0, 60, 60]]), { start: 0, span: 1000 }, columns);
  const out = new Int16Array(4);
  expect(heights(columns, 0, 100, out)).toBe(21);
  expect([...out]).toEqual([10, 15, 15, 21]);
  expect(columns.max[0]).toBe(60);
});

test("a short slow poll keeps its maximum in every column it touches", () => {
  const columns = newColumns(10);
  fillColumns(cells(100, [[3, 0, 0, 0, 1, 5_000]]), { start: 0, span: 1000 }, columns);
  expect([...columns.max]).toEqual([0, 0, 0, 5000, 0, 0, 0, 0, 0, 0]);
});

const polls: Polls = {
  start: Float64Array.from([100, 200, 300]), length: Float64Array.from([50, 10, 100]), task: ["1", "2", "3"], location: ["1", "1", "1"],
};

test("the poll under the cursor, or the nearest within reach", () => {
  expect(pollAt(polls, 120, 0)).toBe(0);
  expect(pollAt(polls, 160, 5)).toBeNull();
  expect(pollAt(polls, 160, 10)).toBe(0);
  expect(pollAt(polls, 196, 10)).toBe(1);
  expect(pollAt(polls, 0, 10)).toBeNull();
  expect(pollAt(polls, 405, 10)).toBe(2);
});

test("region statistics count overlaps of polls and cells", () => {
  expect(pollStats(polls, 120, 350)).toEqual({ polls: 2, busy: 30 + 10 + 50, max: 100, isExact: true });
  expect(cellStats(cells(100, [[1, 10, 0, 0, 40, 40]]), 150, 200)).toEqual({ polls: 1, busy: 25, max: 40, isExact: false });
});

test("ticks fall on round instants", () => {
  expect(tickStep(3e9)).toBe(5e9);
  expect(tickStep(1.1e6)).toBe(2e6);
  expect(tickStep(100)).toBe(100);
  expect(tickStep(40e9)).toBe(60e9);
  expect(ticks(0, 10e9, 5e9, 1e9)).toEqual([1e9, 6e9]);
  expect(niceTop(0.93)).toEqual({ step: 0.25, top: 1 });
  expect(niceTop(1234).top).toBe(1500);
});

test("a window of rows covers the viewport and the heights add up", () => {
  const view = rowWindow(100_000, 28, 1_000_000, 600);
  expect(view.from * 28).toBeLessThanOrEqual(1_000_000);
  expect(view.to * 28).toBeGreaterThanOrEqual(1_000_600);
  expect(view.above + view.below + (view.to - view.from) * 28).toBe(2_800_000);
  expect(view.to - view.from).toBeLessThan(60);
  expect(rowWindow(3, 28, 0, 600)).toEqual({ from: 0, to: 3, above: 0, below: 0 });
  expect(rowWindow(100, 28, 1e9, 560).to).toBe(100);
});

test("lengths as people write them", () => {
  expect(parseLength("5 m")).toBe(300e9);
  expect(parseLength("1h30m")).toBe(5400e9);
  expect(parseLength("250µs")).toBe(250e3);
  expect(parseLength("fast")).toBeNull();
  expect(lengthText(300e9)).toBe("5m");
  expect(lengthText(1.5e6)).toBe("1500us");
});

test("ranges as people write them", () => {
  const day = parseInstant("2026-11-22 00:00", 0n)!;
  expect(parseRange("last 5 m", day)).toEqual({ kind: "last", span: 300e9 });
  expect(parseRange("-30s", day)).toEqual({ kind: "last", span: 30e9 });
  expect(parseRange("", day)).toEqual({ kind: "all" });
  const at = parseInstant("2026-11-22 14:03:07.412", 0n)!;
  expect(parseRange("14:03:07.412 – 14:03:08", day)).toEqual({ kind: "fixed", from: at, to: at + 588_000_000n });
  expect(parseRange("14:03:07.412 + 5ms", day)).toEqual({ kind: "fixed", from: at, to: at + 5_000_000n });
  expect(parseRange("2026-11-22 14:03:07.412 - 2026-11-22 14:03:08", day)).toEqual({ kind: "fixed", from: at, to: at + 588_000_000n });
  expect(parseRange("14:03:08 – 14:03:07", day)).toBeNull();
  expect(parseRange("yesterday", day)).toBeNull();
});

test("a range survives the URL and its own label", () => {
  const day = instant("1795354987412345678");
  const ranges: Range[] = [{ kind: "all" }, { kind: "last", span: 90e9 }, { kind: "fixed", from: day, to: instant("1795354987412999999") }];
  for (const range of ranges) {
    const query = withChanges(new URLSearchParams("process=3"), rangeToQuery(range));
    expect(rangeFromQuery(query)).toEqual(range);
    expect(query.get("process")).toBe("3");
  }
  const whole: Range = { kind: "fixed", from: instant("1795354987000000000"), to: instant("1795354997000000000") };
  expect(parseRange(rangeLabel(whole), day)).toEqual(whole);
  expect(rangeFromQuery(new URLSearchParams("from=x&to=3"))).toBeNull();
});

test("a range means instants of its recording", () => {
  expect(resolveRange({ kind: "last", span: 10 }, 100n, 200n)).toEqual({ from: 190n, to: 200n });
  expect(resolveRange({ kind: "all" }, 100n, 200n)).toEqual({ from: 100n, to: 200n });
});

test("changing one key of a URL leaves the others alone", () => {
  const query = withChanges(new URLSearchParams("a=1&b=2"), { b: null, c: "src/main.rs:3", d: true });
  expect(href("/slow", query)).toBe("/slow?a=1&c=src/main.rs:3&d=1");
  expect(href("/", {})).toBe("/");
  expect(matchPath("/tasks/:process/:task", "/tasks/1/99")).toEqual({ process: "1", task: "99" });
  expect(matchPath("/tasks", "/tasks/")).toEqual({});
  expect(matchPath("/tasks", "/task")).toBeNull();
});

test("CSV quotes what it must and never hands a spreadsheet a formula", () => {
  expect(toCsv(["a", "b"], [["x,y", 'say "hi"'], ["=1+1", null], [-5, "-5"]])).toBe('a,b\r\n"x,y","say ""hi"""\r\n\'=1+1,\r\n-5,-5\r\n');
  expect(JSON.parse(toJson(["a"], [[1]]))).toEqual([{ a: 1 }]);
});
