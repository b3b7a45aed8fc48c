import { expect, test } from "vitest";
import { inOrder, neighbour, readKind, type Standout, type StandoutKind } from "./standouts.ts";

const one = (kind: StandoutKind, at: number, id = String(at)): Standout => ({ kind, at, to: at + 1, id });
const LIST = inOrder([one("note", 30), one("loss", 20), one("finding", 10), one("slow", 10), one("slow", 40), one("slow", 10)]);
const text = (found: Standout | null) => found && `${found.kind} ${found.at}`;

/** All that is stepped through, from an end. */
function walk(list: readonly Standout[], at: number, direction: 1 | -1): (string | null)[] {
  const seen: (string | null)[] = [];
  for (let found = neighbour(list, null, at, direction); found; found = neighbour(list, found, at, direction)) seen.push(text(found));
  return seen;
}

test("all kinds come in the order of time, a finding after the poll that proves it, and each once", () => {
  expect(walk(LIST, 0, 1)).toEqual(["slow 10", "finding 10", "loss 20", "note 30", "slow 40"]);
  expect(walk(LIST, 99, -1)).toEqual(["slow 40", "note 30", "loss 20", "finding 10", "slow 10"]);
});

test("without one to begin with the nearest in that direction is next, and at the end there is none", () => {
  expect([text(neighbour(LIST, null, 15, 1)), text(neighbour(LIST, null, 15, -1))]).toEqual(["loss 20", "finding 10"]);
  expect([neighbour(LIST, one("slow", 40), 0, 1), neighbour(LIST, one("slow", 10), 99, -1)]).toEqual([null, null]);
  expect(neighbour([], null, 0, 1)).toBeNull();
});

test("those of one kind are stepped through from one of another", () => {
  const slow = LIST.filter(({ kind }) => kind === "slow");
  expect([text(neighbour(slow, one("loss", 20), 20, 1)), text(neighbour(slow, one("loss", 20), 20, -1))]).toEqual(["slow 40", "slow 10"]);
  const findings = LIST.filter(({ kind }) => kind === "finding");
  expect(text(neighbour(findings, one("slow", 10), 10, 1))).toBe("finding 10");
});

test("one that has moved away is gone on from, also past others of its instant", () => {
  const gone = one("finding", 10, "moved");
  expect([text(neighbour(LIST, gone, 10, 1)), text(neighbour(LIST, gone, 10, -1))]).toEqual(["loss 20", "finding 10"]);
  const slow = LIST.filter(({ kind }) => kind === "slow");
  expect([text(neighbour(slow, gone, 10, 1)), text(neighbour(slow, gone, 10, -1))]).toEqual(["slow 40", "slow 10"]);
});

test("an address that names no kind means all", () => {
  expect([readKind("loss"), readKind("everything"), readKind(null)]).toEqual(["loss", null, null]);
});
