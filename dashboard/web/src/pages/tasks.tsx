//! Which tasks exist, and which are bad? A window over the server's table: it may have millions of rows, the document has fifty.

import { useLayoutEffect, useRef } from "preact/hooks";
import { ApiError, apiUrl, get } from "../api/client.ts";
import type { LeaksAnswer, Task, TaskPage } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { atLeast, clock, count, duration } from "../base/format.ts";
import { instant } from "../base/instant.ts";
import { asCli } from "../app/as_cli.ts";
import { navigate, place, setQuery } from "../app/router.ts";
import { link, process, processId } from "../app/session.ts";
import { isTyping } from "../app/shortcuts.ts";
import { chosenColumns } from "../model/column_fit.ts";
import { isEventLoop } from "../model/event_loop.ts";
import { Icon } from "../ui/icons.tsx";
import { placeText, Tabs } from "../ui/small.tsx";
import { Empty, Failed, Ready } from "../ui/states.tsx";
import { Popover } from "../ui/popover.tsx";
import { Table, type Column, type Sort } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import { AskButton, AwaitTree, useAsking } from "./await_tree.tsx";
import { LeakTable } from "./leak_table.tsx";
import { TASK_COLUMNS } from "./task_columns.tsx";
import { FilterError, TaskSearch } from "./task_search.tsx";
import { useRows } from "./use_rows.ts";

type StateFilter = "all" | "alive" | "ended";
type KindFilter = "task" | "callback";
const KINDS: readonly (readonly [KindFilter, string])[] = [["task", "Tasks"], ["callback", "Callbacks"]];
const GROUPS = [["none", "Single tasks"], ["location", "By spawn location"], ["awaits", "Await tree"]] as const;
const STATES: readonly (readonly [StateFilter, string])[] = [["all", "All"], ["alive", "Alive"], ["ended", "Ended"]];
/** How many rows a CSV has at most: what a person can look at, not a backup. */
const CSV_PAGE = 1000;

export function Tasks() {
  const { query } = place.value;
  const group = GROUPS.find(([key]) => key === query.get("group"))?.[0] ?? "none";
  const isGrouped = group === "location";
  const asking = useAsking(process.value);
  const state = (STATES.find(([key]) => key === query.get("state"))?.[0] ?? "all") as StateFilter;
  const kind = query.get("kind") === "callback" ? "callback" : "task";
  // Tokio cannot say where its tasks wait, and has no callbacks, but an `EventLoop` on it has.
  const isTokio = process.value?.runtime === "tokio" || process.value == null;
  const hasCallbacks = !isTokio || process.value?.loops.some(isEventLoop) === true;
  return (
    <div class={group === "awaits" ? "page wide" : "page wide tall"} data-testid="tasks">
      <header class="title">
        <h1 class="grow">Tasks</h1>
        {isGrouped && <PlaceSearch />}
        {(!isTokio || group === "awaits") && <AskButton asking={asking} />}
        {group === "none" && (hasCallbacks || kind === "callback") && <Tabs label="Kind" value={kind} options={KINDS} onChange={(key) => setQuery({ kind: key === "task" ? null : key })} />}
        {group === "none" && <Tabs label="State" value={state} options={STATES} onChange={(key) => setQuery({ state: key === "all" ? null : key })} />}
        <Tabs label="Group" value={group} options={isTokio && group !== "awaits" ? GROUPS.slice(0, 2) : GROUPS} onChange={(key) => setQuery({ group: key === "none" ? null : key, dump: null })} />
      </header>
      {query.get("location") && <LocationFilter text={query.get("place") ?? `location ${query.get("location")}`} />}
      {group === "awaits" ? process.value && <AwaitTree p={process.value} asking={asking} /> : isGrouped ? <Grouped /> : <Single state={state} kind={kind} />}
    </div>
  );
}

function PlaceSearch() {
  return <input class="field search" type="search" data-search placeholder="Place  ( / )" aria-label="Search spawn locations" value={place.value.query.get("q") ?? ""} onInput={(event) => setQuery({ q: event.currentTarget.value })} />;
}

