//! What stands out on a timeline, of several kinds in one order of time, and how to go from one to the next.

import type { Offset } from "./geometry.ts";

export type StandoutKind = "slow" | "finding" | "loss" | "note";

/** Of those at the same instant the first comes first: a finding after the poll that proves it. */
export const STANDOUT_KINDS: readonly StandoutKind[] = ["slow", "finding", "loss", "note"];

/** One, and a few, of each kind. */
export const KIND_WORDS: Readonly<Record<StandoutKind, readonly [string, string]>> = {
  slow: ["slow poll", "slow polls"], finding: ["finding", "findings"], loss: ["loss", "losses"], note: ["note", "notes"],
};

export interface Standout {
  readonly kind: StandoutKind;
  readonly at: Offset;
  readonly to: Offset;
  /** Tells it apart from others of its kind. */
  readonly id: string;
}

/** `id`s of a kind are told once, and all are in order of time. */
export function inOrder<One extends Standout>(list: readonly One[]): One[] {
  const once = new Map(list.map((one) => [keyOf(one), one]));
  return [...once.values()].sort(order);
}

function order(a: Standout, b: Standout): number {
  return a.at - b.at || STANDOUT_KINDS.indexOf(a.kind) - STANDOUT_KINDS.indexOf(b.kind) || (a.id === b.id ? 0 : a.id < b.id ? -1 : 1);
}

function keyOf({ kind, id }: Standout): string {
  return `${kind} ${id}`;
}

export function isSame(a: Standout | null, b: Standout | null): boolean {
  return a != null && b != null && keyOf(a) === keyOf(b);
}

/** The next (1) or previous (−1) of `list` after `current`, also if that is no longer in it; without one from `at` on. Null at the end. */
export function neighbour<One extends Standout>(list: readonly One[], current: Standout | null, at: Offset, direction: 1 | -1): One | null {
  const k = list.findIndex((one) => isSame(one, current));
  if (k >= 0) return list[k + direction] ?? null;
  const isThere = (one: One) => (current ? order(one, current) * direction > 0 : (one.at - at) * direction >= 0);
  return (direction > 0 ? list.find(isThere) : list.findLast(isThere)) ?? null;
}

/** Reads what the address says; null: of all kinds. */
export function readKind(text: string | null): StandoutKind | null {
  return STANDOUT_KINDS.find((kind) => kind === text) ?? null;
}
