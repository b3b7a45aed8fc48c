//! A pinned lock, semaphore or channel: who had it above, how many waited below, and what was in it.

import { apiUrl, get } from "../../api/client.ts";
import type { ResourceLaneAnswer } from "../../api/types.ts";
import { clock, count, duration, percent, plural, shortPlace } from "../../base/format.ts";
import { MICROSECOND, plus, type Instant } from "../../base/instant.ts";
import { link, processId } from "../../app/session.ts";
import { toOffset, toPixel, viewEnd, type Extent, type View } from "../../model/geometry.ts";
import { countAt, decodeLockLane, filledAt, heldIn, holdersAt, waitersAt, type Held, type LockLane } from "../../model/lock_lane.ts";
import { shownName } from "../../model/names.ts";
import { resourceText } from "../../model/wait_graph.ts";
import { Card, Place } from "../../ui/small.tsx";
import { Table, type Column } from "../../ui/table.tsx";
import { TableTools } from "../../ui/table_tools.tsx";
import { inkOn, type Palette, type Surface } from "../../ui/canvas.ts";
import type { ExtraLane, Frame } from "./lane.ts";
import { LaneLoader } from "./lane_loader.ts";
import { drawGround, drawHole, drawLabel, drawLaneLosses } from "./pens.ts";

const ROW = 18;
const PAD = 6;
/** Below the holders: those who wait. */
const CROWD = 22;
const MAX_ROWS = 2000;
const REACH = 3;
/** Waiting tasks that are named one by one under the pointer. */
const NAMED = 6;

type Data = LockLane & { readonly isExact: boolean };

export interface LockLaneHost {
  readonly process: number;
  readonly base: Instant;
  pinTask(task: string): void;
  unpin(): void;
}

export function lockLane(id: string, host: LockLaneHost): ExtraLane<Data> {
  const loader = new LaneLoader<Data>(async (range, _columns, recorded, abort) => {
    const url = apiUrl("/lanes/resource", { process: host.process, resource: id, from: String(plus(host.base, Math.floor(range.from))), to: String(plus(host.base, Math.ceil(range.to))) });
    const answer = await get<ResourceLaneAnswer>(url, abort);
    const lane = decodeLockLane(answer, host.base, { from: range.from, to: Math.min(range.to, recorded.to) }, recorded);
    return { ...lane, isExact: answer.known_from == null };
  });
  const name = (data: Data | null) => (data ? shownName(resourceText(data.answer.resource)) : `resource ${id}`);
  return {
    key: `r${id}`, loader, loop: null, lostKinds: ["wait", "resource", "any"],
    height: (data) => 2 * PAD + ROW * (data?.rows ?? 1) + CROWD,
    name,
    title: (data) => <a href={link(`/resources/${host.process}/${id}`)} title={name(data)}>{shortName(data, id)}</a>,
    detail: (data) => <span title={data?.answer.resource.location ?? ""}>{data ? (data.answer.resource.location ? shortPlace(data.answer.resource.location) : `resource ${id}`) : "loading…"}</span>,
    draw,
    tip: (data, frame, width, x) => <Tip data={data} frame={frame} at={toOffset(frame.view, width, x)} reach={(frame.view.span / width) * REACH} base={host.base} />,
    click: (data, frame, width, x) => {
      const task = holdersAt(data, toOffset(frame.view, width, x), (frame.view.span / width) * REACH)[0]?.hold.task;
      return task ? () => host.pinTask(task) : null;
    },
    summary: (data, frame) => (data ? `${name(data)} in view: ${summaryText(data, frame)}` : `Resource ${id}: loading`),
    table: (data, frame) => <Rows data={data} name={name(data)} frame={frame} base={host.base} />,
    remove: host.unpin,
  };
}

/** Its place stands below it. */
function shortName(data: Data | null, id: string): string {
  if (!data) return `resource ${id}`;
  const { kind, name } = data.answer.resource;
  return `${kind || "resource"} ${name ? shownName(name) : id}`;
}

function summaryText(data: Data, { view, recorded }: { view: View; recorded: Extent }): string {
  const from = Math.max(view.start, recorded.from, data.life.from);
  const to = Math.min(viewEnd(view), recorded.to, data.life.to);
  if (to <= from) return "it was not open here";
  const { held, waited } = heldIn(data, from, to);
  const share = (value: number) => `${duration(value)} (${percent(value / (to - from))})`;
  const most = Math.max(countAt(data.waiters, from), ...Array.from(data.waiters.at, (at, k) => (at >= from && at <= to ? data.waiters.count[k]! : 0)));
  const parts = [held > 0 ? `held for ${share(held)} as far as is recorded` : "nobody is recorded to have held it", waited > 0 ? `somebody waited for ${share(waited)}, at most ${plural(most, "task")} at once` : "nobody waited"];
  if (data.filled) parts.push(`at most ${count(data.filled.most)} ${data.filled.what}${data.filled.capacity ? ` of ${count(data.filled.capacity)}` : ""}`);
  return parts.join("; ");
}

