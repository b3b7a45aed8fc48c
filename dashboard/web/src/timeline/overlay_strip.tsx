//! A lane of its own on the timeline: the rows of a query, as spans and points. Its statement is in the address (`overlay`).

import { useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { isAbort, runQuery } from "../api/client.ts";
import type { QueryAnswer } from "../api/types.ts";
import { isDark } from "../app/theme.ts";
import { queryAsCli } from "../app/as_cli.ts";
import { place, setQuery } from "../app/router.ts";
import { link } from "../app/session.ts";
import { clock, count, duration, plural } from "../base/format.ts";
import { between, MICROSECOND, plus } from "../base/instant.ts";
import { focus, toOffset, toPixel, viewEnd } from "../model/geometry.ts";
import { readPalette, surface } from "../ui/canvas.ts";
import { Table, type Column } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import type { Timeline } from "./controller.ts";
import { layLines, overlayOf, type Overlay, type OverlayItem } from "./overlay_rows.ts";

/** Rows asked for at most; the strip says when there were more. */
const LIMIT = 5000;
const MAX_LINES = 6;
const LINE = 14;
const PAD = 6;
/** Pixels around an item in which a pointer still means it. */
const REACH = 4;

export function OverlayStrip({ timeline, isTable }: { timeline: Timeline; isTable: boolean }) {
  const sql = place.value.query.get("overlay") ?? "";
  const [again, setAgain] = useState(0);
  const [state, setState] = useState<{ answer: QueryAnswer | null; error: string | null }>({ answer: null, error: null });
  useEffect(() => {
    const controller = new AbortController();
    setState({ answer: null, error: null });
    runQuery(sql, LIMIT, controller.signal).then((answer) => setState({ answer, error: null }), (cause: unknown) => {
      if (!isAbort(cause)) setState({ answer: null, error: (cause as Error).message });
    });
    return () => controller.abort();
  }, [sql, again]);
  const overlay = useMemo(() => state.answer && overlayOf(state.answer), [state.answer]);
  const left = [
    state.answer?.truncated && `only the first ${count(LIMIT)} rows`,
    overlay && overlay.timeless > 0 && `${plural(overlay.timeless, "row")} without a time left out`,
  ].filter(Boolean).join(", ");
  return (
    <section class="overlay" aria-label="Overlay of a query" data-testid="overlay">
      <div class="overlay-name">
        <b class="ellipsis" title={sql}>Overlay</b>
        <span class="muted" role="status" data-testid="overlay-status">{state.error ? "failed" : !state.answer ? "asking…" : overlay ? `${plural(overlay.items.length, "row")}${left ? `; ${left}` : ""}` : "no times"}</span>
        <span class="overlay-do">
          <a href={link("/query", { sql, show: "timeline" })} title={sql}>Edit</a>
          <button type="button" class="link" onClick={() => setAgain(again + 1)}>Ask again</button>
          <button type="button" class="link" onClick={() => setQuery({ overlay: null })} data-testid="overlay-remove">Remove</button>
        </span>
      </div>
      {state.error ? <p class="overlay-note bad-text" role="alert">{state.error}</p>
        : !overlay ? <p class="overlay-note muted">{state.answer ? "No row of the result has a time: select an instant as start_at or at." : "Asking loopd…"}</p>
          : isTable ? <OverlayTable timeline={timeline} overlay={overlay} sql={sql} /> : <OverlayCanvas timeline={timeline} overlay={overlay} />}
    </section>
  );
}

function OverlayCanvas({ timeline, overlay }: { timeline: Timeline; overlay: Overlay }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [pointed, setPointed] = useState<number | null>(null);
  const [chosen, setChosen] = useState<number | null>(null);
  const [said, setSaid] = useState("");
  const laid = useMemo(() => layLines(overlay.items, MAX_LINES), [overlay]);
  const starts = useMemo(() => Float64Array.from(overlay.items, (item) => between(timeline.base, item.at)), [overlay, timeline]);
  const height = PAD * 2 + laid.used * LINE;
  const lengthOf = (item: OverlayItem, start: number) => (item.isOpen ? Math.max(timeline.extent.peek().to - start, 0) : item.length);

  const draw = () => {
    const target = canvas.current && surface(canvas.current);
    if (!target) return;
    const { context: c } = target;
    const palette = readPalette();
    const view = timeline.view.peek();
    c.fillStyle = palette.lane;
    c.fillRect(0, 0, target.width, height);
    c.font = `11px ${palette.font}`;
    c.textBaseline = "middle";
    const end = viewEnd(view);
    for (const pass of [0, 1]) {
      overlay.items.forEach((item, k) => {
        const isMarked = k === pointed || k === chosen;
        if (isMarked !== (pass === 1)) return;
        const start = starts[k]!;
        const length = lengthOf(item, start);
        if (start > end || start + length < view.start) return;
        const x = toPixel(view, target.width, start);
        const to = toPixel(view, target.width, start + length);
        const y = PAD + laid.lines[k]! * LINE;
        c.fillStyle = isMarked ? palette.bad : palette.accent;
        if (length === 0) return drawPoint(c, x, y + LINE / 2);
        const [left, right] = [Math.max(x, -2), Math.min(Math.max(to, x + 1.5), target.width + 2)];
        c.fillRect(left, y + 1, right - left, LINE - 3);
        // So that one that follows another at once is seen to begin.
        c.fillStyle = palette.lane;
        if (right - left > 6) c.fillRect(left, y + 1, 1, LINE - 3);
        if (right - left > 40 && item.label) {
          c.save();
          c.beginPath();
          c.rect(left + 3, y, right - left - 6, LINE);
          c.clip();
          c.fillStyle = palette.onBad;
          c.fillText(item.label.slice(0, 120), Math.max(left, 0) + 4, y + LINE / 2);
          c.restore();
        }
      });
    }
  };
  const frame = useRef(0);
  const latest = useRef(draw);
  latest.current = draw;
  const schedule = () => {
    if (frame.current === 0) frame.current = requestAnimationFrame(() => { frame.current = 0; latest.current(); });
  };
  useSignalEffect(() => {
    void [timeline.view.value, timeline.extent.value];
    schedule();
  });
  useEffect(schedule, [width, height, pointed, chosen, overlay, isDark.value]);
  useEffect(() => {
    // As wide as the lanes, which may have a scroll bar beside them.
    const lanes = document.querySelector<HTMLElement>(".lane-canvas");
    const observer = new ResizeObserver(() => setWidth(lanes?.clientWidth ?? 0));
    if (lanes) observer.observe(lanes);
    return () => {
      observer.disconnect();
      cancelAnimationFrame(frame.current);
    };
  }, []);

  /** What is at a pixel: the item drawn last. */
  const itemAt = (x: number, y: number): number | null => {
    const view = timeline.view.peek();
    const offset = toOffset(view, width, x);
    const reach = (view.span / Math.max(width, 1)) * REACH;
    const line = Math.floor((y - PAD) / LINE);
    for (let k = overlay.items.length - 1; k >= 0; k -= 1) {
      if (laid.lines[k] !== line) continue;
      const start = starts[k]!;
      if (offset >= start - reach && offset <= start + lengthOf(overlay.items[k]!, start) + reach) return k;
    }
    return null;
  };
  const local = (event: MouseEvent) => {
    const box = canvas.current!.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const zoomTo = (k: number) => timeline.show(focus(starts[k]!, Math.max(lengthOf(overlay.items[k]!, starts[k]!), timeline.view.peek().span / 1000), 0.6, timeline.extent.peek()));
  const choose = (k: number | null) => {
    setChosen(k);
    if (k != null) setSaid(describe(overlay.items[k]!));
  };
  const down = useRef<{ x: number; start: number; hasMoved: boolean } | null>(null);
  const onKey = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step !== 0) {
      event.preventDefault();
      event.stopPropagation();
      const view = timeline.view.peek();
      // From where one looks, if nothing is chosen yet.
      const here = step > 0 ? starts.findIndex((start) => start >= view.start) - 1 : starts.findLastIndex((start) => start <= viewEnd(view)) + 1;
      const next = Math.min(Math.max((chosen ?? here) + step, 0), overlay.items.length - 1);
      choose(next);
      if (starts[next]! < view.start || starts[next]! > viewEnd(view)) timeline.panTo(starts[next]! - view.span / 2);
    } else if (event.key === "Enter" && chosen != null) {
      event.preventDefault();
      event.stopPropagation();
      zoomTo(chosen);
    } else if (event.key === "Escape" && chosen != null) choose(null);
  };
  const inView = useMemo(() => overlay.items.length, [overlay]);
  const summary = `${plural(inView, "row")} of a query${laid.covered > 0 ? `, ${laid.covered} of them behind others` : ""}. Left and right go from row to row, Enter zooms to it.`;
  const shown = pointed ?? chosen;
  return (
    <div class="overlay-plot" tabIndex={0} role="application" aria-label={summary} onKeyDown={onKey} data-testid="overlay-keys">
      <canvas ref={canvas} style={{ width: `${width}px`, height: `${height}px` }} role="img" aria-label={summary} data-testid="overlay-canvas" data-lines={laid.used}
        onPointerDown={(event) => { if (event.button === 0) { event.currentTarget.setPointerCapture(event.pointerId); down.current = { x: local(event).x, start: timeline.view.peek().start, hasMoved: false }; } }}
        onPointerMove={(event) => {
          const { x, y } = local(event);
          const drag = down.current;
          if (!drag) return setPointed(itemAt(x, y));
          if (!drag.hasMoved && Math.abs(x - drag.x) < REACH) return;
          drag.hasMoved = true;
          timeline.panTo(drag.start - ((x - drag.x) / width) * timeline.view.peek().span);
        }}
        onPointerUp={(event) => {
          const { x, y } = local(event);
          if (down.current && !down.current.hasMoved) choose(itemAt(x, y));
          down.current = null;
        }}
        onPointerCancel={() => (down.current = null)}
        onPointerLeave={() => setPointed(null)}
        onDblClick={(event) => { const k = itemAt(local(event).x, local(event).y); if (k != null) zoomTo(k); }}
      />
      {laid.covered > 0 && <span class="overlay-covered muted">{plural(laid.covered, "row")} behind others</span>}
      {shown != null && overlay.items[shown] && <Tip item={overlay.items[shown]!} x={toPixel(timeline.view.value, width, starts[shown]!)} width={width} top={height} />}
      <p class="visually-hidden" aria-live="polite" data-testid="overlay-said">{said}</p>
    </div>
  );
}

