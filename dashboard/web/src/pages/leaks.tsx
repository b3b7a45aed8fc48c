//! What is never cleaned up? Places that started things which stay, each with the evidence and a way to the survivors.

import { useState } from "preact/hooks";
import { apiUrl } from "../api/client.ts";
import type { LeaksAnswer, Process, ResourceLeak, TaskLeak } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { atLeast, clock, count, duration, plural } from "../base/format.ts";
import { instant, SECOND } from "../base/instant.ts";
import { asCli } from "../app/as_cli.ts";
import { navigate } from "../app/router.ts";
import { link, process, processId } from "../app/session.ts";
import { Icon } from "../ui/icons.tsx";
import { lazy } from "../ui/lazy.tsx";
import { Prose } from "../ui/prose.tsx";
import { Card, Place, placeText, Sparkline, WholePlace } from "../ui/small.tsx";
import { Empty, Ready } from "../ui/states.tsx";
import { sortRows, Table, type Column, type Sort } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import { growth, LeakTable, PerMinute, VerdictChip } from "./leak_table.tsx";
import { MarkNow, marks } from "./mark_now.tsx";

const BornSince = lazy<object>(async () => (await import("./survivors.tsx")).BornSince);

export function Leaks() {
  const id = processId.value;
  const leaks = useApi<LeaksAnswer>(apiUrl("/leaks", { process: id }), { live: true, subject: id });
  return (
    <div class="page" data-testid="leaks">
      <header class="title">
        <div class="grow">
          <h1>Leaks</h1>
          <p>Places that start tasks or open resources which stay{leaks.data && `, over ${duration(leaks.data.window)} up to ${clock(instant(leaks.data.at), SECOND)}`}</p>
        </div>
        <MarkNow />
      </header>
      {marks().length > 0 && <BornSince />}
      <Ready of={leaks}>{(answer) => <Found answer={answer} />}</Ready>
    </div>
  );
}

function Found({ answer }: { answer: LeaksAnswer }) {
  const growing = answer.tasks.filter((row) => row.verdict === "growing");
  const open = answer.resources.filter((row) => row.verdict === "growing" || row.unclosed > 0);
  return (
    <>
      {answer.caveat && <p class="notice" role="note"><Icon name="warn" size={14} /> <span><Prose text={answer.caveat} /> <a href={link("/sources")}>What is missing</a></span></p>}
      {growing.length + open.length === 0 ? <Clean answer={answer} /> : (
        <ul class="findings">
          {growing.map((row) => <GrowingTasks key={placeText(row.location)} row={row} window={answer.window} />)}
          {open.map((row) => <OpenResources key={`${row.kind}${placeText(row.location)}`} row={row} />)}
        </ul>
      )}
      {answer.tasks.length > 0 && <LeakTable rows={answer.tasks} title="Tasks by the line that spawned them" />}
      {answer.resources.length > 0 && <ResourceTable rows={answer.resources} />}
    </>
  );
}

function GrowingTasks({ row, window }: { row: TaskLeak; window: number }) {
  const ended = row.ended === 0 ? "none has ended" : `${count(row.ended)} of ${count(row.spawned)} ended`;
  return (
    <li class="card finding" data-testid="leak-finding">
      <div class="grow stack tight">
        <p class="row wrap"><VerdictChip verdict={row.verdict} /> <WholePlace text={placeText(row.location)} /></p>
        <p>{atLeast(row.alive, row.more)} {row.alive === 1 ? "task" : "tasks"} spawned here {row.alive === 1 ? "is" : "are"} alive, {growth(row.growth_per_min)} a minute; {ended}. The oldest has lived {duration(row.oldest_age)}.</p>
        <p class="muted"><Prose text={endingTasks(process.value?.runtime)} /></p>
        <p class="row wrap">
          <a class="button" href={link("/tasks", { state: "alive", location: row.location ? String(row.location.id) : null, place: placeText(row.location), sort: "spawned_at", desc: "0" })}>Show the survivors</a>
          {row.examples.slice(0, 3).map((task) => <a key={task} class="mono" href={link(`/tasks/${processId.value}/${task}`)}>task {task}</a>)}
        </p>
      </div>
      <figure>
        <Sparkline values={row.counts} label="Tasks alive" isGrowing width={200} height={64} />
        <figcaption class="muted">alive, last {duration(window)}</figcaption>
      </figure>
    </li>
  );
}

/** How tasks are made to end. */
function endingTasks(runtime: Process["runtime"] | undefined): string {
  switch (runtime) {
    case "tokio":
      return "Keep the `JoinHandle` and abort it, use a `JoinSet` or a `CancellationToken`, or put a timeout around what the task waits for";
    case "asyncio":
      return "Keep what `create_task` returns and cancel it, start the task in an `asyncio.TaskGroup`, or put `asyncio.timeout(…)` around what it waits for";
    default:
      return "Keep hold of the task and cancel it, or put a timeout around what it waits for";
  }
}

