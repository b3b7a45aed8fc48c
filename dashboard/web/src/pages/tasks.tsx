//! Which tasks exist, and which are bad? A window over the server's table: it may have millions of rows, the document has fifty.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { apiUrl, get, isAbort } from "../api/client.ts";
import type { LeaksAnswer, Task, TaskPage } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { atLeast, clock, count, duration } from "../base/format.ts";
import { instant, type InstantText } from "../base/instant.ts";
import { asCli } from "../app/as_cli.ts";
import { navigate, place, setQuery } from "../app/router.ts";
import { isLive, link, process, processId, refresh } from "../app/session.ts";
import { RowCache } from "../model/row_cache.ts";
import { Icon } from "../ui/icons.tsx";
import { placeText, Tabs } from "../ui/small.tsx";
import { Empty, Failed, Ready } from "../ui/states.tsx";
import { Table, type Sort } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import { AskButton, AwaitTree, useAsking } from "./await_tree.tsx";
import { LeakTable } from "./leak_table.tsx";
import { TASK_COLUMNS } from "./task_columns.tsx";

type StateFilter = "all" | "alive" | "ended";
type KindFilter = "task" | "callback";
const KINDS: readonly (readonly [KindFilter, string])[] = [["task", "Tasks"], ["callback", "Callbacks"]];
const GROUPS = [["none", "Single tasks"], ["location", "By spawn location"], ["awaits", "Await tree"]] as const;
const STATES: readonly (readonly [StateFilter, string])[] = [["all", "All"], ["alive", "Alive"], ["ended", "Ended"]];
/** A page of the server's table, and how many rows a CSV has at most: what a person can look at, not a backup. */
const PAGE = 200;
const CSV_PAGE = 1000;
/** While following, a fresh first page every so often; the rest keeps its rows until scrolled to again. */
const LIVE_EVERY = 3;

export function Tasks() {
  const { query } = place.value;
  const group = GROUPS.find(([key]) => key === query.get("group"))?.[0] ?? "none";
  const isGrouped = group === "location";
  const asking = useAsking(process.value);
  const state = (STATES.find(([key]) => key === query.get("state"))?.[0] ?? "all") as StateFilter;
  const kind = query.get("kind") === "callback" ? "callback" : "task";
  // Tokio has no callbacks, and cannot say where its tasks wait.
  const isTokio = process.value?.runtime === "tokio" || process.value == null;
  return (
    <div class={group === "awaits" ? "page wide" : "page wide tall"} data-testid="tasks">
      <header class="title">
        <h1 class="grow">Tasks</h1>
        {group !== "awaits" && <Search />}
        {(!isTokio || group === "awaits") && <AskButton asking={asking} />}
        {group === "none" && (!isTokio || kind === "callback") && <Tabs label="Kind" value={kind} options={KINDS} onChange={(key) => setQuery({ kind: key === "task" ? null : key })} />}
        {group === "none" && <Tabs label="State" value={state} options={STATES} onChange={(key) => setQuery({ state: key === "all" ? null : key })} />}
        <Tabs label="Group" value={group} options={isTokio && group !== "awaits" ? GROUPS.slice(0, 2) : GROUPS} onChange={(key) => setQuery({ group: key === "none" ? null : key, dump: null })} />
      </header>
      {query.get("location") && <LocationFilter text={query.get("place") ?? `location ${query.get("location")}`} />}
      {group === "awaits" ? process.value && <AwaitTree p={process.value} asking={asking} /> : isGrouped ? <Grouped /> : <Single state={state} kind={kind} />}
    </div>
  );
}

function Search() {
  const [timer, setTimer] = useState<ReturnType<typeof setTimeout> | undefined>();
  const onInput = (text: string) => {
    clearTimeout(timer);
    setTimer(setTimeout(() => setQuery({ q: text }), 200));
  };
  return <input class="field search" type="search" data-search placeholder="Name, place or id  ( / )" aria-label="Search tasks" value={place.value.query.get("q") ?? ""} onInput={(event) => onInput(event.currentTarget.value)} />;
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
  const sort: Sort = { key: query.get("sort") ?? "spawned_at", isDescending: query.get("desc") !== "0" };
  const filter = {
    process: processId.value, state: state === "all" ? null : state, kind: kind === "task" ? null : kind, q: query.get("q"), location: query.get("location"), sort: sort.key, desc: sort.isDescending ? "1" : "0",
  };
  const urlOf = (offset: number, limit: number) => apiUrl("/tasks", { ...filter, offset, limit });
  const { cache, error, searchedFrom, more, reload } = useRows(urlOf);
  const csvRows = async () => (await get<TaskPage>(urlOf(0, CSV_PAGE))).rows;
  if (error && cache.total == null) return <Failed error={error} retry={reload} />;
  return (
    <section class="card fill">
      <header>
        <span class="muted" aria-live="polite" data-testid="task-total">{cache.total == null ? "Counting…" : `${atLeast(cache.total, more)} ${kind}${cache.total === 1 ? "" : "s"}`}{more && " · of live ones the latest of each place"}{searchedFrom && <> · ended ones since {clock(instant(searchedFrom))}, <a href={link("/query", { sql: sqlOf(filter, query.get("place")) })}>older ones with SQL</a></>}{error && ` · ${error.message}`}</span>
        <TableTools name="tasks" columns={TASK_COLUMNS} rows={csvRows} sql={sqlOf(filter, query.get("place"))} cli={cliOf(filter, query.get("place"))} />
      </header>
      {cache.total === 0 ? <NoTasks isFiltered={Boolean(filter.q || filter.location || filter.state || filter.kind)} /> : (
        <Table
          caption="Tasks" testId="task-table" columns={TASK_COLUMNS} height="100%" total={cache.total ?? 20} rowAt={(index) => cache.at(index)} rowKey={(task) => task.task}
          hrefOf={(task) => link(`/tasks/${task.process}/${task.task}`)} open={navigate} sort={sort} onSort={(next) => setQuery({ sort: next.key, desc: next.isDescending ? "1" : "0" })} onWindow={({ from, to }) => cache.want(from, to)}
        />
      )}
    </section>
  );
}