function LocationFilter({ text }: { text: string }) {
  return (
    <p class="row">
      <span class="chip accent">spawned at <span class="mono">{text}</span></span>
      <button type="button" class="button quiet" onClick={() => setQuery({ location: null, place: null })}><Icon name="close" size={12} /> all locations</button>
    </p>
  );
}

function Single({ state, kind }: { state: StateFilter; kind: KindFilter }) {
  const { query } = place.value;
  const section = useRef<HTMLElement>(null);
  const sort: Sort = { key: query.get("sort") ?? "spawned_at", isDescending: query.get("desc") !== "0" };
  const filter = {
    process: processId.value, state: state === "all" ? null : state, kind: kind === "task" ? null : kind, filter: query.get("q"), location: query.get("location"), parent: query.get("parent"), sort: sort.key, desc: sort.isDescending ? "1" : "0",
  };
  const urlOf = (offset: number, limit: number) => apiUrl("/tasks", { ...filter, offset, limit });
  const { cache, isStale, error, searchedFrom, more, filterSql, reload } = useRows(urlOf);
  const chosen = chosenColumns(TASK_COLUMNS, query.get("cols"));
  const csvRows = async () => (await get<TaskPage>(urlOf(0, CSV_PAGE))).rows;
  const isWrong = error instanceof ApiError && error.part != null;
  const toRows = () => section.current?.querySelector<HTMLElement>("tr[data-index]")?.focus();
  useRowKeys(toRows);
  const sql = sqlOf(filter, query.get("place"), filterSql);
  const isFiltered = Boolean(filter.filter || filter.location || filter.parent || filter.state || filter.kind);
  return (
    <>
      <div class="stack tight">
        <div class="row wrap task-bar"><TaskSearch error={error} toRows={toRows} /><span class="grow" /><Columns chosen={chosen} /></div>
        <FilterError error={error} />
      </div>
      {error && !isWrong && cache.total == null ? <Failed error={error} retry={reload} /> : (
        <section class="card fill" ref={section}>
          <header>
            <span class="muted" aria-live="polite" data-testid="task-total">{cache.total == null ? "Counting…" : `${atLeast(cache.total, more)} ${kind}${cache.total === 1 ? "" : "s"}`}{more && " · of live ones the latest of each place"}{searchedFrom && <> · ended ones since {clock(instant(searchedFrom))}, <a href={link("/query", { sql })}>older ones with SQL</a></>}{error && !isWrong && ` · ${error.message}`}</span>
            <TableTools name="tasks" columns={TASK_COLUMNS} rows={csvRows} sql={sql} cli={cliOf(filter, query.get("place"))} />
          </header>
          {cache.total === 0 ? <NoTasks isFiltered={isFiltered} /> : (
            <div class={`fill-rows ${isStale ? "stale" : ""}`}>
              <Table
                caption="Tasks" testId="task-table" columns={chosen ?? TASK_COLUMNS} isFitted={chosen == null} height="100%" total={cache.total ?? 20} rowAt={(index) => cache.at(index)} rowKey={(task) => task.task}
                hrefOf={(task) => link(`/tasks/${task.process}/${task.task}`)} open={navigate} sort={sort} onSort={(next) => setQuery({ sort: next.key, desc: next.isDescending ? "1" : "0" })} onWindow={({ from, to }) => cache.want(from, to)}
              />
            </div>
          )}
        </section>
      )}
    </>
  );
}

/** j and k lead into the table from anywhere on the page; within it the table takes them. */
function useRowKeys(toRows: () => void): void {
  useLayoutEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const isOther = event.defaultPrevented || isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") != null;
      if (isOther || (event.key !== "j" && event.key !== "k") || document.activeElement?.tagName === "TR") return;
      event.preventDefault();
      toRows();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
}