function who(task: string | null, name: string | null): string {
  return name ? shownName(name) : task == null ? "no task" : `task ${task}`;
}

function draw(target: Surface, data: Data, frame: Frame): void {
  const { view, palette, recorded } = frame;
  const { context: c, width, height } = target;
  drawGround(target, frame, data.life);
  if (data.filled) drawFilled(c, data, frame, width);
  // Neighbours in two tones, so that a change of hands shows.
  const tones = [palette.classes[1], palette.classes[0]];
  data.holds.forEach((held, k) => {
    const x = Math.max(toPixel(view, width, held.from), -3);
    const right = Math.min(toPixel(view, width, Math.min(held.to, recorded.to)), width + 3);
    if (right < 0 || x > width) return;
    const tone = tones[k % 2]!;
    const top = PAD + held.row * ROW;
    c.fillStyle = tone;
    c.fillRect(x, top, Math.max(right - x - 0.5, 1), ROW - 2);
    const text = who(held.hold.task, held.hold.task_name) + (held.hold.amount > 1 ? ` × ${count(held.hold.amount)}` : "") + (held.hold.over ? "" : held.to === Infinity ? " · still has it" : " · at least until here");
    drawLabel(c, text, x, right, top + (ROW - 2) / 2, width, inkOn(tone));
  });
  drawCrowd(c, data, frame, width, height, palette);
  if (data.knownFrom != null && data.knownFrom > view.start) drawHole(target, frame, { from: data.life.from, to: data.knownFrom });
  drawLaneLosses(target, frame);
}

/** How many wait, as steps from the bottom; their most is written where it is. */
function drawCrowd(c: CanvasRenderingContext2D, data: Data, { view, recorded }: Frame, width: number, height: number, palette: Palette): void {
  const { at, count: counts, most } = data.waiters;
  const bottom = height - 2;
  const room = CROWD - 4;
  c.fillStyle = palette.line;
  c.fillRect(0, height - CROWD - 1, width, 1);
  if (most === 0) return;
  c.fillStyle = palette.classes[2];
  for (let k = 0; k < at.length; k += 1) {
    if (counts[k] === 0) continue;
    const x = Math.max(toPixel(view, width, at[k]!), 0);
    const right = Math.min(toPixel(view, width, Math.min(at[k + 1] ?? Infinity, recorded.to)), width);
    if (right < 0 || x > width || right <= x - 1) continue;
    const tall = Math.max((counts[k]! / most) * room, 2);
    c.fillRect(x, bottom - tall, Math.max(right - x, 1), tall);
  }
  const worst = counts.indexOf(most);
  const x = toPixel(view, width, at[worst]!);
  drawLabel(c, `${plural(most, "task")} waiting`, x, toPixel(view, width, Math.min(at[worst + 1] ?? Infinity, recorded.to)), bottom - room / 2, width, inkOn(palette.classes[2]));
}

/** What was in it, as it was told: a line that stays where it was until told anew. */
function drawFilled(c: CanvasRenderingContext2D, data: Data, { view, recorded, palette }: Frame, width: number): void {
  const { at, value, capacity, most } = data.filled!;
  const room = ROW * data.rows - 2;
  const top = Math.max(capacity ?? 0, most, 1);
  const y = (v: number) => PAD + room - (v / top) * room;
  c.strokeStyle = palette.accent;
  c.lineWidth = 1.5;
  c.beginPath();
  for (let k = 0; k < at.length; k += 1) {
    const x = toPixel(view, width, at[k]!);
    const right = toPixel(view, width, Math.min(at[k + 1] ?? Infinity, recorded.to));
    if (right < 0 || x > width) continue;
    if (k === 0 || x <= 0) c.moveTo(Math.max(x, 0), y(value[k]!));
    else c.lineTo(x, y(value[k]!));
    c.lineTo(Math.min(right, width), y(value[k]!));
  }
  c.stroke();
  c.fillStyle = palette.ink3;
  c.fillText(`${count(top)} ${data.filled!.what}${capacity === top ? ", all" : ""}`, 4, PAD + 6);
}

