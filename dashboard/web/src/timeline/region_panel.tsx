//! The selected region, below the lanes: its numbers, how long its polls took, the polls, and their stacks.

import { useEffect, useMemo } from "preact/hooks";
import { apiUrl } from "../api/client.ts";
import type { RegionAnswer } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { place, setQuery } from "../app/router.ts";
import type { FlameProps } from "../flame/flame_card.tsx";
import { clock, count, duration, percent, plural, UNKNOWN } from "../base/format.ts";
import { instant, MICROSECOND, plus, SECOND } from "../base/instant.ts";
import { lengthsFromText, type Region } from "../model/region.ts";
import { Icon } from "../ui/icons.tsx";
import { lazy } from "../ui/lazy.tsx";
import { Tabs } from "../ui/small.tsx";
import { Ready } from "../ui/states.tsx";
import { Table, type Column } from "../ui/table.tsx";
import type { Timeline } from "./controller.ts";
import { Histogram } from "./region_histogram.tsx";
import { RegionPolls, sortOfQuery } from "./region_polls.tsx";
import { offsetOf } from "./selecting.ts";

const FlameCard = lazy<FlameProps>(async () => (await import("../flame/flame_card.tsx")).FlameCard);

/** The API's limit on rows. */
const MAX_ROWS = 1000;
const PARTS = [["polls", "Polls"], ["flame", "Flame graph"], ["workers", "Workers"]] as const;
type Part = (typeof PARTS)[number][0];

export function RegionPanel({ timeline }: { timeline: Timeline }) {
  const region = timeline.selecting.region.value;
  return region && <Panel timeline={timeline} region={region} />;
}

function Panel({ timeline, region }: { timeline: Timeline; region: Region }) {
  const { query } = place.value;
  const part: Part = PARTS.find(([key]) => key === query.get("part"))?.[0] ?? "polls";
  const from = plus(timeline.base, region.from);
  const to = plus(timeline.base, Math.max(region.to, region.from + 1));
  const lengths = lengthsFromText(query.get("len"));
  const sort = sortOfQuery(query.get("order"));
  const lanes = region.lanes?.join(",") ?? null;
  const asked = { process: timeline.process, from: String(from), to: String(to), lanes };
  const url = apiUrl("/region", { ...asked, min_length: lengths?.from, max_length: lengths?.to, sort: sort.key, desc: sort.isDescending, limit: MAX_ROWS });
  // Only what reaches the end of the recording still grows.
  const answer = useApi<RegionAnswer>(url, { live: region.to >= timeline.extent.peek().to - SECOND, subject: JSON.stringify(asked) });
  useMarks(timeline, lengths ? answer.data : null);
  const workers = region.lanes ? plural(region.lanes.length, "worker") : "all workers";
  return (
    <section class="region-panel" aria-label="Selected region" data-testid="region">
      <header class="row">
        <h2 class="nowrap">{duration(region.to - region.from)} of {workers}</h2>
        <span class="muted grow ellipsis">{clock(from, MICROSECOND)} – {clock(to, MICROSECOND)}</span>
        <Tabs label="What of the region" value={part} options={PARTS} onChange={(key) => setQuery({ part: key === "polls" ? null : key })} />
        <button type="button" class="button" title="Fill the width with it (f)" onClick={() => timeline.fit()}>Zoom to it</button>
        <button type="button" class="button" title="Write a note to it (b)" onClick={() => timeline.notes.begin()}>Note</button>
        <button type="button" class="icon-button" aria-label="Clear the selection" title="Clear (Esc)" onClick={() => timeline.selecting.choose(null)}><Icon name="close" /></button>
      </header>
      <Ready of={answer} lines={3}>
        {(data) => (
          <>
            <Statistics answer={data} />
            <div class="region-body">
              {part === "polls" && <div class="region-polls"><Histogram answer={data} chosen={lengths} /><RegionPolls timeline={timeline} answer={data} lengths={lengths} sort={sort} isLoading={answer.isLoading} /></div>}
              {part === "flame" && <FlameCard of={{ from, to, lanes }} searchKey="fq" />}
              {part === "workers" && <Workers answer={data} />}
            </div>
          </>
        )}
      </Ready>
    </section>
  );
}

