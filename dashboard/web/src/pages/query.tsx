//! Anything else: SQL over the documented views. The statement is in the URL, so a question can be sent to a colleague.

import { useEffect, useRef, useState } from "preact/hooks";
import { apiUrl, isAbort, runQuery } from "../api/client.ts";
import type { QueryAnswer, Schema } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { count, duration, plural } from "../base/format.ts";
import { queryAsCli } from "../app/as_cli.ts";
import { useOffer } from "../app/offers.ts";
import { place, setQuery } from "../app/router.ts";
import { processId } from "../app/session.ts";
import { toCsv, toJson } from "../model/csv.ts";
import { CopyButton, saveFile } from "../ui/clipboard.tsx";
import { Icon } from "../ui/icons.tsx";
import { Card } from "../ui/small.tsx";
import { Empty, Loading, Ready } from "../ui/states.tsx";
import { sortRows, Table, type Column, type Sort } from "../ui/table.tsx";

/** Rows shown at most; the server has its own limit on top. */
const LIMIT = 1000;

function examples(process: number): readonly (readonly [string, string])[] {
  return [
    ["Busiest spawn locations", `SELECT location, count(*) AS tasks, sum(polls) AS polls,\n       duration(sum(busy_time)) AS busy, duration(max(max_poll_time)) AS worst\nFROM tasks\nWHERE process = ${process}\nGROUP BY location\nORDER BY sum(busy_time) DESC\nLIMIT 20`],
    ["Slowest polls", `SELECT wall_time(start_at) AS started, duration(length) AS took, worker, task\nFROM slow\nWHERE process = ${process}\nORDER BY length DESC\nLIMIT 50`],
    ["Poll length by worker", `SELECT worker, count(*) AS polls, duration(p50(length)) AS median,\n       duration(p99(length)) AS p99\nFROM polls\nWHERE process = ${process} AND start_at > (SELECT last_at FROM processes WHERE process = ${process}) - ns('1h')\nGROUP BY worker`],
    ["Tasks never polled", `SELECT task, name, location, wall_time(spawned_at) AS spawned\nFROM tasks\nWHERE process = ${process} AND polls = 0 AND ended_at IS NULL`],
    ["Open resources", `SELECT kind, location, count(*) AS open, wall_time(min(opened_at)) AS oldest\nFROM resources\nWHERE process = ${process} AND closed_at IS NULL\nGROUP BY kind, location\nORDER BY open DESC`],
    ["What was lost", `SELECT kind, cause, sum(count) AS lost\nFROM losses\nGROUP BY kind, cause`],
  ];
}

export function Query() {
  const process = processId.value ?? 1;
  const given = place.value.query.get("sql");
  const [sql, setSql] = useState(given ?? examples(process)[0]![1]);
  const [answer, setAnswer] = useState<QueryAnswer | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [isRunning, setRunning] = useState(false);
  const abort = useRef<AbortController | null>(null);
  const asked = useRef<string | null>(null);

  const run = async (text: string) => {
    abort.current?.abort();
    const controller = new AbortController();
    abort.current = controller;
    asked.current = text;
    setRunning(true);
    setError(null);
    setQuery({ sql: text });
    try {
      setAnswer(await runQuery(text, LIMIT, controller.signal));
    } catch (cause) {
      if (isAbort(cause)) return;
      setError((cause as Error).message);
    }
    setRunning(false);
  };
  // Also one that the omnibox or the way back brings while the page is open.
  useEffect(() => {
    if (!given || given === asked.current) return;
    setSql(given);
    void run(given);
  }, [given]);
  useEffect(() => () => abort.current?.abort(), []);
  useOffer({ name: "statement", sql, cli: queryAsCli(sql) });
  const pick = (text: string) => {
    setSql(text);
    void run(text);
  };
  return (
    <div class="page wide" data-testid="query">
      <header class="title"><div><h1>Query</h1><p>Read-only SQL over what was recorded. Instants are unix nanoseconds, lengths nanoseconds.</p></div></header>
      <div class="query">
        <div class="stack">
          <Card title="Statement" isFlush tools={<div class="table-tools"><CopyButton label="as CLI" icon="terminal" text={() => queryAsCli(sql)} /><CopyButton label="Link" icon="link" text={() => window.location.href} /></div>}>
            <Editor sql={sql} onInput={setSql} onRun={() => void run(sql)} />
            <div class="editor-foot">
              <button type="button" class="button primary" disabled={isRunning || sql.trim() === ""} onClick={() => void run(sql)} data-testid="run">Run</button>
              <span class="muted"><kbd>Ctrl</kbd> <kbd>Enter</kbd></span>
              <span class="grow" />
              <span class="muted" role="status" data-testid="query-status">{isRunning ? "Running…" : answer && !error ? `${plural(answer.rows.length, "row")}${answer.truncated ? ", there are more" : ""} in ${duration(answer.elapsed_ns)}` : ""}</span>
              {isRunning && <button type="button" class="button" onClick={() => { abort.current?.abort(); setRunning(false); }}>Stop</button>}
            </div>
          </Card>
          {error && <p class="notice bad mono" role="alert" data-testid="query-error">{error}</p>}
          {answer && !error ? <Result answer={answer} /> : !error && !isRunning && <Empty title="Press Run to ask"><p>Or start from one of the examples.</p></Empty>}
          {answer && !error && answer.hints.map((hint) => <p key={hint} class="notice" data-testid="query-hint">{hint}</p>)}
          {isRunning && !answer && <Loading />}
        </div>
        <Sidebar process={process} onPick={pick} />
      </div>
    </div>
  );
}

