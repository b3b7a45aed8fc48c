//! Why is this task slow or stuck? Its life, its polls, who woke it, and how it compares with its siblings.

import { Fragment } from "preact";
import { apiUrl } from "../api/client.ts";
import type { Mark, Poll, Resource, Task, TaskDetail, Wait } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { count, dateTime, duration, nameText, plural, UNKNOWN } from "../base/format.ts";
import { between, instant, MICROSECOND } from "../base/instant.ts";
import { durationClass } from "../base/duration_class.ts";
import { asCli } from "../app/as_cli.ts";
import { link } from "../app/session.ts";
import { pollHref } from "../timeline/links.ts";
import { Icon } from "../ui/icons.tsx";
import { At, Card, Place, placeText, SplitBar } from "../ui/small.tsx";
import { Prose } from "../ui/prose.tsx";
import { Stack } from "../ui/stack.tsx";
import { Ready } from "../ui/states.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import { LifeStrip } from "./life_strip.tsx";
import { doing, StateChip, warnings } from "./task_columns.tsx";

export function TaskPage({ params }: { params: Record<string, string> }) {
  const { process, task } = params as { process: string; task: string };
  const path = `/tasks/${encodeURIComponent(process)}/${encodeURIComponent(task)}`;
  const detail = useApi<TaskDetail>(apiUrl(path), { live: true, subject: path });
  return (
    <div class="page" data-testid="task">
      <Ready of={detail} lines={14} isPage>{(answer) => <Detail answer={answer} />}</Ready>
    </div>
  );
}

/** Everything about it. */
function taskAsCli(task: Task): string {
  return asCli(["task", task.task], {}, task.process);
}

function Detail({ answer }: { answer: TaskDetail }) {
  const { task } = answer;
  const list = warnings(task);
  return (
    <>
      <header class="title">
        <div class="grow">
          <p class="muted"><a href={link("/tasks")}>Tasks</a> / {task.location ? placeText(task.location) : "unknown place"}</p>
          <h1 class="row wrap">{task.name ? <><bdi>{nameText(task.name)}</bdi> </> : "Task "}<span class="mono">{task.task}</span> <StateChip task={task} />{list.map((text) => <span key={text} class="chip bad"><Icon name="warn" size={12} /> {text}</span>)}</h1>
        </div>
        {task.spawned_at && <a class="button" href={lifeHref(task)}><Icon name="timeline" size={14} /> Its life on the timeline</a>}
      </header>
      {answer.waits.map((wait) => <p key={wait.wait} class={`notice ${wait.cycle ? "bad" : ""}`} data-testid="task-waits"><span class="grow"><Prose text={wait.text} /></span>{wait.resource && <a href={link(`/resources/${task.process}/${wait.resource.resource}`)}>{wait.resource.kind || "resource"}</a>}</p>)}
      {task.unwakeable_at && <p class="notice bad">Since <At at={task.unwakeable_at} /> it is pending with nothing left that could wake it: every waker that it gave away was dropped.</p>}
      <Card title="Life" tools={<span class="muted table-tools">{lifeText(answer)}</span>}>
        <div class="stack">
          <LifeStrip task={task} polls={answer.polls} />
          <Latency task={task} />
        </div>
      </Card>
      <div class="two">
        <Card title="Facts"><Facts answer={answer} /></Card>
        <Card title="Polls by length"><Histogram classes={answer.poll_histogram} /><Siblings answer={answer} /></Card>
      </div>
      {answer.slow.length > 0 && <SlowOnes answer={answer} />}
      <div class="two">
        <Card title="Slowest polls" isFlush tools={<TableTools name={`task-${task.task}-polls`} columns={POLL_COLUMNS} rows={() => answer.slowest} sql={pollSql(task)} />}>
          {answer.slowest.length === 0 ? <p class="body muted">{task.polls === 0 ? "Never polled." : "Its polls are no longer stored."}</p> : <Table caption="Slowest polls" columns={POLL_COLUMNS} total={answer.slowest.length} rowAt={(k) => answer.slowest[k]} rowKey={(poll) => poll.start_at} height="320px" />}
        </Card>
        <Wakes answer={answer} />
      </div>
      {(answer.past_waits.length > 0 || answer.marks.length > 0) && (
        <div class="two">
          <PastWaits answer={answer} />
          <Marks answer={answer} />
        </div>
      )}
      {answer.resources.length > 0 && <Resources list={answer.resources} />}
    </>
  );
}

