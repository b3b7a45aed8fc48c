//! Readings of the program as lines: queues, the blocking pool, pauses, or any metric by itself.

import { apiUrl, get } from "../../api/client.ts";
import type { MarksAnswer, MetricLaneAnswer } from "../../api/types.ts";
import { clock, duration, plural } from "../../base/format.ts";
import { between, instant, plus, type Instant } from "../../base/instant.ts";
import { processId } from "../../app/session.ts";
import { toOffset, toPixel, viewEnd, type Extent, type View } from "../../model/geometry.ts";
import { axisTop, linesFor, linesOf, metricKind, mostIn, neededBy, valueAt, valueText, type Line, type MetricKind, type Unit } from "../../model/metric_lane.ts";
import { lastStartedBy } from "../../model/polls.ts";
import { Card } from "../../ui/small.tsx";
import { Table, type Column } from "../../ui/table.tsx";
import { TableTools } from "../../ui/table_tools.tsx";
import { hatch, type Palette, type Surface } from "../../ui/canvas.ts";
import type { ExtraLane, Frame } from "./lane.ts";
import { LaneLoader } from "./lane_loader.ts";
import { drawGround, drawLaneLosses } from "./pens.ts";

/** Of a title and three names of lines. */
const HEIGHT = 70;
const PAD = 6;
/** More lines than this are told apart by nobody. */
const MAX_LINES = 12;
/** Columns asked for: readings are seconds apart, so finer steps would be empty. */
const MAX_COLUMNS = 600;
const MAX_ROWS = 2000;
/** Lines differ by more than their colour. */
const DASHES: readonly (readonly number[])[] = [[], [5, 3], [2, 2], [8, 3, 2, 3]];

/** What was read of all loops. */
export interface MetricData {
  readonly covers: Extent;
  readonly isExact: boolean;
  readonly lines: readonly Line[];
  readonly pauses: Pauses | null;
}

/** Of it, what one lane shows. */
interface Data extends MetricData {
  readonly all: number;
}

/** Single collections of garbage: those of a millisecond and more are told one by one. */
interface Pauses {
  readonly list: readonly { readonly from: number; readonly to: number }[];
  /** Before this some are left out; null if none is. */
  readonly knownFrom: number | null;
}

/** The lane that has them, what they are told as, and how many spans of the program are looked through for them. */
const WITH_PAUSES = "gc";
const PAUSE = "python.gc";
const MAX_SPANS = 1000;

async function pausesOf(host: Pick<MetricLaneHost, "process" | "base">, from: string, to: string, abort: AbortSignal): Promise<Pauses> {
  const { spans } = await get<MarksAnswer>(apiUrl("/marks", { process: host.process, from, to, limit: MAX_SPANS }), abort);
  const offset = (text: string) => between(host.base, instant(text));
  const list = spans.filter((span) => span.target === PAUSE).map((span) => ({ from: offset(span.opened_at), to: offset(span.opened_at) + span.length }));
  const oldest = spans.at(-1);
  return { list: list.reverse(), knownFrom: spans.length >= MAX_SPANS && oldest ? offset(oldest.opened_at) + oldest.length : null };
}

export interface MetricLaneHost {
  readonly process: number;
  readonly base: Instant;
  readonly loopNames: () => ReadonlyMap<string, string>;
  remove(): void;
}

/** Lanes of one metric share it. */
export function metricLoader(key: string, host: Pick<MetricLaneHost, "process" | "base">): LaneLoader<MetricData> {
  const kind = metricKind(key);
  return new LaneLoader<MetricData>(async (range, columns, recorded, abort) => {
    const from = String(plus(host.base, Math.floor(range.from)));
    const to = String(plus(host.base, Math.ceil(range.to)));
    const url = apiUrl("/lanes/metrics", { process: host.process, names: neededBy(kind).join(","), from, to, width: Math.min(columns, MAX_COLUMNS) });
    const [answer, pauses] = await Promise.all([get<MetricLaneAnswer>(url, abort), key === WITH_PAUSES ? pausesOf(host, from, to, abort) : null]);
    return { pauses, covers: { from: range.from, to: Math.min(range.to, recorded.to) }, isExact: false, lines: linesOf(kind, answer, host.base) };
  });
}

