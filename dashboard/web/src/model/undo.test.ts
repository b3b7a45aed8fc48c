import { expect, test } from "vitest";
import { Undo } from "./undo.ts";

const view = (start: number) => ({ start, span: 100 });

/** All that one can go back to, the last first. */
function all(undo: Undo, now: number): number[] {
  const starts: number[] = [];
  for (let found = undo.back(now); found; found = undo.back(now)) starts.push(found.start);
  return starts;
}

test("moves of one gesture are one step, and the first move of a page is one as well", () => {
  const undo = new Undo();
  undo.moves(view(1), 3);
  undo.moves(view(2), 400);
  undo.moves(view(3), 800);
  undo.moves(view(4), 2_000);
  expect(all(undo, 9_000)).toEqual([4, 1]);
});

test("a jump is a step of its own, however soon after a move and before another", () => {
  const undo = new Undo();
  undo.moves(view(1), 1_000);
  undo.jumps(view(2));
  undo.moves(view(3), 1_010);
  undo.moves(view(4), 1_020);
  expect(all(undo, 1_030)).toEqual([3, 2, 1]);
});

test("only so many are kept, the last ones", () => {
  const undo = new Undo();
  for (let k = 0; k < 1_000; k += 1) undo.jumps(view(k));
  const kept = all(undo, 0);
  expect([kept.length, kept[0]]).toEqual([50, 999]);
});
