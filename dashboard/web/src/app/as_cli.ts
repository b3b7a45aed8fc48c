//! The command that prints what a page shows, for the process and the server it shows.

import { command, rangeFlags, type Flags } from "../model/cli.ts";
import { processId, range } from "./session.ts";

/** `loopd tasks --app …`. */
export function asCli(words: string | readonly string[], flags: Flags = {}, process: number | null = processId.value): string {
  return command(typeof words === "string" ? [words] : words, { app: process, ...flags }, window.location.origin);
}

/** The same with the flags of the chosen range. */
export function asCliInRange(word: string, flags: Flags = {}): string {
  return asCli(word, { ...rangeFlags(range.value), ...flags });
}

export function queryAsCli(sql: string): string {
  return command(["query", sql], {}, window.location.origin);
}