/** Rows by page, asked for as they come into view; a new question empties the cache. */
function useRows(urlOf: (offset: number, limit: number) => string) {
  const [, redraw] = useState(0);
  const [error, setError] = useState<Error | null>(null);
  const [searchedFrom, setSearchedFrom] = useState<InstantText | null>(null);
  const [more, setMore] = useState(false);
  const question = urlOf(0, PAGE);
  const abort = useRef<AbortController | null>(null);
  const cache = useMemo(() => {
    abort.current?.abort();
    const controller = new AbortController();
    abort.current = controller;
    const load = async (offset: number) => {
      try {
        const page = await get<TaskPage>(urlOf(offset, PAGE), controller.signal);
        setError(null);
        setSearchedFrom(page.searched_from);
        setMore(page.more ?? false);
        return page;
      } catch (cause) {
        if (!isAbort(cause)) setError(cause as Error);
        return null;
      }
    };
    return new RowCache<Task>(PAGE, load, () => redraw((n) => n + 1));
  }, [question]);
  useEffect(() => () => abort.current?.abort(), []);
  useEffect(() => cache.want(0, 40), [cache]);
  const tick = isLive.value ? refresh.value : 0;
  useEffect(() => {
    if (tick > 0 && tick % LIVE_EVERY === 0) cache.refreshFirst();
  }, [tick]);
  return { cache, error, searchedFrom, more, reload: () => cache.refreshFirst() };
}

function NoTasks({ isFiltered }: { isFiltered: boolean }) {
  const at = place.value.query.get("place");
  return isFiltered ? (
    <Empty title="No task matches">
      <p>Search looks at names, spawn locations and ids. {at && <>At this line there may be <a href={link("/waits", { q: at, state: "all" })}>waits</a> or <a href={link("/resources", { q: at, state: "all" })}>resources</a>.</>} <button type="button" class="button" onClick={() => setQuery({ q: null, location: null, place: null, state: null, kind: null })}>Show all tasks</button></p>
    </Empty>
  ) : (
    <Empty title="No task was recorded">
      <p>{process.value?.runtime === "tokio" && <>Tasks need tokio built with <code>--cfg tokio_unstable</code>. </>}<a href={link("/sources")}>Sources</a> says which layers record here.</p>
    </Empty>
  );
}

/** The same rows for the Query page. Text goes in as a literal with its quotes doubled. */
function sqlOf(filter: Record<string, string | number | null>, location: string | null): string {
  const literal = (text: string | number) => `'${String(text).replaceAll("'", "''")}'`;
  const where = [`process = ${filter["process"] ?? 1}`];
  where.push(filter["kind"] === "callback" ? "kind = 'callback'" : "kind IS NOT 'callback'");
  if (filter["state"] === "alive") where.push("ended_at IS NULL");
  if (filter["state"] === "ended") where.push("ended_at IS NOT NULL");
  if (filter["location"] && location) where.push(`location = ${literal(location)}`);
  if (filter["q"]) where.push(`(name LIKE '%' || ${literal(filter["q"])} || '%' OR location LIKE '%' || ${literal(filter["q"])} || '%')`);
  return `SELECT * FROM tasks\nWHERE ${where.join("\n  AND ")}\nORDER BY ${filter["sort"]}${filter["desc"] === "1" ? " DESC" : ""}\nLIMIT 100`;
}

/** Null if the command cannot ask for all of it: it matches one text. */
function cliOf(filter: Record<string, string | number | null>, location: string | null): string | null {
  if (filter["location"] && (filter["q"] || !location)) return null;
  const isFromA = ["task", "name", "location", "state"].includes(String(filter["sort"]));
  return asCli("tasks", { state: filter["state"], kind: filter["kind"], match: filter["q"] ?? location, sort: filter["sort"], reverse: isFromA === (filter["desc"] === "1"), limit: CSV_PAGE });
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
