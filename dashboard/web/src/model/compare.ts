//! Two ranges side by side: which they are, what became of each place, and the sentence that says it.
//!
//! Worse is judged as the server's rule `regression` does, and better by the same measure the other way round. Fewer lengths than that
//! rule wants make a change possible instead of likely: a person who asks may be told, a report may not.

import type { CompareAnswer, CompareSide, CompareSite, Finding, Process, SiteFigures } from "../api/types.ts";
import { duration, plural, significant } from "../base/format.ts";
import { between, instant, MILLISECOND, plus, SECOND } from "../base/instant.ts";
import { apart, CAPTURE_INCOMPLETE } from "./findings.ts";
import { rangeWord } from "./cli.ts";
import type { Changes } from "./query_string.ts";
import { ALL, rangeFromQuery, rangeToQuery, type Range } from "./range.ts";

/** A run, and a range of it. */
export interface Side {
  readonly process: number;
  readonly range: Range;
}

type Letter = "a" | "b";

/** What the address says of a side; null if it names no run. */
export function readSide(query: URLSearchParams, letter: Letter): Side | null {
  const process = Number(query.get(letter) ?? NaN);
  if (!Number.isSafeInteger(process) || process < 0) return null;
  const own = new URLSearchParams();
  for (const key of ["last", "from", "to"]) {
    const value = query.get(`${letter}_${key}`);
    if (value != null) own.set(key, value);
  }
  return { process, range: rangeFromQuery(own) ?? ALL };
}

/** The inverse of [`readSide`]: keys to set, null for keys to remove. */
export function sideChanges(letter: Letter, side: Side | null): Changes {
  const { last, from, to } = side && side.range.kind !== "all" ? rangeToQuery(side.range) : { last: null, from: null, to: null };
  return { [letter]: side?.process ?? null, [`${letter}_last`]: last, [`${letter}_from`]: from, [`${letter}_to`]: to };
}

/** What the API is asked for. A range that follows the data has no end. */
export function apiSide(letter: Letter, side: Side, process: Process | undefined): Changes {
  const { range } = side;
  const from = range.kind === "fixed" ? range.from : range.kind === "last" && process ? plus(instant(process.last_at), -range.span) : null;
  return { [letter]: side.process, [`${letter}_from`]: from == null ? null : String(from), [`${letter}_to`]: range.kind === "fixed" ? String(range.to) : null };
}

/** As `loopd compare` takes it: `3@-5m..`. */
export function sideWord({ process, range }: Side): string {
  const word = rangeWord(range);
  return word == null ? String(process) : `${process}@${word}`;
}

/** The run of the same program that was recorded before this one; with `isOther`, of another version. */
export function runBefore(process: Process, list: readonly Process[], isOther = false): Process | null {
  const started = BigInt(process.started_at);
  const before = list.filter((p) => p.app === process.app && BigInt(p.started_at) < started && !(isOther && p.app_version === process.app_version));
  return before.reduce<Process | null>((newest, p) => (newest == null || BigInt(p.started_at) > BigInt(newest.started_at) ? p : newest), null);
}

/** A run cut in two. */
export function halves(process: Process): { a: Side; b: Side } | null {
  const [from, to] = [instant(process.started_at), instant(process.last_at)];
  const middle = plus(from, between(from, to) / 2);
  if (middle <= from || middle >= to) return null;
  return { a: { process: process.process, range: { kind: "fixed", from, to: middle } }, b: { process: process.process, range: { kind: "fixed", from: middle, to } } };
}

export type Standing = "worse" | "better" | "new" | "gone" | "other";
export type What = "poll_p99" | "wake_p99" | "failed" | "spawned_per_min" | "busy_share";

/** One thing that is different at one place. */
export interface Change {
  readonly location: string;
  readonly isCallback: boolean;
  readonly standing: Standing;
  readonly what: What;
  /** Null: nothing of it ran there. */
  readonly a: number | null;
  readonly b: number | null;
  readonly sure: Finding["confidence"];
  /** Why no more than that. */
  readonly doubt: string | null;
}

/** Of fewer lengths a 99th percentile is made by a handful of them. */
const MANY = 500;
/** Of fewer it says nothing at all. */
const FEW = 50;
const MUCH = 2;
const POLL_FELT = MILLISECOND;
const DELAY_FELT = 5 * MILLISECOND;
/** So few failures come by chance. */
const MIN_FAILED = 3;
/** Of fewer tasks a rate says nothing. */
const MIN_SPAWNED = 100;
/** Load goes up and down by less. */
const RATE_MUCH = 5;
/** So many polls should have been seen of a place that is missing. */
const EXPECTED = 10;

