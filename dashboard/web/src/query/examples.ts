//! Questions to start from. The server's tests ask each of them of a real store.

import list from "./examples.json";

export type Show = "table" | "chart" | "timeline";

export interface Example {
  readonly name: string;
  readonly sql: string;
  readonly show: Show;
}

/** Those about one process. */
export function examples(process: number): readonly Example[] {
  return list.map(({ name, sql, show }) => ({ name, show: show as Show, sql: sql.replaceAll(":process", String(process)) }));
}
