//! A task's polls over its lifetime on one line, as wide as the page.

import { useEffect, useRef } from "preact/hooks";
import { isDark } from "../app/theme.ts";
import type { Poll, Task } from "../api/types.ts";
import { duration, plural } from "../base/format.ts";
import { between, instant } from "../base/instant.ts";
import { durationClass } from "../base/duration_class.ts";
import { readPalette, surface } from "../ui/canvas.ts";

const HEIGHT = 40;

export function LifeStrip({ task, polls }: { task: Task; polls: readonly Poll[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const draw = () => canvas.current && drawStrip(canvas.current, task, polls);
  useEffect(() => {
    draw();
    const observer = new ResizeObserver(() => draw());
    observer.observe(canvas.current!);
    return () => observer.disconnect();
  }, [task, polls, isDark.value]);
  const label = `${plural(polls.length, "poll")} over a lifetime of ${duration(task.lifetime)}, the longest ${duration(task.max_poll_time)}`;
  return <canvas ref={canvas} class="life-strip" role="img" aria-label={label} style={{ height: `${HEIGHT}px` }} />;
}

/** A poll narrower than a pixel is a low tick, not a full bar: its height says that it did not fill the pixel. */
function drawStrip(canvas: HTMLCanvasElement, task: Task, polls: readonly Poll[]): void {
  const area = surface(canvas);
  if (!area) return;
  const { context: c, width } = area;
  const palette = readPalette();
  const first = task.spawned_at ?? polls[0]?.start_at;
  c.clearRect(0, 0, width, HEIGHT);
  c.fillStyle = palette.park;
  c.fillRect(0, 8, width, HEIGHT - 16);
  if (first == null) return;
  const start = instant(first);
  const perPixel = Math.max(task.lifetime ?? 1, 1) / width;
  for (const poll of polls) {
    const x = between(start, instant(poll.start_at)) / perPixel;
    const pixels = poll.length / perPixel;
    const height = pixels >= 1 ? HEIGHT - 16 : 6 + 10 * pixels;
    c.fillStyle = palette.classes[durationClass(poll.length)];
    c.fillRect(Math.min(x, width - 1), HEIGHT - 8 - height, Math.max(pixels, 1), height);
  }
}