/** `loop`: of this one alone; null for all. */
export function metricLane(key: string, loop: string | null, loader: LaneLoader<MetricData>, host: MetricLaneHost): ExtraLane<MetricData> {
  const kind = metricKind(key);
  const shown = new WeakMap<MetricData, Data>();
  const of = (data: MetricData): Data => {
    const known = shown.get(data);
    if (known) return known;
    const lines = linesFor(data.lines, loop, host.loopNames());
    const part = { ...data, lines: lines.slice(0, MAX_LINES), all: lines.length };
    shown.set(data, part);
    return part;
  };
  const name = () => {
    const names = host.loopNames();
    return loop != null && names.size > 1 ? `${kind.title} of ${names.get(loop) || `loop ${loop}`}` : kind.title;
  };
  return {
    key: loop == null ? `m${key}` : `m${key}@${loop}`, loader, loop, lostKinds: ["metric", "any"],
    height: () => HEIGHT,
    name,
    title: () => <span title={`${kind.about}${loop == null ? "" : ` (${name()})`}`}>{kind.title}</span>,
    detail: (data) => (data ? <Legend lines={of(data).lines} all={of(data).all} kind={kind} /> : "loading…"),
    draw: (target, data, frame) => draw(target, of(data), frame, kind),
    tip: (data, frame, width, x) => <Tip data={of(data)} kind={kind} at={toOffset(frame.view, width, x)} reach={(frame.view.span / width) * 3} base={host.base} />,
    summary: (data, frame) => (data ? `${name()} in view: ${summaryText(of(data), frame.view, kind)}` : `${name()}: loading`),
    table: (data, frame) => <Rows data={of(data)} kind={kind} name={name()} loop={loop} view={frame.view} base={host.base} />,
    remove: host.remove,
  };
}

function summaryText(data: Data, view: View, kind: MetricKind): string {
  if (data.lines.length === 0) return "no reading";
  return data.lines.map((line) => {
    const most = mostIn([line], view.start, viewEnd(view));
    const last = valueAt(line, Math.min(viewEnd(view), line.at.at(-1) ?? 0));
    return `${line.label || kind.title} at most ${valueText(most, kind.unit)}${last ? `, ${valueText(last.value, kind.unit)} at the end` : ""}`;
  }).join("; ");
}

function colorOf(palette: Palette, k: number): string {
  return [palette.accent, palette.classes[2], palette.loss, palette.ink2][k % 4]!;
}

/** Lines that say something first; the colours stay. */
function shownLines(lines: readonly Line[]): { line: Line; k: number }[] {
  const all = lines.map((line, k) => ({ line, k, most: line.max.reduce((most, value) => Math.max(most, value), 0) }));
  return all.sort((a, b) => Number(b.most > 0) - Number(a.most > 0) || a.k - b.k);
}

const SWATCHES = ["--accent", "--class-2", "--loss", "--ink-2"];

function Legend({ lines, all, kind }: { lines: readonly Line[]; all: number; kind: MetricKind }) {
  if (lines.length === 0) return <span>no reading</span>;
  if (lines.length === 1 && !lines[0]!.label) return <span>{kind.unit === "per second" ? "per second" : ""}</span>;
  return <span class="lane-legend" title={lines.map((line) => line.label).join(", ")}>{shownLines(lines).slice(0, all > 3 ? 2 : 3).map(({ line, k }) => <span key={k} class="ellipsis"><i style={{ background: `var(${SWATCHES[k % 4]})` }} />{line.label}</span>)}{all > 3 && <span>and {all - 2} more</span>}</span>;
}

