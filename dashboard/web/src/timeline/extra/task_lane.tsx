//! A pinned task: when it ran, was ready to, waited for what, or was idle.

import { apiUrl, get } from "../../api/client.ts";
import type { LaneTask, TaskLaneAnswer } from "../../api/types.ts";
import { clock, count, duration, percent, plural, shortPlace } from "../../base/format.ts";
import { MICROSECOND, plus, type Instant } from "../../base/instant.ts";
import { link, processId } from "../../app/session.ts";
import { toOffset, toPixel, viewEnd, type Extent, type View } from "../../model/geometry.ts";
import { shownName } from "../../model/names.ts";
import { decodeTaskLane, momentAt, momentsIn, statesIn, waitText, type Moment, type Spans, type States, type TaskLane } from "../../model/task_lane.ts";
import { Card, Place } from "../../ui/small.tsx";
import { Table, type Column } from "../../ui/table.tsx";
import { TableTools } from "../../ui/table_tools.tsx";
import { hatch, inkOn, type Surface } from "../../ui/canvas.ts";
import type { ExtraLane, Frame } from "./lane.ts";
import { LaneLoader } from "./lane_loader.ts";
import { drawGround, drawHole, drawLabel, drawLaneLosses } from "./pens.ts";

const HEIGHT = 48;
/** Above and below what is drawn. */
const PAD = 8;
/** Polls at least this wide, in CSS pixels, are drawn singly. */
const WIDE = 2;
/** Rows of the table; zoom in for the rest. */
const MAX_ROWS = 2000;
/** Pixels around a poll in which the pointer still means it. */
const REACH = 3;

type Data = TaskLane & { readonly isExact: boolean };

export interface TaskLaneHost {
  readonly process: number;
  readonly base: Instant;
  /** Shows a poll of a worker. */
  showPoll(poll: { loop: string; worker: number; start: number; length: number }): void;
  unpin(): void;
}

export function taskLane(id: string, host: TaskLaneHost): ExtraLane<Data> {
  const loader = new LaneLoader<Data>(async (range, columns, recorded, abort) => {
    const url = apiUrl("/lanes/task", { process: host.process, task: id, from: String(plus(host.base, Math.floor(range.from))), to: String(plus(host.base, Math.ceil(range.to))), width: columns });
    const answer = await get<TaskLaneAnswer>(url, abort);
    const lane = decodeTaskLane(answer, host.base, { from: range.from, to: Math.min(range.to, recorded.to) }, recorded);
    return { ...lane, isExact: answer.polls != null && answer.known_from == null && answer.waits_from == null };
  });
  const name = (data: Data | null) => (data?.answer.name ? shownName(data.answer.name) : `task ${id}`);
  const statesOf = (data: Data, { view, recorded }: Pick<Frame, "view" | "recorded">) => statesIn(data, view.start, viewEnd(view), recorded);
  return {
    key: `t${id}`, loader, loop: null, lostKinds: ["poll", "wake", "task", "wait", "any"],
    height: () => HEIGHT,
    name,
    title: (data) => <a href={link(`/tasks/${host.process}/${id}`)} title={`${name(data)} · task ${id}`}>{name(data)}</a>,
    detail: (data) => <span title={data?.answer.location ?? ""}>{data ? (data.answer.location ? shortPlace(data.answer.location) : `task ${id}`) : "loading…"}</span>,
    draw,
    tip: (data, frame, width, x) => <Tip moment={momentUnder(data, frame, width, x)} data={data} base={host.base} at={toOffset(frame.view, width, x)} />,
    click: (data, frame, width, x) => {
      const moment = momentUnder(data, frame, width, x);
      if (moment.kind !== "running" || moment.worker == null) return null;
      return () => host.showPoll({ loop: moment.loop!, worker: moment.worker!, start: moment.from!, length: moment.to! - moment.from! });
    },
    summary: (data, frame) => (data ? `Task ${name(data)} in view: ${statesText(statesOf(data, frame))}` : `Task ${id}: loading`),
    table: (data, frame) => <Rows data={data} name={name(data)} frame={frame} base={host.base} states={statesOf(data, frame)} />,
    remove: host.unpin,
  };
}

