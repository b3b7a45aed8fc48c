//! The element that shows a timeline and takes wheel, pointer and keys.

import { useSignalEffect } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { isDark } from "../app/theme.ts";
import { duration, percent, plural } from "../base/format.ts";
import type { Nanos } from "../base/instant.ts";
import type { Offset } from "../model/geometry.ts";
import { readPalette, surface, type Palette } from "../ui/canvas.ts";
import { useAxisSelect } from "./axis_select.ts";
import type { Timeline } from "./controller.ts";
import type { Lane } from "./data.ts";
import { Renderer } from "./draw.ts";
import { drawBadges } from "./finding_strip.tsx";
import { drawArrows } from "./draw_arrows.ts";
import { drawAxis } from "./draw_axis.ts";
import type { ExtraLane } from "./extra/lane.ts";
import { LaneRow } from "./extra/lane_row.tsx";
import { laneAt, layoutLanes, type Group } from "./layout.ts";
import { busyShare } from "./loader.ts";
import { NoteStrip, NoteStripName, noteStripHeight } from "./note_strip.tsx";
import { workerLosses } from "./losses.tsx";
import { Tooltip } from "./tooltip.tsx";
import { onTimelineKey } from "./keys.ts";

/** Pixels a pointer may move and still click. */
const CLICK_SLOP = 4;
/** Height of the axis. */
const AXIS = 36;

export type Matches = ((task: string, location: string, length: Nanos, start: Offset) => boolean) | null;

