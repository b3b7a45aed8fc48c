//! Why is this task slow or stuck? Its life, its polls, who woke it, and how it compares with its siblings.

import { Fragment } from "preact";
import { apiUrl } from "../api/client.ts";
import type { Mark, Resource, Task, TaskDetail, Wait } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { count, dateTime, duration, nameText, plural, UNKNOWN } from "../base/format.ts";
import { between, instant, MICROSECOND } from "../base/instant.ts";
import { asCli } from "../app/as_cli.ts";
import { link } from "../app/session.ts";
import { pollHref } from "../timeline/links.ts";
import { Icon } from "../ui/icons.tsx";
import { At, Card, Place, placeText } from "../ui/small.tsx";
import { Prose } from "../ui/prose.tsx";
import { Stack } from "../ui/stack.tsx";
import { Ready } from "../ui/states.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import { doing, StateChip, warnings } from "./task_columns.tsx";
import { Kin } from "./task_kin.tsx";
import { Life } from "./task_life.tsx";

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
      <Life task={task} />
      {answer.slow.length > 0 && <SlowOnes answer={answer} />}
      <Card title="Facts"><Facts answer={answer} /></Card>
      <Kin task={task} children={answer.children} />
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

function Facts({ answer: { task, children } }: { answer: TaskDetail }) {
  return (
    <dl class="facts columns" data-testid="task-facts">
      <dt>Spawned at</dt><dd><Place text={task.location && placeText(task.location)} /></dd>
      <dt>By</dt><dd>{task.parent ? <TaskLink task={task.parent} process={task.process} /> : "no task"}</dd>
      <dt>Start</dt><dd>{task.spawned_at ? dateTime(instant(task.spawned_at), MICROSECOND) : "lost"}</dd>
      <dt>End</dt><dd>{task.ended_at ? <>{dateTime(instant(task.ended_at), MICROSECOND)} · {task.outcome}</> : "still alive"}</dd>
      <dt>Lifetime</dt><dd>{duration(task.lifetime)}</dd>
      <dt>Polls</dt><dd>{count(task.polls)}, {task.max_poll_time == null ? "single ones not captured" : <>the longest {duration(task.max_poll_time)}</>}</dd>
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