/** Which columns are shown: those that have room, or those that somebody chose. */
function Columns({ chosen }: { chosen: readonly Column<Task>[] | null }) {
  const shown = new Set((chosen ?? TASK_COLUMNS).map((column) => column.key));
  const toggle = (key: string) => {
    const next = TASK_COLUMNS.filter((column) => shown.has(column.key) !== (column.key === key)).map((column) => column.key);
    if (next.length > 0) setQuery({ cols: next.join(",") });
  };
  return (
    <Popover label="Columns" title="Columns of the table" testId="columns">
      <div class="stack tight">
        {TASK_COLUMNS.map((column) => (
          <label key={column.key} class="row"><input type="checkbox" checked={shown.has(column.key)} onChange={() => toggle(column.key)} /> {column.title || "Warnings"}</label>
        ))}
        <button type="button" class="button" disabled={chosen == null} onClick={() => setQuery({ cols: null })}>All that have room</button>
      </div>
    </Popover>
  );
}

function NoTasks({ isFiltered }: { isFiltered: boolean }) {
  const at = place.value.query.get("place");
  return isFiltered ? (
    <Empty title="No task matches">
      <p>Words are looked for in names and spawn locations, numbers also among ids. {at && <>At this line there may be <a href={link("/waits", { q: at, state: "all" })}>waits</a> or <a href={link("/resources", { q: at, state: "all" })}>resources</a>.</>} <button type="button" class="button" onClick={() => setQuery({ q: null, location: null, place: null, parent: null, state: null, kind: null })}>Show all tasks</button></p>
    </Empty>
  ) : (
    <Empty title="No task was recorded">
      <p>{process.value?.runtime === "tokio" && <>Tasks need tokio built with <code>--cfg tokio_unstable</code>. </>}<a href={link("/sources")}>Sources</a> says which layers record here.</p>
    </Empty>
  );
}

/** The same rows for the Query page. Text goes in as a literal with its quotes doubled. */
function sqlOf(filter: Record<string, string | number | null>, location: string | null, filterSql: string): string {
  const literal = (text: string | number) => `'${String(text).replaceAll("'", "''")}'`;
  const where = [`process = ${filter["process"] ?? 1}`];
  where.push(filter["kind"] === "callback" ? "kind = 'callback'" : "kind IS NOT 'callback'");
  if (filter["state"] === "alive") where.push("ended_at IS NULL");
  if (filter["state"] === "ended") where.push("ended_at IS NOT NULL");
  if (filter["location"] && location) where.push(`location = ${literal(location)}`);
  if (filter["parent"] && /^\d+$/.test(String(filter["parent"]))) where.push(`parent = ${filter["parent"]}`);
  if (filterSql) where.push(filterSql);
  return `SELECT * FROM tasks\nWHERE ${where.join("\n  AND ")}\nORDER BY ${filter["sort"]}${filter["desc"] === "1" ? " DESC" : ""}\nLIMIT 100`;
}

/** Null if the command cannot ask for all of it: it matches one text. */
function cliOf(filter: Record<string, string | number | null>, location: string | null): string | null {
  if (filter["parent"] || (filter["location"] && !location)) return null;
  const isFromA = ["task", "name", "location", "state"].includes(String(filter["sort"]));
  return asCli("tasks", { state: filter["state"], kind: filter["kind"], match: filter["location"] ? location : null, filter: filter["filter"], sort: filter["sort"], reverse: isFromA === (filter["desc"] === "1"), limit: CSV_PAGE });
}

function Grouped() {
  const id = processId.value;
  const leaks = useApi<LeaksAnswer>(apiUrl("/leaks", { process: id }), { live: true, subject: id });
  const wanted = (place.value.query.get("q") ?? "").toLowerCase();
  return (
    <Ready of={leaks}>
      {(answer) => {
        const rows = answer.tasks.filter((row) => placeText(row.location).toLowerCase().includes(wanted));
        return rows.length > 0 ? <LeakTable rows={rows} title={`${count(rows.length)} spawn locations, over ${duration(answer.window)}`} /> : (
          <Empty title="No spawn location to group by"><p>Only locations with tasks alive now are grouped here. <a href={link("/query")}>Query</a> can group all tasks.</p></Empty>
        );
      }}
    </Ready>
  );
}
