//! Where a task's life went: the strip, the split, the two histograms, the polls that were chosen in them, and who woke it.

import { apiUrl } from "../api/client.ts";
import type { LifePoll, Task, TaskLife, Waker } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { place, setQuery } from "../app/router.ts";
import { link } from "../app/session.ts";
import { clock, count, duration, percent, plural } from "../base/format.ts";
import { between, instant, MICROSECOND } from "../base/instant.ts";
import { classText, parsePick, partClass, partName, type Pick } from "../model/life.ts";
import { pollHref } from "../timeline/links.ts";
import { Icon } from "../ui/icons.tsx";
import { At, Card, Place, placeText, SplitBar } from "../ui/small.tsx";
import { Ready } from "../ui/states.tsx";
import { Table, type Column, type Sort } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import { LifeHistogram } from "./life_histogram.tsx";
import { LifeStrip } from "./life_strip.tsx";

const COLUMNS = 600;
/** Polls that the table has at most. */
const ROWS = 200;
const SORTS = ["start_at", "length", "delay"] as const;

interface Asked {
  readonly pick: Pick | null;
  /** Only polls that this task woke; "0" is no task. */
  readonly waker: string | null;
  readonly sort: Sort;
}

function asked(): Asked {
  const { query } = place.value;
  const waker = query.get("waker");
  const key = SORTS.find((known) => known === query.get("psort")) ?? "length";
  return { pick: parsePick(query.get("pick")), waker: waker && /^\d{1,20}$/.test(waker) ? waker : null, sort: { key, isDescending: query.get("pdesc") !== "0" } };
}

export function Life({ task }: { task: Task }) {
  const it = asked();
  const path = `/tasks/${task.process}/${task.task}/life`;
  const url = apiUrl(path, {
    columns: COLUMNS, limit: ROWS, sort: it.sort.key, desc: it.sort.isDescending ? "1" : "0",
    by: it.pick?.by, min: it.pick ? String(it.pick.min) : null, max: it.pick?.max, waker: it.waker,
  });
  const life = useApi<TaskLife>(url, { live: task.state !== "ended", subject: path });
  return <Ready of={life} lines={10}>{(answer) => <Shown task={task} life={answer} it={it} />}</Ready>;
}

function Shown({ task, life, it }: { task: Task; life: TaskLife; it: Asked }) {
  return (
    <>
      <Card title="Life" testId="life" tools={<span class="muted table-tools">{coverage(life)}</span>}>
        <div class="stack">
          <LifeStrip life={life} />
          <Split task={task} life={life} />
          <Notes task={task} life={life} />
        </div>
      </Card>
      {life.polls > 0 && (
        <div class="two">
          <Card title="Polls by length"><LifeHistogram by="length" classes={life.lengths} pick={it.pick} label="Polls by length" /></Card>
          <Card title="Polls by the time since their wake">
            {life.delays.length > 0 ? <LifeHistogram by="delay" classes={life.delays} pick={it.pick} label="Polls by the time from the wake to the poll" /> : <NoWakes />}
          </Card>
        </div>
      )}
      <Polls task={task} life={life} it={it} />
      <div class="two">
        <Wakers task={task} life={life} it={it} />
        <WaitedFor task={task} life={life} />
      </div>
    </>
  );
}

function coverage(life: TaskLife): string {
  const polls = life.polls < life.polls_counted ? `${count(life.polls)} of ${plural(life.polls_counted, "poll")}` : plural(life.polls, "poll");
  return `${polls} in ${duration(between(instant(life.from), instant(life.to)))}`;
}

function Split({ task, life }: { task: Task; life: TaskLife }) {
  const hasWakes = life.polls_woken > 0 || task.wakes != null;
  let kinds = 0;
  const parts = life.parts.map((part) => ({
    name: partName(part, hasWakes), value: part.time, text: duration(part.time), className: partClass(part.state, part.state === "waiting" ? kinds++ : 0),
  }));
  if (parts.length === 0) return <p class="muted">Nothing of this time is stored.</p>;
  return <div data-testid="life-split"><SplitBar label="Where this time went" parts={parts} /></div>;
}

