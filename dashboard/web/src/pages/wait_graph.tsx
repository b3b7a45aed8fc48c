//! Who waits for whom as a picture: tasks left of what they wait for, and that left of who holds it.
//!
//! The table beside it has the same rows; what is drawn, folded or left out is decided in the model.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Wait } from "../api/types.ts";
import { count, plural } from "../base/format.ts";
import { navigate, place, setQuery } from "../app/router.ts";
import { link, processId } from "../app/session.ts";
import { layered, pathOf, type Point } from "../model/layers.ts";
import { chainOf, waitGraph, type WaitEdge, type WaitGraph, type WaitNode } from "../model/wait_graph.ts";

const SIZES = { width: 216, height: 46, gapX: 76, gapY: 16, aspect: 2 };
const MARGIN = 24;
/** Of the text from the sides of a box. */
const INSETS = { task: 12, resource: 20 };
/** Letters that fit into the two lines of a box; whatever is wider is cut by the box itself. */
const LETTERS = { title: 25, detail: 31 };
/** Smaller is not read any more: then a part of it is shown instead of all. */
const MIN_FIT = 0.6;
const [MIN_ZOOM, MAX_ZOOM] = [0.15, 2.5];
/** Waits told in the note on a node. */
const MAX_TOLD = 3;

/** Where the left upper corner is, and how large everything. */
interface View {
  readonly x: number;
  readonly y: number;
  readonly zoom: number;
}

export function WaitGraphView({ rows }: { rows: readonly Wait[] }) {
  const graph = useMemo(() => waitGraph(rows), [rows]);
  // A circle has to begin somewhere: with a task.
  const layout = useMemo(() => layered(["task", "resource"].flatMap((kind) => graph.nodes.filter((node) => node.kind === kind).map((node) => node.id)), graph.edges, SIZES), [graph]);
  const chosen = graph.nodes.find((node) => node.id === place.value.query.get("node")) ?? null;
  const choose = (id: string | null) => setQuery({ node: id });
  const { tasks, resources } = graph.leftOut;
  const out = [tasks > 0 && plural(tasks, "task"), resources > 0 && plural(resources, "resource")].filter(Boolean).join(" and ");
  return (
    <>
      <p class="wait-summary" data-testid="wait-summary" aria-live="polite">
        {graph.summary}
        {out && <span class="muted"> Not drawn: {out}. The table has them all.</span>}
      </p>
      <Canvas graph={graph} boxes={layout.boxes} arrows={layout.arrows} width={layout.width} height={layout.height} chosen={chosen} choose={choose} />
      {chosen && <Note node={chosen} close={() => choose(null)} />}
    </>
  );
}

interface CanvasProps {
  readonly graph: WaitGraph;
  readonly boxes: ReadonlyMap<string, Point>;
  readonly arrows: readonly (readonly Point[])[];
  readonly width: number;
  readonly height: number;
  readonly chosen: WaitNode | null;
  readonly choose: (id: string | null) => void;
}