function lifeHref(task: Task): string {
  const from = instant(task.spawned_at!);
  const air = Math.max(task.lifetime ?? 0, MICROSECOND * 100) * 0.05;
  return link("/timeline", { last: null, from: String(from - BigInt(Math.round(air))), to: String(from + BigInt(Math.round((task.lifetime ?? 0) + air + 1))), q: task.task, pins: `t${task.task}` });
}

function lifeText({ task, polls }: TaskDetail): string {
  return polls.length < task.polls ? `last ${count(polls.length)} of ${plural(task.polls, "poll")}` : plural(task.polls, "poll");
}

/** The three parts of a lifetime; scheduled time is only known where wakes are recorded. */
function Latency({ task }: { task: Task }) {
  const lifetime = task.lifetime ?? 0;
  const scheduled = task.scheduled_time ?? 0;
  const idle = Math.max(0, lifetime - task.busy_time - scheduled);
  const parts = [
    { name: "busy", value: task.busy_time, className: "c-accent", text: duration(task.busy_time) },
    { name: "scheduled", value: scheduled, className: "c2", text: task.scheduled_time == null ? "not recorded" : duration(scheduled) },
    { name: task.scheduled_time == null ? "idle or scheduled" : "idle", value: idle, className: "c-wait", text: duration(idle) },
  ];
  return <SplitBar label="Where its lifetime went" parts={parts} />;
}

function Facts({ answer: { task, children } }: { answer: TaskDetail }) {
  const siblings = task.location && link("/tasks", { location: String(task.location.id), place: placeText(task.location) });
  return (
    <dl class="facts" data-testid="task-facts">
      <dt>Spawned at</dt><dd><Place text={task.location && placeText(task.location)} />{siblings && <> · <a href={siblings}>siblings</a></>}</dd>
      <dt>By</dt><dd>{task.parent ? <TaskLink task={task.parent} process={task.process} /> : "no task"}</dd>
      <dt>Start</dt><dd>{task.spawned_at ? dateTime(instant(task.spawned_at), MICROSECOND) : "lost"}</dd>
      <dt>End</dt><dd>{task.ended_at ? <>{dateTime(instant(task.ended_at), MICROSECOND)} · {task.outcome}</> : "still alive"}</dd>
      <dt>Lifetime</dt><dd>{duration(task.lifetime)}</dd>
      <dt>Polls</dt><dd>{count(task.polls)}, the longest {duration(task.max_poll_time)}</dd>
      <dt>Wakes</dt><dd>{task.wakes == null ? "not recorded" : <>{count(task.wakes)}, {count(task.self_wakes)} by itself{task.last_waker && <>, last by <TaskLink task={task.last_waker} process={task.process} /></>}</>}</dd>
      <dt>Children</dt><dd>{children === 0 ? "none" : plural(children, "task")}</dd>
      {Object.entries(task.fields).map(([key, value]) => <Fragment key={key}><dt>{nameText(key)}</dt><dd>{value}</dd></Fragment>)}
      <dt>Kind</dt><dd>{task.kind}{task.loop && task.loop !== "0" && ` on loop ${task.loop}`}</dd>
    </dl>
  );
}

function TaskLink({ task, process }: { task: string; process: number }) {
  return <a class="mono" href={link(`/tasks/${process}/${task}`)}>{task}</a>;
}