/** `ofLoops`: what lies below the workers of each loop. */
export function CanvasView({ timeline, matches, ofLoops }: { timeline: Timeline; matches: Matches; ofLoops: ReadonlyMap<string, readonly ExtraLane[]> }) {
  const box = useRef<HTMLDivElement>(null);
  const lanesCanvas = useRef<HTMLCanvasElement>(null);
  const axisCanvas = useRef<HTMLCanvasElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [shares, setShares] = useState<readonly (number | null)[]>([]);
  const renderer = useMemo(() => new Renderer(), []);
  const palette = useRef<Palette | null>(null);
  const frame = useRef(0);
  const lanes = timeline.lanes.value;
  const groups = groupsOf(lanes, ofLoops);
  const layout = layoutLanes(groups, Math.max(size.height - 44 - noteStripHeight(timeline), 0));

  const draw = () => {
    frame.current = 0;
    const target = lanesCanvas.current && surface(lanesCanvas.current, { isOpaque: true });
    const axis = axisCanvas.current && surface(axisCanvas.current);
    if (!target || !axis) return;
    palette.current ??= readPalette();
    const scene = {
      view: timeline.view.peek(), lanes: timeline.lanes.peek(), data: timeline.data.peek(), far: timeline.far.peek(), layout, extent: timeline.known(), slowThreshold: timeline.slowThreshold,
      hovered: timeline.hover.peek()?.poll ?? null, selected: timeline.selected.peek(), region: timeline.selecting.region.peek(), begun: timeline.selecting.begun.peek(), marks: timeline.selecting.marks.peek(), notes: timeline.notes.list.peek(), matches,
    };
    const started = performance.now();
    renderer.draw(target, scene, palette.current);
    drawBadges(target.context, target.width, scene, timeline.badges.peek(), palette.current);
    timeline.arrows.hints = drawArrows(target.context, target.width, scene, timeline.arrows.list.peek(), palette.current);
    const pointer = timeline.hover.peek();
    drawAxis(axis, scene.view, timeline.base, pointer?.x ?? null, palette.current);
    // For the journey and for anyone with the developer tools open: how long the last frame took.
    lanesCanvas.current!.dataset["frameMs"] = (performance.now() - started).toFixed(2);
    const next = renderer.busy.slice(0, scene.lanes.length).map((busy) => busyShare(busy, scene.view, scene.extent));
    setShares((old) => (old.length === next.length && old.every((share, k) => percent(share) === percent(next[k])) ? old : next));
  };
  const schedule = () => {
    if (frame.current === 0) frame.current = requestAnimationFrame(draw);
  };
  useSignalEffect(() => {
    void [timeline.view.value, timeline.data.value, timeline.far.value, timeline.hover.value, timeline.selected.value, timeline.selecting.region.value, timeline.selecting.begun.value, timeline.selecting.marks.value, timeline.notes.list.value, timeline.extent.value, timeline.arrows.list.value, timeline.badges.value];
    schedule();
  });
  useEffect(() => {
    palette.current = null;
    schedule();
  }, [isDark.value]);
  useEffect(schedule, [size, layout.height, layout.tops.join(), matches]);
  useEffect(() => {
    const observer = new ResizeObserver(() => {
      // The observer may still fire while the page is being left.
      if (!lanesCanvas.current || !box.current) return;
      const width = lanesCanvas.current.clientWidth;
      setSize({ width, height: box.current.clientHeight });
      timeline.resize(width);
    });
    observer.observe(box.current!);
    return () => {
      observer.disconnect();
      cancelAnimationFrame(frame.current);
    };
  }, [timeline]);
  usePointer(lanesCanvas, timeline, layout);
  useAxisSelect(axisCanvas, timeline);

  const summary = describe(timeline, shares);
  return (
    <div class="lanes" ref={box} data-testid="lanes">
      <div class="lane-names" style={{ height: `${layout.height + AXIS + noteStripHeight(timeline)}px` }}>
        <div class="axis-corner">{timeline.loader.isLoading.value ? "loading…" : ""}</div>
        <NoteStripName timeline={timeline} />
        {groups.map((group) => [
          group.names.map((k) => (
            <div key={lanes[k]!.key} class="lane-name" style={{ height: `${layout.pitch}px` }}>
              <b class="ellipsis" title={lanes[k]!.name}>{lanes[k]!.name}</b>
              <span class="muted ellipsis" title={lanes[k]!.threadName}>{lanes[k]!.threadName || "unnamed thread"}</span>
              <span class="lane-busy" title="Share of the visible time spent in polls"><span class="meter"><i style={{ width: `${(shares[k] ?? 0) * 100}%` }} /></span>{percent(shares[k])}</span>
            </div>
          )),
          <div key={`below ${group.loop}`} style={{ height: `${group.below}px` }} />,
        ])}
      </div>
      <div class="lane-plot">
        <canvas ref={axisCanvas} class="axis" aria-hidden="true" />
        <NoteStrip timeline={timeline} />
        <div class="keyboard" tabIndex={0} role="application" aria-label="Timeline. Arrow keys step from poll to poll, W and S zoom, A and D pan, N and P step through slow polls, findings, losses and notes, M or Shift with the arrow keys selects a region, B writes a note." onKeyDown={(event) => onTimelineKey(event, timeline)} data-testid="timeline-keys">
          <canvas ref={lanesCanvas} class="lane-canvas" role="img" aria-label={summary} style={{ height: `${layout.height}px` }} data-testid="timeline-canvas" data-exact={String(timeline.data.value?.isExact ?? false)} />
        </div>
      </div>
      {groups.map((group, k) => group.rows.length > 0 && (
        <div key={group.loop} class="loop-rows" role="group" aria-label={`Metrics of ${group.name}`} style={{ top: `${layout.below[k]!.top + AXIS + noteStripHeight(timeline)}px` }}>
          {group.rows.map((row) => <LaneRow key={row.key} timeline={timeline} lane={row} />)}
        </div>
      ))}
      <Tooltip timeline={timeline} />
      <p class="visually-hidden" aria-live="polite" data-testid="announcement">{timeline.announcement.value}</p>
    </div>
  );
}

/** The workers of each loop, in their order, and what lies below them. */
interface LoopGroup extends Group {
  readonly loop: string;
  readonly name: string;
  readonly names: readonly number[];
  readonly rows: readonly ExtraLane[];
}

function groupsOf(lanes: readonly Lane[], ofLoops: ReadonlyMap<string, readonly ExtraLane[]>): LoopGroup[] {
  return [...new Set(lanes.map((lane) => lane.loop))].map((loop) => {
    const names = lanes.flatMap((lane, k) => (lane.loop === loop ? [k] : []));
    const rows = ofLoops.get(loop) ?? [];
    // A line above each, and one below the last.
    const below = rows.reduce((sum, row) => sum + row.height(row.loader.data.value) + 1, rows.length > 0 ? 1 : 0);
    return { loop, name: lanes[names[0]!]!.loopName || `loop ${loop}`, names, rows, lanes: names.length, below };
  });
}

