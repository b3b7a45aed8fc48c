//! Spawn locations by how their number of live tasks develops; used by Leaks and by Tasks, grouped.

import { useState } from "preact/hooks";
import type { LeakVerdict, TaskLeak } from "../api/types.ts";
import { count, duration, significant, UNKNOWN } from "../base/format.ts";
import { asCli } from "../app/as_cli.ts";
import { navigate } from "../app/router.ts";
import { link } from "../app/session.ts";
import { Card, Place, placeText, Sparkline } from "../ui/small.tsx";
import { sortRows, Table, type Column, type Sort } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";

const VERDICTS: Record<LeakVerdict, [string, string]> = {
  growing: ["bad", "Grew over the whole window and what was started stays"],
  steady: ["ok", "They come and go, or their number has levelled off"],
  settled: ["", "Started once and still there, like a server loop"],
};

export function VerdictChip({ verdict }: { verdict: LeakVerdict }) {
  const [tone, about] = VERDICTS[verdict] ?? ["", ""];
  return <span class={`chip ${tone}`} title={about}>{verdict}</span>;
}

export function growth(perMinute: number): string {
  if (!Number.isFinite(perMinute)) return UNKNOWN;
  if (Math.abs(perMinute) < 0.05) return "0";
  return `${perMinute > 0 ? "+" : "−"}${significant(Math.abs(perMinute))}`;
}

/** A slope over the window is a rate only of what keeps growing: a pool that has filled up has one, too. */
export function PerMinute({ row }: { row: { verdict: LeakVerdict; growth_per_min: number } }) {
  if (row.verdict !== "growing") return <span class="muted">{UNKNOWN}</span>;
  return <>{growth(row.growth_per_min)}</>;
}

const COLUMNS: readonly Column<TaskLeak>[] = [
  { key: "location", title: "Spawned at", cell: (row) => <Place text={row.location && placeText(row.location)} />, value: (row) => placeText(row.location) },
  { key: "verdict", title: "Verdict", width: "92px", cell: (row) => <VerdictChip verdict={row.verdict} />, value: (row) => row.verdict },
  { key: "counts", title: "Alive over time", width: "128px", isSortable: false, cell: (row) => <Sparkline values={row.counts} label="Tasks alive" isGrowing={row.verdict === "growing"} />, value: (row) => row.counts.join(" ") },
  { key: "alive", title: "Alive", width: "72px", isNumber: true, cell: (row) => count(row.alive), value: (row) => row.alive },
  { key: "spawned", title: "Spawned", width: "80px", isNumber: true, cell: (row) => count(row.spawned), value: (row) => row.spawned },
  { key: "ended", title: "Ended", width: "80px", isNumber: true, cell: (row) => count(row.ended), value: (row) => row.ended },
  { key: "growth", title: "Per minute", about: "How fast the number alive grows; of what does not keep growing this says nothing", width: "88px", isNumber: true, cell: (row) => <PerMinute row={row} />, value: (row) => row.growth_per_min },
  { key: "oldest", title: "Oldest", width: "92px", isNumber: true, cell: (row) => duration(row.oldest_age), value: (row) => row.oldest_age },
  { key: "median", title: "Median age", width: "92px", isNumber: true, cell: (row) => duration(row.median_age), value: (row) => row.median_age },
];

export function LeakTable({ rows, title }: { rows: readonly TaskLeak[]; title: string }) {
  const [sort, setSort] = useState<Sort | null>(null);
  const sorted = sortRows(rows, COLUMNS, sort);
  const hrefOf = (row: TaskLeak) => link("/tasks", { state: "alive", location: row.location ? String(row.location.id) : null, place: row.location ? placeText(row.location) : null, sort: "spawned_at", desc: "0" });
  return (
    <Card title={title} isFlush testId="task-leaks" tools={<TableTools name="task-leaks" columns={COLUMNS} rows={() => sorted} sql={SQL} cli={asCli("leaks")} />}>
      <Table caption={title} columns={COLUMNS} total={sorted.length} rowAt={(k) => sorted[k]} rowKey={(row) => placeText(row.location)} hrefOf={hrefOf} open={navigate} sort={sort} onSort={setSort} />
    </Card>
  );
}

const SQL = `SELECT location, count(*) AS tasks, sum(ended_at IS NULL) AS alive, sum(polls) AS polls,
       sum(busy_time) AS busy_time, max(max_poll_time) AS max_poll_time
FROM tasks
GROUP BY location
ORDER BY alive DESC`;