function draw(target: Surface, data: Data, frame: Frame, kind: MetricKind): void {
  const { view, palette } = frame;
  const { context: c, width, height } = target;
  drawGround(target, frame, { from: -Infinity, to: Infinity });
  drawHoles(target, data, frame);
  const top = axisTop(mostIn(data.lines, view.start, viewEnd(view)), kind.unit);
  const y = (value: number) => height - PAD - (Math.min(value, top) / top) * (height - 2 * PAD - 8);
  c.fillStyle = palette.line;
  c.fillRect(0, Math.round(y(0)), width, 1);
  c.fillRect(0, Math.round(y(top)), width, 1);
  data.lines.forEach((line, k) => drawLine(c, line, view, width, y, colorOf(palette, k), DASHES[k % 4]!));
  c.setLineDash([]);
  for (const [text, at] of [[valueText(top, kind.unit), y(top) - 1], [valueText(0, kind.unit), y(0) - 6]] as const) {
    const w = c.measureText(text).width;
    c.globalAlpha = 0.8;
    c.fillStyle = palette.lane;
    c.fillRect(2, at - 6, w + 6, 12);
    c.globalAlpha = 1;
    c.fillStyle = palette.ink2;
    c.fillText(text, 5, at + 0.5);
  }
  if (data.pauses) drawPauses(c, data.pauses, view, width, height, palette);
  drawLaneLosses(target, frame);
}

/** Each as long as it was, over the share of time that they took. */
function drawPauses(c: CanvasRenderingContext2D, { list }: Pauses, view: View, width: number, height: number, palette: Palette): void {
  c.fillStyle = palette.bad;
  c.globalAlpha = 0.7;
  for (const { from, to } of list) {
    const x = toPixel(view, width, from);
    const right = toPixel(view, width, to);
    if (right >= 0 && x <= width) c.fillRect(x, 3, Math.max(right - x, 1), right - x >= 2 ? height - 6 : 10);
  }
  c.globalAlpha = 1;
}

/** Where no line has a value although the recording goes on. */
function drawHoles(target: Surface, data: Data, { view, recorded, palette }: Frame): void {
  const { context: c, width, height, ratio } = target;
  const pattern = hatch(c, palette.unknown, ratio);
  if (!pattern) return;
  const from = Math.max(view.start, recorded.from, data.covers.from);
  const to = Math.min(viewEnd(view), recorded.to, data.covers.to);
  const ranges = data.lines.flatMap((line) => Array.from(line.at, (at, k) => (line.since ? { from: line.since[k]!, to: at } : { from: at, to: Math.min(line.at[k + 1] ?? Infinity, at + line.apart) })));
  c.fillStyle = pattern;
  let known = from;
  for (const range of ranges.sort((a, b) => a.from - b.from)) {
    if (range.from > known) fillHole(c, view, width, height, known, Math.min(range.from, to));
    known = Math.max(known, range.to);
    if (known >= to) return;
  }
  if (known < to) fillHole(c, view, width, height, known, to);
}

function fillHole(c: CanvasRenderingContext2D, view: View, width: number, height: number, from: number, to: number): void {
  const x = toPixel(view, width, from);
  const right = toPixel(view, width, to);
  if (right - x > 2) c.fillRect(x, 2, right - x, height - 4);
}

function drawLine(c: CanvasRenderingContext2D, line: Line, view: View, width: number, y: (value: number) => number, color: string, dash: readonly number[]): void {
  const first = Math.max(0, lastStartedBy(line.at, view.start));
  const ends = (k: number): [number, number] => {
    const from = line.since ? line.since[k]! : line.at[k]!;
    const to = line.since ? line.at[k]! : Math.min(line.at[k + 1] ?? Infinity, line.at[k]! + line.apart);
    return [Math.max(toPixel(view, width, from), -2), Math.min(toPixel(view, width, to), width + 2)];
  };
  c.fillStyle = color;
  c.globalAlpha = 0.22;
  for (let k = first; k < line.at.length; k += 1) {
    const [x, right] = ends(k);
    if (x > width) break;
    if (line.max[k]! > line.min[k]!) c.fillRect(x, y(line.max[k]!), Math.max(right - x, 1), y(line.min[k]!) - y(line.max[k]!));
  }
  c.globalAlpha = 1;
  c.strokeStyle = color;
  c.lineWidth = 1.5;
  c.setLineDash([...dash]);
  c.beginPath();
  let end = -Infinity;
  for (let k = first; k < line.at.length; k += 1) {
    const [x, right] = ends(k);
    if (x > width) break;
    if (right < 0) continue;
    if (x > end + 0.5) c.moveTo(x, y(line.value[k]!));
    else c.lineTo(x, y(line.value[k]!));
    c.lineTo(right, y(line.value[k]!));
    end = right;
  }
  c.stroke();
}

