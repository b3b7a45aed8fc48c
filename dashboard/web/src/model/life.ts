//! A task's life as the address and the page speak of it: which polls are chosen, the classes of a histogram, the parts of a life.

import type { LifeClass, LifePart } from "../api/types.ts";
import { duration } from "../base/format.ts";
import type { Nanos } from "../base/instant.ts";

export type Measure = "length" | "delay";

/** Polls from one length, or time after their wake, up to another. */
export interface Pick {
  readonly by: Measure;
  readonly min: Nanos;
  /** Null: without an end. */
  readonly max: Nanos | null;
}

/** `length:200000-500000`; null if it is nothing of the sort. */
export function parsePick(text: string | null): Pick | null {
  const match = /^(length|delay):(\d{1,16})-(\d{0,16})$/.exec(text ?? "");
  if (!match) return null;
  const pick = { by: match[1] as Measure, min: Number(match[2]), max: match[3] ? Number(match[3]) : null };
  return pick.max == null || pick.max > pick.min ? pick : null;
}

export function pickText({ by, min, max }: Pick): string {
  return `${by}:${min}-${max ?? ""}`;
}

/** What a class holds: `200–500 µs`, `under 100 ns`, `5 s and more`. */
export function classText(min: Nanos, max: Nanos | null): string {
  if (max == null) return `${duration(min)} and more`;
  if (min === 0) return `under ${duration(max)}`;
  const [from, to] = [duration(min), duration(max)];
  const unit = /[^\d.]+$/.exec(to)?.[0];
  return unit && from.endsWith(unit) ? `${from.slice(0, -unit.length)}–${to}` : `${from} – ${to}`;
}

/** Whether a class is within what is chosen. */
export function isPicked(pick: Pick | null, by: Measure, { from, to }: LifeClass): boolean {
  return pick != null && pick.by === by && from >= pick.min && (pick.max == null || (to != null && to <= pick.max));
}

/** What a click on a class chooses: the class, nothing if it was chosen alone, with `isMore` all from what was chosen up to it. */
export function picked(pick: Pick | null, by: Measure, { from, to }: LifeClass, isMore: boolean): Pick | null {
  if (isMore && pick?.by === by) {
    const max = pick.max == null || to == null ? null : Math.max(pick.max, to);
    return { by, min: Math.min(pick.min, from), max };
  }
  return pick?.by === by && pick.min === from && pick.max === to ? null : { by, min: from, max: to };
}

/** The end of the class up to which a share of all lies; null if that has none, or nothing was counted. */
export function below(classes: readonly LifeClass[], share: number): Nanos | null {
  const all = classes.reduce((sum, it) => sum + it.count, 0);
  let seen = 0;
  for (const it of classes) {
    seen += it.count;
    if (all > 0 && seen >= share * all) return it.to;
  }
  return null;
}

/** The height of a bar from 0 to 1 on a logarithmic axis that begins below one. */
export function logHeight(count: number, most: number): number {
  return count <= 0 ? 0 : Math.log2(count + 1) / Math.log2(Math.max(most, 1) + 1);
}

type NamedPart = { readonly state: LifePart["state"]; readonly what: string | null };

/** What people read for a part of a life. */
export function partName({ state, what }: NamedPart, hasWakes: boolean): string {
  switch (state) {
    case "running": return "running";
    case "ready": return "ready: woken, not yet polled";
    case "queued": return "spawned, not yet polled";
    case "waiting": return `waiting for ${what}`;
    case "several": return "waiting for several things at once";
    case "lost": return "not known: records were lost";
    default: return hasWakes ? "waiting, for what is not recorded" : "waiting or ready: neither is recorded";
  }
}


/** The class of its colour. */
export function partClass(state: LifePart["state"], k: number): string {
  const classes = { running: "c-accent", ready: "c-ready", queued: "c-queued", waiting: `c-kind${k % 3}`, several: "c-several", lost: "c-lost", unknown: "c-wait" };
  return classes[state];
}