/** The polls of the chosen bar, as far as they are listed, have marks on the lanes. */
function useMarks(timeline: Timeline, answer: RegionAnswer | null): void {
  const marks = useMemo(() => (answer?.rows ?? []).map((row) => ({ lane: `${row.loop}.${row.worker}`, start: offsetOf(timeline, row.start_at), length: row.length })), [answer]);
  useEffect(() => {
    timeline.selecting.marks.value = marks;
  }, [marks]);
  useEffect(() => () => void (timeline.selecting.marks.value = []), [timeline]);
}

/** All numbers of the region in one line. */
function Statistics({ answer }: { answer: RegionAnswer }) {
  const about = answer.exact ? "" : "≈ ";
  const orUnknown = (length: number | null) => (length == null ? UNKNOWN : duration(length));
  const list: readonly (readonly [string, string, string?])[] = [
    ["polls", `${about}${count(answer.polls)}`],
    ["sum", `${about}${orUnknown(answer.polls > 0 ? answer.time : null)}`, "Their lengths, added up, with what reaches beyond the region"],
    ["mean", `${about}${orUnknown(answer.mean)}`],
    ["p50", `${about}${orUnknown(answer.p50)}`, "Half of the polls took no longer"],
    ["p90", `${about}${orUnknown(answer.p90)}`, "Nine of ten took no longer"],
    ["p99", `${about}${orUnknown(answer.p99)}`, "99 of 100 took no longer"],
    ["max", orUnknown(answer.max)],
    ["busy", `${about}${percent(answer.share)}`, `Share of the time of ${plural(answer.workers, "worker")} that was spent in polls`],
    ["slow", `${count(answer.slow)}${answer.more_slow ? "+" : ""}`, "Polls at or over the threshold of the program"],
    ["tasks", answer.tasks == null ? UNKNOWN : count(answer.tasks)],
  ];
  return (
    <div class="region-statistics">
      <dl data-testid="region-statistics">
        {list.map(([name, text, title]) => (
          <div key={name} title={title}>
            <dt>{name}</dt>
            <dd class={(name === "slow" && answer.slow > 0) ? "hot" : ""} data-testid={`region-${name}`}>{text}</dd>
          </div>
        ))}
      </dl>
      <Honesty answer={answer} />
    </div>
  );
}

/** What is not as exact as it looks. */
function Honesty({ answer }: { answer: RegionAnswer }) {
  const notes: string[] = [];
  if (!answer.exact) notes.push(`Approximate, because ${answer.why}: sums are of buckets, shared out at the edges.`);
  if (!answer.exact && answer.histogram.length === 0) notes.push("Lengths are not known here: select all workers and at least a minute, or fewer polls.");
  if (answer.lengths_from != null && answer.lengths_to != null) notes.push(`Percentiles and histogram are of all that began from ${clock(instant(answer.lengths_from), SECOND)} to ${clock(instant(answer.lengths_to), SECOND)}.`);
  if (answer.unfinished > 0) notes.push(`${plural(answer.unfinished, "poll")} without a known end left out.`);
  return notes.length > 0 ? <p class="muted" data-testid="region-honesty">{notes.join(" ")}</p> : null;
}

type Lane = RegionAnswer["lanes"][number];

function Workers({ answer }: { answer: RegionAnswer }) {
  const span = Math.max(Number(BigInt(answer.to) - BigInt(answer.from)), 1);
  const about = answer.exact ? "" : "≈ ";
  const columns: readonly Column<Lane>[] = [
    { key: "worker", title: "Worker", cell: (lane) => `${lane.loop_name || `loop ${lane.loop}`} · worker ${lane.worker}` },
    { key: "thread", title: "Thread", cell: (lane) => lane.thread_name || <span class="muted">unnamed</span> },
    { key: "polls", title: "Polls", isNumber: true, cell: (lane) => about + count(lane.polls) },
    { key: "busy", title: "Busy", isNumber: true, cell: (lane) => about + duration(lane.busy_time) },
    { key: "share", title: "Share", isNumber: true, cell: (lane) => about + percent(lane.busy_time / span) },
    { key: "max", title: "Longest", isNumber: true, cell: (lane) => duration(lane.max) },
  ];
  return <Table caption="Workers of the region" columns={columns} total={answer.lanes.length} rowAt={(k) => answer.lanes[k]} rowKey={(lane) => `${lane.loop}.${lane.worker}`} />;
}