/** What the split cannot know, in words. */
function Notes({ task, life }: { task: Task; life: TaskLife }) {
  const notes: string[] = [];
  const begin = instant(life.begin);
  if (life.is_cut && instant(life.from) >= instant(life.to)) notes.push("Its polls are no longer stored, so that nothing can be said of when it ran.");
  else if (life.is_cut) notes.push(`All of this is of the time since ${clock(instant(life.from))}. The ${duration(between(begin, instant(life.from)))} before are no longer stored in full, or more than is looked through at once.`);
  else if (life.polls < life.polls_counted && life.polls_counted > 0) notes.push(`${plural(life.polls_counted - life.polls, "poll")} of this time ${life.polls_counted - life.polls === 1 ? "is" : "are"} not stored: they were lost or damaged, and count as waiting.`);
  if (life.polls_woken === 0 && life.polls > 1 && task.wakes == null) notes.push("Wakes of this task are not recorded, so that waiting and ready are one.");
  else if (life.polls_woken > 0 && life.polls_woken < life.polls - 1) notes.push(`${plural(life.polls - life.polls_woken, "poll")} came without a wake that is recorded.`);
  if (life.parts.some((part) => part.state === "unknown") && life.waited_total === 0) notes.push("None of its waits is recorded: what it waited for is not known.");
  return notes.length > 0 ? <p class="muted" data-testid="life-notes">{notes.join(" ")}</p> : null;
}

function NoWakes() {
  return <p class="muted">Wakes of this task are not recorded. <a href={link("/sources")}>What would turn them on</a></p>;
}

function TaskLink({ task, process }: { task: string; process: number }) {
  return <a class="mono" href={link(`/tasks/${process}/${task}`)}>{task}</a>;
}

function pollColumns(task: Task): readonly Column<LifePoll>[] {
  return [
    { key: "start_at", title: "Start", cell: (poll) => <a href={pollHref(poll)}><At at={poll.start_at} resolution={MICROSECOND} /></a>, value: (poll) => poll.start_at },
    { key: "length", title: "Length", width: "110px", isNumber: true, cell: (poll) => duration(poll.length), value: (poll) => poll.length },
    { key: "delay", title: "After its wake", about: "From the first wake to the poll", width: "120px", isNumber: true, cell: (poll) => (poll.delay == null ? <span class="muted">no wake</span> : duration(poll.delay)), value: (poll) => poll.delay },
    { key: "by", title: "Woken by", width: "120px", isNumber: true, isSortable: false, cell: (poll) => (poll.by ? <TaskLink task={poll.by} process={task.process} /> : <span class="muted">{poll.delay == null ? "" : "no task"}</span>), value: (poll) => poll.by },
    { key: "wakes", title: "Wakes", about: "Wakes that came before the poll", width: "80px", isNumber: true, isSortable: false, cell: (poll) => (poll.wakes > 0 ? count(poll.wakes) : ""), value: (poll) => poll.wakes },
    { key: "worker", title: "Worker", width: "80px", isNumber: true, isSortable: false, cell: (poll) => poll.worker, value: (poll) => poll.worker },
  ];
}

