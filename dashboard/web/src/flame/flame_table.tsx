//! The flame graph as a table: every function with its times.

import { place, setQuery } from "../app/router.ts";
import { duration, nameText, percent } from "../base/format.ts";
import type { Func, FuncSum } from "../model/flame.ts";
import { href, withChanges } from "../model/query_string.ts";
import { Place } from "../ui/small.tsx";
import { sortRows, Table, type Column, type Sort } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import { signed } from "./labels.ts";

export interface FlameTableProps {
  readonly sums: readonly FuncSum[];
  readonly total: number;
  readonly isDiff: boolean;
  /** The function that the sandwich is around. */
  readonly chosen: Func | null;
  readonly matches: Uint8Array | null;
}

export function FlameTable({ sums, total, isDiff, chosen, matches }: FlameTableProps) {
  const { query } = place.value;
  const columns = columnsOf(total, isDiff, chosen);
  const key = (query.get("order") ?? "").replace(/^-/, "");
  const sort: Sort | null = columns.some((column) => column.key === key) ? { key, isDescending: query.get("order")!.startsWith("-") } : null;
  const found = matches ? sums.filter((sum) => matches[sum.func.index] === 1) : sums;
  const rows = sortRows(found, columns, sort);
  return (
    <section class="flame-table" aria-label="Functions">
      <header class="row">
        <h3 class="grow">{matches ? "Functions that match" : "Functions"}</h3>
        <TableTools name="flame-graph" columns={columns} rows={() => rows} />
      </header>
      <Table
        caption="Functions of the flame graph" columns={columns} total={rows.length} rowAt={(k) => rows[k]} rowKey={(sum) => sum.func.id} sort={sort ?? { key: "held", isDescending: true }}
        onSort={(next) => setQuery({ order: `${next.isDescending ? "-" : ""}${next.key}` })} height={rows.length > 10 ? "310px" : ""} testId="flame-table"
      />
    </section>
  );
}

function columnsOf(total: number, isDiff: boolean, chosen: Func | null): Column<FuncSum>[] {
  const time = (name: "own" | "total" | "held" | "before", title: string, about: string): Column<FuncSum> => ({
    key: name, title, about, width: "82px", isNumber: true, cell: (sum) => duration(sum[name]), value: (sum) => sum[name],
  });
  return [
    { key: "function", title: "Function", cell: (sum) => <FuncLink sum={sum} isChosen={sum.func === chosen} />, value: (sum) => sum.func.name },
    { key: "code", title: "Code", width: "84px", about: "Of the program itself, or of the runtime and libraries", cell: (sum) => (sum.func.own ? "program" : <span class="muted">library</span>), value: (sum) => (sum.func.own ? "program" : "library") },
    { key: "place", title: "Mostly at", width: "20%", cell: (sum) => <Place text={placeOf(sum)} />, value: placeOf },
    time("held", "Held", "Time in which it was the innermost function of the program"),
    time("own", "Own", "Time in the function itself"),
    time("total", "Total", "Time in it and in all that it called"),
    { key: "share", title: "Of all", width: "64px", isNumber: true, cell: (sum) => percent(total > 0 ? sum.total / total : null), value: (sum) => (total > 0 ? sum.total / total : null) },
    ...(isDiff ? [time("before", "Before", "Its total in the range before"), {
      key: "change", title: "Change", width: "100px", isNumber: true, about: "Total now, less the total before", cell: (sum: FuncSum) => signed(sum.total - sum.before), value: (sum: FuncSum) => sum.total - sum.before,
    }] : []),
  ];
}

function placeOf(sum: FuncSum): string | null {
  return sum.func.file ? (sum.line > 0 ? `${sum.func.file}:${sum.line}` : sum.func.file) : null;
}

function FuncLink({ sum: { func }, isChosen }: { sum: FuncSum; isChosen: boolean }) {
  const { path, query } = place.value;
  const around = href(path, withChanges(query, { view: "sandwich", focus: func.id }));
  return <a class={`place ${func.own ? "strong" : ""}`} href={around} aria-current={isChosen ? "true" : undefined} title={func.name}>{nameText(func.name)}</a>;
}
