import { expect, test } from "vitest";
import type { Process } from "../api/types.ts";
import { answers, pidText } from "./fleet.ts";

const ORDERS = { app: "orders", app_version: "1.4.2", host: "web-3", pid: 4711, state: "live", runtime: "tokio", labels: { zone: "eu-1" } } as unknown as Process;

test.each([
  ["", true],
  ["ORD", true],
  ["web-3 orders", true],
  ["4711", true],
  ["1.4", true],
  ["zone=eu", true],
  ["lost", false],
  ["orders web-4", false],
])("%j", (text, expected) => expect(answers(ORDERS, text)).toBe(expected));

test("a process id that nobody told is not a zero", () => {
  expect(pidText(ORDERS)).toBe("pid 4711");
  expect(pidText({ pid: 0 })).toBe("pid not known");
});
