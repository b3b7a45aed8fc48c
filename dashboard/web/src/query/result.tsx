//! The answer: as a table, as a chart, or as spans to lay over the timeline.

import { useMemo, useState } from "preact/hooks";
import type { QueryAnswer } from "../api/types.ts";
import { count, plural } from "../base/format.ts";
import { place, setQuery } from "../app/router.ts";
import { toCsv, toJson } from "../model/csv.ts";
import { saveFile } from "../ui/clipboard.tsx";
import { Icon } from "../ui/icons.tsx";
import { Card, Tabs } from "../ui/small.tsx";
import { Empty } from "../ui/states.tsx";
import { sortRows, Table, type Column, type Sort } from "../ui/table.tsx";
import { chartColumns, defaultChoice, defaultForm, type ChartChoice, type ChartColumn, type Form } from "./chart_model.ts";
import type { Show } from "./examples.ts";
import { OverlayOffer } from "./overlay_offer.tsx";
import { ResultChart } from "./result_chart.tsx";
import { readable, unitOf } from "./units.ts";

const SHOWS = [["table", "Table"], ["chart", "Chart"], ["timeline", "Timeline"]] as const;

export function showOf(text: string | null): Show {
  return text === "chart" || text === "timeline" ? text : "table";
}

export function Result({ answer, sql }: { answer: QueryAnswer; sql: string }) {
  const show = showOf(place.value.query.get("show"));
  const [sort, setSort] = useState<Sort | null>(null);
  const [isRaw, setRaw] = useState(false);
  const names = useMemo(() => answer.columns.map((column) => column.name), [answer]);
  const columns = useMemo(() => tableColumns(answer, isRaw), [answer, isRaw]);
  const sorted = useMemo(() => sortRows(answer.rows, columns, sort), [answer, columns, sort]);
  if (answer.rows.length === 0) return <Empty title="No rows"><p>The statement is fine; nothing matches it.</p></Empty>;
  const hasUnits = names.some((name) => unitOf(name) !== "none");
  return (
    <Card title="Result" isFlush testId="query-result" tools={
      <div class="table-tools">
        <Tabs label="Result as" value={show} options={SHOWS} onChange={(next) => setQuery({ show: next === "table" ? null : next })} />
        {show === "table" && hasUnits && <button type="button" class="button quiet" aria-pressed={isRaw} title="Instants and lengths as the numbers that they are" onClick={() => setRaw(!isRaw)}>Raw numbers</button>}
        <button type="button" class="button quiet" onClick={() => saveFile("query.csv", "text/csv", toCsv(names, sorted))}><Icon name="download" size={14} /> CSV</button>
        <button type="button" class="button quiet" onClick={() => saveFile("query.json", "application/json", toJson(names, sorted))}><Icon name="download" size={14} /> JSON</button>
      </div>
    }>
      {show === "table" && <Table caption="Result" isAuto columns={columns} total={sorted.length} rowAt={(k) => sorted[k]} rowKey={(row) => JSON.stringify(row)} sort={sort} onSort={setSort} height={sorted.length > 16 ? "480px" : ""} />}
      {show === "chart" && <Charted answer={answer} />}
      {show === "timeline" && <OverlayOffer answer={answer} sql={sql} />}
    </Card>
  );
}

type Row = readonly unknown[];

function tableColumns(answer: QueryAnswer, isRaw: boolean): Column<Row>[] {
  return answer.columns.map(({ name }, k) => {
    const unit = unitOf(name);
    const isNumber = typeof answer.rows.find((row) => row[k] != null)?.[k] === "number";
    return {
      key: String(k), title: name, isNumber,
      cell: (row) => {
        const text = isRaw ? null : readable(row[k], unit);
        return text == null ? cell(row[k]) : <span title={String(row[k])}>{text}</span>;
      },
      value: (row) => raw(row[k]),
    };
  });
}

/** Longer texts are cut in the cell; files have them whole. */
const MAX_CELL = 300;

function cell(value: unknown) {
  if (value == null) return <span class="muted">NULL</span>;
  if (typeof value === "number") return Number.isInteger(value) ? count(value) : String(value);
  const text = String(value);
  return <bdi>{text.length > MAX_CELL ? `${text.slice(0, MAX_CELL)}…` : text}</bdi>;
}

