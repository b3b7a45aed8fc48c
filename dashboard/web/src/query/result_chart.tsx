//! A result as a chart: lines over time, bars for categories, points for two numbers. Axes begin at zero, and carry the unit that
//! the names of the columns say.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { QueryAnswer } from "../api/types.ts";
import { clock, dateTime, plural, shortPlace } from "../base/format.ts";
import type { Instant } from "../base/instant.ts";
import { tickStep, ticks } from "../model/ticks.ts";
import { axisSteps, chartData, type ChartChoice, type ChartColumn, type ChartData } from "./chart_model.ts";
import { UNIT_WORDS, withUnit } from "./units.ts";

const HEIGHT = 320;
const PAD = { top: 12, right: 16, left: 72 };
/** Lines with more points than this are drawn without dots. */
const DOTS_UP_TO = 60;

export interface ResultChartProps {
  readonly answer: QueryAnswer;
  readonly columns: readonly ChartColumn[];
  readonly choice: ChartChoice;
}

export function ResultChart({ answer, columns, choice }: ResultChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const [pointed, setPointed] = useState<number | null>(null);
  const data = useMemo(() => chartData(answer, columns, choice), [answer, columns, choice]);
  useEffect(() => {
    const observer = new ResizeObserver(() => box.current && setWidth(box.current.clientWidth));
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  const x = columns[choice.x]!;
  const y = columns[choice.y[0]!]!;
  const isBars = choice.form === "bars" || x.kind === "text";
  const bottom = isBars ? 84 : 40;
  const scale = makeScale(data, x, y, width, bottom, isBars);
  const stops = useMemo(() => stopsOf(data, isBars), [data, isBars]);
  const near = (at: number) => {
    let best: number | null = null;
    for (const stop of stops) if (best == null || Math.abs(scale.x(stop) - at) < Math.abs(scale.x(best) - at)) best = stop;
    return best;
  };
  const onMove = (event: PointerEvent) => setPointed(near(event.clientX - box.current!.getBoundingClientRect().left));
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -stops.length, End: stops.length }[event.key];
    if (step == null || stops.length === 0) return;
    event.preventDefault();
    const now = pointed == null ? (step > 0 ? -1 : stops.length) : stops.indexOf(pointed);
    setPointed(stops[Math.min(Math.max(now + step, 0), stops.length - 1)]!);
  };
  const nameOf = (value: number) => (isBars ? data.categories[value] ?? "" : x.kind === "instant" ? dateTime((data.base + BigInt(Math.round(value))) as Instant, 1e6) : withUnit(value, x.unit));
  const reading = pointed == null ? null : `${nameOf(pointed)}: ${valuesAt(data, pointed).map(({ name, value }) => `${name} ${value == null ? "NULL" : withUnit(value, y.unit)}`).join(", ")}`;
  const summary = `${choice.form} chart of ${data.series.map((one) => one.name).join(", ")} over ${x.name}, ${plural(stops.length, "place")} from ${withUnit(data.low, y.unit)} to ${withUnit(data.high, y.unit)}. Arrow keys read it; the table has every number.`;
  return (
    <figure class="result-chart" data-testid="result-chart">
      <div ref={box} class="plot" tabIndex={0} role="application" aria-label={summary} onPointerMove={onMove} onPointerLeave={() => setPointed(null)} onKeyDown={onKey}>
        {width > 0 && (
          <svg width={width} height={HEIGHT} aria-hidden="true">
            <Axes data={data} x={x} y={y} scale={scale} width={width} bottom={bottom} isBars={isBars} />
            {isBars ? <Bars data={data} scale={scale} pointed={pointed} /> : <Lines data={data} scale={scale} isLine={choice.form === "line"} pointed={pointed} />}
          </svg>
        )}
        {pointed != null && (
          <div class="chart-tip" style={{ left: `${Math.min(Math.max(scale.x(pointed) + 12, 0), Math.max(width - 260, 0))}px` }}>
            <b>{nameOf(pointed)}</b>
            <ul>{valuesAt(data, pointed).map(({ name, value, k }) => <li key={name}><i class={`series s${k}`} /> <span class="ellipsis">{name}</span> <b>{value == null ? "NULL" : withUnit(value, y.unit)}</b></li>)}</ul>
          </div>
        )}
      </div>
      <p class="visually-hidden" aria-live="polite" data-testid="chart-reading">{reading}</p>
      <figcaption>
        <span class="legend">{data.series.map((one, k) => <span key={one.name} class="nowrap"><i class={`series s${k}`} /><span class="ellipsis" title={one.name}>{one.name}</span></span>)}</span>
        {data.leftOut.map((sentence) => <p key={sentence} class="muted" data-testid="chart-left-out">{sentence}</p>)}
      </figcaption>
    </figure>
  );
}

interface Scale {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
  readonly steps: readonly number[];
  /** Width of a place on the x axis, for bars. */
  readonly slot: number;
}

function makeScale(data: ChartData, x: ChartColumn, y: ChartColumn, width: number, bottom: number, isBars: boolean): Scale {
  const inner = Math.max(width - PAD.left - PAD.right, 1);
  const steps = axisSteps(data.low, data.high, y.unit);
  const [least, most] = [steps[0]!, steps.at(-1)!];
  const slot = inner / Math.max(data.categories.length, 1);
  // A number axis of points begins at zero like all others, unless its values are far from it: instants are.
  const from = x.kind === "number" && data.extent.from > 0 && data.extent.from < data.extent.to / 2 ? 0 : data.extent.from;
  const span = data.extent.to - from;
  return {
    steps, slot,
    x: (value) => (isBars ? PAD.left + (value + 0.5) * slot : PAD.left + (span > 0 ? (value - from) / span : 0.5) * inner),
    y: (value) => HEIGHT - bottom - ((value - least) / (most - least)) * (HEIGHT - bottom - PAD.top),
  };
}

