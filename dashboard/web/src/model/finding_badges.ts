//! Where findings lie on the timeline: at the instants and the slow polls that prove them, or where they were seen first.

import type { Finding } from "../api/types.ts";
import { between, instant, type Instant } from "../base/instant.ts";
import type { Offset } from "./geometry.ts";

export interface SlowPlace {
  readonly lane: string;
  readonly start: Offset;
  readonly length: number;
  readonly task: string;
}

export interface FindingBadge {
  readonly finding: Finding;
  readonly at: Offset;
  /** The worker on which it was; null where it is of none. */
  readonly lane: string | null;
}

/** Of one finding; its page has the rest. */
const MAX_OF_ONE = 4;
/** Instants nearer together than this are one, in nanoseconds: halves of a range are rounded. */
const SAME = 1;
/** The worst findings of a program; its page has the rest. */
export const MAX_BADGED = 60;

export function badgesOf(findings: readonly Finding[], slow: readonly SlowPlace[], base: Instant): FindingBadge[] {
  return findings.slice(0, MAX_BADGED).flatMap((finding) => placesOf(finding, slow, base).map(({ at, lane }) => ({ finding, at, lane }))).sort((a, b) => a.at - b.at);
}

function placesOf(finding: Finding, slow: readonly SlowPlace[], base: Instant): { at: Offset; lane: string | null }[] {
  const first = between(base, instant(finding.first_seen_at));
  const last = between(base, instant(finding.last_seen_at));
  const hrefs = finding.evidence.flatMap((it) => (it.href ? [it.href] : []));
  const tasks = new Set(hrefs.flatMap((href) => /^\/tasks\/\d+\/(\d+)/.exec(href)?.slice(1) ?? []));
  const polls = slow.filter((poll) => tasks.has(poll.task) && poll.start >= first - poll.length && poll.start <= last).sort((a, b) => b.length - a.length);
  const instants = hrefs.flatMap((href) => instantIn(href, base) ?? []);
  const places = [...polls.map(({ start, lane }) => ({ at: start, lane })), ...instants.map((at) => ({ at, lane: laneAt(at, slow) }))].slice(0, MAX_OF_ONE);
  return places.length > 0 ? places : [{ at: first, lane: null }];
}

/** Of an instant at which a slow poll began: the worker of that poll. */
function laneAt(at: Offset, slow: readonly SlowPlace[]): string | null {
  return slow.find((poll) => Math.abs(poll.start - at) <= SAME)?.lane ?? null;
}

/** The middle of the range that a link to the timeline shows is the instant that it means. */
function instantIn(href: string, base: Instant): Offset | null {
  const [path, query] = href.split("?");
  const params = new URLSearchParams(query);
  const [from, to] = [params.get("from"), params.get("to")];
  if (path !== "/timeline" || !/^\d{1,19}$/.test(from ?? "") || !/^\d{1,19}$/.test(to ?? "")) return null;
  return (between(base, instant(from!)) + between(base, instant(to!))) / 2;
}

/** Badges whose places on the screen would overlap, together. */
export interface Cluster {
  readonly x: number;
  readonly badges: readonly FindingBadge[];
}

export function clustered(badges: readonly FindingBadge[], pixelOf: (at: Offset) => number, width: number, apart: number): Cluster[] {
  const clusters: { x: number; badges: FindingBadge[] }[] = [];
  for (const badge of badges) {
    const x = pixelOf(badge.at);
    if (x < 0 || x > width) continue;
    const last = clusters.at(-1);
    if (last && x - last.x < apart) last.badges.push(badge);
    else clusters.push({ x, badges: [badge] });
  }
  return clusters;
}

/** The worst of several. */
export function worst(badges: readonly FindingBadge[]): Finding {
  const rank = { error: 2, warning: 1, info: 0 };
  return badges.map(({ finding }) => finding).reduce((a, b) => (rank[b.level] > rank[a.level] ? b : a));
}
