//! What was typed into the omnibox, and what of a list it means.

/** Nothing yet, words to look for, the name of a command, or SQL. */
export type Ask =
  | { readonly kind: "empty" }
  | { readonly kind: "search"; readonly text: string }
  | { readonly kind: "command"; readonly text: string }
  | { readonly kind: "sql"; readonly text: string };

export function readAsk(typed: string): Ask {
  const text = typed.trim();
  if (text.startsWith(">")) return { kind: "command", text: text.slice(1).trim() };
  if (text.startsWith("=")) return { kind: "sql", text: text.slice(1).trim() };
  return text === "" ? { kind: "empty" } : { kind: "search", text };
}

/** How well a name is meant: 3 begins so, 2 has words that begin so, 1 contains all of it, 0 is not meant. */
export function fit(name: string, wanted: string): number {
  const text = name.toLowerCase();
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.every((word) => text.includes(word))) return 0;
  if (text.startsWith(wanted.toLowerCase().trim())) return 3;
  const startsWord = (word: string) => text.split(/[^\p{L}\p{N}]+/u).some((part) => part.startsWith(word));
  return words.every(startsWord) ? 2 : 1;
}

/** Those that are meant, best first; among equals the order stays. */
export function pick<Item>(list: readonly Item[], wanted: string, nameOf: (item: Item) => string, limit = Infinity): Item[] {
  const fits = list.map((item) => ({ item, rank: fit(nameOf(item), wanted) })).filter(({ rank }) => rank > 0);
  return fits.sort((a, b) => b.rank - a.rank).slice(0, limit).map(({ item }) => item);
}

/** Text for LIKE '…' ESCAPE '\', as a literal of SQL. */
export function likeLiteral(text: string): string {
  return `'%${text.replace(/[\\%_]/g, "\\$&").replaceAll("'", "''")}%'`;
}
