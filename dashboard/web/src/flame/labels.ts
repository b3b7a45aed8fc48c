//! What is written in boxes and said of them.

import { duration } from "../base/format.ts";
import type { Nanos } from "../base/instant.ts";

/** As much of a name as fits into so many letters: all of it, else its last parts, which say most, else their beginning. */
export function fitted(text: string, room: number): string {
  if (room < 3) return "";
  // Names come from the watched app and may be as long as they like.
  const name = text.length > 600 ? text.slice(0, 600) : text;
  if (name.length <= room) return name;
  const short = lastParts(name);
  return short.length <= room ? short : `${short.slice(0, room - 1)}…`;
}

/** `Harness<T,S>::poll` of `tokio::runtime::task::harness::Harness<T,S>::poll`, with a sign before it if there was one. */
export function lastParts(name: string): string {
  const sign = /^[+−] /.exec(name)?.[0] ?? "";
  const parts = name.slice(sign.length).split("::");
  // A closure is said with the function it is in.
  const kept = parts.at(-1)?.startsWith("{") ? 3 : 2;
  return sign + parts.slice(-kept).join("::");
}

/** A change with its sign, whichever it is. */
export function signed(change: Nanos): string {
  return change > 0 ? `+${duration(change)}` : change < 0 ? duration(change) : "±0";
}
