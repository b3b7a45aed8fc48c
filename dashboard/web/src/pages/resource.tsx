//! One resource: who has it, who waits for it, who had it, and who opened it.

import { apiUrl } from "../api/client.ts";
import type { Hold, ResourceDetail, ResourceState } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { count, dateTime, duration, plural } from "../base/format.ts";
import { instant, MICROSECOND } from "../base/instant.ts";
import { link } from "../app/session.ts";
import { Icon } from "../ui/icons.tsx";
import { At, Card, Place, placeText } from "../ui/small.tsx";
import { Stack } from "../ui/stack.tsx";
import { Ready } from "../ui/states.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import { inside } from "./resources.tsx";
import { TaskRef, WAIT_COLUMNS } from "./waits.tsx";

export function ResourcePage({ params }: { params: Record<string, string> }) {
  const { process, resource } = params as { process: string; resource: string };
  const path = `/resources/${encodeURIComponent(process)}/${encodeURIComponent(resource)}`;
  const detail = useApi<ResourceDetail>(apiUrl(path), { live: true, subject: path });
  return (
    <div class="page" data-testid="resource">
      <Ready isPage of={detail} lines={12}>{(answer) => <Detail answer={answer} />}</Ready>
    </div>
  );
}

function Detail({ answer }: { answer: ResourceDetail }) {
  const { resource, holders, waits } = answer;
  return (
    <>
      <header class="title">
        <div class="grow">
          <p class="muted"><a href={link("/resources")}>Resources</a> / {resource.location ? placeText(resource.location) : "unknown place"}</p>
          <h1 class="row wrap">{resource.kind} {resource.name || <span class="mono">{resource.resource}</span>} <span class={`chip ${resource.closed_at ? "" : "accent"}`}>{resource.closed_at ? (resource.how ?? "closed") : "open"}</span></h1>
        </div>
        <a class="button" href={link("/timeline", { pins: `r${resource.resource}` })} title="Who had it and who waited, over time"><Icon name="timeline" size={14} /> On the timeline</a>
      </header>
      <div class="two">
        <Card title="Facts">
          <dl class="facts">
            <dt>Opened at</dt><dd><Place text={resource.location && placeText(resource.location)} /></dd>
            <dt>By</dt><dd><TaskRef task={resource.task} name={null} /></dd>
            <dt>Opened</dt><dd>{dateTime(instant(resource.opened_at), MICROSECOND)}</dd>
            <dt>Held by</dt><dd>{holders.length === 0 ? <span class="muted">nobody, as far as those who wait know</span> : holders.map((holder, k) => <span key={k}>{k > 0 && ", "}<TaskRef task={holder.task} name={holder.task_name} /> since <At at={holder.since_at} />{holder.location && <> at <Place text={holder.location} /></>}</span>)}</dd>
            {resource.state && <State state={resource.state} />}
          </dl>
        </Card>
        <Card title="Opened by">
          {answer.open_stack.length > 0 ? <Stack frames={answer.open_stack} /> : <p class="muted">No stack was taken when it was opened.</p>}
        </Card>
      </div>
      <Card title={plural(waits.length, "task waits", "tasks wait")} isFlush testId="resource-waits">
        {waits.length === 0 ? <p class="body muted">Nobody waits for it.</p> : <Table caption="Waits that last" columns={WAIT_COLUMNS} total={waits.length} rowAt={(k) => waits[k]} rowKey={(row) => row.wait} height={waits.length > 12 ? "392px" : ""} />}
      </Card>
      {answer.holds.length > 0 && (
        <Card title="Holds that others waited for, or that took long" isFlush tools={<TableTools name={`resource-${resource.resource}-holds`} columns={HOLDS} rows={() => answer.holds} />}>
          <Table caption="Holds, newest first" columns={HOLDS} total={answer.holds.length} rowAt={(k) => answer.holds[k]} rowKey={(row) => `${row.since_at} ${row.task}`} height={answer.holds.length > 12 ? "392px" : ""} />
        </Card>
      )}
      {answer.past_waits.length > 0 && (
        <Card title="Latest waits" isFlush>
          <Table caption="Latest waits" columns={WAIT_COLUMNS} total={answer.past_waits.length} rowAt={(k) => answer.past_waits[k]} rowKey={(row) => row.wait} height={answer.past_waits.length > 12 ? "392px" : ""} />
        </Card>
      )}
    </>
  );
}

function State({ state }: { state: ResourceState }) {
  const ends = [state.senders != null && plural(state.senders, "sender"), state.receivers != null && plural(state.receivers, "receiver")].filter(Boolean).join(", ");
  return (
    <>
      <dt>Inside</dt><dd>{inside(state) ?? <span class="muted">not told</span>}{state.waiters ? `, ${plural(state.waiters, "task waits", "tasks wait")} for it` : ""}</dd>
      {state.acquired != null && <><dt>Taken</dt><dd>{plural(state.acquired, "time")}, held for {duration(state.held_time)} in all</dd></>}
      {state.contended != null && <><dt>Contended</dt><dd>{plural(state.contended, "time")}, waited for {duration(state.waited_time)} in all</dd></>}
      {state.sent != null && <><dt>Passed on</dt><dd>{count(state.sent)} sent, {count(state.received)} received{state.lagged ? `, ${count(state.lagged)} missed` : ""}</dd></>}
      {ends && <><dt>Ends</dt><dd>{ends}</dd></>}
    </>
  );
}

const HOLDS: readonly Column<Hold>[] = [
  { key: "task", title: "Task", width: "20%", cell: (row) => <TaskRef task={row.task} name={row.task_name} />, value: (row) => row.task },
  { key: "length", title: "Held for", width: "96px", isNumber: true, cell: (row) => duration(row.length), value: (row) => row.length },
  { key: "since_at", title: "Since", width: "116px", isNumber: true, cell: (row) => <At at={row.since_at} />, value: (row) => row.since_at },
  { key: "waits", title: "Waits meanwhile", width: "116px", isNumber: true, cell: (row) => count(row.waits), value: (row) => row.waits },
  { key: "location", title: "Taken at", cell: (row) => <Place text={row.location} />, value: (row) => row.location },
];
