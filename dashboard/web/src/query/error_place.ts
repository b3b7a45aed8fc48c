//! Where in a statement an error is, in the units of the editor.

import type { TextPlace } from "../api/types.ts";

/** From the first character that SQLite does not accept to the end of its word. Null where the statement has no such place. */
export function errorRange(text: string, at: TextPlace | null): { from: number; to: number } | null {
  if (!at || text.trim() === "") return null;
  const lines = text.split("\n");
  const line = lines[at.line - 1];
  if (line === undefined) return null;
  const start = lines.slice(0, at.line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  // The server counts characters; a string here counts what UTF-16 makes of them.
  const column = [...line].slice(0, at.column - 1).join("").length;
  const word = /^(?:[A-Za-z0-9_]+|'[^']*'?|"[^"]*"?|[^\sA-Za-z0-9_])/u.exec(line.slice(column))?.[0] ?? "";
  // At its end something is missing: what came last is marked.
  if (word === "") return { from: Math.max(0, Math.min(start + column, text.length) - 1), to: Math.max(1, Math.min(start + column, text.length)) };
  return { from: start + column, to: start + column + word.length };
}
