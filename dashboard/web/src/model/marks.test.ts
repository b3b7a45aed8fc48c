import { expect, test } from "vitest";
import { addMark, marksText, readMarks, type Marks } from "./marks.ts";

test("marks survive the way through an address, whatever somebody does to it", () => {
  for (const marks of [[], [5n], [5n, 1_795_356_600_000_000_001n]] as Marks[]) expect(readMarks(marksText(marks))).toEqual(marks);
  expect(readMarks("9,5")).toEqual([5n, 9n]);
  expect(readMarks("5,noon,5")).toEqual([5n]);
  for (const text of [null, "", ",", "noon", "1e9"]) expect(readMarks(text)).toEqual([]);
});

test("each mark begins where the one before ended", () => {
  const first = addMark([], 5n);
  expect(first).toEqual([5n]);
  expect(addMark(first, 9n)).toEqual([5n, 9n]);
  expect(addMark([5n, 9n], 12n)).toEqual([9n, 12n]);
  // The clock did not move on.
  expect(addMark([5n, 9n], 9n)).toEqual([5n, 9n]);
});
