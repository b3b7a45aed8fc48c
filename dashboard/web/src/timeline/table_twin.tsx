//! The same timeline as tables: for screen readers, for copying, and for people who think in rows.

import type { ComponentChildren } from "preact";
import { clock, count, duration, percent } from "../base/format.ts";
import { plus, MICROSECOND, type Nanos } from "../base/instant.ts";
import { viewEnd } from "../model/geometry.ts";
import { cellStats, pollStats } from "../model/polls.ts";
import { link, processId } from "../app/session.ts";
import { Card, Place } from "../ui/small.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import type { Timeline } from "./controller.ts";
import { pollOfIndex, pollOfSlow, type Lane, type PollItem, type TimelineData } from "./data.ts";

/** Polls listed at most; zoom in for the rest. */
const MAX_ROWS = 5000;

interface LaneRow {
  readonly lane: Lane;
  readonly polls: number;
  readonly busy: Nanos;
  readonly max: Nanos;
}

/** `children`: tables of what lies below the workers. */
export function TableTwin({ timeline, children }: { timeline: Timeline; children?: ComponentChildren }) {
  const data = timeline.data.value;
  const view = timeline.view.value;
  if (!data) return null;
  const from = view.start;
  const to = viewEnd(view);
  const lanes: LaneRow[] = data.lanes.map((lane) => ({ lane, ...(lane.polls ? pollStats(lane.polls, from, to) : lane.cells ? cellStats(lane.cells, from, to) : { polls: 0, busy: 0, max: 0 }) }));
  const polls = data.isExact ? exactPolls(data, from, to, timeline.slowThreshold) : data.slow.filter((slow) => slow.start < to && slow.start + slow.length > from).map((slow) => pollOfSlow(data.base, slow));
  const title = data.isExact ? `${count(polls.length)} polls in view${polls.length === MAX_ROWS ? " (the first ones)" : ""}` : `${count(polls.length)} slow polls in view`;
  const columns = pollColumns(timeline);
  return (
    <div class="twin" data-testid="twin">
      <Card title={`Workers over ${duration(view.span)}`} isFlush>
        <Table caption="Workers" columns={laneColumns(view.span)} total={lanes.length} rowAt={(k) => lanes[k]} rowKey={(row) => row.lane.key} />
      </Card>
      <Card title={title} isFlush tools={<TableTools name="polls" columns={columns} rows={() => polls} sql={sqlOf(timeline)} />}>
        <Table caption={title} columns={columns} total={polls.length} rowAt={(k) => polls[k]} rowKey={(poll) => poll.key} height="480px" />
      </Card>
      {children}
    </div>
  );
}

function exactPolls(data: TimelineData, from: number, to: number, slowThreshold: Nanos): PollItem[] {
  const list: PollItem[] = [];
  for (const lane of data.lanes) {
    if (!lane.polls) continue;
    for (let k = 0; k < lane.polls.start.length && list.length < MAX_ROWS; k += 1) {
      const start = lane.polls.start[k]!;
      if (start < to && start + lane.polls.length[k]! > from) list.push(pollOfIndex(data, lane, k, slowThreshold));
    }
  }
  return list.sort((a, b) => a.start - b.start);
}

function laneColumns(span: Nanos): readonly Column<LaneRow>[] {
  return [
    { key: "worker", title: "Worker", cell: ({ lane }) => lane.name, value: ({ lane }) => lane.name },
    { key: "thread", title: "Thread", cell: ({ lane }) => lane.threadName || <span class="muted">unnamed</span>, value: ({ lane }) => lane.threadName },
    { key: "polls", title: "Polls", isNumber: true, cell: (row) => count(row.polls), value: (row) => row.polls },
    { key: "busy", title: "Busy", isNumber: true, cell: (row) => duration(row.busy), value: (row) => row.busy },
    { key: "share", title: "Share", isNumber: true, cell: (row) => percent(row.busy / span), value: (row) => row.busy / span },
    { key: "max", title: "Longest poll", isNumber: true, cell: (row) => duration(row.max), value: (row) => row.max },
  ];
}

function pollColumns(timeline: Timeline): readonly Column<PollItem>[] {
  const at = (poll: PollItem) => plus(timeline.base, poll.start);
  return [
    { key: "start_at", title: "Start", width: "140px", cell: (poll) => <button type="button" class="link" onClick={() => timeline.select(poll)}>{clock(at(poll), MICROSECOND)}</button>, value: (poll) => String(at(poll)) },
    { key: "length", title: "Length", width: "96px", isNumber: true, cell: (poll) => <span class={poll.isSlow ? "hot" : ""}>{duration(poll.length)}</span>, value: (poll) => poll.length },
    { key: "worker", title: "Worker", width: "72px", isNumber: true, cell: (poll) => poll.worker, value: (poll) => poll.worker },
    { key: "task", title: "Task", width: "104px", isNumber: true, cell: (poll) => <a class="mono" href={link(`/tasks/${processId.value}/${poll.task}`)}>{poll.task}</a>, value: (poll) => poll.task },
    { key: "location", title: "Spawned at", cell: (poll) => (poll.location ? <Place text={poll.location} /> : <span class="muted">zoom in, or open the task</span>), value: (poll) => poll.location },
  ];
}

function sqlOf(timeline: Timeline): string {
  const view = timeline.view.peek();
  return `SELECT worker, wall_time(start_at) AS started, duration(length) AS took, task, location\nFROM polls\nWHERE process = ${processId.value}\n  AND start_at BETWEEN ${plus(timeline.base, view.start)} AND ${plus(timeline.base, viewEnd(view))}\nORDER BY start_at\nLIMIT 1000`;
}
