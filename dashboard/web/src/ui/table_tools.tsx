//! What every table offers beside its rows: a link to it, the same question as SQL, and the rows as a file.

import { link } from "../app/session.ts";
import { toCsv } from "../model/csv.ts";
import { CopyButton, saveFile } from "./clipboard.tsx";
import { Icon } from "./icons.tsx";
import type { Column } from "./table.tsx";

export interface TableToolsProps<Row> {
  /** File name without its ending. */
  readonly name: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: () => readonly Row[] | Promise<readonly Row[]>;
  readonly sql?: string;
}

export function TableTools<Row>({ name, columns, rows, sql }: TableToolsProps<Row>) {
  const save = async () => saveFile(`${name}.csv`, "text/csv", csvOf(columns, await rows()));
  return (
    <div class="table-tools">
      <CopyButton label="Link" icon="link" text={() => window.location.href} />
      {sql && (
        <a class="button quiet" href={link("/query", { sql })}>
          <Icon name="query" size={14} /> as SQL
        </a>
      )}
      <button type="button" class="button quiet" onClick={() => void save()}>
        <Icon name="download" size={14} /> CSV
      </button>
    </div>
  );
}

function csvOf<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const exported = columns.filter((column) => column.value != null);
  return toCsv(exported.map((column) => column.key), rows.map((row) => exported.map((column) => column.value!(row))));
}