function Tip({ data, frame, at, reach, base }: { data: Data; frame: Frame; at: number; reach: number; base: Instant }) {
  if (at < data.life.from || at > data.life.to) return <span class="muted">not open</span>;
  if (at > frame.recorded.to || at < (data.knownFrom ?? frame.recorded.from)) return <span class="muted">not known</span>;
  const holders = holdersAt(data, at, reach);
  const waiters = waitersAt(data, at);
  const filled = data.filled && filledAt(data.filled, at);
  return (
    <>
      {holders.length === 0 ? <b>{data.filled ? (filled == null ? "nothing told yet" : `${count(filled)} ${data.filled.what}`) : "nobody is recorded to have it"}</b> : holders.slice(0, NAMED).map((held, k) => <HolderLine key={k} held={held} at={at} />)}
      {waiters.length > 0 && (
        <>
          {holders.length === 0 && <br />}
          <span class="warn-text">{plural(waiters.length, "task waits", "tasks wait")}</span>: {waiters.slice(0, NAMED).map(({ wait, from }) => `${who(wait.task, wait.task_name)} to ${wait.op || "go on"} for ${duration(at - from)}`).join(", ")}{waiters.length > NAMED && ` and ${count(waiters.length - NAMED)} more`}
          <br />
        </>
      )}
      {holders.length > 0 && filled != null && <><span class="muted">{count(filled)} {data.filled!.what}</span><br /></>}
      <span class="muted">{clock(plus(base, at), frame.view.span / 1000)}{holders.length > 0 && " · click to pin the holder"}</span>
    </>
  );
}

function HolderLine({ held, at }: { held: Held; at: number }) {
  return (
    <>
      <b>{who(held.hold.task, held.hold.task_name)}</b> <span class="muted">has it, {held.to === Infinity ? `for ${duration(at - held.from)} so far` : `for ${duration(held.to - held.from)}${held.hold.over ? "" : " at least"}`}</span>
      {held.hold.location && <> <span class="place">{shortPlace(held.hold.location)}</span></>}
      <br />
    </>
  );
}

interface Row {
  readonly what: "holds" | "waits";
  readonly task: string | null;
  readonly name: string | null;
  readonly from: number;
  readonly to: number;
  readonly location: string | null;
  readonly state: string;
}

function Rows({ data, name, frame, base }: { data: Data; name: string; frame: { view: View; recorded: Extent }; base: Instant }) {
  const isIn = (row: Row) => row.from < viewEnd(frame.view) && row.to > frame.view.start;
  const holds = data.holds.map(({ hold, from, to }): Row => ({ what: "holds", task: hold.task, name: hold.task_name, from, to, location: hold.location, state: hold.over ? "given back" : to === Infinity ? "still has it" : "end not known" }));
  const waits = data.waits.map(({ wait, from, to }): Row => ({ what: "waits", task: wait.task, name: wait.task_name, from, to, location: wait.location, state: wait.state }));
  const all = [...holds, ...waits].filter(isIn).sort((a, b) => a.from - b.from);
  const rows = all.slice(0, MAX_ROWS);
  const columns: readonly Column<Row>[] = [
    { key: "since", title: "Since", width: "140px", isNumber: true, cell: (row) => clock(plus(base, row.from), MICROSECOND), value: (row) => String(plus(base, row.from)) },
    { key: "length", title: "Length", width: "96px", isNumber: true, cell: (row) => (row.to === Infinity ? "lasts" : duration(row.to - row.from)), value: (row) => (row.to === Infinity ? null : row.to - row.from) },
    { key: "what", title: "Does", width: "72px", cell: (row) => row.what, value: (row) => row.what },
    { key: "task", title: "Task", width: "22%", cell: (row) => (row.task ? <a href={link(`/tasks/${processId.value}/${row.task}`)}>{who(row.task, row.name)}</a> : <span class="muted">no task</span>), value: (row) => row.task },
    { key: "location", title: "At", cell: (row) => <Place text={row.location} />, value: (row) => row.location },
    { key: "state", title: "State", width: "112px", cell: (row) => row.state, value: (row) => row.state },
  ];
  const id = data.answer.resource.resource;
  return (
    <Card title={name} isFlush tools={<TableTools name={`resource-${id}-lane`} columns={columns} rows={() => rows} sql={`SELECT task, op, began_at, duration(length) AS waited, state\nFROM waits\nWHERE process = ${processId.value} AND resource = ${id}\nORDER BY began_at DESC\nLIMIT 100`} />}>
      <p class="body muted">{summaryText(data, frame)}. Holds that were short, and for which nobody waited, are not recorded.{all.length > rows.length && ` The first ${count(MAX_ROWS)} rows are listed.`}{data.knownFrom != null && data.knownFrom > frame.view.start && ` What was before ${clock(plus(base, data.knownFrom))} is left out; zoom in there.`}</p>
      <Table caption={`Who has ${name} and who waits, ${plural(rows.length, "row")}`} columns={columns} total={rows.length} rowAt={(k) => rows[k]} rowKey={(row) => `${row.what} ${row.task} ${row.from}`} height={rows.length > 12 ? "360px" : ""} />
    </Card>
  );
}
