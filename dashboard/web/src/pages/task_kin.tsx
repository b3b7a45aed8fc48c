//! What a task has to do with others: who spawned it and whom it spawned, who may have cancelled it, and how it lies among its siblings.

import { apiUrl } from "../api/client.ts";
import type { CancelledTask, Population, Spread, Task, TaskKin } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { navigate, place, setQuery } from "../app/router.ts";
import { link, process } from "../app/session.ts";
import { atLeast, clock, count, duration, percent, plural } from "../base/format.ts";
import { between, instant, MICROSECOND } from "../base/instant.ts";
import { At, Card, Place, placeText } from "../ui/small.tsx";
import { Ready } from "../ui/states.tsx";
import { Table, type Sort } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import { StateChip, TASK_COLUMNS } from "./task_columns.tsx";
import { useRows } from "./use_rows.ts";

export function Kin({ task, children }: { task: Task; children: number }) {
  const path = `/tasks/${task.process}/${task.task}/kin`;
  const kin = useApi<TaskKin>(apiUrl(path), { live: task.state !== "ended", subject: path });
  return (
    <>
      <Ready of={kin} lines={8}>
        {(answer) => (
          <div class="two">
            <Creation task={task} kin={answer} />
            <div class="stack">
              <Siblings task={task} kin={answer} />
              <Cancelling task={task} kin={answer} />
            </div>
          </div>
        )}
      </Ready>
      {children > 0 && <Children task={task} total={children} />}
    </>
  );
}

function taskLink(process: number, task: string) {
  return <a class="mono" href={link(`/tasks/${process}/${task}`)}>{task}</a>;
}

const ENDS: Record<TaskKin["ancestors_end"], string> = {
  root: "Spawned outside any task.",
  gone: "is no longer stored: its own parent is not known.",
  deep: "More are above, which are not shown.",
  circle: "Above this the chain begins again.",
};

function Creation({ task, kin }: { task: Task; kin: TaskKin }) {
  const chain = [...kin.ancestors].reverse();
  return (
    <Card title="Who spawned it" testId="creation">
      <ol class="chain">
        <li class="muted">{kin.ancestors_end === "gone" ? <>Task <span class="mono">{kin.gone}</span> {ENDS.gone}</> : ENDS[kin.ancestors_end]}</li>
        {chain.map((row) => <Link key={row.task} row={row} />)}
        <Link row={task} isThis />
      </ol>
    </Card>
  );
}

function Link({ row, isThis = false }: { row: Task; isThis?: boolean }) {
  return (
    <li aria-current={isThis ? "true" : undefined}>
      <span class="row wrap">
        {isThis ? <b class="mono">{row.task}</b> : taskLink(row.process, row.task)} <span class="name">{row.name}</span> <StateChip task={row} />
        {isThis && <span class="muted">this one</span>}
      </span>
      <span class="row wrap muted"><Place text={row.location && placeText(row.location)} /> {row.spawned_at ? <>at <At at={row.spawned_at} /></> : "when is not known"}</span>
    </li>
  );
}

function Cancelling({ task, kin }: { task: Task; kin: TaskKin }) {
  const { cancelled, cancelled_after: after, cancelled_after_total: total } = kin;
  if (cancelled.length === 0 && total === 0) return null;
  const isPython = process.value?.runtime === "asyncio";
  return (
    <Card title="Cancelling" testId="cancelling">
      <div class="stack">
        {cancelled.length > 0 && <ol class="chain">{cancelled.map((it, k) => <Step key={it.task} p={task.process} it={it} isThis={k === 0} />)}</ol>}
        <p class="muted">
          The call that cancels a task is not recorded. {isPython ? "On asyncio it wakes the task, so that who gave it its last wake is likely to have cancelled it." : "On tokio it leaves no wake behind: whether its parent ended just before is the best hint there is."}
        </p>
        {total > 0 && (
          <div class="stack tight">
            <h3>{plural(total, "cancelled task")} that it spawned or was the last to wake{after.length < total && `, the latest ${count(after.length)}`}</h3>
            <ul class="stack tight plain">
              {after.slice(0, 10).map((row) => (
                <li key={row.task} class="row wrap">{taskLink(row.process, row.task)} <span class="name">{row.name}</span> <span class="muted"><Place text={row.location && placeText(row.location)} /> · at <At at={row.ended_at} /> · {row.parent === task.task ? "spawned by it" : "last woken by it"}</span></li>
              ))}
            </ul>
            {after.length > 10 && <p><a href={link("/tasks", { q: `parent:${task.task} outcome:cancelled` })}>Its cancelled children in the table of tasks</a></p>}
          </div>
        )}
      </div>
    </Card>
  );
}

function Step({ p, it, isThis }: { p: number; it: CancelledTask; isThis: boolean }) {
  const parentBefore = it.parent_ended_at && it.ended_at ? between(instant(it.parent_ended_at), instant(it.ended_at)) : null;
  return (
    <li aria-current={isThis ? "true" : undefined}>
      <span>{isThis ? "This task" : <>Task {taskLink(p, it.task)} {it.name}</>} was cancelled{it.ended_at && <>, and ended at <At at={it.ended_at} resolution={MICROSECOND} /></>}.</span>
      <span class="muted">
        {it.last_waker ? <>Its last wake came from {it.last_waker === it.task ? "itself" : <>task {taskLink(p, it.last_waker)}</>}{it.is_likely && ", which is likely who cancelled it"}.</> : "No task is known to have woken it last."}
        {it.parent && parentBefore != null && <> Its parent {taskLink(p, it.parent)} {it.parent_outcome === "cancelled" ? "was cancelled itself, and" : ""} ended {duration(Math.abs(parentBefore))} {parentBefore >= 0 ? "before" : "after"} it.</>}
        {it.parent && parentBefore == null && <> Its parent is {taskLink(p, it.parent)}.</>}
      </span>
    </li>
  );
}