function Polls({ task, life, it }: { task: Task; life: TaskLife; it: Asked }) {
  const columns = pollColumns(task);
  const order = { start_at: it.sort.isDescending ? "newest" : "oldest", length: it.sort.isDescending ? "longest" : "shortest", delay: it.sort.isDescending ? "latest after their wake" : "soonest after their wake" }[it.sort.key as (typeof SORTS)[number]];
  const isLess = life.rows.length < life.chosen;
  return (
    <Card title="Polls" isFlush testId="polls" tools={<TableTools name={`task-${task.task}-polls`} columns={columns} rows={() => life.rows} sql={pollSql(task, it)} />}>
      <p class="row wrap body tight-body" aria-live="polite" data-testid="polls-chosen">
        {it.pick && <Chip text={`${it.pick.by === "length" ? "length" : "after the wake"} ${classText(it.pick.min, it.pick.max)}`} clear={{ pick: null }} />}
        {it.waker && <Chip text={it.waker === "0" ? "woken outside any task" : `woken by task ${it.waker}`} clear={{ waker: null }} />}
        <span class="muted">
          {it.pick || it.waker ? `${count(life.chosen)} of ${plural(life.polls, "poll")}` : plural(life.polls, "poll")}
          {isLess && `, the ${count(life.rows.length)} ${order} shown`}
          {!it.pick && !it.waker && life.polls > 0 && " · choose some by a bar above, or by who woke them"}
        </span>
      </p>
      {life.rows.length === 0 ? <p class="body muted">{life.polls === 0 ? (task.polls === 0 ? "Never polled." : "Its polls are not stored.") : "No poll is like that."}</p> : (
        <Table
          caption="Polls" testId="poll-table" columns={columns} total={life.rows.length} rowAt={(k) => life.rows[k]} rowKey={(poll) => poll.start_at} height={life.rows.length > 9 ? "316px" : ""} sort={it.sort}
          onSort={(next) => setQuery({ psort: next.key === "length" ? null : next.key, pdesc: next.isDescending ? null : "0" })}
        />
      )}
    </Card>
  );
}

function Chip({ text, clear }: { text: string; clear: Record<string, null> }) {
  return <span class="chip accent">{text} <button type="button" class="chip-close" aria-label={`Not only ${text}`} onClick={() => setQuery(clear)}><Icon name="close" size={12} /></button></span>;
}

function pollSql(task: Task, { pick, waker, sort }: Asked): string {
  const where = [`p.process = ${task.process}`, `p.task = ${task.task}`];
  const column = pick?.by === "delay" ? "w.delay" : "p.length";
  if (pick) where.push(`${column} >= ${pick.min}`);
  if (pick?.max != null) where.push(`${column} < ${pick.max}`);
  if (waker) where.push(waker === "0" ? "w.woken_at IS NOT NULL AND w.by_task IS NULL" : `w.by_task = ${waker}`);
  const order = sort.key === "delay" ? "w.delay" : `p.${sort.key}`;
  return `SELECT wall_time(p.start_at) AS started, duration(p.length) AS took, duration(w.delay) AS after_wake, w.by_task, p.worker\nFROM polls p\nLEFT JOIN wakes w ON w.process = p.process AND w.task = p.task AND w.woken_at + w.delay = p.start_at\nWHERE ${where.join("\n  AND ")}\nORDER BY ${order}${sort.isDescending ? " DESC" : ""}\nLIMIT ${ROWS}`;
}