function Axes({ data, x, y, scale, width, bottom, isBars }: { data: ChartData; x: ChartColumn; y: ChartColumn; scale: Scale; width: number; bottom: number; isBars: boolean }) {
  const base = HEIGHT - bottom;
  // Long names are slanted; when bars are narrow, not every one has room for its name.
  const every = Math.max(1, Math.ceil(22 / scale.slot));
  const isSlanted = isBars && data.categories.some((name) => shortName(name).length * 6.5 > scale.slot);
  return (
    <g class="axes">
      {scale.steps.map((value) => (
        <g key={value}>
          <line x1={PAD.left} x2={width - PAD.right} y1={scale.y(value)} y2={scale.y(value)} class={value === 0 ? "zero" : ""} />
          <text x={PAD.left - 8} y={scale.y(value)} dy="4" text-anchor="end">{withUnit(value, y.unit)}</text>
        </g>
      ))}
      {isBars
        ? data.categories.map((name, k) => k % every === 0 && (
          <text key={name} x={scale.x(k)} y={base + 16} text-anchor={isSlanted ? "end" : "middle"} transform={isSlanted ? `rotate(-30 ${scale.x(k)} ${base + 16})` : undefined}><title>{name}</title>{shortName(name)}</text>
        ))
        : placesOf(data, x, width).map(({ value, text }) => (
          <g key={value}>
            <line x1={scale.x(value)} x2={scale.x(value)} y1={base} y2={base + 4} class="zero" />
            <text x={scale.x(value)} y={base + 17} text-anchor={scale.x(value) > width - 44 ? "end" : "middle"}>{text}</text>
          </g>
        ))}
      <text class="axis-name" x={width - PAD.right} y={HEIGHT - 4} text-anchor="end">{x.name}{x.unit === "instant" && `, ${UNIT_WORDS.instant}`}</text>
    </g>
  );
}

function placesOf(data: ChartData, x: ChartColumn, width: number): { value: number; text: string }[] {
  const { from, to } = data.extent;
  const most = Math.max(2, Math.floor((width - PAD.left) / 110));
  if (x.kind !== "instant") return axisSteps(Math.min(from, 0), to, x.unit, most).filter((value) => value >= from && value <= to).map((value) => ({ value, text: withUnit(value, x.unit) }));
  if (to === from) return [{ value: from, text: clock(data.base as Instant, 1e6) }];
  const step = tickStep((to - from) / most);
  const phase = -Number(data.base % BigInt(Math.max(1, Math.round(step))));
  return ticks(from, to, step, phase).map((value) => ({ value, text: clock((data.base + BigInt(Math.round(value))) as Instant, step) }));
}

function shortName(name: string): string {
  const short = shortPlace(name);
  return short.length > 18 ? `…${short.slice(-17)}` : short;
}

function Lines({ data, scale, isLine, pointed }: { data: ChartData; scale: Scale; isLine: boolean; pointed: number | null }) {
  return (
    <>
      {data.series.map(({ name, points }, k) => (
        <g key={name} class={`s${k}`}>
          {isLine && <path class="line" d={pathOf(points, scale)} />}
          {(!isLine || points.length <= DOTS_UP_TO) && points.map((point, i) => point.y != null && <circle key={i} cx={scale.x(point.x)} cy={scale.y(point.y)} r={isLine ? 2.5 : 3} />)}
        </g>
      ))}
      {pointed != null && <line class="pointer" x1={scale.x(pointed)} x2={scale.x(pointed)} y1={PAD.top} y2={scale.y(scale.steps[0]!)} />}
    </>
  );
}

/** Unknown values break the line. */
function pathOf(points: ChartData["series"][number]["points"], scale: Scale): string {
  let isOpen = false;
  let path = "";
  for (const { x, y } of points) {
    if (y != null) path += `${isOpen ? "L" : "M"}${scale.x(x).toFixed(1)} ${scale.y(y).toFixed(1)}`;
    isOpen = y != null;
  }
  return path;
}

function Bars({ data, scale, pointed }: { data: ChartData; scale: Scale; pointed: number | null }) {
  const gap = Math.min(8, scale.slot * 0.2);
  const width = (scale.slot - gap) / data.series.length;
  return (
    <>
      {data.series.map(({ name, points }, k) => (
        <g key={name} class={`s${k}`}>
          {points.map((point, i) => {
            if (point.y == null) return null;
            const [top, zero] = [scale.y(Math.max(point.y, 0)), scale.y(Math.min(point.y, 0))];
            return <rect key={i} class={pointed === point.x ? "pointed" : ""} x={scale.x(point.x) - scale.slot / 2 + gap / 2 + k * width} width={Math.max(width - 1, 1)} y={top} height={Math.max(zero - top, point.y === 0 ? 0 : 1)} />;
          })}
        </g>
      ))}
    </>
  );
}

/** Where something is drawn, in order. */
function stopsOf(data: ChartData, isBars: boolean): number[] {
  if (isBars) return data.categories.map((_, k) => k);
  return [...new Set(data.series.flatMap(({ points }) => points.map((point) => point.x)))].sort((a, b) => a - b);
}

function valuesAt(data: ChartData, x: number): { name: string; value: number | null; k: number }[] {
  return data.series.flatMap(({ name, points }, k) => {
    const point = points.find((one) => one.x === x);
    return point ? [{ name, value: point.y, k }] : [];
  });
}