function momentUnder(data: Data, { view, recorded }: Frame, width: number, x: number): Moment {
  return momentAt(data, toOffset(view, width, x), (view.span / width) * REACH, recorded);
}

function draw(target: Surface, data: Data, frame: Frame): void {
  const { view, palette } = frame;
  const { context: c, width, height } = target;
  drawGround(target, frame, { from: -Infinity, to: Infinity });
  const top = PAD;
  const body = height - 2 * PAD;
  const middle = height / 2;
  // Where it does not live there is nothing, which is not the same as not known.
  c.fillStyle = palette.surface;
  const born = toPixel(view, width, data.life.from);
  const dead = toPixel(view, width, Math.min(data.life.to, frame.recorded.to));
  if (born > 0) c.fillRect(0, 0, Math.min(born, width), height);
  if (data.life.to !== Infinity && dead < width) c.fillRect(Math.max(dead, 0), 0, width, height);
  const left = Math.max(born, 0);
  const right = Math.min(dead, width);
  if (right > left) {
    c.fillStyle = palette.ink3;
    c.fillRect(left, Math.round(middle), right - left, 1);
  }
  drawEnds(c, data, born, dead, width, height, frame);
  drawWaits(target, data, frame, top, body);
  drawBusy(target, data, frame, top, body);
  const cut = Math.max(data.knownFrom ?? -Infinity, data.waitsFrom ?? -Infinity);
  if (cut > view.start) drawHole(target, frame, { from: data.life.from, to: cut });
  drawLaneLosses(target, frame);
}

function drawEnds(c: CanvasRenderingContext2D, data: Data, born: number, dead: number, width: number, height: number, { palette }: Frame): void {
  c.fillStyle = palette.ink3;
  if (data.answer.spawned_at && born >= 0 && born <= width) c.fillRect(born, PAD, 2, height - 2 * PAD);
  if (data.life.to === Infinity || dead < 0 || dead > width) return;
  c.fillRect(dead - 1, PAD, 2, height - 2 * PAD);
  drawLabel(c, data.answer.outcome ?? "ended", dead + 2, width, height / 2, width, palette.ink3);
}

function drawWaits(target: Surface, data: Data, { view, recorded, palette }: Frame, top: number, body: number): void {
  const { context: c, width, ratio } = target;
  const inset = body * 0.2;
  const stripes = hatch(c, palette.accent, ratio, 5);
  for (const one of data.waits) {
    const x = Math.max(toPixel(view, width, one.from), -4);
    const right = Math.min(toPixel(view, width, Math.min(one.to, recorded.to)), width + 4);
    if (right < 0 || x > width) continue;
    const w = Math.max(right - x, 1);
    if (w <= 3) {
      // Narrower than a pixel it is as faint as it is short, so that many of them do not look like one.
      c.globalAlpha = Math.max(Math.min(right - x, 1), 0.2);
      c.fillStyle = palette.accent;
      c.fillRect(x, top + inset, w, body - 2 * inset);
      c.globalAlpha = 1;
      continue;
    }
    c.fillStyle = palette.accentSoft;
    c.fillRect(x, top + inset, w, body - 2 * inset);
    // Striped, so that it is told apart from what runs without its colour.
    if (stripes && w > 6) {
      c.globalAlpha = 0.28;
      c.fillStyle = stripes;
      c.fillRect(x, top + inset, w, body - 2 * inset);
      c.globalAlpha = 1;
    }
    c.strokeStyle = palette.accent;
    c.lineWidth = 1;
    c.strokeRect(x + 0.5, top + inset + 0.5, w - 1, body - 2 * inset - 1);
    const text = `waits to ${waitText(one.wait)}`;
    const room = Math.min(right, width) - Math.max(x, 0);
    if (room > 48) {
      const wide = Math.min(c.measureText(text).width + 8, room - 4);
      c.fillStyle = palette.accentSoft;
      c.fillRect(Math.max(x, 0) + 2, top + inset + 1, wide, body - 2 * inset - 2);
    }
    drawLabel(c, text, x, right, top + body / 2, width, palette.ink);
  }
}

