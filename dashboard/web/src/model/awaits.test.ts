import { expect, test } from "vitest";
import type { DumpLine } from "../api/types.ts";
import { awaitStacks } from "./awaits.ts";

function line(task: string, depth: number, functions: readonly string[], awaits: string | null, waited: number | null): DumpLine {
  const frames = functions.map((name) => ({ function: name, file: "app.py", line: 1, own: true }));
  return { task, depth, parent: null, pointer: null, name: `name ${task}`, wait: { kind: "async", location: null, age: null, waited, ended_at: null, frames, awaits, resource: null } };
}

test("time is counted at the end of each chain, and equal stacks are one", () => {
  const pointer: DumpLine = { task: "2", depth: 1, parent: "1", pointer: "above", name: null, wait: null };
  const found = awaitStacks({
    began_at: "5",
    lines: [line("1", 0, ["fetch", "main"], null, 9), line("2", 1, ["get"], "sleep", 2), line("3", 1, ["get"], "sleep", 3), pointer, line("4", 0, [], "Lock", 7), line("5", 0, ["gone"], null, null)],
  });
  const texts = found.stacks.map((frames) => frames.map((frame) => frame.function).join(" < "));
  expect(texts).toEqual(["await sleep < get < fetch < main", "await Lock < name 4"]);
  expect(found.samples.map((it) => [it.task, it.weight, it.stack])).toEqual([["2", 2, 0], ["3", 3, 0], ["4", 7, 1]]);
  expect([found.awaiting, found.unknown]).toEqual([1, 1]);
});

test("a program without tasks has no stacks", () => {
  expect(awaitStacks({ began_at: "5", lines: [] })).toEqual({ stacks: [], samples: [], unknown: 0, awaiting: 0 });
});