/** How what Python opens is made to go. What has no `close` goes when nothing refers to it. */
function closing(kind: string): string {
  if (kind.startsWith("asyncio.")) return "It goes when nothing refers to it any more: look at what keeps it, such as tasks that wait for it";
  return "Open it in `with` or `async with`, or close it in a `finally`";
}

function OpenResources({ row }: { row: ResourceLeak }) {
  return (
    <li class="card finding" data-testid="leak-finding">
      <div class="grow stack tight">
        <p class="row wrap">{row.verdict === "growing" ? <VerdictChip verdict="growing" /> : <span class="chip warn">unclosed</span>} <span class="chip">{row.kind}</span> <WholePlace text={placeText(row.location)} /></p>
        <p>
          {atLeast(row.open, row.more)} opened here {row.open === 1 ? "is" : "are"} still open ({count(row.closed)} of {count(row.opened)} closed{row.unclosed > 0 && `, ${count(row.unclosed)} dropped without closing`}).
          The oldest is {duration(row.oldest_age)} old.
        </p>
        {process.value?.runtime === "asyncio" && <p class="muted"><Prose text={closing(row.kind)} /></p>}
        <p class="row wrap">
          <a class="button" href={link("/resources", { state: "open" })}>Show open resources</a>
          {row.examples.slice(0, 3).map((example) => example.task && <a key={example.resource} href={link(`/tasks/${processId.value}/${example.task}`)}>{example.name || row.kind} by task {example.task}</a>)}
        </p>
      </div>
      <figure>
        <Sparkline values={row.counts} label="Resources open" isGrowing={row.verdict === "growing"} width={200} height={64} />
        <figcaption class="muted">open, {growth(row.growth_per_min)} a minute</figcaption>
      </figure>
    </li>
  );
}

function Clean({ answer }: { answer: LeaksAnswer }) {
  const p = process.value;
  if (p && answer.tasks.length === 0 && p.tasks_spawned === 0) {
    return <Empty title="There is nothing to judge yet"><p>No task was recorded. <a href={link("/sources")}>Sources</a> says which layers are on.</p></Empty>;
  }
  return (
    <Empty title={answer.complete ? "Nothing leaks" : "No leak was found in what was recorded"}>
      <p>
        Checked {plural(p?.tasks_spawned ?? 0, "task")} by the line that spawned them and every tracked resource by the line that opened it: is the number alive growing over {duration(answer.window)},
        and do the old ones stay?
      </p>
    </Empty>
  );
}

const COLUMNS: readonly Column<ResourceLeak>[] = [
  { key: "location", title: "Opened at", cell: (row) => <Place text={row.location && placeText(row.location)} />, value: (row) => placeText(row.location) },
  { key: "kind", title: "Kind", width: "96px", cell: (row) => row.kind, value: (row) => row.kind },
  { key: "verdict", title: "Verdict", width: "92px", cell: (row) => <VerdictChip verdict={row.verdict} />, value: (row) => row.verdict },
  { key: "counts", title: "Open over time", width: "128px", isSortable: false, cell: (row) => <Sparkline values={row.counts} label="Open" isGrowing={row.verdict === "growing"} />, value: (row) => row.counts.join(" ") },
  { key: "open", title: "Open", width: "72px", isNumber: true, cell: (row) => atLeast(row.open, row.more), value: (row) => row.open },
  { key: "opened", title: "Opened", width: "80px", isNumber: true, cell: (row) => count(row.opened), value: (row) => row.opened },
  { key: "unclosed", title: "Unclosed", about: "Dropped without being closed", width: "84px", isNumber: true, cell: (row) => count(row.unclosed), value: (row) => row.unclosed },
  { key: "growth", title: "Per minute", width: "88px", isNumber: true, cell: (row) => <PerMinute row={row} />, value: (row) => row.growth_per_min },
  { key: "oldest", title: "Oldest", width: "92px", isNumber: true, cell: (row) => duration(row.oldest_age), value: (row) => row.oldest_age },
];

function ResourceTable({ rows }: { rows: readonly ResourceLeak[] }) {
  const [sort, setSort] = useState<Sort | null>(null);
  const sorted = sortRows(rows, COLUMNS, sort);
  const title = "Resources by the line that opened them";
  return (
    <Card title={title} isFlush testId="resource-leaks" tools={<TableTools name="resource-leaks" columns={COLUMNS} rows={() => sorted} sql={SQL} cli={asCli("leaks")} />}>
      <Table caption={title} columns={COLUMNS} total={sorted.length} rowAt={(k) => sorted[k]} rowKey={(row) => `${row.kind}${placeText(row.location)}`} hrefOf={() => link("/resources", { state: "open" })} open={navigate} sort={sort} onSort={setSort} />
    </Card>
  );
}

const SQL = `SELECT location, kind, count(*) AS opened, sum(closed_at IS NULL) AS open
FROM resources
GROUP BY location, kind
ORDER BY open DESC`;
