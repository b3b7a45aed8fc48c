//! Everything about the selected poll: which task, from where, how long, and the stack if it was slow.

import { apiUrl } from "../api/client.ts";
import type { SlowAnswer, TaskDetail } from "../api/types.ts";
import { useApi, type Loaded } from "../api/use_api.ts";
import { clock, duration, plural } from "../base/format.ts";
import { NANOSECOND, plus } from "../base/instant.ts";
import { focus } from "../model/geometry.ts";
import { link, processId } from "../app/session.ts";
import { Icon } from "../ui/icons.tsx";
import { Place, placeText } from "../ui/small.tsx";
import { Stack } from "../ui/stack.tsx";
import { ArrowsPanel, PinButton } from "./arrows_panel.tsx";
import type { Timeline } from "./controller.ts";
import type { PollItem } from "./data.ts";

export function PollPanel({ timeline }: { timeline: Timeline }) {
  const poll = timeline.selected.value;
  if (!poll) return null;
  return <Panel key={poll.task} timeline={timeline} poll={poll} />;
}

function Panel({ timeline, poll }: { timeline: Timeline; poll: PollItem }) {
  const path = `/tasks/${processId.value}/${poll.task}`;
  const detail = useApi<TaskDetail>(apiUrl(path), { subject: path });
  const task = detail.data?.task;
  const location = task?.location ? placeText(task.location) : poll.location;
  const startAt = plus(timeline.base, poll.start);
  return (
    <aside class="poll-panel" aria-label="Selected poll" data-testid="poll-panel">
      <header>
        <h2 class="grow">{poll.isRunning ? "Poll running now" : poll.isSlow ? "Slow poll" : "Poll"}</h2>
        <button type="button" class="icon-button" aria-label="Close" title="Close (Esc)" onClick={() => timeline.select(null)}><Icon name="close" /></button>
      </header>
      <p class={`poll-length ${poll.isSlow ? "hot" : ""}`}>{duration(poll.length)}{poll.isRunning && " so far"}</p>
      <dl class="facts">
        <dt>Task</dt><dd><a class="mono" href={link(path)} data-testid="panel-task">{task?.name ? `${task.name} · ` : ""}{poll.task}</a></dd>
        <dt>Spawned at</dt><dd data-testid="panel-location"><Place text={location} /></dd>
        <dt>Start</dt><dd>{clock(startAt, NANOSECOND)}</dd>
        <dt>Worker</dt><dd>{poll.worker} <span class="muted">of loop {poll.loop}</span></dd>
        {task && <><dt>Its polls</dt><dd>{plural(task.polls, "poll")}, {duration(task.busy_time)} busy in {duration(task.lifetime)}</dd></>}
      </dl>
      <p class="row wrap">
        <button type="button" class="button" onClick={() => timeline.show(focus(poll.start, poll.length, 0.5, timeline.extent.peek()))}>Zoom to it</button>
        <a class="button" href={link(path)} data-testid="panel-open-task">Open task</a>
        <PinButton timeline={timeline} task={poll.task} />
      </p>
      <ArrowsPanel timeline={timeline} />
      {poll.isSlow && <SlowStack poll={poll} startAt={String(startAt)} detail={detail} />}
    </aside>
  );
}

/** The stack comes with the task; if its list of slow polls was cut short, the slow answer of that very instant has it. */
function SlowStack({ poll, startAt, detail }: { poll: PollItem; startAt: string; detail: Loaded<TaskDetail> }) {
  const isThis = (slow: { start_at: string; worker: number }) => slow.start_at === startAt && slow.worker === poll.worker;
  const known = detail.data?.slow.find(isThis);
  const isMissing = detail.data != null && !known;
  const url = isMissing || detail.error ? apiUrl("/slow", { process: processId.value, from: startAt, to: String(BigInt(startAt) + BigInt(Math.max(1, Math.round(poll.length)))), limit: 20 }) : null;
  const other = useApi<SlowAnswer>(url, { subject: startAt });
  const slow = known ?? other.data?.recent.find(isThis);
  if (!slow) return <p class="muted">{detail.isLoading || other.isLoading ? "Loading its stack…" : "No stack was taken of this poll."}</p>;
  return (
    <section class="stack tight">
      <h3>While it ran{slow.running && (slow.running === "on_cpu" ? ": computing" : ": waiting in the kernel")} · {plural(slow.samples, "sample")}</h3>
      {slow.stack ? <Stack frames={slow.stack} /> : <p class="muted">No stack was taken. <a href={link("/sources")}>Sources</a> says why.</p>}
    </section>
  );
}
