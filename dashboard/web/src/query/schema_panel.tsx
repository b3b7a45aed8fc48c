//! What can be asked about: views, their columns with meaning and unit, and functions. A click writes the name into the statement.

import { useState } from "preact/hooks";
import type { Schema } from "../api/types.ts";
import { plural } from "../base/format.ts";
import { searchSchema } from "./search_schema.ts";

export function SchemaPanel({ schema, insert, pick }: { schema: Schema; insert: (text: string) => void; pick: (sql: string) => void }) {
  const [wanted, setWanted] = useState("");
  const found = searchSchema(schema, wanted);
  const isSearching = wanted.trim() !== "";
  const hits = found.views.length + found.functions.length;
  return (
    <div class="schema">
      <input class="field" type="search" placeholder="Find a view, column or function" aria-label="Find in the schema" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} data-testid="schema-search" />
      <p class="visually-hidden" role="status">{isSearching ? `${plural(found.views.length, "view")} and ${plural(found.functions.length, "function")} found` : ""}</p>
      {hits === 0 && <p class="muted">Nothing is called or described like that.</p>}
      <div class="schema-list">
        {found.views.map((view) => (
          <details key={`${view.name} ${isSearching}`} open={isSearching && found.views.length <= 6}>
            <summary><b class="mono">{view.name}</b> <span class="muted">{view.about}</span></summary>
            <p class="row wrap schema-do">
              <button type="button" class="button" onClick={() => insert(view.name)}>Insert name</button>
              <button type="button" class="button" onClick={() => pick(`SELECT * FROM ${view.name} LIMIT 20`)}>First 20 rows</button>
            </p>
            <ul>
              {view.columns.map((column) => (
                <li key={column.name}>
                  <button type="button" class="schema-name mono" title={`Insert ${column.name}`} onClick={() => insert(column.name)}>{column.name}</button>
                  <span class="muted">{column.about ? `${column.about} · ${column.type.toLowerCase()}` : column.type.toLowerCase()}</span>
                </li>
              ))}
            </ul>
          </details>
        ))}
        {found.functions.length > 0 && (
          <>
            <h3>Functions, beside those of SQLite</h3>
            <ul>
              {found.functions.map((f) => (
                <li key={f.name}>
                  <button type="button" class="schema-name mono" title={`Insert ${f.name}`} onClick={() => insert(f.name)}>{f.name}</button>
                  <span class="muted">{f.about}</span>
                </li>
              ))}
            </ul>
          </>
        )}
      </div>
    </div>
  );
}
