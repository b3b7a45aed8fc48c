//! A line over time, with a reading under the pointer. Three of these are all the charts we have, so they are drawn here: the usual
//! library would be a third of the page.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { process } from "../app/session.ts";
import { isDark } from "../app/theme.ts";
import { clock, UNKNOWN } from "../base/format.ts";
import { instant, plus, SECOND, type InstantText, type Nanos } from "../base/instant.ts";
import { niceTop } from "../model/ticks.ts";
import { readPalette, surface } from "./canvas.ts";

export interface ChartProps {
  readonly title: string;
  readonly t0: InstantText;
  readonly step: Nanos;
  readonly values: readonly (number | null)[];
  readonly format: (value: number) => string;
  /** The axis never ends below this: a quiet minute should look quiet. */
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** The index under the pointer, shared by all charts on the page so that they can be read against each other. */
const pointed = signal<number | null>(null);
const HEIGHT = 112;
const PAD = { top: 8, bottom: 18, right: 2, left: 58 };

export function Chart(props: ChartProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const index = pointed.value;
  const draw = () => canvas.current && drawChart(canvas.current, props, index);
  useEffect(() => void draw(), [props, index, isDark.value]);
  useEffect(() => {
    const observer = new ResizeObserver(() => draw());
    observer.observe(canvas.current!);
    return () => observer.disconnect();
  });
  const known = props.values.filter((value) => value != null);
  // Of what has ended nothing is now.
  const end = process.value?.state === "live" ? "now" : "last";
  const last = known.at(-1);
  const shown = index != null && index < props.values.length ? props.values[index] : last;
  const at = index != null ? clock(plus(instant(props.t0), index * props.step), SECOND) : end;
  const onMove = (event: PointerEvent) => {
    const box = canvas.current!.getBoundingClientRect();
    const share = (event.clientX - box.left - PAD.left) / (box.width - PAD.left - PAD.right);
    pointed.value = Math.min(Math.max(Math.round(share * (props.values.length - 1)), 0), props.values.length - 1);
  };
  const summary = `${props.title}: ${last == null ? "no data" : `${end} ${props.format(last)}, at most ${props.format(Math.max(...known))}`}`;
  return (
    <figure class="chart" onPointerMove={onMove} onPointerLeave={() => (pointed.value = null)}>
      <figcaption class="row">
        <h2 class="grow">{props.title}</h2>
        <span class="muted">{at}</span>
        <b>{shown == null ? UNKNOWN : props.format(shown)}</b>
      </figcaption>
      <canvas ref={canvas} role="img" aria-label={summary} style={{ height: `${HEIGHT}px` }} />
    </figure>
  );
}

function drawChart(canvas: HTMLCanvasElement, props: ChartProps, index: number | null): void {
  const area = surface(canvas);
  if (!area) return;
  const { context: c, width, height } = area;
  const palette = readPalette();
  const { values } = props;
  const highest = Math.max(props.atLeast ?? 0, ...values.map((value) => value ?? 0));
  const axis = niceTop(props.atMost != null ? Math.min(highest, props.atMost) : highest, 3);
  const bottom = height - PAD.bottom;
  const x = (k: number) => PAD.left + (k / Math.max(values.length - 1, 1)) * (width - PAD.left - PAD.right);
  const y = (value: number) => bottom - (value / axis.top) * (bottom - PAD.top);
  c.clearRect(0, 0, width, height);
  c.font = `11px ${palette.font}`;
  c.lineWidth = 1;
  c.textBaseline = "middle";
  c.textAlign = "right";
  for (let value = 0; value <= axis.top * 1.001; value += axis.step) {
    const at = Math.round(y(value)) + 0.5;
    c.fillStyle = palette.line;
    c.fillRect(PAD.left, at, width - PAD.left, 1);
    c.fillStyle = palette.ink3;
    c.fillText(props.format(value), PAD.left - 8, at);
  }
  for (const run of runsOf(values)) drawRun(c, run, values, x, y, bottom, palette.accent, palette.accentSoft);
  c.fillStyle = palette.ink3;
  c.textBaseline = "alphabetic";
  const start = instant(props.t0);
  c.textAlign = "left";
  c.fillText(clock(start, SECOND), PAD.left, height - 3);
  c.textAlign = "right";
  c.fillText(clock(plus(start, props.step * (values.length - 1)), SECOND), width - PAD.right, height - 3);
  if (index != null && index < values.length) {
    c.fillStyle = palette.cursor;
    c.fillRect(Math.round(x(index)), PAD.top, 1, bottom - PAD.top);
    const value = values[index];
    if (value != null) {
      c.beginPath();
      c.arc(x(index), y(value), 3, 0, 7);
      c.fill();
    }
  }
}

/** Stretches without a gap: an unknown value breaks the line instead of being drawn as something. */
function runsOf(values: readonly (number | null)[]): [number, number][] {
  const runs: [number, number][] = [];
  values.forEach((value, k) => {
    if (value == null) return;
    const last = runs.at(-1);
    if (last && last[1] === k) last[1] = k + 1;
    else runs.push([k, k + 1]);
  });
  return runs;
}

function drawRun(
  c: CanvasRenderingContext2D, [from, to]: [number, number], values: readonly (number | null)[], x: (k: number) => number, y: (v: number) => number, bottom: number, stroke: string, fill: string,
): void {
  c.beginPath();
  for (let k = from; k < to; k += 1) c.lineTo(x(k), y(values[k]!));
  c.lineTo(x(to - 1), bottom);
  c.lineTo(x(from), bottom);
  c.globalAlpha = 0.7;
  c.fillStyle = fill;
  c.fill();
  c.globalAlpha = 1;
  c.beginPath();
  for (let k = from; k < to; k += 1) c.lineTo(x(k), y(values[k]!));
  c.strokeStyle = stroke;
  c.lineWidth = 1.5;
  c.lineJoin = "round";
  c.stroke();
  c.lineWidth = 1;
}
