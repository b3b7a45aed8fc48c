//! Which tasks wait for what, who holds them up, and where that ends: now, at any instant of the recording, or at any time.

import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { apiUrl } from "../api/client.ts";
import type { Process, ResourceRef, Wait, WaitsAnswer } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { count, dateTime, duration, plural } from "../base/format.ts";
import { between, instant, instantOrNull, plus, type Instant } from "../base/instant.ts";
import { asCli } from "../app/as_cli.ts";
import { place, setQuery } from "../app/router.ts";
import { lastAt, link, process, processId, startedAt } from "../app/session.ts";
import { rfc3339 } from "../model/cli.ts";
import { stepOf, within } from "../model/slider.ts";
import { resourceText } from "../model/wait_graph.ts";
import { Icon } from "../ui/icons.tsx";
import { At, Place, Tabs } from "../ui/small.tsx";
import { Empty, Ready } from "../ui/states.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import { InstantBar } from "./instant_bar.tsx";
import { WaitGraphView } from "./wait_graph.tsx";

type Which = "pending" | "instant" | "all";
const TABS: readonly (readonly [Which, string])[] = [["pending", "Pending"], ["instant", "At an instant"], ["all", "All"]];
type View = "graph" | "table";
const VIEWS: readonly (readonly [View, string])[] = [["graph", "Graph"], ["table", "Table"]];
/** What the server gives in one page. */
const LIMIT = 1000;

/** What the address asks for. */
interface Asked {
  readonly which: Which;
  readonly at: Instant | null;
  readonly view: View;
  readonly page: number;
  readonly text: string;
}

function asked(): Asked {
  const { query } = place.value;
  const isAll = query.get("state") === "all";
  const at = isAll ? null : instantOrNull(query.get("at"));
  return {
    which: isAll ? "all" : at != null ? "instant" : "pending",
    at,
    // Waits that are over are a list, not a picture.
    view: isAll || query.get("view") === "table" ? "table" : "graph",
    page: Math.max(0, Math.floor(Number(query.get("page")) || 0)),
    text: (query.get("q") ?? "").toLowerCase(),
  };
}

/** Where the slider begins: at the end, or a step before it, if that was the end of all tasks as well. */
function firstInstant(): Instant {
  const [from, to] = [startedAt.value, lastAt.value];
  return process.value?.state === "live" ? to : within(plus(to, -stepOf(between(from, to))), from, to);
}

function choose(which: Which): void {
  const at = which === "instant" ? { at: String(firstInstant()), process: processId.value } : { at: null };
  setQuery({ ...at, state: which === "all" ? "all" : null, page: null });
}