function drawPoint(c: CanvasRenderingContext2D, x: number, y: number): void {
  c.beginPath();
  c.moveTo(x, y - 5);
  c.lineTo(x + 4, y);
  c.lineTo(x, y + 5);
  c.lineTo(x - 4, y);
  c.fill();
}

function lengthText(item: OverlayItem): string {
  return item.isOpen ? "no end yet" : item.length === 0 ? "a point" : duration(item.length);
}

function describe(item: OverlayItem): string {
  return `${item.label || "Row"}, ${lengthText(item)}, at ${clock(item.at, MICROSECOND)}`;
}

/** Longer labels are cut in the tooltip; the table has them whole. */
const MAX_LABEL = 200;
const TIP_WIDTH = 320;

function Tip({ item, x, width, top }: { item: OverlayItem; x: number; width: number; top: number }) {
  const label = item.label.length > MAX_LABEL ? `${item.label.slice(0, MAX_LABEL)}…` : item.label;
  return (
    <div class="overlay-tip" style={{ left: `${Math.max(0, Math.min(x + 8, width - TIP_WIDTH))}px`, top: `${top}px` }} role="presentation" data-testid="overlay-tip">
      {label && <><bdi class="overlay-label">{label}</bdi><br /></>}
      <b>{lengthText(item)}</b> <span class="muted">· {clock(item.at, MICROSECOND)}</span>
    </div>
  );
}

