//! What the whole page is about: which process, which range, and how far its recording reaches.

import { computed, effect, signal } from "@preact/signals";
import { apiUrl, get, isAbort } from "../api/client.ts";
import { head } from "../api/live.ts";
import type { Process } from "../api/types.ts";
import { between, instant, MINUTE, now, SECOND, type Instant } from "../base/instant.ts";
import { href, withChanges, type Changes } from "../model/query_string.ts";
import { ALL, rangeFromQuery, rangeToQuery, resolveRange, type Range } from "../model/range.ts";
import { place, setQuery } from "./router.ts";

/** Null until the first answer; an empty list means that no agent has ever connected. */
export const processes = signal<Process[] | null>(null);
/** Whether there are older ones that are not in the list. */
export const hasMoreProcesses = signal(false);
export const processesError = signal<Error | null>(null);

/** Grows when there is new data worth asking for, at most once a second and not while the tab is hidden. */
export const refresh = signal(0);
const REFRESH_EVERY = 1000;

/** A live recording longer than this opens at its tail instead of whole. */
const TAIL = { kind: "last", span: 5 * MINUTE } as const;

export const process = computed<Process | null>(() => {
  const list = processes.value;
  if (!list || list.length === 0) return null;
  const wanted = place.value.query.get("process") ?? /^\/(?:tasks|resources)\/(\d+)\//.exec(place.value.path)?.[1];
  return list.find((p) => String(p.process) === wanted) ?? list.find((p) => p.state === "live") ?? list[0]!;
});

export const processId = computed(() => process.value?.process ?? null);

export const startedAt = computed<Instant>(() => (process.value ? instant(process.value.started_at) : now()));

/** The newest instant with data: from the live stream when it is ahead of the list. */
export const lastAt = computed<Instant>(() => {
  const current = process.value;
  if (!current) return now();
  const listed = instant(current.last_at);
  const told = head.value?.processes.find((p) => p.process === current.process)?.last_at;
  const last = told != null && instant(told) > listed ? instant(told) : listed;
  return last > startedAt.value ? last : ((startedAt.value + 1n) as Instant);
});

export const range = computed<Range>(() => rangeFromQuery(place.value.query) ?? defaultRange());

function defaultRange(): Range {
  const isLong = process.value?.state === "live" && between(startedAt.value, lastAt.value) > TAIL.span;
  return isLong ? TAIL : ALL;
}

/** True when the page follows the tail: a relative range of a process that still runs. */
export const isLive = computed(() => range.value.kind !== "fixed" && process.value?.state === "live");

export function setRange(next: Range, { push = true } = {}): void {
  setQuery(rangeToQuery(next), { push });
}

/** Turns following on and off; off keeps exactly what was on screen. */
export function toggleLive(): void {
  const { from, to } = resolveRange(range.peek(), startedAt.peek(), lastAt.peek());
  if (range.peek().kind === "fixed") setRange({ kind: "last", span: between(from, to) });
  else setRange({ kind: "fixed", from, to });
}

/** A link that stays with the chosen process and, if they were chosen, its loop, the range and what is marked. */
export function link(path: string, changes: Changes = {}): string {
  const { query } = place.value;
  const kept = new URLSearchParams();
  for (const key of ["process", "loop", "last", "from", "to", "mark"]) {
    const value = query.get(key);
    if (value != null) kept.set(key, value);
  }
  if (!kept.has("process") && processId.value != null) kept.set("process", String(processId.value));
  return href(path, withChanges(kept, changes));
}

async function loadProcesses(): Promise<void> {
  try {
    const answer = await get<{ processes: Process[]; more?: boolean }>(apiUrl("/processes"));
    processes.value = answer.processes;
    hasMoreProcesses.value = answer.more ?? false;
    processesError.value = null;
  } catch (cause) {
    if (!isAbort(cause)) processesError.value = cause as Error;
  }
}

export function startSession(): void {
  void loadProcesses();
  // The stream's first word is no news: all is being asked for just now.
  let due = Date.now() + REFRESH_EVERY;
  let timer: ReturnType<typeof setTimeout> | null = null;
  const bump = () => {
    timer = null;
    due = Date.now() + REFRESH_EVERY;
    refresh.value += 1;
    void loadProcesses();
  };
  effect(() => {
    void head.value?.version;
    if (head.value == null || document.hidden || timer != null) return;
    timer = setTimeout(bump, Math.max(0, due - Date.now()));
  });
  document.addEventListener("visibilitychange", () => !document.hidden && timer == null && bump());
  // Without the stream the list still heals: slowly, because then something is wrong on the other side.
  setInterval(() => processesError.peek() && void loadProcesses(), (5 * SECOND) / 1e6);
}