/** Polls and the time before them: singly where they are wide enough, and as shares of each pixel where they are not. */
function drawBusy(target: Surface, data: Data, { view, palette }: Frame, top: number, body: number): void {
  const { context: c, width } = target;
  const pixels = Math.ceil(width);
  const perPixel = view.span / width;
  const running = new Float32Array(pixels);
  const ready = new Float32Array(pixels);
  const wide = { running: [] as number[], ready: [] as number[] };
  if (data.polls) spread(data.polls, view, perPixel, running, wide.running);
  else cells(data, data.answer.cells.running, view, perPixel, running);
  if (data.wakes) spread(data.wakes, view, perPixel, ready, wide.ready);
  else cells(data, data.answer.cells.ready, view, perPixel, ready);
  for (let x = 0; x < pixels; x += 1) {
    const low = Math.min(running[x]!, 1);
    const high = Math.min(ready[x]!, 1 - low);
    // Something that rounds to nothing still leaves a trace.
    const tall = low > 0 ? Math.max(low * body, 5) : 0;
    const above = high > 0 ? Math.max(high * body, 3) : 0;
    c.fillStyle = palette.classes[2];
    if (above > 0) c.fillRect(x, top + body - tall - above, 1, above);
    c.fillStyle = palette.classes[1];
    if (tall > 0) c.fillRect(x, top + body - tall, 1, tall);
  }
  // Ready is lower than running, so that they differ without their colours.
  c.fillStyle = palette.classes[2];
  if (data.wakes) for (const k of wide.ready) fill(c, data.wakes, k, view, width, top + body * 0.35, body * 0.65);
  c.fillStyle = palette.classes[1];
  if (!data.polls) return;
  for (const k of wide.running) fill(c, data.polls, k, view, width, top, body);
  for (const k of wide.running) {
    const x = toPixel(view, width, data.polls.start[k]!);
    drawLabel(c, duration(data.polls.length[k]!), x, x + data.polls.length[k]! / perPixel, top + body / 2, width, inkOn(palette.classes[1]));
  }
}

function fill(c: CanvasRenderingContext2D, spans: Spans, k: number, view: View, width: number, top: number, height: number): void {
  const x = Math.max(toPixel(view, width, spans.start[k]!), -2);
  const right = Math.min(toPixel(view, width, spans.start[k]! + spans.length[k]!), width + 2);
  c.fillRect(x, top, Math.max(right - x - 0.5, 1), height);
}

function spread(spans: Spans, view: View, perPixel: number, share: Float32Array, wide: number[]): void {
  for (let k = 0; k < spans.start.length; k += 1) {
    const from = (spans.start[k]! - view.start) / perPixel;
    const to = from + spans.length[k]! / perPixel;
    if (to < 0 || from > share.length) continue;
    if (to - from >= WIDE) wide.push(k);
    else add(share, from, to, 1);
  }
}

function cells(data: Data, values: readonly number[], view: View, perPixel: number, share: Float32Array): void {
  data.answer.cells.i.forEach((i, k) => {
    const from = (data.origin + i * data.step - view.start) / perPixel;
    const to = from + data.step / perPixel;
    if (to >= 0 && from <= share.length && values[k]! > 0) add(share, from, to, values[k]! / data.step);
  });
}

function add(share: Float32Array, from: number, to: number, part: number): void {
  for (let x = Math.max(0, Math.floor(from)); x < Math.min(to, share.length); x += 1) share[x]! += Math.max(Math.min(to, x + 1) - Math.max(from, x), 1e-6) * part;
}

export function statesText(states: States): string {
  const all = states.running + states.ready + states.waiting + states.idle;
  if (all === 0) return states.unknown > 0 ? "nothing is known of it here" : "it does not live here";
  const part = (text: string, value: number) => (value > 0 ? [`${text} ${duration(value)} (${percent(value / all)})`] : []);
  const waits = [...states.waits].sort((a, b) => b[1] - a[1]).slice(0, 3).map(([text, value]) => `to ${text} (${duration(value)})`);
  return [...part("running", states.running), ...part("ready", states.ready), ...part("waiting", states.waiting), ...part("idle", states.idle)].join(", ") + (waits.length > 0 ? `; waits ${waits.join(", ")}` : "") + (states.unknown > 0 ? `; ${duration(states.unknown)} not known` : "");
}

