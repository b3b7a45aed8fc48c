//! The database on disk: how large, what of, how long its budget lasts, and how writing goes.

import { apiUrl } from "../api/client.ts";
import type { DiskAnswer, ProcessDisk, Status } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { bytes, count, dateTime, duration, percent, plural } from "../base/format.ts";
import { instant, SECOND } from "../base/instant.ts";
import { link } from "../app/session.ts";
import { Card, SplitBar } from "../ui/small.tsx";
import { Ready } from "../ui/states.tsx";
import { Table, type Column } from "../ui/table.tsx";

export function Disk({ status }: { status: Status | null }) {
  const disk = useApi<DiskAnswer>(apiUrl("/disk"), { live: true });
  return (
    <Ready of={disk}>
      {(answer) => (
        <>
          <Writer answer={answer} />
          <div class="two">
            <Card title="Disk" testId="disk"><Room answer={answer} /><Facts answer={answer} status={status} /></Card>
            <Card title="By program" isFlush testId="disk-programs">
              <Table caption="What each process takes on disk" columns={COLUMNS} total={answer.processes.length} rowAt={(k) => answer.processes[k]} rowKey={(row) => String(row.process)} height={answer.processes.length > 12 ? "380px" : ""} />
              <p class="muted list-note">{answer.more_processes > 0 && `${plural(answer.more_processes, "more process has", "more processes have")} less. `}Only packed data is told apart by program; rows of other tables are not.</p>
            </Card>
          </div>
        </>
      )}
    </Ready>
  );
}

/** In the words of the page, with the colour of each kind. */
const KINDS: Readonly<Record<string, readonly [string, string]>> = {
  polls: ["Single polls, parks, wakes", "k-polls"],
  tasks: ["Tasks that ended well", "k-tasks"],
  tiles: ["Timeline tiles", "k-tiles"],
  rollups: ["Roll-ups by place", "k-rollups"],
  rows: ["All other rows", "k-rows"],
};

function Room({ answer }: { answer: DiskAnswer }) {
  const parts = answer.kinds.map(({ kind, bytes: size }) => ({ name: KINDS[kind]?.[0] ?? kind, className: KINDS[kind]?.[1] ?? "k-rows", value: size, text: bytes(size) }));
  const free = { name: "Free, to be used again", className: "k-free", value: answer.free_bytes, text: bytes(answer.free_bytes) };
  return <SplitBar label="What takes the room" parts={[...parts, free]} />;
}

function Facts({ answer, status }: { answer: DiskAnswer; status: Status | null }) {
  const { retain_bytes, retain_age_ns, poll_bytes_per_s: rate } = answer;
  const used = answer.file_bytes - answer.free_bytes;
  const keeps = [retain_age_ns != null && `newer than ${duration(retain_age_ns)}`, retain_bytes != null && `up to ${bytes(retain_bytes)}`].filter(Boolean).join(", ");
  return (
    <dl class="facts" data-testid="store">
      <dt>File</dt><dd class="mono">{status?.store.path ?? "…"}</dd>
      <dt>Size</dt><dd>{bytes(answer.file_bytes)}{retain_bytes != null && `, ${percent(Math.min(1, used / retain_bytes))} of the budget of ${bytes(retain_bytes)} in use`}</dd>
      <dt>Write-ahead log</dt><dd>{bytes(answer.wal_bytes)}</dd>
      <dt>Keeps</dt><dd>{keeps || "everything"}</dd>
      <dt>Single polls since</dt><dd>{answer.oldest_at ? dateTime(instant(answer.oldest_at), SECOND) : "none stored"}</dd>
      <dt>They come at</dt><dd>{rate > 0 ? `${bytes(rate)}/s, ${bytes(rate * 3600)} an hour (last 10 minutes)` : "nothing came in the last 10 minutes"}</dd>
      {rate > 0 && (
        <>
          <dt>At this rate</dt>
          <dd data-testid="disk-outlook">
            {answer.full_in == null ? "there is no budget to fill" : answer.full_in === 0 ? "the budget is full, and the oldest is removed" : `the budget is full in about ${duration(round(answer.full_in))}`}
            {answer.polls_reach != null && `; single polls reach back at least about ${duration(round(answer.polls_reach))}, all else longer`}
          </dd>
        </>
      )}
      {status && (
        <>
          <dt>Ever stored</dt><dd>{plural(status.polls, "poll")}, {plural(status.events, "event")} in {plural(status.batches, "batch", "batches")}</dd>
          <dt>Agents connected</dt><dd>{count(status.sessions)}</dd>
          <dt>loopd</dt><dd>{status.version}, running since {dateTime(instant(status.started_at), SECOND)}</dd>
        </>
      )}
    </dl>
  );
}

/** A forecast has no seconds in its hours. */
function round(length: number): number {
  const step = length > 3600 * SECOND ? 60 * SECOND : SECOND;
  return Math.max(Math.round(length / step) * step, SECOND);
}

function Writer({ answer: { writer } }: { answer: DiskAnswer }) {
  if (writer.reason != null) {
    return (
      <p class="notice bad" role="alert" data-testid="writer">
        <span>Nothing is stored{writer.since && ` since ${dateTime(instant(writer.since), SECOND)}`}: {writer.reason}. Agents keep what they can and send it when this is mended. What they cannot keep is counted as lost.</span>
      </p>
    );
  }
  return <p class="muted" data-testid="writer"><span class="chip ok">writing</span> {plural(writer.commits, "commit")} since loopd started, {writer.queued_bytes > 0 ? `${bytes(writer.queued_bytes)} wait for the next` : "nothing waits"}.</p>;
}

const COLUMNS: readonly Column<ProcessDisk>[] = [
  { key: "app", title: "Program", cell: (row) => <a href={link("/", { process: row.process })}><bdi>{row.app}</bdi></a>, value: (row) => row.app },
  { key: "process", title: "Process", width: "60px", isNumber: true, cell: (row) => row.process, value: (row) => row.process },
  { key: "polls", title: "Polls", width: "80px", isNumber: true, cell: (row) => bytes(row.polls), value: (row) => row.polls },
  { key: "tasks", title: "Tasks", width: "80px", isNumber: true, cell: (row) => bytes(row.tasks), value: (row) => row.tasks },
  { key: "tiles", title: "Tiles", width: "80px", isNumber: true, cell: (row) => bytes(row.tiles), value: (row) => row.tiles },
  { key: "rollups", title: "Roll-ups", width: "88px", isNumber: true, cell: (row) => bytes(row.rollups), value: (row) => row.rollups },
];
