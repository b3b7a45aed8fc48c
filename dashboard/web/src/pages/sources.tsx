//! Can I trust this? Which processes are watched, what each can and cannot see, and an account of every event.

import { apiUrl } from "../api/client.ts";
import type { Coverage, Loss, LossesAnswer, Process, Status } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { ago, clock, count, dateTime, plural, UNKNOWN } from "../base/format.ts";
import { instant, now, SECOND } from "../base/instant.ts";
import { link, process as current, processes } from "../app/session.ts";
import { AgentPanel } from "./agent_panel.tsx";
import { Clocks, LossChart, Overhead } from "./sources_charts.tsx";
import { Disk } from "./sources_disk.tsx";
import { Prose } from "../ui/prose.tsx";
import { Card } from "../ui/small.tsx";
import { Empty, Ready } from "../ui/states.tsx";
import { Table, type Column } from "../ui/table.tsx";

export function Sources() {
  const status = useApi<Status>(apiUrl("/status"), { live: true });
  const p = current.value;
  return (
    <div class="page" data-testid="sources">
      <header class="title"><div><h1>Sources</h1><p>Who sends data, what it can see, and whether anything is missing</p></div></header>
      {p && <Trust p={p} />}
      <Card title="Processes" isFlush>
        {(processes.value ?? []).length === 0 ? <Empty title="No process has connected"><p><a href={link("/")}>How to link the agent</a></p></Empty> : <ProcessTable />}
      </Card>
      <Disk status={status.data} />
    </div>
  );
}

/** Losses that are listed; the rest is in the sums above. */
const MAX_LOSSES = 12;

function Trust({ p }: { p: Process }) {
  const losses = useApi<LossesAnswer>(apiUrl("/losses", { process: p.process }), { live: true, subject: p.process });
  return (
    <>
      <AgentPanel key={p.process} p={p} />
      <Overhead key={`overhead ${p.process}`} p={p} />
      <div class="two">
      <Card title={`What ${p.app} records`} testId="coverage">
        <ul class="coverage">{p.coverage.map((layer) => <Layer key={layer.layer} layer={layer} />)}</ul>
      </Card>
      <Card title="What was lost, and when" isFlush>
        <Ready of={losses}>{(answer) => <>{answer.losses.length > 0 && <LossChart losses={answer.losses} />}<Losses list={answer.losses} /></>}</Ready>
      </Card>
      </div>
      <Clocks key={`clocks ${p.process}`} p={p} />
    </>
  );
}

/** What each layer of the agent is for, in the reader's words. */
const LAYERS: Readonly<Record<string, string>> = {
  hooks: "Every task and poll, also those of libraries",
  wrapped: "Wakes, and how tasks ended, for tasks spawned through loopd_agent",
  schedule_latency: "How long each task waits for its polls, whoever spawned it",
  watchdog: "Sees what blocks while it does, and has its stack taken",
  console: "What console-subscriber counts: tasks, locks, timers, and waits for them; read about once a second",
  metrics: "Queue depths, memory and open files",
  tracing: "Waits for tokio's own locks and timers, and wakes of every task",
  guards: "Waits and holders of locks, permits and channels opened through loopd_agent",
  fds: "Every open file descriptor, and who opened it",
  app_events: "Spans and events of the program's own tracing",
  steps: "Every step, spawn, wake and end of asyncio's tasks",
  callbacks: "Functions that asyncio's loops run between tasks, and the loops' turns",
  waits: "Who waits for asyncio's locks, semaphores, queues, events, conditions and barriers, and who holds a lock",
  uvloop: "uvloop's loops, as far as they call Python; not what libuv does by itself",
  stacks: "Python stacks of what blocks, taken by faulthandler while it does",
  configuration: "What the program asked of the agent",
};

function Layer({ layer }: { layer: Coverage }) {
  const tone = layer.state === "on" ? "ok" : layer.state === "off" ? "warn" : "";
  return (
    <li>
      <span class={`chip ${tone}`}>{layer.state}</span>
      <b>{layer.layer.replaceAll("_", " ")}</b>
      {(LAYERS[layer.layer] || layer.reason) && <p class="muted">{LAYERS[layer.layer]}{layer.reason && <>{LAYERS[layer.layer] && ". "}<Prose text={layer.reason} /></>}</p>}
    </li>
  );
}

function Missing({ n }: { n: number }) {
  return n > 0 ? <b class="warn-text">{count(n)}</b> : <span class="muted">0</span>;
}

function Losses({ list }: { list: readonly Loss[] }) {
  if (list.length === 0) return <p class="body">Every event that was captured of this process is stored. Numbers on all pages are complete.</p>;
  return (
    <ul class="losses" data-testid="losses">
      {list.slice(0, MAX_LOSSES).map((loss, k) => (
        <li key={k}>
          <b>{loss.count === 0 ? "An unknown number" : count(loss.count)} {loss.kind === "any" ? "of records" : `${loss.kind} records`}</b> {loss.cause.replaceAll("_", " ").toLowerCase()}
          {loss.from_at && loss.to_at && <>, <a href={link("/timeline", { last: null, from: String(instant(loss.from_at) - BigInt(SECOND)), to: String(instant(loss.to_at) + BigInt(SECOND)) })}>{clock(instant(loss.from_at))} – {clock(instant(loss.to_at))}</a></>}
        </li>
      ))}
      {list.length > MAX_LOSSES && <li class="muted">and {plural(list.length - MAX_LOSSES, "older loss", "older losses")}: <a href={link("/query", { sql: `SELECT * FROM losses\nORDER BY to_at DESC\nLIMIT 1000` })}>as SQL</a></li>}
    </ul>
  );
}

const PROCESS: readonly Column<Process>[] = [
  { key: "app", title: "App", cell: (p) => <span class="row"><span class={`dot ${p.state}`} /><a href={link("/", { process: p.process })}>{p.app}</a> <span class="muted">{p.app_version}</span></span>, value: (p) => p.app },
  { key: "state", title: "State", width: "72px", cell: (p) => p.state, value: (p) => p.state },
  { key: "pid", title: "Pid", width: "72px", isNumber: true, cell: (p) => p.pid || UNKNOWN, value: (p) => p.pid || null },
  { key: "host", title: "Host", width: "120px", cell: (p) => p.host || UNKNOWN, value: (p) => p.host },
  { key: "started", title: "Started", width: "168px", cell: (p) => dateTime(instant(p.started_at), SECOND), value: (p) => p.started_at },
  { key: "last", title: "Last data", width: "112px", cell: (p) => ago(instant(p.last_at), now()), value: (p) => p.last_at },
  { key: "polls", title: "Polls", width: "96px", isNumber: true, cell: (p) => count(p.polls), value: (p) => p.polls },
  { key: "lost", title: "Lost", width: "72px", isNumber: true, cell: (p) => <Missing n={p.lost} />, value: (p) => p.lost },
  { key: "agent", title: "Agent", width: "140px", cell: (p) => `${p.agent} ${p.agent_version}`, value: (p) => `${p.agent} ${p.agent_version}` },
];

function ProcessTable() {
  const list = processes.value ?? [];
  return <Table caption="Processes" columns={PROCESS} total={list.length} rowAt={(k) => list[k]} rowKey={(p) => p.id} />;
}