export function Waits() {
  const id = processId.value;
  const { which, at, view, page, text } = asked();
  const offset = which === "instant" ? 0 : page * LIMIT;
  const url = apiUrl("/waits", { process: id, pending: which === "pending", at: at == null ? null : String(at), limit: LIMIT, offset });
  // What lasts and what lasted are one subject: the picture changes under the slider, and is never away.
  const answer = useApi<WaitsAnswer>(url, { live: which !== "instant", subject: `${id} ${which === "all"} ${offset}` });
  return (
    <div class="page wide tall" data-testid="waits">
      <header class="title">
        <h1 class="grow">Waits</h1>
        <input class="field search" type="search" data-search placeholder="Task, resource or place  ( / )" aria-label="Search waits" value={place.value.query.get("q") ?? ""} onInput={(event) => setQuery({ q: event.currentTarget.value })} />
        {which !== "all" && <Tabs label="View" value={view} options={VIEWS} onChange={(key) => setQuery({ view: key === "table" ? key : null })} />}
        <Tabs label="State" value={which} options={TABS} onChange={choose} />
      </header>
      {at != null && <InstantBar at={at} from={startedAt.value} to={lastAt.value} onChange={(next) => setQuery({ at: String(next), process: id })} onNow={() => choose("pending")} />}
      <Ready of={answer}>
        {(found) => (found.total === 0 ? <None which={which} /> : <Found answer={found} which={which} view={view} page={page} text={text} />)}
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

/** Whose waits are seen. */
const SEEN: Readonly<Record<Process["runtime"], ComponentChildren>> = {
  tokio: <>loopd sees waits for locks, permits and channels through <code>loopd_agent</code>'s wrappers, and for tokio's own through its tracing.</>,
  asyncio: <>loopd sees waits for asyncio's locks, semaphores, queues, events, conditions and barriers. What else tasks await, the await tree of Tasks shows.</>,
  unknown: null,
};

const NONE: Readonly<Record<Which, string>> = {
  pending: "No task is known to wait", instant: "No task is known to have waited at this instant", all: "No wait was recorded",
};

function None({ which }: { which: Which }) {
  return (
    <Empty title={NONE[which]}>
      <p>{SEEN[process.value?.runtime ?? "unknown"]} <a href={link("/sources")}>Sources</a> says which of these are on.</p>
      {which === "pending" && <p>Tasks that waited earlier are there <a href={link("/waits", { at: String(firstInstant()) })}>at an instant</a>, or among <a href={link("/waits", { state: "all" })}>all waits</a>.</p>}
    </Empty>
  );
}

function Found({ answer, which, view, page, text }: { answer: WaitsAnswer; which: Which; view: View; page: number; text: string }) {
  const { total, more, at } = answer;
  const rows = useMemo(() => heldFirst(answer.rows, which).filter((row) => textOf(row).includes(text)), [answer, which, text]);
  const circles = rows.filter((row) => row.cycle).length;
  return (
    <section class="card fill">
      <header>
        <span class="muted" aria-live={view === "table" ? "polite" : "off"}>{rows.length < total || more ? `${count(rows.length)} of ${more ? "more than " : ""}${plural(total, "wait")}` : plural(total, "wait")}{at != null && <span class="nowrap"> at {dateTime(instant(at))}</span>}</span>
        {view === "table" && circles > 0 && <span class="chip bad" title="Each of these tasks is held up by a task that it holds up itself">{plural(circles, "wait")} in a circle</span>}
        {total > LIMIT && which !== "instant" && <Pages page={page} last={Math.ceil(total / LIMIT) - 1} />}
        <TableTools name="waits" columns={WAIT_COLUMNS} rows={() => rows} sql={sqlOf(which, at)} cli={cliOf(which, at, page)} />
      </header>
      {view === "graph" ? (rows.length > 0 ? <WaitGraphView rows={rows} /> : <Empty title="No wait matches" />) : <Table caption="Waits" testId="wait-table" columns={WAIT_COLUMNS} height="100%" total={rows.length} rowAt={(k) => rows[k]} rowKey={(row) => row.wait} />}
    </section>
  );
}

function sqlOf(which: Which, at: string | null): string {
  const lasted = at == null ? "" : `\n  AND began_at <= ${at} AND (ended_at IS NULL OR ended_at > ${at})`;
  const where = which === "pending" ? "\n  AND ended_at IS NULL" : lasted;
  return `SELECT task, op, location, duration(length) AS waited, state, holder\nFROM waits\nWHERE process = ${processId.value}${where}\nORDER BY length DESC\nLIMIT 100`;
}

function cliOf(which: Which, at: string | null, page: number): string {
  // The command takes an instant as the rest of the world writes it.
  const instantOf = at == null ? null : rfc3339(instant(at));
  return asCli("waits", { pending: which === "pending", at: instantOf, limit: LIMIT, offset: page * LIMIT || null });
}

function Pages({ page, last }: { page: number; last: number }) {
  const go = (to: number) => setQuery({ page: to > 0 ? String(to) : null });
  return (
    <span class="row">
      <button type="button" class="button quiet" disabled={page <= 0} onClick={() => go(Math.min(page, last + 1) - 1)}>Previous {count(LIMIT)}</button>
      <span class="muted nowrap">page {page + 1} of {last + 1}</span>
      <button type="button" class="button quiet" disabled={page >= last} onClick={() => go(page + 1)}>Next {count(LIMIT)}</button>
    </span>
  );
}

export const WAIT_COLUMNS: readonly Column<Wait>[] = [
  { key: "task", title: "Task", width: "13%", cell: (row) => <TaskRef task={row.task} name={row.task_name} />, value: (row) => row.task },
  { key: "length", title: "Waits for", width: "92px", isNumber: true, cell: (row) => duration(row.length), value: (row) => row.length },
  { key: "began_at", title: "Since", width: "112px", isNumber: true, cell: (row) => <At at={row.began_at} />, value: (row) => row.began_at },
  { key: "op", title: "To", width: "84px", cell: (row) => row.op, value: (row) => row.op },
  { key: "resource", title: "Resource", width: "15%", cell: (row) => <WhatFor resource={row.resource} row={row} />, value: (row) => (row.resource ? resourceText(row.resource) : null) },
  { key: "location", title: "At", cell: (row) => <Place text={row.location} />, value: (row) => row.location },
  { key: "holder", title: "Held up by", about: "Who holds it now, then whom that task waits for, and so on", width: "22%", cell: (row) => <Chain row={row} />, value: (row) => row.text },
  { key: "state", title: "State", width: "108px", cell: (row) => <span class={`chip ${row.state === "pending" ? "accent" : row.state === "ready" ? "" : "warn"}`}>{row.state}</span>, value: (row) => row.state },
];

export function TaskRef({ task, name }: { task: string | null; name: string | null }) {
  if (task == null) return <span class="muted">no task</span>;
  return <a href={link(`/tasks/${processId.value}/${task}`)}><span class="mono">{task}</span>{name && ` ${name}`}</a>;
}

function WhatFor({ resource, row }: { resource: ResourceRef | null; row: Wait }) {
  if (!resource) return <span class="muted">not known</span>;
  return (
    <>
      <a class="quiet-link" href={onTimeline(row, resource.resource)} aria-label="On the timeline" title="Who had it and who waited, on the timeline"><Icon name="timeline" size={13} /></a>{" "}
      <a href={link(`/resources/${processId.value}/${resource.resource}`)}>{resourceText(resource)}</a>
    </>
  );
}

/** The wait with as much air as it is long, with what is waited for and who waits. */
function onTimeline(row: Wait, resource: string): string {
  const air = Math.max(row.length, 1e6) * 0.5;
  const began = instant(row.began_at);
  return link("/timeline", { last: null, from: String(plus(began, -air)), to: String(plus(began, row.length + air)), pins: `r${resource}${row.task ? `,t${row.task}` : ""}` });
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
