import { expect, test } from "vitest";
import type { Instant } from "../base/instant.ts";
import { command, rangeFlags, rangeWord, rfc3339, shellWord } from "./cli.ts";

test("what a shell would read otherwise is quoted", () => {
  expect(shellWord("src/cart.rs:88")).toBe("src/cart.rs:88");
  expect(shellWord("orders@-10m..")).toBe("orders@-10m..");
  expect(shellWord("")).toBe("''");
  expect(shellWord("it's")).toBe("'it'\\''s'");
  expect(shellWord("=zsh")).toBe("'=zsh'");
  expect(shellWord("~")).toBe("'~'");
});

/** Through a variable type: the page is compiled without Node's types. */
const { execFileSync } = (await import("node:child_process" as string)) as { execFileSync: (file: string, words: readonly string[], options: object) => string };

test("a POSIX shell reads every word as it was", () => {
  const words = ["a b", "it's", "''", "$(reboot)", "`reboot`", "a;b|c&d>e<f", "\\", "\"", "*?[a]{b,c}", "#", "!x", "two\nlines", "tab\there", "名前 🚀 \u202e", "=a", "~root", "-x"];
  const read = execFileSync("sh", ["-c", `for word in ${words.map(shellWord).join(" ")}; do printf '%s\\036' "$word"; done`], { encoding: "utf8" });
  expect(read.split("\x1e").slice(0, -1)).toEqual(words);
});

test("a paste cannot be ended by what is pasted", () => {
  expect(shellWord("a\x1b[201~\rreboot\x07")).toBe("'a[201~reboot'");
  expect(shellWord("\x9b201~")).toBe("'201~'");
});

test("flags without a value are left out", () => {
  expect(command(["tasks"], { app: 3, state: null, match: "", reverse: false, growing: true })).toBe("loopd tasks --app 3 --growing");
});

test("a value that looks like a flag is none", () => {
  expect(command(["tasks"], { match: "-x", from: "-5m" })).toBe("loopd tasks --match=-x --from -5m");
});

test("the server is named unless it is the usual one", () => {
  expect(command(["slow"], {}, "http://127.0.0.1:7411")).toBe("loopd slow");
  expect(command(["slow"], {}, "http://localhost:7411")).toBe("loopd slow");
  expect(command(["slow"], { app: 1 }, "http://build-7:7411")).toBe("loopd slow --app 1 --url http://build-7:7411");
  expect(command(["query", "select 'a'"])).toBe("loopd query 'select '\\''a'\\'''");
});

test("ranges become flags", () => {
  const from = 1_795_356_187_412_000_000n as Instant;
  const fixed = { kind: "fixed", from, to: (from + 88_000_001n) as Instant } as const;
  expect(rangeFlags({ kind: "all" })).toEqual({});
  expect(rangeFlags({ kind: "last", span: 90e9 })).toEqual({ from: "-90s" });
  expect(rangeFlags(fixed)).toEqual({ from: "2026-11-22T14:03:07.412Z", to: "2026-11-22T14:03:07.500000001Z" });
  expect(rangeWord({ kind: "all" })).toBeNull();
  expect(rangeWord({ kind: "last", span: 300e9 })).toBe("-5m..");
  expect(rangeWord(fixed)).toBe("2026-11-22T14:03:07.412Z..2026-11-22T14:03:07.500000001Z");
  expect(rfc3339(1_795_356_187_000_000_000n as Instant)).toBe("2026-11-22T14:03:07Z");
});