/** What is different, most of it first. */
export function changesOf({ a, b, sites, changes }: CompareAnswer): Change[] {
  const [longA, longB] = [lengthOf(a), lengthOf(b)];
  const told = new Map(changes.map((finding) => [finding.subject, finding.confidence]));
  const list = sites.flatMap((site) => changesAt(site, longA, longB));
  // What the server says as well it has better reasons for.
  const sured = list.map((it): Change => (it.standing === "worse" && told.has(it.location) ? { ...it, sure: told.get(it.location)!, doubt: null } : it));
  return sured.sort((x, y) => weight(y) - weight(x));
}

/** Doubtful ones after the others, then by how many times. */
function weight(change: Change): number {
  return (change.sure === "possible" ? 0 : 1000) + Math.min(Math.abs(Math.log2(ratio(change) ?? 1)), 100);
}

/** How many times as much as before; null where there is nothing to divide by. */
export function ratio({ a, b }: Pick<Change, "a" | "b">): number | null {
  return a == null || b == null || a === 0 ? null : b / a;
}

export function lengthOf(side: CompareSide): number {
  return between(instant(side.from), instant(side.to));
}

function changesAt(site: CompareSite, longA: number, longB: number): Change[] {
  const at = { location: site.location, isCallback: site.is_callback };
  const { a, b } = site;
  if (a == null || b == null) return a ? [oneSided(at, "gone", a, longB, "second")] : b ? [oneSided(at, "new", b, longA, "first")] : [];
  const polls = Math.min(polled(a, longA), polled(b, longB));
  const [often, oftenB] = [a.polls_per_sec ?? 0, b.polls_per_sec ?? 0];
  const isLoad = oftenB > MUCH * often || often > MUCH * oftenB;
  const made = (what: What, standing: Standing, doubt: string | null): Change => ({ ...at, what, standing, a: a[what] ?? 0, b: b[what] ?? 0, sure: doubt ? "possible" : "likely", doubt });
  const list: Change[] = [];
  const longer = (what: "poll_p99" | "wake_p99", felt: number, doubt: string | null) => {
    const [was, is] = [a[what], b[what]];
    if (was == null || is == null || polls < FEW || Math.abs(is - was) < felt) return;
    const few = polls < MANY ? `only ${plural(Math.round(polls), "poll")} on one side` : null;
    if (is >= MUCH * was) list.push(made(what, "worse", few ?? doubt));
    else if (was >= MUCH * is) list.push(made(what, "better", few ?? doubt));
  };
  longer("poll_p99", POLL_FELT, null);
  longer("wake_p99", DELAY_FELT, isLoad ? "the load is another" : null);
  const [spawnedA, spawnedB] = [spawned(a, longA), spawned(b, longB)];
  if (isMore(a.failed, spawnedA, b.failed, spawnedB)) list.push(made("failed", "worse", null));
  if (isMore(b.failed, spawnedB, a.failed, spawnedA)) list.push(made("failed", "better", null));
  const [rateA, rateB] = [a.spawned_per_min, b.spawned_per_min];
  const isRate = Math.max(spawnedA, spawnedB) >= MIN_SPAWNED && rateA > 0 && (rateB >= RATE_MUCH * rateA || rateB * RATE_MUCH <= rateA);
  if (isRate) list.push(made("spawned_per_min", "other", null));
  return list;
}

/** A place that one side does not have: surely, if that was long enough to have it. */
function oneSided(at: { location: string; isCallback: boolean }, standing: "new" | "gone", figures: SiteFigures, otherLength: number, other: string): Change {
  const expected = polled(figures, otherLength);
  const doubt = figures.polls_per_sec == null ? "it is not known how often it runs" : expected < EXPECTED ? `it runs seldom: the ${other} range may be too short to have it` : null;
  const share = figures.busy_share;
  return { ...at, standing, what: "busy_share", a: standing === "gone" ? share : null, b: standing === "new" ? share : null, sure: doubt ? "possible" : "likely", doubt };
}

/** More failures than as many tasks had before, by more than chance. Where it is not captured how tasks end nobody knows. */
function isMore(failedBefore: number | null, tasksBefore: number, failed: number | null, tasks: number): boolean {
  if (tasksBefore < 1 || failedBefore == null || failed == null) return false;
  const expected = (failedBefore * tasks) / tasksBefore;
  return failed >= expected + Math.max(3 * Math.sqrt(expected), MIN_FAILED) && failed >= MUCH * expected;
}