/** The same rows, of the part of time that is in view. */
function OverlayTable({ timeline, overlay, sql }: { timeline: Timeline; overlay: Overlay; sql: string }) {
  const view = timeline.view.value;
  const items = overlay.items.filter((item) => {
    const start = between(timeline.base, item.at);
    return start <= viewEnd(view) && (item.isOpen || start + item.length >= view.start);
  });
  const columns: readonly Column<OverlayItem>[] = [
    { key: "start_at", title: "Start", width: "140px", cell: (item) => clock(item.at, MICROSECOND), value: (item) => String(item.at) },
    { key: "length", title: "Length", width: "96px", isNumber: true, cell: (item) => lengthText(item), value: (item) => (item.isOpen ? null : item.length) },
    { key: "end_at", title: "End", width: "140px", cell: (item) => (item.isOpen ? <span class="muted">none yet</span> : clock(plus(item.at, item.length), MICROSECOND)), value: (item) => (item.isOpen ? null : String(plus(item.at, item.length))) },
    { key: "label", title: "Label", cell: (item) => <bdi>{item.label}</bdi>, value: (item) => item.label },
  ];
  return (
    <div class="overlay-table">
      <header class="row"><span class="grow muted">{plural(items.length, "row")} in view</span><TableTools name="overlay" columns={columns} rows={() => items} sql={sql} cli={queryAsCli(sql)} /></header>
      <Table caption="Overlay" columns={columns} total={items.length} rowAt={(k) => items[k]} rowKey={(item) => `${item.at} ${item.label}`} height="200px" testId="overlay-table" />
    </div>
  );
}
