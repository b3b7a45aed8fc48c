import { expect, test } from "vitest";
import { asking, type Asked } from "./asking.ts";

const failed: Asked<string> = { subject: 1, data: null, error: new Error("the database is being checked"), isLoading: false };
const answered: Asked<string> = { subject: 1, data: "an answer", error: null, isLoading: false };

test("an error stays while the same is asked again", () => {
  expect(asking(failed, 1, true)).toEqual({ ...failed, isLoading: true });
});

test("whoever asks anew sees that it is asked", () => {
  expect(asking(failed, 1, false)).toEqual({ ...failed, error: null, isLoading: true });
});

test("an answer stays as long as it is about the same", () => {
  expect(asking(answered, 1, false)).toEqual({ ...answered, isLoading: true });
  expect(asking(answered, 2, false)).toEqual({ subject: 2, data: null, error: null, isLoading: true });
});

test("of another subject neither the error is known", () => {
  expect(asking(failed, 2, true)).toEqual({ subject: 2, data: null, error: null, isLoading: true });
});
