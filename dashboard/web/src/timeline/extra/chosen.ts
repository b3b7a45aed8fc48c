//! The lanes below the workers that the address names, kept as long as it names them.

import { effect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { place, setQuery } from "../../app/router.ts";
import { isLive, process } from "../../app/session.ts";
import { isEventLoop } from "../../model/event_loop.ts";
import { usualLanes } from "../../model/metric_lane.ts";
import { MAX_PINS, metricsText, parseMetrics, parsePins, pinsText, pinText, withoutPin, withPin, type Pin } from "../../model/pins.ts";
import type { Timeline } from "../controller.ts";
import { showPoll } from "../follow.ts";
import type { ExtraLane } from "./lane.ts";
import { lockLane } from "./lock_lane.tsx";
import { metricLane } from "./metric_lane.tsx";
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

export function useExtraLanes(timeline: Timeline): readonly ExtraLane[] {
  const kept = useRef(new Map<string, ExtraLane>());
  const keys = [...chosenPins().map(pinText), ...chosenMetrics().map((key) => `m${key}`)];
  const lanes = useMemo(() => {
    const before = kept.current;
    kept.current = new Map(keys.map((key) => [key, before.get(key) ?? made(key, timeline)]));
    for (const [key, lane] of before) if (!kept.current.has(key)) lane.loader.dispose();
    return [...kept.current.values()];
  }, [keys.join(" "), timeline]);
  useEffect(() => {
    const width = () => document.querySelector<HTMLElement>("[data-testid=timeline-canvas]")?.clientWidth ?? window.innerWidth;
    const stops = lanes.map((lane) => effect(() => lane.loader.need(timeline.view.value, width(), timeline.extent.value, isLive.value)));
    return () => stops.forEach((stop) => stop());
  }, [lanes]);
  useEffect(() => () => kept.current.forEach((lane) => lane.loader.dispose()), []);
  return lanes;
}

/** Drawing and loading are of one kind of data for each lane, which nobody else looks into. */
function made(key: string, timeline: Timeline): ExtraLane {
  const host = { process: process.peek()!.process, base: timeline.base };
  if (key.startsWith("m")) {
    const name = key.slice(1);
    const loopNames = () => new Map((process.peek()?.loops ?? []).map((loop) => [loop.loop, loop.name]));
    return metricLane(name, { ...host, loopNames, remove: () => setMetrics(chosenMetrics().filter((known) => known !== name)) }) as unknown as ExtraLane;
  }
  const [one] = parsePins(key);
  const unpinIt = () => unpin(one!);
  if (one!.kind === "task") return taskLane(one!.id, { ...host, showPoll: (poll) => showPoll(timeline, { ...poll, task: one!.id }), unpin: unpinIt }) as unknown as ExtraLane;
  return lockLane(one!.id, { ...host, pinTask: (task) => void (timeline.announcement.value = pin({ kind: "task", id: task }) ?? `Task ${task} is pinned`), unpin: unpinIt }) as unknown as ExtraLane;
}
