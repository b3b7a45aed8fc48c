//! A region: a stretch of time on some workers. Its form in the address, and how keys change it.

import { between, instantOrNull, plus, type Instant, type Nanos } from "../base/instant.ts";
import type { Extent, Offset, View } from "./geometry.ts";

export interface Region extends Extent {
  /** Keys of lanes, in their order; null for all. */
  readonly lanes: readonly string[] | null;
}

/** A step of the keys, as a share of the view. */
const STEP = 1 / 40;

/** `FROM-TO`, and after a colon the lanes if they are not all. */
export function regionToText(region: Region, base: Instant): string {
  const from = plus(base, Math.floor(region.from));
  const to = plus(base, Math.max(Math.ceil(region.to), Math.floor(region.from) + 1));
  return `${from}-${to}${region.lanes ? `:${region.lanes.join(",")}` : ""}`;
}

/** The inverse of [`regionToText`]; null for what is no region. */
export function regionFromText(text: string | null, base: Instant): Region | null {
  const match = /^(\d{1,19})-(\d{1,19})(?::(\d+\.\d+(?:,\d+\.\d+)*))?$/.exec(text ?? "");
  if (!match) return null;
  const [from, to] = [instantOrNull(match[1]), instantOrNull(match[2])];
  if (from == null || to == null || to <= from) return null;
  return { from: between(base, from), to: between(base, to), lanes: match[3]?.split(",") ?? null };
}

/** The lanes from one to another, whichever is above; null if that is all of them. */
export function lanesBetween(all: readonly string[], one: number, other: number): readonly string[] | null {
  const [first, last] = [Math.max(0, Math.min(one, other)), Math.min(all.length - 1, Math.max(one, other))];
  return first === 0 && last === all.length - 1 ? null : all.slice(first, last + 1);
}

/** Where keys begin when nothing is selected: a step in the middle of what is seen. */
function seed(view: View): Region {
  const middle = view.start + view.span / 2;
  return { from: middle, to: middle, lanes: null };
}

/** Moves the end of a region by a step of the view; one that would end before it begins is turned round. */
export function extended(region: Region | null, view: View, direction: 1 | -1, within: Extent): Region {
  const { from, to, lanes } = region ?? seed(view);
  const next = Math.min(Math.max(to + direction * view.span * STEP, within.from), within.to);
  return next >= from ? { from, to: next, lanes } : { from: next, to: from, lanes };
}

/** One lane more below (1), or the lowest less (−1). From all lanes the first key down goes to the first alone. */
export function withLanes(region: Region | null, view: View, direction: 1 | -1, all: readonly string[]): Region {
  const current = region ?? seed(view);
  if (all.length === 0) return current;
  const held = current.lanes ?? all;
  const first = Math.max(0, all.indexOf(held[0] ?? ""));
  const last = Math.max(first, all.indexOf(held.at(-1) ?? ""));
  // All of them is where both ways begin.
  const isAll = current.lanes == null;
  const next = isAll ? (direction > 0 ? first : Math.max(last - 1, first)) : Math.min(Math.max(last + direction, first), all.length - 1);
  return { ...current, lanes: lanesBetween(all, first, next) };
}

/** A range of lengths in the address: `FROM-TO` in nanoseconds, without TO for all that is longer. */
export interface Lengths {
  readonly from: Nanos;
  readonly to: Nanos | null;
}

export function lengthsFromText(text: string | null): Lengths | null {
  const match = /^(\d{1,15})-(\d{1,15})?$/.exec(text ?? "");
  if (!match) return null;
  const [from, to] = [Number(match[1]), match[2] == null ? null : Number(match[2])];
  return to == null || to > from ? { from, to } : null;
}

export function lengthsToText({ from, to }: Lengths): string {
  return `${from}-${to ?? ""}`;
}

/** Whether a poll is among what is highlighted. */
export function isOfLengths({ from, to }: Lengths, length: Nanos): boolean {
  return length >= from && (to == null || length < to);
}

/** Whether a poll overlaps a region, as the server sees it. */
export function isInRegion(region: Extent, start: Offset, length: Nanos): boolean {
  return start < region.to && (start + length > region.from || start >= region.from);
}