function Histogram({ classes }: { classes: TaskDetail["poll_histogram"] }) {
  const most = Math.max(1, ...classes.map((row) => row.count));
  const first = classes.findIndex((row) => row.count > 0);
  if (first < 0) return <p class="muted">No polls are stored.</p>;
  const last = classes.findLastIndex((row) => row.count > 0);
  return (
    <table class="histogram">
      <caption class="visually-hidden">Number of polls by length</caption>
      <tbody>
        {classes.slice(first, last + 1).map((row, k) => (
          <tr key={k}>
            <th scope="row">{row.le_ns == null ? "longer" : `≤ ${duration(row.le_ns)}`}</th>
            <td><i class={`c${durationClass((row.le_ns ?? 1e12) - 1)}`} style={{ width: `${(row.count / most) * 100}%` }} /></td>
            <td class="end">{count(row.count)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Siblings({ answer: { task, location_stats: stats } }: { answer: TaskDetail }) {
  if (!stats || stats.tasks < 2) return null;
  const mean = task.polls > 0 ? task.busy_time / task.polls : null;
  return (
    <p class="muted after" data-testid="siblings">
      {plural(stats.tasks, "task")} of this location: half of their polls take up to {duration(stats.p50)}, 99 % up to {duration(stats.p99)}.
      {mean != null && ` This one takes ${duration(mean)} on average, ${duration(task.max_poll_time)} at most.`}
    </p>
  );
}

function SlowOnes({ answer }: { answer: TaskDetail }) {
  return (
    <Card title={`What blocked (${plural(answer.slow.length, "slow poll")})`} testId="task-slow">
      <div class="stack">
        {answer.slow.slice(0, 5).map((poll) => (
          <div key={poll.start_at} class="stack tight">
            <p><a href={pollHref(poll)}><At at={poll.start_at} /></a> · <b>{poll.length == null ? "still running" : duration(poll.length)}</b> on worker {poll.worker}{doing(poll) && <span class="muted"> · {doing(poll)}</span>}</p>
            {poll.stack ? <Stack frames={poll.stack} /> : <p class="muted">No stack was taken of this one.</p>}
          </div>
        ))}
      </div>
    </Card>
  );
}

const POLL_COLUMNS: readonly Column<Poll>[] = [
  { key: "start_at", title: "Start", cell: (poll) => <a href={pollHref(poll)}><At at={poll.start_at} resolution={MICROSECOND} /></a>, value: (poll) => poll.start_at },
  { key: "length", title: "Length", width: "96px", isNumber: true, cell: (poll) => duration(poll.length), value: (poll) => poll.length },
  { key: "worker", title: "Worker", width: "80px", isNumber: true, cell: (poll) => poll.worker, value: (poll) => poll.worker },
];

type Wake = TaskDetail["wakes"][number];

function Wakes({ answer: { task, wakes } }: { answer: TaskDetail }) {
  const newest = [...wakes].reverse();
  const columns: readonly Column<Wake>[] = [
    { key: "at", title: "Woken", cell: (wake) => <At at={wake.at} resolution={MICROSECOND} />, value: (wake) => wake.at },
    { key: "delay", title: "Then waited", about: "From the wake to the poll it led to", width: "104px", isNumber: true, cell: (wake) => duration(wake.delay), value: (wake) => wake.delay },
    { key: "by", title: "By", width: "104px", isNumber: true, cell: (wake) => (wake.by ? <TaskLink task={wake.by} process={task.process} /> : <span class="muted">no task</span>), value: (wake) => wake.by },
    { key: "count", title: "Wakes", about: "Wakes that came before the poll", width: "64px", isNumber: true, cell: (wake) => count(wake.count), value: (wake) => wake.count },
  ];
  return (
    <Card title="Newest wakes" isFlush tools={<TableTools name={`task-${task.task}-wakes`} columns={columns} rows={() => newest} cli={taskAsCli(task)} />}>
      {newest.length === 0 ? (
        <p class="body muted">{task.wakes == null ? <>Wakes of this task are not recorded. <a href={link("/sources")}>What would turn them on</a></> : "None is stored."}</p>
      ) : <Table caption="Newest wakes" columns={columns} total={newest.length} rowAt={(k) => newest[k]} rowKey={(wake) => wake.at} height="320px" />}
    </Card>
  );
}

function PastWaits({ answer: { task, past_waits: waits } }: { answer: TaskDetail }) {
  const columns: readonly Column<Wait>[] = [
    { key: "began_at", title: "Since", width: "112px", cell: (row) => <At at={row.began_at} />, value: (row) => row.began_at },
    { key: "length", title: "Waited", width: "88px", isNumber: true, cell: (row) => duration(row.length), value: (row) => row.length },
    { key: "text", title: "For what", cell: (row) => <>{row.op} {row.resource && <a href={link(`/resources/${task.process}/${row.resource.resource}`)}>{row.resource.kind} {row.resource.name}</a>} <Place text={row.location} /></>, value: (row) => row.text },
    { key: "state", title: "State", width: "92px", cell: (row) => row.state, value: (row) => row.state },
  ];
  return (
    <Card title="Newest waits" isFlush tools={<TableTools name={`task-${task.task}-waits`} columns={columns} rows={() => waits} sql={`SELECT op, location, duration(length) AS waited, state, holder\nFROM waits\nWHERE process = ${task.process} AND task = ${task.task}\nORDER BY began_at DESC\nLIMIT 100`} cli={asCli("waits", { task: task.task }, task.process)} />}>
      {waits.length === 0 ? <p class="body muted">None was recorded.</p> : <Table caption="Newest waits" columns={columns} total={waits.length} rowAt={(k) => waits[k]} rowKey={(row) => row.wait} height="320px" />}
    </Card>
  );
}

const MARKS: readonly Column<Mark>[] = [
  { key: "at", title: "At", width: "112px", cell: (row) => <At at={row.at} />, value: (row) => row.at },
  { key: "level", title: "Level", width: "64px", cell: (row) => row.level ?? "mark", value: (row) => row.level },
  { key: "message", title: "What it said", cell: (row) => <>{row.message || row.target} <span class="muted">{fieldsText(row.fields)}</span></>, value: (row) => `${row.target}: ${row.message} ${fieldsText(row.fields)}` },
];

function fieldsText(fields: Record<string, string>): string {
  return Object.entries(fields).map(([key, value]) => `${key}=${value}`).join(" ");
}

function Marks({ answer: { task, marks } }: { answer: TaskDetail }) {
  return (
    <Card title="What it said" isFlush testId="marks" tools={<TableTools name={`task-${task.task}-marks`} columns={MARKS} rows={() => marks} cli={taskAsCli(task)} />}>
      {marks.length === 0 ? <p class="body muted">No mark or event of it was recorded.</p> : <Table caption="Marks and events, newest first" columns={MARKS} total={marks.length} rowAt={(k) => marks[k]} rowKey={(row) => `${row.at} ${row.message}`} height="320px" />}
    </Card>
  );
}

function Resources({ list }: { list: readonly Resource[] }) {
  return (
    <Card title="Resources it opened">
      <ul class="stack tight">
        {list.map((row) => (
          <li key={row.resource} class="row wrap">
            <span class={`chip ${row.closed_at ? "" : "warn"}`}>{row.kind} {row.closed_at ? (row.how ?? "closed") : "open"}</span>
            <span>{row.name || UNKNOWN}</span> <Place text={row.location && placeText(row.location)} />
            <span class="muted">{row.closed_at ? `open for ${duration(between(instant(row.opened_at), instant(row.closed_at)))}` : <>since <At at={row.opened_at} /></>}</span>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function pollSql(task: Task): string {
  return `SELECT wall_time(start_at) AS started, duration(length) AS took, worker\nFROM polls\nWHERE process = ${task.process} AND task = ${task.task}\nORDER BY length DESC\nLIMIT 20`;
}