function Canvas({ graph, boxes, arrows, width, height, chosen, choose }: CanvasProps) {
  const svg = useRef<SVGSVGElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  /** Null: as much as fits and can be read, whatever there is. */
  const [moved, setMoved] = useState<View | null>(null);
  const drag = useRef<{ x: number; y: number; view: View; isMoved: boolean } | null>(null);
  // What most tasks wait for comes first in the graph.
  const fitted = (smallest: number) => fit(width, height, size, boxes.get(graph.nodes[0]!.id)!, smallest);
  const view = moved ?? fitted(MIN_FIT);
  const now = useRef(view);
  now.current = view;
  const zoomAt = (x: number, y: number, factor: number) => setMoved(zoomed(now.current, x, y, factor));
  const showAll = () => setMoved(fitted(MIN_ZOOM).zoom < MIN_FIT ? fitted(MIN_ZOOM) : null);
  const panBy = (x: number, y: number) => setMoved({ ...now.current, x: now.current.x + x, y: now.current.y + y });

  useEffect(() => {
    const element = svg.current!;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    // Preact's own listeners could not keep the page from scrolling.
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const box = element.getBoundingClientRect();
      zoomAt(event.clientX - box.left, event.clientY - box.top, 1.0015 ** -event.deltaY);
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => {
      observer.disconnect();
      element.removeEventListener("wheel", onWheel);
    };
  }, []);

  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const middle = [size.width / 2, size.height / 2] as const;
    const actions: Record<string, () => void> = {
      ArrowLeft: () => panBy(60, 0), ArrowRight: () => panBy(-60, 0), ArrowUp: () => panBy(0, 60), ArrowDown: () => panBy(0, -60),
      "+": () => zoomAt(...middle, 1.25), "=": () => zoomAt(...middle, 1.25), "-": () => zoomAt(...middle, 0.8), "0": showAll, Escape: () => choose(null),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  };
  const onDown = (event: PointerEvent) => {
    if (event.button === 0) drag.current = { x: event.clientX, y: event.clientY, view: now.current, isMoved: false };
  };
  const onMove = (event: PointerEvent) => {
    const held = drag.current;
    if (!held || event.buttons === 0) return;
    const [x, y] = [event.clientX - held.x, event.clientY - held.y];
    if (!held.isMoved && Math.abs(x) + Math.abs(y) < 4) return;
    // Only now: a captured pointer would click on the picture instead of a node.
    if (!held.isMoved) svg.current!.setPointerCapture(event.pointerId);
    held.isMoved = true;
    setMoved({ ...held.view, x: held.view.x + x, y: held.view.y + y });
  };
  const onClick = (event: MouseEvent) => {
    const wasDrag = drag.current?.isMoved === true;
    drag.current = null;
    if (wasDrag) event.preventDefault();
    else if (event.target === svg.current) choose(null);
    return wasDrag;
  };
  /** A node that has got the focus is moved into sight. */
  const reveal = (id: string) => {
    const { x, y, zoom } = now.current;
    const corner = boxes.get(id)!;
    const by = (from: number, length: number, room: number) => (from < MARGIN ? MARGIN - from : from + length > room - MARGIN ? Math.max(room - MARGIN - from - length, MARGIN - from) : 0);
    const [dx, dy] = [by(x + corner.x * zoom, SIZES.width * zoom, size.width), by(y + corner.y * zoom, SIZES.height * zoom, size.height)];
    if (dx !== 0 || dy !== 0) panBy(dx, dy);
  };
  const chain = chosen && chainOf(graph, chosen.id);
  return (
    <div class="wait-canvas">
      <svg ref={svg} role="group" aria-label={`Who waits for whom. ${graph.summary}`} tabIndex={0} class={chain ? "chosen" : ""} data-testid="wait-graph" onKeyDown={onKey} onPointerDown={onDown} onPointerMove={onMove} onClick={onClick}>
        <defs>
          {([["plain", 8], ["circle", 13]] as const).map(([name, length]) => (
            <marker key={name} id={`head-${name}`} viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth={length} markerHeight={length} markerUnits="userSpaceOnUse" orient="auto">
              <path class={`wait-head ${name}`} d="M0 0.5 8 4 0 7.5Z" />
            </marker>
          ))}
          {(["task", "resource"] as const).map((kind) => <clipPath key={kind} id={`inside-${kind}`}><rect x={INSETS[kind]} width={SIZES.width - 2 * INSETS[kind]} height={SIZES.height} /></clipPath>)}
        </defs>
        <g transform={`translate(${view.x} ${view.y}) scale(${view.zoom})`}>
          {graph.edges.map((edge, k) => <Arrow key={`${edge.from} ${edge.to}`} edge={edge} points={arrows[k]!} isOn={chain == null || (chain.has(edge.from) && chain.has(edge.to))} />)}
          {graph.nodes.map((node) => <Box key={node.id} node={node} at={boxes.get(node.id)!} isChosen={node === chosen} isOn={chain?.has(node.id) ?? true} choose={choose} reveal={reveal} />)}
        </g>
      </svg>
      <div class="wait-zoom">
        <button type="button" class="icon-button" aria-label="Zoom in" title="Zoom in (+)" onClick={() => zoomAt(size.width / 2, size.height / 2, 1.25)}>+</button>
        <button type="button" class="icon-button" aria-label="Zoom out" title="Zoom out (−)" onClick={() => zoomAt(size.width / 2, size.height / 2, 0.8)}>−</button>
        <button type="button" class="button quiet" title="Show all of it (0)" onClick={showAll}>Fit</button>
      </div>
      <Legend hasCircle={graph.edges.some((edge) => edge.isInCircle)} />
    </div>
  );
}

/** All of it in the middle, or, of what does not fit if it is to be read, the part around one box. */
function fit(width: number, height: number, size: { width: number; height: number }, main: Point, smallest: number): View {
  const share = Math.min((size.width - 2 * MARGIN) / width, (size.height - 2 * MARGIN) / height);
  const zoom = Math.min(Math.max(share, smallest), 1);
  const start = (room: number, length: number, middle: number) =>
    length * zoom <= room - 2 * MARGIN ? (room - length * zoom) / 2 : Math.min(Math.max(room / 2 - middle * zoom, room - MARGIN - length * zoom), MARGIN);
  return { x: start(size.width, width, main.x + SIZES.width / 2), y: start(size.height, height, main.y + SIZES.height / 2), zoom };
}

/** The point under the pointer stays there. */
function zoomed(view: View, x: number, y: number, factor: number): View {
  const zoom = Math.min(Math.max(view.zoom * factor, MIN_ZOOM), MAX_ZOOM);
  const by = zoom / view.zoom;
  return { x: x - (x - view.x) * by, y: y - (y - view.y) * by, zoom };
}