function polled(figures: SiteFigures, length: number): number {
  return ((figures.polls_per_sec ?? 0) * length) / SECOND;
}

function spawned(figures: SiteFigures, length: number): number {
  return (figures.spawned_per_min * length) / (60 * SECOND);
}

/** `2.4×`, or what took the place of nothing. */
export function ratioText(change: Pick<Change, "a" | "b" | "standing">): string {
  if (change.standing === "new" || change.standing === "gone") return change.standing;
  const times = ratio(change);
  return times == null ? "from none" : `${significant(times)}×`;
}

/** What to call the sides in a sentence. */
export function namesOf(a: CompareSide, b: CompareSide): readonly [string, string] {
  if (a.process === b.process) return ["the first range", "the second range"];
  const hasVersions = a.app === b.app && a.app_version !== b.app_version && a.app_version !== "" && b.app_version !== "";
  const name = (side: CompareSide) => (hasVersions ? `version ${side.app_version}` : a.app === b.app ? `process ${side.process}` : `process ${side.process} (${side.app})`);
  return [name(a), name(b)];
}

export interface Verdict {
  readonly tone: "bad" | "warn" | "ok" | "";
  readonly word: string;
  readonly sentence: string;
  /** What is true as well. */
  readonly also: readonly string[];
}

/** Ranges shorter than this say little. */
const SHORT = 10 * SECOND;

export function verdictOf(answer: CompareAnswer, changes: readonly Change[]): Verdict {
  const [nameA, nameB] = namesOf(answer.a, answer.b);
  const places = (standing: Standing) => new Set(changes.filter((it) => it.standing === standing && it.sure !== "possible").map((it) => it.location)).size;
  const matter = (list: readonly Finding[]) => apart(list).important.filter((it) => it.rule !== CAPTURE_INCOMPLETE && it.muted == null);
  // A warning that may have other causes may also be missing by chance. An error is too much for that.
  const isSure = (it: Finding) => it.level === "error" || it.confidence !== "possible";
  const sure = (list: readonly Finding[]) => matter(list).filter(isSure).length;
  const worse = parts([places("worse"), "place became worse", "places became worse"], [sure(answer.new), "finding is new", "findings are new"]);
  const better = parts([places("better"), "place became better", "places became better"], [sure(answer.gone), "finding is gone", "findings are gone"]);
  const findings = [...matter(answer.new), ...matter(answer.gone)].filter((it) => !isSure(it));
  const doubtful = findings.length + changes.filter((it) => (it.standing === "worse" || it.standing === "better") && it.sure === "possible").length;
  const also = [parts([doubtful, "difference is only possible, and does not count here", "differences are only possible, and do not count here"]), parts([places("new"), "place is new", "places are new"], [places("gone"), "place is gone", "places are gone"]), ...caveats(answer)].filter(Boolean);
  const name = nameB.charAt(0).toUpperCase() + nameB.slice(1);
  if (worse && better) return { tone: "warn", word: "Worse and better", sentence: `${name} is worse than ${nameA} in part: ${worse}, but ${better}`, also };
  if (worse) return { tone: "bad", word: "Worse", sentence: `${name} is worse than ${nameA}: ${worse}`, also };
  if (better) return { tone: "ok", word: "Better", sentence: `${name} is better than ${nameA}: ${better}`, also };
  return { tone: "", word: "No difference", sentence: `${name} is neither worse nor better than ${nameA}, as far as was seen`, also };
}

function parts(...list: readonly (readonly [number, string, string])[]): string {
  return list.filter(([count]) => count > 0).map(([count, one, many]) => plural(count, one, many)).join(" and ");
}

function caveats({ a, b, new: fresh, lasting, gone }: CompareAnswer): string[] {
  const list: string[] = [];
  const short = Math.min(lengthOf(a), lengthOf(b));
  if (a.process === b.process && a.from === b.from && a.to === b.to) list.push("Both sides are the same range");
  else if (a.process === b.process && BigInt(a.from) < BigInt(b.to) && BigInt(b.from) < BigInt(a.to)) list.push("The ranges overlap, so part of each is compared with itself");
  if (short < SHORT) list.push(`One side lasts ${duration(short)}: that is little to judge by`);
  if ([...fresh, ...lasting, ...gone].some((it) => it.rule === CAPTURE_INCOMPLETE)) list.push("Records were lost, so all counts are lower bounds");
  if (a.app !== b.app) list.push("These are two programs: places that only one has are no change");
  return list;
}
