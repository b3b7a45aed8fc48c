import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { latest } from "./latest.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Answers come when the test says so. */
function asker() {
  const asked: { question: string; signal: AbortSignal; done: (answer: string) => void; fail: (error: Error) => void }[] = [];
  const told: string[] = [];
  const ask = latest<string, string>(
    (question, signal) => new Promise((done, fail) => asked.push({ question, signal, done, fail })),
    (question, answer, error) => told.push(`${question}: ${answer ?? error?.message}`),
    100,
  );
  return { asked, told, ...ask };
}

test("only what is there after a rest is asked", async () => {
  const it = asker();
  for (const text of ["c", "ca", "cart"]) {
    it.ask(text);
    await vi.advanceTimersByTimeAsync(60);
  }
  await vi.advanceTimersByTimeAsync(100);
  expect(it.asked.map((one) => one.question)).toEqual(["cart"]);
});

test("an answer to an earlier question is dropped, even one that comes after its abort", async () => {
  const it = asker();
  it.ask("a");
  await vi.advanceTimersByTimeAsync(100);
  it.ask("b");
  await vi.advanceTimersByTimeAsync(100);
  const [a, b] = it.asked;
  expect(a!.signal.aborted).toBe(true);
  b!.done("of b");
  a!.done("of a");
  await vi.advanceTimersByTimeAsync(0);
  expect(it.told).toEqual(["b: of b"]);
});

test("what failed is told, what was stopped is not", async () => {
  const it = asker();
  it.ask("a");
  await vi.advanceTimersByTimeAsync(100);
  it.asked[0]!.fail(new Error("no answer"));
  await vi.advanceTimersByTimeAsync(0);
  it.ask("b");
  await vi.advanceTimersByTimeAsync(100);
  it.stop();
  it.asked[1]!.done("late");
  await vi.advanceTimersByTimeAsync(0);
  expect(it.told).toEqual(["a: no answer"]);
});
