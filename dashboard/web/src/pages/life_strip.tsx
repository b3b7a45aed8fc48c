//! A task's life on one line, as wide as the page: when it ran, when it was ready, when it waited, and where the chosen polls lie.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { LifeStrip as Strip, TaskLife } from "../api/types.ts";
import { durationClass } from "../base/duration_class.ts";
import { clock, count, duration, percent, plural } from "../base/format.ts";
import { between, instant, plus, type Nanos } from "../base/instant.ts";
import { link } from "../app/session.ts";
import { navigate } from "../app/router.ts";
import { isDark } from "../app/theme.ts";
import { hatch, readPalette, surface } from "../ui/canvas.ts";

const HEIGHT = 72;
/** Above the bars: where the chosen polls are marked. */
const MARKS = 10;
/** Of other polls while some are chosen. */
const FAINT = 0.28;

export function LifeStrip({ life }: { life: TaskLife }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const { strip } = life;
  useEffect(() => {
    const draw = () => canvas.current && drawStrip(canvas.current, strip, pointed);
    draw();
    const observer = new ResizeObserver(draw);
    observer.observe(canvas.current!);
    return () => observer.disconnect();
  }, [strip, pointed, isDark.value]);
  const label = useMemo(() => summary(life), [life]);
  const from = instant(life.from);
  const span = between(from, instant(life.to));
  const columnAt = (event: MouseEvent) => {
    const box = canvas.current!.getBoundingClientRect();
    return Math.min(Math.max(Math.floor(((event.clientX - box.left) / box.width) * strip.running.length), 0), strip.running.length - 1);
  };
  const open = (event: MouseEvent) => {
    const at = plus(from, columnAt(event) * strip.step);
    navigate(link("/timeline", { last: null, from: String(plus(at, -10 * strip.step)), to: String(plus(at, 11 * strip.step)), q: life.task }));
  };
  const resolution = Math.max(span / 1000, 1);
  return (
    <figure class="life-strip" data-testid="life-strip">
      <canvas ref={canvas} role="img" aria-label={label} style={{ height: `${HEIGHT}px` }} onPointerMove={(event) => setPointed(columnAt(event))} onPointerLeave={() => setPointed(null)} onClick={open} title="Opens this moment on the timeline" />
      <figcaption class="row">
        <span>{clock(from, resolution)}</span>
        <span class="grow center" data-testid="strip-tip">{pointed != null && strip.running[pointed] != null ? tip(strip, pointed, from, resolution) : ""}</span>
        <span>{clock(instant(life.to), resolution)}</span>
      </figcaption>
    </figure>
  );
}

function tip(strip: Strip, k: number, from: bigint, resolution: Nanos): string {
  const share = (time: Nanos) => percent(time / strip.step);
  const parts = [`${clock(plus(from, k * strip.step), Math.min(resolution, strip.step))}, ${duration(strip.step)}: running ${share(strip.running[k]!)}`];
  if (strip.ready[k]! > 0) parts.push(`ready ${share(strip.ready[k]!)}`);
  if (strip.waiting[k]! > 0) parts.push(`in recorded waits ${share(strip.waiting[k]!)}`);
  if (strip.lost[k]! > 0) parts.push(`records lost ${share(strip.lost[k]!)}`);
  if (strip.max[k]! > 0) parts.push(`longest poll ${duration(strip.max[k]!)}`);
  if (strip.chosen[k]) parts.push(`${count(strip.chosen[k]!)} chosen`);
  return parts.join(" · ");
}

function summary(life: TaskLife): string {
  const { strip } = life;
  const sum = (list: readonly number[]) => list.reduce((total, value) => total + value, 0);
  const span = between(instant(life.from), instant(life.to));
  const chosen = strip.chosen.length > 0 ? ` ${plural(life.chosen, "chosen poll")} in ${plural(strip.chosen.filter((n) => n > 0).length, "column")}.` : "";
  return `${duration(span)} of its life: ${plural(life.polls, "poll")}, running ${duration(sum(strip.running))}, ready ${duration(sum(strip.ready))}, in recorded waits ${duration(sum(strip.waiting))}; the longest poll ${duration(Math.max(0, ...strip.max))}.${chosen} The table of polls below has them one by one.`;
}

function drawStrip(canvas: HTMLCanvasElement, strip: Strip, pointed: number | null): void {
  const area = surface(canvas);
  if (!area) return;
  const { context: c, width, ratio } = area;
  const palette = readPalette();
  const columns = strip.running.length;
  const top = MARKS;
  const high = HEIGHT - top;
  c.clearRect(0, 0, width, HEIGHT);
  c.fillStyle = palette.lane;
  c.fillRect(0, top, width, high);
  const hasChoice = strip.chosen.length > 0;
  const lost = hatch(c, palette.loss, ratio);
  // Striped, since polls of some lengths have the same colour.
  const ready = hatch(c, palette.classes[2], ratio, 4) ?? palette.classes[2];
  for (let k = 0; k < columns; k += 1) {
    const x = Math.floor((k * width) / columns);
    const w = Math.max(Math.floor(((k + 1) * width) / columns) - x, 1);
    const bar = (time: Nanos, from: number, color: string | CanvasPattern, least: number) => {
      if (time <= 0) return from;
      const tall = Math.max((time / strip.step) * high, least);
      c.fillStyle = color;
      c.fillRect(x, Math.max(from - tall, top), w, Math.min(tall, from - top));
      return from - tall;
    };
    const isChosen = !hasChoice || strip.chosen[k]! > 0;
    c.globalAlpha = isChosen ? 1 : FAINT;
    // A poll that does not fill its column is seen all the same: its height says how little it filled.
    let y = bar(strip.running[k]!, HEIGHT, palette.classes[durationClass(strip.max[k]!)], 4);
    y = bar(strip.ready[k]!, y, ready, strip.ready[k]! / strip.step > 0.02 ? 2 : 0);
    c.globalAlpha = 1;
    y = bar(strip.waiting[k]!, y, palette.park, 0);
    if (lost) bar(strip.lost[k]!, y, lost, 3);
    if (hasChoice && strip.chosen[k]! > 0) {
      c.fillStyle = palette.accent;
      c.fillRect(x, 0, Math.max(w, 2), MARKS - 3);
    }
  }
  if (pointed != null) {
    c.fillStyle = palette.cursor;
    c.fillRect(Math.floor(((pointed + 0.5) * width) / columns), 0, 1, HEIGHT);
  }
}
