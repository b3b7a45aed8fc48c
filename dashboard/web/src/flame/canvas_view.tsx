//! The element that shows a flame graph and takes pointer and keys.

import { useEffect, useRef, useState } from "preact/hooks";
import { isDark } from "../app/theme.ts";
import type { Func, Node } from "../model/flame.ts";
import { boxAt, depthOf, rowOf, stepFrom, type Boxes, type Step } from "../model/flame_boxes.ts";
import { surface } from "../ui/canvas.ts";
import { drawFlame, readFlamePalette, ROW, topOf, viewOf, type FlamePalette, type FlameScene } from "./draw.ts";
import { FlameTip, type Say } from "./tip.tsx";

/** As high as a screen leaves room for; deeper stacks scroll. */
const MAX_HEIGHT = 23 * ROW;

export interface FlameViewProps {
  readonly boxes: Boxes;
  readonly funcs: readonly Func[];
  readonly labelOf: (node: Node) => string;
  readonly focus: number;
  readonly matches: Uint8Array | null;
  readonly isDiff: boolean;
  readonly isUp?: boolean;
  readonly summary: string;
  readonly say: Say;
  /** A box was clicked, or Enter was pressed on it. */
  readonly onOpen: (node: Node) => void;
  readonly testId: string;
}

export function FlameView(props: FlameViewProps) {
  const { boxes, isUp = false } = props;
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const palette = useRef<FlamePalette | null>(null);
  const frame = useRef(0);
  const [pointed, setPointed] = useState<{ index: number; x: number; y: number } | null>(null);
  const [selectedId, setSelected] = useState<string | null>(null);
  const selected = selectedId == null ? -1 : boxes.nodes.findIndex((node) => node.id === selectedId);
  const height = depthOf(boxes) * ROW;
  const shown = Math.min(height, MAX_HEIGHT);
  const borders = 2;
  const scene = (): FlameScene => ({
    boxes, funcs: props.funcs, labelOf: props.labelOf, focus: props.focus, matches: props.matches, isDiff: props.isDiff, isUp,
    hovered: pointed?.index ?? -1, selected, scrollTop: box.current?.scrollTop ?? 0,
  });
  const current = useRef(scene);
  current.current = scene;

  const draw = () => {
    frame.current = 0;
    const target = canvas.current && surface(canvas.current);
    if (!target) return;
    palette.current ??= readFlamePalette();
    const started = performance.now();
    drawFlame(target, current.current(), palette.current);
    // For the journey and for anyone with the developer tools open: how long the last frame took.
    canvas.current!.dataset["frameMs"] = (performance.now() - started).toFixed(2);
  };
  const schedule = () => {
    if (frame.current === 0) frame.current = requestAnimationFrame(draw);
  };
  useEffect(() => {
    palette.current = null;
    schedule();
  }, [isDark.value]);
  useEffect(schedule, [boxes, props.focus, props.matches, props.isDiff, isUp, pointed, selectedId]);
  useEffect(() => {
    const observer = new ResizeObserver(schedule);
    observer.observe(box.current!);
    return () => {
      observer.disconnect();
      cancelAnimationFrame(frame.current);
    };
  }, []);
  // What grows upwards begins at the bottom.
  useEffect(() => {
    if (isUp) box.current!.scrollTop = height;
  }, [isUp, height]);

  const indexAt = (event: MouseEvent): { index: number; x: number; y: number } => {
    const rect = canvas.current!.getBoundingClientRect();
    const [x, y] = [event.clientX - rect.left, event.clientY - rect.top];
    const line = Math.floor((y + box.current!.scrollTop) / ROW);
    const view = viewOf(scene());
    const row = isUp ? depthOf(boxes) - 1 - line : line;
    return { index: boxAt(boxes, row, view.start + (x / rect.width) * view.span), x: event.clientX, y: event.clientY };
  };
  const open = (index: number) => {
    const node = boxes.nodes[index];
    if (node) props.onOpen(node);
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps: Record<string, Step> = { ArrowLeft: "previous", ArrowRight: "next", ArrowDown: isUp ? "out" : "in", ArrowUp: isUp ? "in" : "out" };
    const step = steps[event.key];
    if (step) {
      event.preventDefault();
      const next = stepFrom(boxes, selected < 0 ? props.focus : selected, step);
      setSelected(boxes.nodes[next]?.id ?? null);
      setPointed(null);
      reveal(box.current!, boxes, next, isUp);
    } else if (event.key === "Enter" && selected >= 0) {
      event.preventDefault();
      open(selected);
    }
  };
  const tipAt = pointed && pointed.index >= 0 ? pointed : selected >= 0 && document.activeElement === box.current ? placeOf(canvas.current, scene(), selected) : null;
  return (
    <>
      <div
        class="flame-box" ref={box} tabIndex={0} role="application" style={{ height: `${shown + borders}px` }} data-testid={`${props.testId}-keys`}
        aria-label="Flame graph. Arrow keys step from box to box, Enter zooms into one, Escape zooms out." onKeyDown={onKey} onScroll={schedule} onBlur={() => setSelected(null)}
      >
        <div style={{ height: `${height}px` }}>
          <canvas
            ref={canvas} class="flame-canvas" role="img" aria-label={props.summary} style={{ height: `${shown}px` }} data-testid={props.testId} data-boxes={boxes.nodes.length}
            onPointerMove={(event) => setPointed(indexAt(event))} onPointerLeave={() => setPointed(null)} onClick={(event) => open(indexAt(event).index)}
          />
        </div>
      </div>
      {tipAt && boxes.nodes[tipAt.index] && <FlameTip node={boxes.nodes[tipAt.index]!} x={tipAt.x} y={tipAt.y} say={props.say} />}
      <p class="visually-hidden" aria-live="polite" data-testid={`${props.testId}-announcement`}>{selected >= 0 ? props.say(boxes.nodes[selected]!).join(", ") : ""}</p>
    </>
  );
}

/** Scrolls a box's row into sight. */
function reveal(element: HTMLElement, boxes: Boxes, index: number, isUp: boolean): void {
  if (index < 0) return;
  const top = topOf(boxes, rowOf(boxes, index), isUp);
  if (top < element.scrollTop) element.scrollTop = top;
  else if (top + ROW > element.scrollTop + element.clientHeight) element.scrollTop = top + ROW - element.clientHeight;
}

/** Where the tip of a box goes that was reached by keys. */
function placeOf(canvas: HTMLCanvasElement | null, scene: FlameScene, index: number): { index: number; x: number; y: number } | null {
  if (!canvas) return null;
  const rect = canvas.getBoundingClientRect();
  const view = viewOf(scene);
  const left = ((scene.boxes.starts[index]! - view.start) / view.span) * rect.width;
  const y = rect.top + topOf(scene.boxes, rowOf(scene.boxes, index), scene.isUp) - scene.scrollTop + ROW / 2;
  return { index, x: rect.left + Math.min(Math.max(left, 0), rect.width), y };
}