function Tip({ data, kind, at, reach, base }: { data: Data; kind: MetricKind; at: number; reach: number; base: Instant }) {
  const pause = data.pauses?.list.find(({ from, to }) => at >= from - reach && at <= to + reach);
  const found = data.lines.map((line) => ({ line, read: valueAt(line, at) }));
  const known = found.filter(({ read }) => read != null);
  return (
    <>
      {pause && <><b class="bad-text">paused for {duration(pause.to - pause.from)}</b><br /></>}
      {known.length === 0 && <><b>nothing was read here</b><br /></>}
      {known.map(({ line, read }, k) => (
        <span key={k}>
          <b>{valueText(read!.value, kind.unit)}</b> {line.label || kind.title.toLowerCase()}
          {read!.max > read!.min && <span class="muted"> · from {valueText(read!.min, kind.unit)} to {valueText(read!.max, kind.unit)} around it{line.isSampled && ", of the readings that were looked at"}</span>}
          <br />
        </span>
      ))}
      <span class="muted">{clock(plus(base, known[0]?.read?.at ?? at))}</span>
    </>
  );
}

interface Row {
  readonly at: number;
  readonly label: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly unit: Unit;
}

function Rows({ data, kind, name, loop, view, base }: { data: Data; kind: MetricKind; name: string; loop: string | null; view: View; base: Instant }) {
  const rows: Row[] = [];
  for (const line of data.lines) {
    for (let k = 0; k < line.at.length; k += 1) {
      if (line.at[k]! >= view.start && line.at[k]! <= viewEnd(view)) rows.push({ at: line.at[k]!, label: line.label || kind.title, value: line.value[k]!, min: line.min[k]!, max: line.max[k]!, unit: kind.unit });
    }
  }
  for (const { from, to } of data.pauses?.list ?? []) {
    if (from < viewEnd(view) && to > view.start) rows.push({ at: from, label: "one pause", value: to - from, min: to - from, max: to - from, unit: "time" });
  }
  rows.sort((a, b) => a.at - b.at);
  const shown = rows.slice(0, MAX_ROWS);
  const columns: readonly Column<Row>[] = [
    { key: "at", title: "Read", width: "140px", isNumber: true, cell: (row) => clock(plus(base, row.at)), value: (row) => String(plus(base, row.at)) },
    { key: "what", title: "What", cell: (row) => row.label, value: (row) => row.label },
    { key: "value", title: "Value", width: "112px", isNumber: true, cell: (row) => valueText(row.value, row.unit), value: (row) => row.value },
    { key: "min", title: "Least", width: "112px", isNumber: true, cell: (row) => valueText(row.min, row.unit), value: (row) => row.min },
    { key: "max", title: "Most", width: "112px", isNumber: true, cell: (row) => valueText(row.max, row.unit), value: (row) => row.max },
  ];
  const names = neededBy(kind).map((name) => `'${name}'`).join(", ");
  return (
    <Card title={name} isFlush tools={<TableTools name={loop == null ? kind.key : `${kind.key}-${loop}`} columns={columns} rows={() => shown} sql={`SELECT name, loop, worker, at, value\nFROM metrics\nWHERE process = ${processId.value} AND name IN (${names})${loop == null ? "" : `\n  AND loop = ${loop}`}\nORDER BY at DESC\nLIMIT 1000`} />}>
      <p class="body muted">{kind.about}. {summaryText(data, view, kind)}.{rows.length > shown.length && " The first rows are listed; zoom in for the rest."}{data.pauses && " Pauses of a millisecond and more are listed one by one"}{data.pauses?.knownFrom != null && `, from ${clock(plus(base, data.pauses.knownFrom))} on`}{data.pauses && "."}</p>
      <Table caption={`${name}, ${plural(shown.length, "row")}`} columns={columns} total={shown.length} rowAt={(k) => shown[k]} rowKey={(row) => `${row.label} ${row.at}`} height={shown.length > 12 ? "360px" : ""} />
    </Card>
  );
}