function raw(value: unknown): string | number | null {
  return value == null ? null : typeof value === "number" ? value : String(value);
}

const FORMS = [["line", "Line"], ["bars", "Bars"], ["points", "Points"]] as const;

/** The chart and what it is made of; the choice is in the address. */
function Charted({ answer }: { answer: QueryAnswer }) {
  const columns = useMemo(() => chartColumns(answer), [answer]);
  const first = useMemo(() => defaultChoice(columns), [columns]);
  const query = place.value.query;
  const wanted = ["x", "y", "by", "form"].map((key) => query.get(key)).join("\u0000");
  const choice = useMemo(() => first && chosen(columns, first, query), [columns, first, wanted]);
  if (!choice) return <Empty title="Nothing here to draw"><p>A chart needs a column of numbers, and a column to draw them by: an instant, a name, or another number.</p></Empty>;
  const numbers = columns.filter((column) => column.kind === "number");
  const x = columns[choice.x]!;
  const unit = columns[choice.y[0]!]!.unit;
  const toggle = (column: ChartColumn) => {
    const next = choice.y.includes(column.index) ? choice.y.filter((index) => index !== column.index) : [...choice.y.filter((index) => columns[index]!.unit === column.unit), column.index];
    if (next.length > 0) setQuery({ y: next.map((index) => columns[index]!.name).join(",") });
  };
  return (
    <>
      <div class="chart-choice">
        <label>Along <select class="field" value={choice.x} onChange={(event) => setQuery({ x: columns[Number(event.currentTarget.value)]!.name, form: null })}>{columns.map((column) => <option key={column.index} value={column.index}>{column.name}</option>)}</select></label>
        <fieldset>
          <legend>Draw</legend>
          {numbers.filter((column) => column.index !== choice.x).map((column) => (
            <label key={column.index} title={column.unit === unit ? undefined : "Another unit: it replaces what is drawn"}><input type="checkbox" checked={choice.y.includes(column.index)} onChange={() => toggle(column)} /> <span class="mono">{column.name}</span></label>
          ))}
        </fieldset>
        <label>Series by <select class="field" value={choice.by ?? ""} onChange={(event) => setQuery({ by: event.currentTarget.value === "" ? null : columns[Number(event.currentTarget.value)]!.name })}>
          <option value="">nothing</option>
          {columns.filter((column) => column.index !== choice.x && !choice.y.includes(column.index)).map((column) => <option key={column.index} value={column.index}>{column.name}</option>)}
        </select></label>
        <span class="grow" />
        <Tabs label="Form" value={x.kind === "text" ? "bars" : choice.form} options={x.kind === "text" ? FORMS.filter(([form]) => form === "bars") : FORMS} onChange={(form: Form) => setQuery({ form: form === defaultForm(x) ? null : form })} />
      </div>
      <ResultChart answer={answer} columns={columns} choice={choice} />
      <p class="muted chart-note">{plural(answer.rows.length, "row")}. Units go by the names of the columns: {"…_at"} is an instant, {"…_time"}, length and delay are lengths of time, {"…_bytes"} and {"…_share"} what they say.</p>
    </>
  );
}

/** What the address asks for, as far as the result has it. */
function chosen(columns: readonly ChartColumn[], first: ChartChoice, query: URLSearchParams): ChartChoice {
  const named = (name: string | null) => (name == null ? undefined : columns.find((column) => column.name === name));
  const x = named(query.get("x")) ?? columns[first.x]!;
  const numbers = columns.filter((column) => column.kind === "number" && column !== x);
  const asked = (query.get("y") ?? "").split(",").flatMap((name) => numbers.find((column) => column.name === name) ?? []);
  const kept = first.y.map((index) => columns[index]!).filter((column) => column !== x);
  const y = asked.length > 0 ? asked.filter((column) => column.unit === asked[0]!.unit) : kept.length > 0 ? kept : numbers.slice(0, 1);
  const form = query.get("form");
  const by = named(query.get("by"));
  return {
    x: x.index, y: (y.length > 0 ? y : [columns[first.y[0]!]!]).map((column) => column.index), by: by && by !== x ? by.index : null,
    form: form === "line" || form === "bars" || form === "points" ? form : defaultForm(x),
  };
}
