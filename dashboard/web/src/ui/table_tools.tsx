//! What every table offers beside its rows: a link to it, the same question as SQL and as a command, and the rows as a file.

import { queryAsCli } from "../app/as_cli.ts";
import { useOffer } from "../app/offers.ts";
import { link } from "../app/session.ts";
import { toCsv, toJson } from "../model/csv.ts";
import { CopyButton, saveFile } from "./clipboard.tsx";
import { Icon } from "./icons.tsx";
import type { Column } from "./table.tsx";

export interface TableToolsProps<Row> {
  /** File name without its ending. */
  readonly name: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: () => readonly Row[] | Promise<readonly Row[]>;
  readonly sql?: string;
  /** The command that prints the same; without it, the one that runs the SQL. */
  readonly cli?: string | null;
}

export function TableTools<Row>({ name, columns, rows, sql, cli }: TableToolsProps<Row>) {
  const asCli = cli ?? (sql ? queryAsCli(sql) : null);
  useOffer({ name, sql: sql ?? null, cli: asCli });
  const save = async (ending: "csv" | "json") => {
    const [names, cells] = table(columns, await rows());
    if (ending === "csv") saveFile(`${name}.csv`, "text/csv", toCsv(names, cells));
    else saveFile(`${name}.json`, "application/json", toJson(names, cells));
  };
  return (
    <div class="table-tools">
      <CopyButton label="Link" icon="link" text={() => window.location.href} />
      {sql && (
        <a class="button quiet" href={link("/query", { sql })}>
          <Icon name="query" size={14} /> as SQL
        </a>
      )}
      {asCli && <CopyButton label="as CLI" title={asCli} icon="terminal" text={asCli} />}
      <button type="button" class="button quiet" onClick={() => void save("csv")}>
        <Icon name="download" size={14} /> CSV
      </button>
      <button type="button" class="button quiet" onClick={() => void save("json")}>
        <Icon name="download" size={14} /> JSON
      </button>
    </div>
  );
}

/** Names and cells of the columns that have a value. */
function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): [string[], (string | number | null)[][]] {
  const exported = columns.filter((column) => column.value != null);
  return [exported.map((column) => column.key), rows.map((row) => exported.map((column) => column.value!(row)))];
}
