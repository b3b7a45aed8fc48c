//! The lanes beside the workers that the address names, kept as long as it names them.

import { effect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { place, setQuery } from "../../app/router.ts";
import { isLive, process } from "../../app/session.ts";
import { isEventLoop } from "../../model/event_loop.ts";
import { placed, usualLanes } from "../../model/metric_lane.ts";
import { MAX_PINS, metricsText, parseMetrics, parsePins, pinsText, pinText, withoutPin, withPin, type Pin } from "../../model/pins.ts";
import type { Timeline } from "../controller.ts";
import { showPoll } from "../follow.ts";
import type { ExtraLane } from "./lane.ts";
import type { LaneLoader } from "./lane_loader.ts";
import { lockLane } from "./lock_lane.tsx";
import { metricLane, metricLoader, type MetricData } from "./metric_lane.tsx";
import { taskLane } from "./task_lane.tsx";

export function chosenPins(): Pin[] {
  return parsePins(place.value.query.get("pins"));
}

export function chosenMetrics(): string[] {
  return parseMetrics(place.value.query.get("lanes"), usual());
}

function usual(): readonly string[] {
  const loops = process.value?.loops ?? [];
  // Those on tokio have none of its queues, but one of their own.
  if (loops.length > 0 && loops.every(isEventLoop)) return ["ready_callbacks"];
  return usualLanes(process.value?.runtime ?? "unknown");
}

/** Says why, if there is no room for it. */
export function pin(one: Pin): string | null {
  const pins = chosenPins();
  const next = withPin(pins, one);
  setQuery({ pins: pinsText(next) });
  if (next.length > pins.length) return null;
  return pins.some((known) => pinText(known) === pinText(one)) ? null : `${MAX_PINS} lanes are pinned already; remove one first`;
}

export function unpin(one: Pin): void {
  setQuery({ pins: pinsText(withoutPin(chosenPins(), one)) });
}

export function setMetrics(keys: readonly string[]): void {
  setQuery({ lanes: metricsText(keys, usual()) });
}

export function isPinned(one: Pin): boolean {
  return chosenPins().some((known) => pinText(known) === pinText(one));
}

/** All lanes, and where they go. */
export interface PlacedLanes {
  readonly all: readonly ExtraLane[];
  /** Below the workers of a loop. */
  readonly ofLoops: ReadonlyMap<string, readonly ExtraLane[]>;
  /** Below all workers. */
  readonly others: readonly ExtraLane[];
}

export function useExtraLanes(timeline: Timeline): PlacedLanes {
  const kept = useRef(new Map<string, ExtraLane>());
  const loaders = useRef(new Map<string, LaneLoader<MetricData>>());
  const metrics = chosenMetrics();
  for (const key of metrics) if (!loaders.current.has(key)) loaders.current.set(key, metricLoader(key, { process: timeline.process, base: timeline.base }));
  const shown = [...new Set(timeline.lanes.value.map((lane) => lane.loop))];
  const loopsOf = (key: string) => {
    const data = loaders.current.get(key)!.data.value;
    return data && data.lines.length > 0 ? new Set(data.lines.map((line) => line.loop)) : undefined;
  };
  const places = [...chosenPins().map((one) => ({ key: pinText(one), loop: null, isMetric: false })), ...placed(metrics, loopsOf, shown).map((place) => ({ ...place, isMetric: true }))];
  const nameOf = ({ key, loop, isMetric }: (typeof places)[number]) => `${isMetric ? "m" : ""}${key}${loop == null ? "" : `@${loop}`}`;
  const names = places.map(nameOf).join(" ");
  const lanes = useMemo(() => {
    const before = kept.current;
    kept.current = new Map(places.map((one) => [nameOf(one), before.get(nameOf(one)) ?? (one.isMetric ? metric(one.key, one.loop, loaders.current.get(one.key)!, timeline) : pinned(one.key, timeline))]));
    const used = new Set([...kept.current.values()].map((lane) => lane.loader));
    for (const lane of before.values()) if (!used.has(lane.loader)) lane.loader.dispose();
    for (const key of loaders.current.keys()) if (!metrics.includes(key)) loaders.current.delete(key);
    return [...kept.current.values()];
  }, [names, timeline]);
  useEffect(() => {
    const width = () => document.querySelector<HTMLElement>("[data-testid=timeline-canvas]")?.clientWidth ?? window.innerWidth;
    const stops = [...new Set(lanes.map((lane) => lane.loader))].map((loader) => effect(() => loader.need(timeline.view.value, width(), timeline.extent.value, isLive.value)));
    return () => stops.forEach((stop) => stop());
  }, [lanes]);
  useEffect(() => () => kept.current.forEach((lane) => lane.loader.dispose()), []);
  return useMemo(() => {
    const ofLoops = new Map(shown.map((loop) => [loop, lanes.filter((lane) => lane.loop === loop)]));
    return { all: lanes, ofLoops, others: lanes.filter((lane) => lane.loop == null || !ofLoops.has(lane.loop)) };
  }, [lanes, shown.join(" ")]);
}

/** Drawing and loading are of one kind of data for each lane, which nobody else looks into. */
function metric(name: string, loop: string | null, loader: LaneLoader<MetricData>, timeline: Timeline): ExtraLane {
  const loopNames = () => new Map((process.peek()?.loops ?? []).map((one) => [one.loop, one.name]));
  const remove = () => setMetrics(chosenMetrics().filter((known) => known !== name));
  return metricLane(name, loop, loader, { process: timeline.process, base: timeline.base, loopNames, remove }) as unknown as ExtraLane;
}

function pinned(key: string, timeline: Timeline): ExtraLane {
  const host = { process: timeline.process, base: timeline.base };
  const [one] = parsePins(key);
  const unpinIt = () => unpin(one!);
  if (one!.kind === "task") return taskLane(one!.id, { ...host, showPoll: (poll) => showPoll(timeline, { ...poll, task: one!.id }), unpin: unpinIt }) as unknown as ExtraLane;
  return lockLane(one!.id, { ...host, pinTask: (task) => void (timeline.announcement.value = pin({ kind: "task", id: task }) ?? `Task ${task} is pinned`), unpin: unpinIt }) as unknown as ExtraLane;
}