function Editor({ sql, onInput, onRun }: { sql: string; onInput: (text: string) => void; onRun: () => void }) {
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    onRun();
  };
  const rows = Math.min(Math.max(sql.split("\n").length + 1, 6), 20);
  return <textarea class="editor" aria-label="SQL" rows={rows} spellcheck={false} autocomplete="off" value={sql} onInput={(event) => onInput(event.currentTarget.value)} onKeyDown={onKey} data-testid="sql" data-search />;
}

type Row = readonly unknown[];

function Result({ answer }: { answer: QueryAnswer }) {
  const [sort, setSort] = useState<Sort | null>(null);
  const names = answer.columns.map((column) => column.name);
  const columns: Column<Row>[] = names.map((name, k) => ({
    key: String(k), title: name, isNumber: typeof answer.rows.find((row) => row[k] != null)?.[k] === "number",
    cell: (row) => cell(row[k]), value: (row) => raw(row[k]),
  }));
  const sorted = sortRows(answer.rows, columns, sort);
  if (answer.rows.length === 0) return <Empty title="No rows"><p>The statement is fine; nothing matches it.</p></Empty>;
  return (
    <Card title="Result" isFlush testId="query-result" tools={
      <div class="table-tools">
        <button type="button" class="button quiet" onClick={() => saveFile("query.csv", "text/csv", toCsv(names, sorted))}><Icon name="download" size={14} /> CSV</button>
        <button type="button" class="button quiet" onClick={() => saveFile("query.json", "application/json", toJson(names, sorted))}><Icon name="download" size={14} /> JSON</button>
      </div>
    }>
      <Table caption="Result" isAuto columns={columns} total={sorted.length} rowAt={(k) => sorted[k]} rowKey={(row) => JSON.stringify(row)} sort={sort} onSort={setSort} height={sorted.length > 16 ? "480px" : ""} />
    </Card>
  );
}

function cell(value: unknown) {
  if (value == null) return <span class="muted">NULL</span>;
  return typeof value === "number" ? (Number.isInteger(value) ? count(value) : String(value)) : String(value);
}

function raw(value: unknown): string | number | null {
  return value == null ? null : typeof value === "number" ? value : String(value);
}

function Sidebar({ process, onPick }: { process: number; onPick: (sql: string) => void }) {
  const schema = useApi<Schema>(apiUrl("/schema"));
  return (
    <aside class="stack">
      <Card title="Examples" isFlush>
        <ul class="example-list">{examples(process).map(([name, sql]) => <li key={name}><button type="button" onClick={() => onPick(sql)}>{name}</button></li>)}</ul>
      </Card>
      <Card title="Views" isFlush>
        <Ready of={schema}>
          {({ views, functions }) => (
            <div class="schema">
              {views.map((view) => (
                <details key={view.name}>
                  <summary><b class="mono">{view.name}</b> <span class="muted">{view.about}</span></summary>
                  <dl>
                    {view.columns.map((column) => [
                      <dt key={column.name} class="mono">{column.name}</dt>,
                      <dd key={`${column.name}.about`} class="muted">{column.about || column.type.toLowerCase()}</dd>,
                    ])}
                  </dl>
                  <button type="button" class="button" onClick={() => onPick(`SELECT * FROM ${view.name} LIMIT 20`)}>First 20 rows</button>
                </details>
              ))}
              <h3>Functions</h3>
              <ul>{functions.map((f) => <li key={f.name}><span class="mono">{f.name}</span> <span class="muted">{f.about}</span></li>)}</ul>
            </div>
          )}
        </Ready>
      </Card>
    </aside>
  );
}
