//! Sockets, files and whatever else the app opened and must close.

import { useState } from "preact/hooks";
import { apiUrl } from "../api/client.ts";
import type { Resource, ResourceState } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { atLeast, count, duration, nameText, plural, significant, UNKNOWN } from "../base/format.ts";
import { between, instant } from "../base/instant.ts";
import { asCli } from "../app/as_cli.ts";
import { navigate, place, setQuery } from "../app/router.ts";
import { lastAt, link, process, processId } from "../app/session.ts";
import { At, Place, placeText, Tabs } from "../ui/small.tsx";
import { Empty, Ready } from "../ui/states.tsx";
import { SumsBar } from "../ui/sums_bar.tsx";
import { sortRows, Table, type Column, type Sort } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";

type State = "open" | "closed" | "all";
const STATES: readonly (readonly [State, string])[] = [["open", "Open"], ["closed", "Closed"], ["all", "All"]];
/** The newest thousand: what the server gives in one page. More is a question for the Query page. */
const LIMIT = 1000;

export function Resources() {
  const id = processId.value;
  const state = (STATES.find(([key]) => key === place.value.query.get("state"))?.[0] ?? "open") as State;
  const answer = useApi<{ total: number; more?: boolean; rows: Resource[] }>(apiUrl("/resources", { process: id, state, limit: LIMIT }), { live: true, subject: `${id} ${state}` });
  const wanted = (place.value.query.get("q") ?? "").toLowerCase();
  return (
    <div class="page wide tall" data-testid="resources">
      <header class="title">
        <h1 class="grow">Resources</h1>
        <input class="field search" type="search" data-search placeholder="Kind, name or place  ( / )" aria-label="Search resources" value={place.value.query.get("q") ?? ""} onInput={(event) => setQuery({ q: event.currentTarget.value })} />
        <Tabs label="State" value={state} options={STATES} onChange={(key) => setQuery({ state: key })} />
      </header>
      <Ready of={answer}>
        {({ total, more, rows }) => rows.length === 0 ? <None state={state} /> : <Rows total={total} more={more} rows={rows.filter((row) => textOf(row).includes(wanted))} state={state} />}
      </Ready>
    </div>
  );
}

function textOf(row: Resource): string {
  return `${row.kind} ${row.name ?? ""} ${placeText(row.location)}`.toLowerCase();
}

function None({ state }: { state: State }) {
  return (
    <Empty title={state === "open" ? "No tracked resource is open" : "No resource was recorded"}>
      <p>{process.value?.runtime === "asyncio" ? "loopd tracks sockets, connections, servers, subprocesses, executors, and asyncio's locks, queues and events." : <>loopd tracks what is opened through <code>loopd_agent</code>'s wrappers.</>} {process.value && `Open now: ${atLeast(process.value.open_resources, process.value.more_open_resources)}.`} <a href={link("/sources")}>Sources</a> says whether this layer is on.</p>
    </Empty>
  );
}

function age(row: Resource): number {
  return between(instant(row.opened_at), row.closed_at ? instant(row.closed_at) : lastAt.peek());
}

const COLUMNS: readonly Column<Resource>[] = [
  { key: "kind", title: "Kind", width: "96px", cell: (row) => row.kind, value: (row) => row.kind },
  { key: "name", title: "Name", width: "17%", cell: (row) => row.name ? <a href={link(`/resources/${processId.value}/${row.resource}`)}>{nameText(row.name)}</a> : <span class="muted">{UNKNOWN}</span>, value: (row) => row.name },
  { key: "location", title: "Opened at", cell: (row) => <Place text={row.location && placeText(row.location)} />, value: (row) => (row.location ? placeText(row.location) : null) },
  { key: "task", title: "By task", width: "80px", cell: (row) => (row.task ? <a class="mono" href={link(`/tasks/${processId.value}/${row.task}`)}>{row.task}</a> : <span class="muted">no task</span>), value: (row) => row.task },
  { key: "waiters", title: "Waiters", about: "Tasks that wait for it now", width: "76px", isNumber: true, cell: (row) => <Waiters row={row} />, value: (row) => row.state?.waiters ?? null },
  { key: "inside", title: "Inside", about: "Locked, free permits, or values in the queue", width: "112px", cell: (row) => (row.state && inside(row.state)) ?? <span class="muted">{UNKNOWN}</span>, value: (row) => row.state && inside(row.state) },
  { key: "waited_time", title: "Waited", about: "Time of all waits for it", width: "84px", isNumber: true, cell: (row) => duration(row.state?.waited_time), value: (row) => row.state?.waited_time ?? null },
  { key: "opened_at", title: "Opened", width: "116px", isNumber: true, cell: (row) => <At at={row.opened_at} />, value: (row) => row.opened_at },
  { key: "age", title: "Open for", width: "92px", isNumber: true, cell: (row) => duration(age(row)), value: age },
  { key: "how", title: "State", width: "104px", cell: (row) => <How row={row} />, value: (row) => row.how ?? "open" },
];

const SUMS = { waited_time: duration, age: duration, waiters: significant };

/** What is in it, in a few words: `locked`, `3 of 8 free`, `17 of 64 queued`. */
export function inside(state: ResourceState): string | null {
  const of = state.capacity == null ? "" : ` of ${count(state.capacity)}`;
  if (state.locked) return "locked";
  if (state.permits != null) return `${count(state.permits)}${of} free`;
  if (state.depth != null) return `${count(state.depth)}${of} queued`;
  return state.locked == null ? null : "free";
}

function Waiters({ row }: { row: Resource }) {
  const waiters = row.state?.waiters;
  return waiters ? <b class="warn-text">{count(waiters)}</b> : <span class="muted">{count(waiters)}</span>;
}

function How({ row }: { row: Resource }) {
  const word = row.closed_at ? (row.how ?? "closed") : "open";
  return <span class={`chip ${word === "open" ? "accent" : word === "unclosed" ? "bad" : ""}`}>{word}</span>;
}

function Rows({ total, more, rows, state }: { total: number; more: boolean | undefined; rows: readonly Resource[]; state: State }) {
  const [sort, setSort] = useState<Sort>({ key: "opened_at", isDescending: true });
  const sorted = sortRows(rows, COLUMNS, sort);
  const where = state === "all" ? "" : `\n  AND closed_at IS ${state === "open" ? "" : "NOT "}NULL`;
  const sql = `SELECT * FROM resources\nWHERE process = ${processId.value}${where}\nORDER BY opened_at DESC\nLIMIT 100`;
  return (
    <section class="card fill">
      <header>
        <span class="muted" aria-live="polite">{rows.length < total ? `${count(rows.length)} of ${atLeast(total, more)} resources` : plural(total, "resource")}</span>
        <TableTools name="resources" columns={COLUMNS} rows={() => sorted} sql={sql} cli={asCli("resources", { state, limit: LIMIT })} />
      </header>
      <Table
        caption="Resources" testId="resource-table" columns={COLUMNS} height="100%" total={sorted.length} rowAt={(k) => sorted[k]} rowKey={(row) => row.resource} sort={sort} onSort={setSort}
        hrefOf={(row) => link(`/resources/${processId.value}/${row.resource}`)} open={navigate}
      />
      <SumsBar columns={COLUMNS} rows={sorted} formats={SUMS} sortedBy={sort.key} />
    </section>
  );
}
