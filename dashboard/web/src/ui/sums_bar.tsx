//! Below a table: what a column of the rows that are shown adds up to.

import { useState } from "preact/hooks";
import { count } from "../base/format.ts";
import { sumsOf } from "../model/sums.ts";
import type { Column } from "./table.tsx";

export interface SumsBarProps<Row> {
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  /** Columns that can be added up, by key, and how their numbers are written. */
  readonly formats: Readonly<Record<string, (value: number) => string>>;
  /** The column that the table is sorted by: it is the first choice, if it can be added up. */
  readonly sortedBy?: string | undefined;
}

export function SumsBar<Row>({ columns, rows, formats, sortedBy }: SumsBarProps<Row>) {
  const [chosen, setChosen] = useState<string | null>(null);
  // In the order in which they were given: the first says most.
  const choices = Object.keys(formats).flatMap((key) => columns.filter((column) => column.key === key));
  const column = choices.find(({ key }) => key === chosen) ?? choices.find(({ key }) => key === sortedBy) ?? choices[0];
  if (!column || rows.length === 0) return null;
  const format = formats[column.key]!;
  const sums = sumsOf(rows.map((row) => column.value?.(row) as number | null));
  const list = sums ? ([["sum", sums.sum], ["mean", sums.mean], ["p50", sums.p50], ["p99", sums.p99], ["max", sums.max]] as const) : [];
  return (
    <div class="sums-bar row wrap" role="group" aria-label="Sums of the rows shown" data-testid="sums">
      <select class="field" aria-label="Column that is added up" value={column.key} onChange={(event) => setChosen(event.currentTarget.value)}>
        {choices.map(({ key, title }) => <option key={key} value={key}>{title}</option>)}
      </select>
      {sums == null ? <span class="muted">not known of any row shown</span> : (
        <>
          <span>{count(sums.count)}{sums.count < rows.length && ` of ${count(rows.length)}`} <span class="muted">rows</span></span>
          {list.map(([name, value]) => <span key={name}><span class="muted">{name}</span> <b>{format(value)}</b></span>)}
        </>
      )}
    </div>
  );
}