const FIGURES = [["lifetime", "Lifetime", duration], ["busy_time", "Busy", duration], ["max_poll_time", "Worst poll", duration], ["polls", "Polls", count]] as const;

function Siblings({ task, kin }: { task: Task; kin: TaskKin }) {
  const { siblings } = kin;
  if (!siblings) return <Card title="Siblings"><p class="muted">Where it was spawned is not known, so that there is nobody to compare it with.</p></Card>;
  const { ended, alive } = siblings;
  // A task that is alive has not lived to its end: it is compared with those that are alive as well.
  const isAlive = task.state !== "ended";
  const own = isAlive ? alive : ended;
  const href = link("/tasks", { location: String(siblings.location.id), place: placeText(siblings.location) });
  return (
    <Card title="Siblings" testId="siblings" tools={<a class="table-tools" href={href}>{atLeast(ended.tasks + alive.tasks, kin.more || kin.searched_from != null)} in the table of tasks</a>}>
      <div class="stack">
        <p>
          <b>{atLeast(alive.tasks, kin.more)}</b> alive and <b>{atLeast(ended.tasks, kin.searched_from != null)}</b> ended of those spawned at <Place text={placeText(siblings.location)} />.
          {own.tasks > 1 ? <> Among the {isAlive ? "live" : "ended"} ones:</> : " It is the only one of its kind there."}
        </p>
        {own.tasks > 1 && <Spreads of={own} />}
        {kin.searched_from && <p class="muted">Those that ended before {clock(instant(kin.searched_from))} were not looked at.</p>}
        {kin.more && <p class="muted">Of the live ones only the latest were looked at.</p>}
      </div>
    </Card>
  );
}

function Spreads({ of }: { of: Population }) {
  return (
    <div class="scroll" role="region" aria-label="Siblings compared" tabIndex={0}>
      <table class="table auto spread">
        <caption class="visually-hidden">How its siblings are, and where this task lies among them</caption>
        <thead><tr><th scope="col"><span class="visually-hidden">What</span></th><th scope="col" class="end">10 %</th><th scope="col" class="end">median</th><th scope="col" class="end">90 %</th><th scope="col" class="end">99 %</th><th scope="col" class="end">most</th><th scope="col" class="end">this one</th><th scope="col">more than</th></tr></thead>
        <tbody>
          {FIGURES.map(([key, name, text]) => {
            const it: Spread | null = of[key];
            return it && (
              <tr key={key}>
                <th scope="row">{name}</th>
                <td class="end">{text(it.p10)}</td><td class="end">{text(it.p50)}</td><td class="end">{text(it.p90)}</td><td class="end">{text(it.p99)}</td><td class="end">{text(it.max)}</td>
                <td class="end"><b>{text(it.own)}</b></td>
                <td><span class="rank"><span class="rank-bar" aria-hidden="true"><i style={{ left: `${((it.below + it.up_to) / 2) * 100}%` }} /></span>{percent(it.below)}</span></td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** Of the children the address keeps the order alone: which of them are in view is the table's business. */
function Children({ task, total }: { task: Task; total: number }) {
  const { query } = place.value;
  const sort: Sort = { key: query.get("csort") ?? "spawned_at", isDescending: query.get("cdesc") !== "0" };
  const { cache, searchedFrom, more, error } = useRows((offset, limit) => apiUrl("/tasks", { process: task.process, parent: task.task, sort: sort.key, desc: sort.isDescending ? "1" : "0", offset, limit }));
  const sql = `SELECT *\nFROM tasks\nWHERE process = ${task.process} AND parent = ${task.task}\nORDER BY ${sort.key}${sort.isDescending ? " DESC" : ""}\nLIMIT 100`;
  const shown = cache.total ?? 0;
  return (
    <Card title={`Children (${count(total)})`} isFlush testId="children" tools={<TableTools name={`task-${task.task}-children`} columns={TASK_COLUMNS} rows={() => Array.from({ length: Math.min(shown, 200) }, (_, k) => cache.at(k)).filter((row) => row != null)} sql={sql} />}>
      {error && <p class="body bad">{error.message}</p>}
      {cache.total != null && cache.total < total && <p class="body tight-body muted">{count(cache.total)} of them are shown{searchedFrom && <>: those that ended since {clock(instant(searchedFrom))}</>}{more && ", and of the live ones the latest"}.</p>}
      <Table
        caption="Children" testId="children-table" columns={TASK_COLUMNS} total={cache.total ?? Math.min(total, 10)} rowAt={(k) => cache.at(k)} rowKey={(row) => row.task} height={shown > 10 ? "340px" : ""} isFitted
        hrefOf={(row) => link(`/tasks/${row.process}/${row.task}`)} open={navigate} sort={sort} onSort={(next) => setQuery({ csort: next.key, cdesc: next.isDescending ? null : "0" })} onWindow={({ from, to }) => cache.want(from, to)}
      />
    </Card>
  );
}