const WORDS: Readonly<Record<Moment["kind"], string>> = { running: "running", ready: "ready, not yet polled", waiting: "waiting", idle: "idle: nothing known to wait for", unknown: "not known", gone: "not alive" };

function Tip({ moment, data, base, at }: { moment: Moment; data: Data; base: Instant; at: number }) {
  const { from, to, wait } = moment;
  const isSummed = !data.polls && moment.kind === "unknown";
  return (
    <>
      <b>{isSummed ? "many polls" : moment.kind === "waiting" && wait ? `waits to ${waitText(wait.wait)}` : WORDS[moment.kind]}</b>
      {from != null && <span class="muted"> · {to == null ? `for ${duration(at - from)} so far` : duration(to - from)}</span>}
      {isSummed && <><br /><span class="muted">zoom in for single ones</span></>}
      {wait?.wait.holder && <><br />held by {holderText(wait.wait.holder)}</>}
      {wait?.wait.location && <><br /><span class="place">{shortPlace(wait.wait.location)}</span></>}
      {moment.kind === "running" && <><br /><span class="muted">on worker {moment.worker} · click for the poll</span></>}
      {moment.kind === "ready" && <><br /><span class="muted">woken {moment.by && moment.by !== "0" ? `by task ${moment.by}` : "by no task"}</span></>}
      {from != null && <><br /><span class="muted">since {clock(plus(base, from), MICROSECOND)}</span></>}
    </>
  );
}

function Rows({ data, name, frame, base, states }: { data: Data; name: string; frame: { view: View; recorded: Extent }; base: Instant; states: States }) {
  const rows = momentsIn(data, frame.view, MAX_ROWS);
  const columns: readonly Column<Moment>[] = [
    { key: "since", title: "Since", width: "140px", isNumber: true, cell: (row) => clock(plus(base, row.from!), MICROSECOND), value: (row) => String(plus(base, row.from!)) },
    { key: "length", title: "Length", width: "96px", isNumber: true, cell: (row) => (row.to == null ? "lasts" : duration(row.to - row.from!)), value: (row) => (row.to == null ? null : row.to - row.from!) },
    { key: "state", title: "State", width: "160px", cell: (row) => WORDS[row.kind], value: (row) => row.kind },
    { key: "what", title: "What", cell: (row) => whatOf(row), value: (row) => whatOf(row) },
    { key: "location", title: "At", cell: (row) => (row.wait ? <Place text={row.wait.wait.location} /> : ""), value: (row) => row.wait?.wait.location ?? null },
  ];
  return (
    <Card title={name} isFlush tools={<TableTools name={`task-${data.answer.task}-states`} columns={columns} rows={() => rows} sql={`SELECT start_at, length, worker\nFROM polls\nWHERE process = ${processId.value} AND task = ${data.answer.task}\nORDER BY start_at DESC\nLIMIT 100`} />}>
      <p class="body muted">{statesText(states)}.{!data.polls && " There are too many polls here to list them; zoom in."}{rows.length >= MAX_ROWS && ` The first ${count(MAX_ROWS)} are listed.`}{!data.answer.has_wakes && " Its wakes are not recorded, so nobody knows when it was ready."}</p>
      <Table caption={`States of ${name}, ${plural(rows.length, "row")}`} columns={columns} total={rows.length} rowAt={(k) => rows[k]} rowKey={(row) => `${row.kind} ${row.from}`} height={rows.length > 12 ? "360px" : ""} />
    </Card>
  );
}

function holderText(holder: LaneTask): string {
  return holder.name ? shownName(holder.name) : `task ${holder.task}`;
}

function whatOf(row: Moment): string {
  if (row.wait) return `${waitText(row.wait.wait)}${row.wait.wait.holder ? `, held by ${holderText(row.wait.wait.holder)}` : ""}`;
  if (row.kind === "running") return `on worker ${row.worker}`;
  return row.by && row.by !== "0" ? `woken by task ${row.by}` : row.kind === "ready" ? "woken by no task" : "";
}