function Arrow({ edge, points, isOn }: { edge: WaitEdge; points: readonly Point[]; isOn: boolean }) {
  return <path class={`wait-arrow ${edge.kind} ${edge.isInCircle ? "circle" : ""} ${isOn ? "" : "off"}`} d={pathOf(points)} marker-end={`url(#head-${edge.isInCircle ? "circle" : "plain"})`} />;
}

function Box({ node, at, isChosen, isOn, choose, reveal }: { node: WaitNode; at: Point; isChosen: boolean; isOn: boolean; choose: (id: string) => void; reveal: (id: string) => void }) {
  const { width, height } = SIZES;
  const round = node.kind === "task" ? 6 : height / 2;
  const onClick = (event: MouseEvent) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    // A mouse asks for the chain first; Enter, and a second click, lead on.
    if (event.detail > 0 && !isChosen) choose(node.id);
    else navigate(hrefOf(node));
  };
  return (
    <g transform={`translate(${at.x} ${at.y})`}>
      <title>{`${node.title}${node.detail && `, ${node.detail}`}\nClick: its chain. Once more: ${node.subject == null ? "its waits in the table" : "its page"}.`}</title>
      <a
        href={hrefOf(node)} class={`wait-node ${node.kind} ${node.isInCircle ? "circle" : ""} ${isChosen ? "chosen" : ""} ${isOn ? "" : "off"}`} aria-current={isChosen ? "true" : undefined} data-testid="wait-node" data-circle={node.isInCircle}
        draggable={false} onClick={onClick} onFocus={(event) => event.currentTarget.matches(":focus-visible") && reveal(node.id)}
        onKeyDown={(event) => {
          if (event.key !== " ") return;
          event.preventDefault();
          choose(node.id);
        }}
      >
        {node.count > 1 && <rect class="behind" x="5" y="5" width={width} height={height} rx={round} />}
        <rect width={width} height={height} rx={round} />
        <g clip-path={`url(#inside-${node.kind})`}>
          <text class="title" x={INSETS[node.kind]} y={node.detail ? 19 : 28}>{clip(node.title, LETTERS.title)} </text>
          {node.detail && <text class="detail" x={INSETS[node.kind]} y="35">{clip(node.detail, LETTERS.detail)} </text>}
        </g>
        {node.isInCircle && (
          <g transform={`translate(${width - 62} -9)`}>
            <rect class="tag" width="54" height="17" rx="8.5" />
            <text class="tag" x="27" y="12.5" text-anchor="middle">↻ circle</text>
          </g>
        )}
      </a>
    </g>
  );
}

/** Where a node leads: to its page, or to its waits in the table. */
function hrefOf(node: WaitNode): string {
  const { query } = place.value;
  if (node.subject == null) return link("/waits", { at: query.get("at"), view: "table", q: node.search });
  return link(`/${node.kind === "task" ? "tasks" : "resources"}/${processId.value}/${node.subject}`);
}

/** Of a place that is too long the folders go first, of all else the middle. */
function clip(text: string, letters: number): string {
  const whole = Array.from(text.slice(0, 400).replace(/\s+/g, " "));
  const all = whole.length <= letters ? whole : Array.from(whole.join("").replace(/\S*\/(?=[^/\s]+:\d+$)/, "…/"));
  if (all.length <= letters) return all.join("");
  const head = Math.ceil(letters / 2) - 1;
  return `${all.slice(0, head).join("")}…${all.slice(all.length - (letters - head - 1)).join("")}`;
}

function Legend({ hasCircle }: { hasCircle: boolean }) {
  const line = (className: string) => <svg width="26" height="8" aria-hidden="true"><path class={`wait-arrow ${className}`} d="M0 4H26" /></svg>;
  return (
    <p class="wait-legend muted">
      <span>{line("waits")} waits for</span>
      <span>{line("held")} held by</span>
      {hasCircle && <span>{line("waits circle")} in a circle</span>}
    </p>
  );
}

/** What is known of the chosen node, in words. */
function Note({ node, close }: { node: WaitNode; close: () => void }) {
  const told = node.rows.slice(0, MAX_TOLD);
  const more = node.rows.length - told.length;
  const table = link("/waits", { at: place.value.query.get("at"), view: "table", q: node.search });
  return (
    <section class="wait-note" aria-label="Chosen" data-testid="wait-note">
      <div class="row">
        <b class="grow ellipsis" title={node.title}>{node.title}</b>
        <a class="button" href={hrefOf(node)}>{node.subject == null ? "In the table" : node.kind === "task" ? "Open task" : "Open resource"}</a>
        <button type="button" class="button quiet" onClick={close}>Close</button>
      </div>
      {told.length === 0 && <p class="muted">It waits for nothing known.</p>}
      <ul>
        {told.map((row) => <li key={row.wait}>{row.task == null ? "Outside any task: " : <>Task <a class="mono" href={link(`/tasks/${processId.value}/${row.task}`)}>{row.task}</a> </>}{row.text}.</li>)}
        {more > 0 && <li class="muted">and {count(more)} more; <a href={table}>the table has them all</a></li>}
      </ul>
    </section>
  );
}
