//! Questions of the page as commands of `loopd`, for a POSIX shell.

import { split, type Instant } from "../base/instant.ts";
import { lengthText, type Range } from "./range.ts";

export type Flags = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Where `loopd` asks without being told. */
const USUAL = /^http:\/\/(127\.0\.0\.1|localhost|\[::1\]):7411$/;
/** Flags whose values may begin with a hyphen, as times do that count back. */
const TIMES = new Set(["from", "to", "at", "born"]);

/** One word of a command. Control characters are left out: a terminal may obey them while they are pasted. */
export function shellWord(text: string): string {
  const plain = text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "");
  // A quote ends the quoted part, stands escaped, and begins the next.
  return /^[\w./:@%+,-]+$/.test(plain) ? plain : `'${plain.replaceAll("'", "'\\''")}'`;
}

/** `loopd tasks --app 3 --state alive`. Null, false and "" leave a flag out; `origin` is the server that is asked. */
export function command(words: readonly string[], flags: Flags = {}, origin: string | null = null): string {
  const parts = ["loopd", ...words.map(shellWord)];
  const asked = origin == null || USUAL.test(origin) ? flags : { ...flags, url: origin };
  for (const [name, value] of Object.entries(asked)) {
    if (value == null || value === false || value === "") continue;
    if (value === true) parts.push(`--${name}`);
    else if (String(value).startsWith("-") && !TIMES.has(name)) parts.push(`--${name}=${shellWord(String(value))}`);
    else parts.push(`--${name} ${shellWord(String(value))}`);
  }
  return parts.join(" ");
}

/** `--from` and `--to` of a range. What follows the newest data has no end. */
export function rangeFlags(range: Range): { from?: string; to?: string } {
  if (range.kind === "all") return {};
  if (range.kind === "last") return { from: `-${lengthText(range.span)}` };
  return { from: rfc3339(range.from), to: rfc3339(range.to) };
}

/** `FROM..TO`, as `--born` and `loopd compare` want it; null for everything. */
export function rangeWord(range: Range): string | null {
  const { from = "", to = "" } = rangeFlags(range);
  return from || to ? `${from}..${to}` : null;
}

/** `2026-11-22T14:03:07.412Z`, with as many digits as it needs. */
export function rfc3339(at: Instant): string {
  const { millis, nanos } = split(at);
  const text = new Date(millis).toISOString();
  const fraction = `${text.slice(20, 23)}${String(nanos).padStart(6, "0")}`.replace(/0+$/, "");
  return `${text.slice(0, 19)}${fraction && `.${fraction}`}Z`;
}