function Wakers({ task, life, it }: { task: Task; life: TaskLife; it: Asked }) {
  const columns: readonly Column<Waker>[] = [
    { key: "task", title: "Who", cell: (row) => <WakerName task={task} row={row} />, value: (row) => row.task },
    { key: "location", title: "Spawned at", about: "Where the task that woke it was spawned. The line that woke it is not recorded.", cell: (row) => (row.task ? <Place text={row.location && placeText(row.location)} /> : <span class="muted">driver, timer or other thread</span>), value: (row) => (row.location ? placeText(row.location) : null) },
    { key: "polls", title: "Polls", about: "Polls that it led to: choose them", width: "76px", isNumber: true, cell: (row) => <button type="button" class="button quiet" aria-pressed={it.waker === (row.task ?? "0")} onClick={() => setQuery({ waker: it.waker === (row.task ?? "0") ? null : (row.task ?? "0") })} title="Choose these polls">{count(row.polls)}</button>, value: (row) => row.polls },
    { key: "wakes", title: "Wakes", about: "Of several wakes before one poll all count as the first one's", width: "70px", isNumber: true, cell: (row) => count(row.wakes), value: (row) => row.wakes },
    { key: "delay", title: "Then waited", about: "On average from its wake to the poll", width: "96px", isNumber: true, cell: (row) => duration(row.delay / row.polls), value: (row) => Math.round(row.delay / row.polls) },
  ];
  const self = life.wakers.find((row) => row.is_self);
  return (
    <Card title={life.wakers_total > 0 ? `Woken by ${life.wakers_total > life.wakers.length ? `${count(life.wakers_total)}, most often` : ""}` : "Woken by"} isFlush testId="wakers" tools={<TableTools name={`task-${task.task}-wakers`} columns={columns} rows={() => life.wakers} sql={wakerSql(task)} />}>
      {life.wakers.length === 0 ? <div class="body">{task.wakes == null ? <NoWakes /> : <p class="muted">None of its wakes is stored for this time.</p>}</div> : (
        <>
          {self && <p class="body tight-body muted">{percent(self.polls / Math.max(life.polls_woken, 1))} of its polls it woke itself for.</p>}
          <Table caption="Who woke it" columns={columns} total={life.wakers.length} rowAt={(k) => life.wakers[k]} rowKey={(row) => row.task ?? "0"} height={life.wakers.length > 8 ? "288px" : ""} />
        </>
      )}
    </Card>
  );
}

function WakerName({ task, row }: { task: Task; row: Waker }) {
  if (row.is_self) return <b>itself</b>;
  if (row.task == null) return <span class="muted">no task</span>;
  return <><TaskLink task={row.task} process={task.process} /> {row.name}</>;
}

function wakerSql(task: Task): string {
  return `SELECT by_task, count(*) AS polls, sum(count) AS wakes, duration(avg(delay)) AS then_waited\nFROM wakes\nWHERE process = ${task.process} AND task = ${task.task}\nGROUP BY by_task\nORDER BY polls DESC\nLIMIT 50`;
}

type Waited = TaskLife["waited"][number];

function WaitedFor({ task, life }: { task: Task; life: TaskLife }) {
  const columns: readonly Column<Waited>[] = [
    { key: "resource", title: "What", cell: (row) => <>{row.resource ? <a href={link(`/resources/${task.process}/${row.resource}`)}>{row.kind || "resource"} {row.name}</a> : (row.kind || row.op || "not known")}{row.is_open && <> <span class="chip warn">now</span></>}</>, value: (row) => `${row.kind} ${row.name}`.trim() },
    { key: "op", title: "To", width: "88px", cell: (row) => row.op, value: (row) => row.op },
    { key: "waits", title: "Waits", width: "70px", isNumber: true, cell: (row) => count(row.waits), value: (row) => row.waits },
    { key: "time", title: "Time", about: "In these waits, while it neither ran nor was woken. It may wait for several things at once.", width: "96px", isNumber: true, cell: (row) => duration(row.time), value: (row) => row.time },
  ];
  const sql = `SELECT resource, op, count(*) AS waits, duration(sum(length)) AS waited\nFROM waits\nWHERE process = ${task.process} AND task = ${task.task}\nGROUP BY resource, op\nORDER BY sum(length) DESC\nLIMIT 50`;
  return (
    <Card title="Waited for" isFlush testId="waited" tools={<TableTools name={`task-${task.task}-waited`} columns={columns} rows={() => life.waited} sql={sql} />}>
      {life.waited.length === 0 ? <p class="body muted">None of its waits is recorded. Locks, channels, timers and sockets are, where <a href={link("/sources")}>their layers</a> are on.</p> : (
        <>
          {life.waited_total > life.waited.length && <p class="body tight-body muted">{count(life.waited_total)} things; the {count(life.waited.length)} longest are shown.</p>}
          <Table caption="What it waited for" columns={columns} total={life.waited.length} rowAt={(k) => life.waited[k]} rowKey={(row) => `${row.resource} ${row.kind} ${row.op}`} height={life.waited.length > 8 ? "288px" : ""} />
        </>
      )}
    </Card>
  );
}
