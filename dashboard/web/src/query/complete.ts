//! What may come next in a statement: views, their columns and the functions, from the real schema.

import type { Schema } from "../api/types.ts";

export interface Offered {
  readonly label: string;
  readonly kind: "view" | "column" | "function";
  /** Type, or the view that a column is of. */
  readonly detail: string;
  readonly about: string;
  /** What is inserted. */
  readonly text: string;
  /** Columns of a view that the statement names come first. */
  readonly boost: number;
}

export interface Completions {
  /** Where the word that is replaced begins. */
  readonly from: number;
  readonly offered: readonly Offered[];
}

type View = Schema["views"][number];

/** What to offer at `at`; null where nothing is being written, unless somebody asked for it. */
export function completionsAt(schema: Schema, text: string, at: number, isAsked: boolean): Completions | null {
  const before = text.slice(0, at);
  if (isInText(before)) return null;
  const word = /[A-Za-z_][A-Za-z0-9_]*$/.exec(before)?.[0] ?? "";
  const from = at - word.length;
  const owner = /([A-Za-z_][A-Za-z0-9_]*)\s*\.\s*$/.exec(before.slice(0, from))?.[1];
  if (owner) {
    const view = viewOf(schema, text, owner);
    return view ? { from, offered: view.columns.map((column) => columnOffer(view, column, 0)) } : null;
  }
  if (word === "" && !isAsked) return null;
  const named = namedViews(schema, text);
  // After FROM and JOIN only a view can follow.
  const isTable = /\b(?:from|join)\s+(?:[A-Za-z0-9_\s]+,\s*)?$/i.test(before.slice(0, from));
  const views = schema.views.map((view): Offered => ({ label: view.name, kind: "view", detail: "view", about: view.about, text: view.name, boost: isTable ? 5 : 0 }));
  if (isTable) return { from, offered: views };
  const of = named.length > 0 ? named : schema.views;
  const columns = new Map<string, Offered>();
  for (const view of of) {
    for (const column of view.columns) {
      const old = columns.get(column.name);
      columns.set(column.name, old ? { ...old, detail: `${old.detail}, ${view.name}` } : columnOffer(view, column, named.length > 0 ? 3 : -1));
    }
  }
  const functions = schema.functions.map((f): Offered => {
    const signature = typeof f === "string" ? f : f.name;
    const name = signature.replace(/\(.*$/s, "");
    return { label: name, kind: "function", detail: signature.slice(name.length), about: (typeof f === "string" ? "" : f.about) ?? "", text: `${name}(`, boost: 1 };
  });
  return { from, offered: [...columns.values(), ...functions, ...views] };
}

function columnOffer(view: View, column: View["columns"][number], boost: number): Offered {
  return { label: column.name, kind: "column", detail: view.name, about: column.about || column.type, text: column.name, boost };
}

/** The views that a statement selects from. */
function namedViews(schema: Schema, text: string): View[] {
  const words = new Set(text.toLowerCase().split(/[^a-z0-9_]+/));
  return schema.views.filter((view) => words.has(view.name));
}

/** The view that a name before a dot means: itself, or what it stands for in `FROM view alias`. */
function viewOf(schema: Schema, text: string, name: string): View | null {
  const wanted = name.toLowerCase();
  const alias = new RegExp(`\\b([A-Za-z_][A-Za-z0-9_]*)\\s+(?:as\\s+)?${wanted}\\b`, "gi");
  const meant = [wanted, ...[...text.matchAll(alias)].map((match) => match[1]!.toLowerCase())];
  return schema.views.find((view) => meant.includes(view.name)) ?? null;
}

/** Whether the end of `before` is inside a string or a comment. */
function isInText(before: string): boolean {
  let end = "";
  for (let k = 0; k < before.length; k += 1) {
    const two = before.slice(k, k + 2);
    if (end === "") {
      if (before[k] === "'" || before[k] === '"') end = before[k]!;
      else if (two === "--") end = "\n";
      else if (two === "/*") end = "*/";
    } else if (before.startsWith(end, k)) {
      k += end.length - 1;
      end = "";
    }
  }
  return end !== "";
}
