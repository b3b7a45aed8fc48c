//! The polls of a region as a table, sorted where they are counted.

import type { RegionAnswer } from "../api/types.ts";
import { setQuery } from "../app/router.ts";
import { link } from "../app/session.ts";
import { clock, count, duration, plural } from "../base/format.ts";
import { instant, MICROSECOND } from "../base/instant.ts";
import type { Lengths } from "../model/region.ts";
import { Card, Place } from "../ui/small.tsx";
import { Table, type Column, type Sort } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import type { Timeline } from "./controller.ts";
import { pollOfRow } from "./stepping.ts";

type Row = RegionAnswer["rows"][number];

const LONGEST: Sort = { key: "length", isDescending: true };

/** `order=start_at`, or with a hyphen before it the other way round. */
export function sortOfQuery(text: string | null): Sort {
  const match = /^(-?)(start_at|length|worker|task)$/.exec(text ?? "");
  return match ? { key: match[2]!, isDescending: match[1] === "-" } : LONGEST;
}

interface Props {
  readonly timeline: Timeline;
  readonly answer: RegionAnswer;
  readonly lengths: Lengths | null;
  readonly sort: Sort;
  readonly isLoading: boolean;
}

export function RegionPolls({ timeline, answer, lengths, sort, isLoading }: Props) {
  const { rows } = answer;
  const columns = columnsOf(timeline);
  const setSort = ({ key, isDescending }: Sort) => setQuery({ order: key === LONGEST.key && isDescending ? null : `${isDescending ? "-" : ""}${key}` });
  return (
    <Card title={titleOf(answer, lengths)} isFlush tools={<TableTools name="region" columns={columns} rows={() => rows} sql={sqlOf(answer, timeline.selecting.region.value?.lanes ?? null, lengths, sort)} />} className={isLoading ? "waiting" : ""} testId="region-table">
      {rows.length === 0 ? <p class="muted pad">{noneOf(answer)}</p> : <Table caption="Polls of the region" columns={columns} total={rows.length} rowAt={(k) => rows[k]} rowKey={(row) => `${row.loop}.${row.worker}.${row.start_at}`} sort={sort} onSort={setSort} height="100%" />}
    </Card>
  );
}

function titleOf({ matching, rows, exact }: RegionAnswer, lengths: Lengths | null): string {
  const of = lengths ? ` of ${lengths.to == null ? `${duration(lengths.from)} and longer` : `${duration(lengths.from)} to ${duration(lengths.to)}`}` : "";
  if (!exact) return `The ${count(rows.length)} slowest polls${of && `, those${of}`}`;
  if (matching != null && matching > rows.length) return `The first ${count(rows.length)} of ${count(matching)} polls${of}`;
  return `${plural(rows.length, "poll")}${of}`;
}

function noneOf(answer: RegionAnswer): string {
  if (answer.polls === 0) return "No poll in this region.";
  return answer.exact ? "No poll is that long." : "None of the slowest polls is that long. Select fewer polls to list them all.";
}

function columnsOf(timeline: Timeline): readonly Column<Row>[] {
  return [
    { key: "start_at", title: "Start", width: "152px", cell: (row) => <button type="button" class="link" title="Select it on the timeline" onClick={() => timeline.select(pollOfRow(timeline, row), { reveal: true })}>{clock(instant(row.start_at), MICROSECOND)}</button>, value: (row) => row.start_at },
    { key: "length", title: "Length", width: "92px", isNumber: true, cell: (row) => <span class={row.slow ? "hot" : ""}>{duration(row.length)}</span>, value: (row) => row.length },
    { key: "worker", title: "Worker", width: "76px", isNumber: true, cell: (row) => row.worker, value: (row) => row.worker },
    { key: "task", title: "Task", width: "92px", isNumber: true, cell: (row) => <a class="mono" href={link(`/tasks/${timeline.process}/${row.task}`)}>{row.task}</a>, value: (row) => row.task },
    { key: "location", title: "Spawned at", isSortable: false, cell: (row) => <Place text={row.location} />, value: (row) => row.location },
  ];
}

/** The same rows, and nothing more is read for them than is needed. */
function sqlOf(answer: RegionAnswer, lanes: readonly string[] | null, lengths: Lengths | null, sort: Sort): string {
  const { process, from, to } = answer;
  const first = answer.first_start_at ?? from;
  // Ids are signed in SQL.
  const workers = lanes?.map((lane) => lane.split(".")).map(([loop, worker]) => `(${BigInt.asIntN(64, BigInt(loop!))}, ${worker})`);
  const lines = [
    "SELECT wall_time(start_at) AS started, duration(length) AS took, loop, worker, task, location, start_at, length",
    "FROM polls",
    `WHERE process = ${process} AND start_at >= ${first} AND start_at < ${to}`,
    `  AND (start_at + length > ${from} OR start_at >= ${from})`,
  ];
  if (workers) lines.push(`  AND (loop, worker) IN (VALUES ${workers.join(", ")})`);
  if (lengths) lines.push(`  AND length >= ${lengths.from}${lengths.to == null ? "" : ` AND length < ${lengths.to}`}`);
  lines.push(`ORDER BY ${sort.key}${sort.isDescending ? " DESC" : ""}`, "LIMIT 1000");
  return lines.join("\n");
}
