//! What was lost where it would have been: which losses make holes in which lanes, in words, and as a table.

import type { Loss } from "../api/types.ts";
import { link, processId } from "../app/session.ts";
import { clock, count, duration, plural } from "../base/format.ts";
import { plus } from "../base/instant.ts";
import { viewEnd, type Offset } from "../model/geometry.ts";
import { Card } from "../ui/small.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import type { Timeline } from "./controller.ts";
import type { LossItem, TimelineData } from "./data.ts";

/** Records that workers are drawn from. What else is lost makes no hole in them. */
const OF_WORKERS = new Set(["poll", "park", "loop", "any"]);

export function workerLosses(data: TimelineData | null): readonly LossItem[] {
  return data?.losses.filter(({ loss }) => OF_WORKERS.has(loss.kind)) ?? [];
}

/** `1 200 poll records lost: ring full`. */
export function lossText(loss: Loss): string {
  const kind = loss.kind === "any" ? "" : `${loss.kind.replaceAll("_", " ")} `;
  const what = loss.count > 0 ? `${count(loss.count)} ${kind}${loss.count === 1 ? "record" : "records"}` : `${kind}records, nobody knows how many,`;
  return `${what} lost: ${loss.cause.replaceAll("_", " ").toLowerCase()}`;
}

/** Those of workers that touch an instant, give or take `reach`. */
export function lossesAt(timeline: Timeline, at: Offset, reach: number): readonly LossItem[] {
  return workerLosses(timeline.data.peek() ?? timeline.far.peek()).filter(({ from, to }) => at >= from - reach && at <= to + reach);
}

export function LossLines({ losses }: { losses: readonly LossItem[] }) {
  return <>{losses.slice(0, 3).map(({ from, to, loss }, k) => <span key={k} class="loss-line">{lossText(loss)} <span class="muted">within {duration(to - from)}</span><br /></span>)}</>;
}

/** Losses of every kind in view. */
export function LossTable({ timeline }: { timeline: Timeline }) {
  const view = timeline.view.value;
  const rows = (timeline.data.value?.losses ?? []).filter(({ from, to }) => from < viewEnd(view) && to >= view.start);
  if (rows.length === 0) return null;
  const columns: readonly Column<LossItem>[] = [
    { key: "from_at", title: "From", width: "140px", isNumber: true, cell: (row) => clock(plus(timeline.base, row.from)), value: (row) => row.loss.from_at },
    { key: "length", title: "Within", width: "104px", isNumber: true, cell: (row) => duration(row.to - row.from), value: (row) => row.to - row.from },
    { key: "kind", title: "What", width: "120px", cell: ({ loss }) => loss.kind, value: ({ loss }) => loss.kind },
    { key: "count", title: "Records", width: "104px", isNumber: true, cell: ({ loss }) => (loss.count > 0 ? count(loss.count) : <span class="muted">not known</span>), value: ({ loss }) => loss.count },
    { key: "cause", title: "Why", cell: ({ loss }) => <a href={link("/sources")}>{loss.cause.replaceAll("_", " ").toLowerCase()}</a>, value: ({ loss }) => loss.cause },
  ];
  return (
    <Card title={`${plural(rows.length, "loss", "losses")} in view`} isFlush tools={<TableTools name="losses-in-view" columns={columns} rows={() => rows} sql={`SELECT kind, cause, count, from_at, to_at\nFROM losses\nWHERE process = ${processId.value}\nORDER BY from_at DESC\nLIMIT 100`} />}>
      <Table caption="Losses in view" columns={columns} total={rows.length} rowAt={(k) => rows[k]} rowKey={(row) => `${row.from} ${row.loss.kind} ${row.loss.cause}`} />
    </Card>
  );
}
