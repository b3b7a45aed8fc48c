//! Which tasks wait for what, who holds them up, and where that ends.

import { apiUrl } from "../api/client.ts";
import type { ResourceRef, Wait, WaitsAnswer } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { count, duration, plural } from "../base/format.ts";
import { place, setQuery } from "../app/router.ts";
import { link, processId } from "../app/session.ts";
import { At, Place, Tabs } from "../ui/small.tsx";
import { Empty, Ready } from "../ui/states.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";

type Which = "pending" | "all";
const TABS: readonly (readonly [Which, string])[] = [["pending", "Pending"], ["all", "All"]];
/** What the server gives in one page. */
const LIMIT = 1000;

export function Waits() {
  const id = processId.value;
  const which: Which = place.value.query.get("state") === "all" ? "all" : "pending";
  const page = Math.max(0, Math.floor(Number(place.value.query.get("page")) || 0));
  const url = apiUrl("/waits", { process: id, pending: which === "pending", limit: LIMIT, offset: page * LIMIT });
  const answer = useApi<WaitsAnswer>(url, { live: true, subject: `${id} ${which} ${page}` });
  const wanted = (place.value.query.get("q") ?? "").toLowerCase();
  return (
    <div class="page wide tall" data-testid="waits">
      <header class="title">
        <h1 class="grow">Waits</h1>
        <input class="field search" type="search" data-search placeholder="Task, resource or place  ( / )" aria-label="Search waits" value={place.value.query.get("q") ?? ""} onInput={(event) => setQuery({ q: event.currentTarget.value })} />
        <Tabs label="State" value={which} options={TABS} onChange={(key) => setQuery({ state: key === "all" ? key : null, page: null })} />
      </header>
      <Ready of={answer}>
        {({ total, more, rows }) => total === 0 ? <None which={which} /> : <Rows total={total} more={more} rows={heldFirst(rows, which).filter((row) => textOf(row).includes(wanted))} which={which} page={page} />}
      </Ready>
    </div>
  );
}

/** Of the waits that last, those in a circle, then those that somebody holds up: the rest may be idle. */
function heldFirst(rows: readonly Wait[], which: Which): readonly Wait[] {
  if (which === "all") return rows;
  const rank = (row: Wait) => (row.cycle ? 0 : row.chain.length > 0 ? 1 : 2);
  return [...rows].sort((a, b) => rank(a) - rank(b));
}

function textOf(row: Wait): string {
  return `${row.task} ${row.task_name ?? ""} ${row.text}`.toLowerCase();
}

function None({ which }: { which: Which }) {
  return (
    <Empty title={which === "pending" ? "No task is known to wait" : "No wait was recorded"}>
      <p>loopd sees waits for locks, permits and channels through <code>loopd_agent</code>'s wrappers, and for tokio's own through its tracing. <a href={link("/sources")}>Sources</a> says which of these are on.</p>
    </Empty>
  );
}

function Rows({ total, more, rows, which, page }: { total: number; more: boolean; rows: readonly Wait[]; which: Which; page: number }) {
  const circles = rows.filter((row) => row.cycle).length;
  const where = which === "pending" ? "\n  AND ended_at IS NULL" : "";
  const sql = `SELECT task, op, location, duration(length) AS waited, state, holder\nFROM waits\nWHERE process = ${processId.value}${where}\nORDER BY length DESC\nLIMIT 100`;
  return (
    <section class="card fill">
      <header>
        <span class="muted" aria-live="polite">{rows.length < total ? `${count(rows.length)} of ${more ? "more than " : ""}${plural(total, "wait")}` : plural(total, "wait")}</span>
        {circles > 0 && <span class="chip bad" title="Each of these tasks is held up by a task that it holds up itself">{plural(circles, "wait")} in a circle</span>}
        {total > LIMIT && <Pages page={page} last={Math.ceil(total / LIMIT) - 1} />}
        <TableTools name="waits" columns={WAIT_COLUMNS} rows={() => rows} sql={sql} />
      </header>
      <Table caption="Waits" testId="wait-table" columns={WAIT_COLUMNS} height="100%" total={rows.length} rowAt={(k) => rows[k]} rowKey={(row) => row.wait} />
    </section>
  );
}

function Pages({ page, last }: { page: number; last: number }) {
  const go = (to: number) => setQuery({ page: to > 0 ? String(to) : null });
  return (
    <span class="row">
      <button type="button" class="button quiet" disabled={page <= 0} onClick={() => go(Math.min(page, last + 1) - 1)}>Previous {count(LIMIT)}</button>
      <span class="muted">page {page + 1} of {last + 1}</span>
      <button type="button" class="button quiet" disabled={page >= last} onClick={() => go(page + 1)}>Next {count(LIMIT)}</button>
    </span>
  );
}

export const WAIT_COLUMNS: readonly Column<Wait>[] = [
  { key: "task", title: "Task", width: "13%", cell: (row) => <TaskRef task={row.task} name={row.task_name} />, value: (row) => row.task },
  { key: "length", title: "Waits for", width: "92px", isNumber: true, cell: (row) => duration(row.length), value: (row) => row.length },
  { key: "began_at", title: "Since", width: "112px", isNumber: true, cell: (row) => <At at={row.began_at} />, value: (row) => row.began_at },
  { key: "op", title: "To", width: "84px", cell: (row) => row.op, value: (row) => row.op },
  { key: "resource", title: "Resource", width: "15%", cell: (row) => <WhatFor resource={row.resource} />, value: (row) => (row.resource ? resourceText(row.resource) : null) },
  { key: "location", title: "At", cell: (row) => <Place text={row.location} />, value: (row) => row.location },
  { key: "holder", title: "Held up by", about: "Who holds it now, then whom that task waits for, and so on", width: "22%", cell: (row) => <Chain row={row} />, value: (row) => row.text },
  { key: "state", title: "State", width: "92px", cell: (row) => <span class={`chip ${row.state === "pending" ? "accent" : row.state === "ready" ? "" : "warn"}`}>{row.state}</span>, value: (row) => row.state },
];

export function TaskRef({ task, name }: { task: string | null; name: string | null }) {
  if (task == null) return <span class="muted">no task</span>;
  return <a href={link(`/tasks/${processId.value}/${task}`)}><span class="mono">{task}</span>{name && ` ${name}`}</a>;
}

export function resourceText(resource: ResourceRef): string {
  const kind = resource.kind || "resource";
  return resource.name ? `${kind} ${resource.name}` : resource.location ? `${kind} of ${resource.location}` : `${kind} ${resource.resource}`;
}

function WhatFor({ resource }: { resource: ResourceRef | null }) {
  if (!resource) return <span class="muted">not known</span>;
  return <a href={link(`/resources/${processId.value}/${resource.resource}`)}>{resourceText(resource)}</a>;
}

function Chain({ row }: { row: Wait }) {
  if (row.chain.length === 0) {
    const known = row.holders.find((holder) => holder.task != null);
    if (known) return <TaskRef task={known.task} name={known.task_name} />;
    return <span class="muted">{row.state === "pending" ? "nobody known" : ""}</span>;
  }
  return (
    <span class="chain">
      {row.chain.map((step, k) => <span key={k}>{k > 0 && <span class="muted" aria-label="which waits for"> → </span>}<TaskRef task={step.task} name={step.task_name} /></span>)}
      {row.cycle && <> <span class="chip bad">circle</span></>}
    </span>
  );
}
