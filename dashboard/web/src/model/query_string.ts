//! URLs are the page's memory: every view is a path and a query, and changing one key leaves the others alone.

export type Changes = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** `query` with some keys changed; null, undefined, false and "" remove a key. */
export function withChanges(query: URLSearchParams, changes: Changes): URLSearchParams {
  const next = new URLSearchParams(query);
  for (const [key, value] of Object.entries(changes)) {
    if (value == null || value === "" || value === false) next.delete(key);
    else next.set(key, value === true ? "1" : String(value));
  }
  return next;
}

/** Path and query as one text; colons and commas stay readable. */
export function href(path: string, query: URLSearchParams | Changes): string {
  const params = query instanceof URLSearchParams ? query : withChanges(new URLSearchParams(), query);
  const text = params.toString().replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("%2F", "/");
  return text ? `${path}?${text}` : path;
}

/** Matches `/tasks/:process/:task` against a path; null if it does not fit. */
export function matchPath(pattern: string, path: string): Record<string, string> | null {
  const wanted = pattern.split("/");
  const given = path.replace(/(.)\/$/, "$1").split("/");
  if (wanted.length !== given.length) return null;
  const found: Record<string, string> = {};
  for (let k = 0; k < wanted.length; k += 1) {
    const name = wanted[k]!;
    if (name.startsWith(":")) found[name.slice(1)] = decodeSafely(given[k]!);
    else if (name !== given[k]) return null;
  }
  return found;
}

function decodeSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