function describe(timeline: Timeline, shares: readonly (number | null)[]): string {
  const slow = timeline.data.value?.slow.length ?? 0;
  const lost = workerLosses(timeline.data.value).length;
  const lanes = timeline.lanes.value.map((lane, k) => `${lane.name} busy ${percent(shares[k])}`).join(", ");
  return `${duration(timeline.view.value.span)} of ${plural(timeline.lanes.value.length, "worker")}: ${lanes}. ${plural(slow, "slow poll")} in view.${lost > 0 ? ` ${plural(lost, "loss makes", "losses make")} it incomplete.` : ""}`;
}

function usePointer(canvas: { current: HTMLCanvasElement | null }, timeline: Timeline, layout: ReturnType<typeof layoutLanes>): void {
  const current = useRef(layout);
  current.current = layout;
  useLayoutEffect(() => {
    const element = canvas.current!;
    const fingers = new Map<number, number>();
    let down: { x: number; y: number; start: number; at: number; isRegion: boolean; hasMoved: boolean } | null = null;
    const local = (event: MouseEvent) => {
      const rect = element.getBoundingClientRect();
      return { x: event.clientX - rect.left, y: event.clientY - rect.top, width: rect.width };
    };
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const { x, width } = local(event);
      const unit = event.deltaMode === 1 ? 16 : 1;
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) timeline.panBy(((event.deltaX || event.deltaY) * unit) / width);
      else timeline.zoom(x / width, Math.exp(Math.max(-120, Math.min(120, event.deltaY * unit)) * (event.ctrlKey ? 0.01 : 0.0025)));
    };
    const onDown = (event: PointerEvent) => {
      if (event.button !== 0) return;
      const { x, y, width } = local(event);
      element.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, x);
      down = { x, y, start: timeline.view.peek().start, at: timeline.selecting.at(x, width), isRegion: event.shiftKey, hasMoved: false };
    };
    const onMove = (event: PointerEvent) => {
      const { x, y, width } = local(event);
      if (fingers.size === 2 && fingers.has(event.pointerId)) return pinch(event, x, width);
      const lane = laneAt(current.current, y);
      if (!down) {
        timeline.hover.value = lane == null ? { x, y, lane: -1, poll: null } : { x, y, lane, poll: timeline.pollAtPoint(x, width, lane) };
        return;
      }
      if (!down.hasMoved && Math.hypot(x - down.x, y - down.y) < CLICK_SLOP) return;
      down.hasMoved = true;
      timeline.hover.value = { x, y, lane: -1, poll: null };
      const view = timeline.view.peek();
      if (!down.isRegion) return timeline.panTo(down.start - ((x - down.x) / width) * view.span);
      timeline.selecting.draw(timeline.selecting.ofPoints({ at: down.at, lane: laneAt(current.current, down.y) }, { at: timeline.selecting.at(x, width), lane }));
    };
    const pinch = (event: PointerEvent, x: number, width: number) => {
      const other = [...fingers].find(([id]) => id !== event.pointerId)![1];
      const before = Math.abs(fingers.get(event.pointerId)! - other);
      fingers.set(event.pointerId, x);
      const after = Math.abs(x - other);
      if (before > 8 && after > 8) timeline.zoom((x + other) / 2 / width, before / after);
      if (down) down.hasMoved = true;
    };
    const onUp = (event: PointerEvent) => {
      fingers.delete(event.pointerId);
      const { x, y, width } = local(event);
      if (down && !down.hasMoved && event.type === "pointerup") {
        const lane = laneAt(current.current, y);
        if (!timeline.arrows.clickAt(x, y)) timeline.select(lane == null ? null : timeline.pollAtPoint(x, width, lane));
      }
      if (down?.isRegion && down.hasMoved) timeline.selecting.keep();
      down = null;
    };
    const onLeave = () => !down && (timeline.hover.value = null);
    const onDouble = (event: MouseEvent) => {
      const { x, width } = local(event);
      timeline.zoom(x / width, 0.2);
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    element.addEventListener("pointerdown", onDown);
    element.addEventListener("pointermove", onMove);
    element.addEventListener("pointerup", onUp);
    element.addEventListener("pointercancel", onUp);
    element.addEventListener("pointerleave", onLeave);
    element.addEventListener("dblclick", onDouble);
    return () => {
      element.removeEventListener("wheel", onWheel);
      element.removeEventListener("pointerdown", onDown);
      element.removeEventListener("pointermove", onMove);
      element.removeEventListener("pointerup", onUp);
      element.removeEventListener("pointercancel", onUp);
      element.removeEventListener("pointerleave", onLeave);
      element.removeEventListener("dblclick", onDouble);
    };
  }, [timeline]);
}
