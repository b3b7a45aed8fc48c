//! Which parts of the schema a few words mean.

import type { Schema } from "../api/types.ts";

export interface FoundSchema {
  readonly views: Schema["views"];
  readonly functions: readonly { readonly name: string; readonly about: string }[];
}

/** Every word must be somewhere in a name or its meaning. A view whose own name has all of them shows every column. */
export function searchSchema(schema: Schema, wanted: string): FoundSchema {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const has = (...texts: readonly string[]) => words.every((word) => texts.some((text) => text.toLowerCase().includes(word)));
  const functions = schema.functions.map((f) => (typeof f === "string" ? { name: f, about: "" } : { name: f.name, about: f.about ?? "" }));
  const views = schema.views.flatMap((view) => {
    if (has(view.name)) return [view];
    const columns = view.columns.filter((column) => has(column.name, column.about, view.name));
    if (columns.length > 0) return [{ ...view, columns }];
    return has(view.about) ? [view] : [];
  });
  return { views, functions: functions.filter((f) => has(f.name, f.about)) };
}
