//! Stacks as trees of functions with the time they stand for: left-heavy, inverted, in order of time, and around one function.
//!
//! Functions are one wherever they are called from and whichever line of theirs ran; lines are counted beside them.

import type { Frame, StackSample, StacksAnswer } from "../api/types.ts";
import type { InstantText, Nanos } from "../base/instant.ts";

/** Awaited time is of another answer, in which all samples count. */
export type Weight = "all" | "on" | "off" | "await";

/** A function, or what stands for one. */
export interface Func {
  readonly index: number;
  /** The same in every answer, for addresses. */
  readonly id: string;
  readonly name: string;
  readonly file: string;
  /** Of the program itself, not of a library or the runtime. */
  readonly own: boolean;
  /** No function: frames folded into one, or a poll. */
  readonly isMade: boolean;
}

/** One stack, outermost function first. */
export interface Stack {
  readonly funcs: readonly number[];
  /** The line in each, 0 if not known. */
  readonly lines: readonly number[];
}

/** Names functions, so that the stacks of two answers can be compared. */
export class Funcs {
  readonly list: Func[] = [];
  readonly #byKey = new Map<string, number>();

  of(name: string, file: string, own: boolean, isMade = false): number {
    const key = `${isMade ? "made" : ""}\n${name}\n${file}`;
    const known = this.#byKey.get(key);
    if (known != null) return known;
    const index = this.list.length;
    this.list.push({ index, id: hash(key), name, file, own, isMade });
    this.#byKey.set(key, index);
    return index;
  }

  byId(id: string | null): Func | null {
    return this.list.find((func) => func.id === id) ?? null;
  }
}

export interface Profile {
  readonly funcs: Funcs;
  readonly stacks: readonly Stack[];
  readonly samples: readonly StackSample[];
}

export const RUNTIME = "runtime below the program";
const LOST = "stack was lost";

/** Reads an answer. Unless `isWhole`, what calls the outermost function of the program is one box: it is the same in every stack. */
export function profileOf(answer: Pick<StacksAnswer, "stacks" | "samples">, funcs: Funcs, isWhole: boolean): Profile {
  return { funcs, samples: answer.samples, stacks: answer.stacks.map((frames) => stackOf(frames, funcs, isWhole)) };
}

function stackOf(frames: readonly Frame[], funcs: Funcs, isWhole: boolean): Stack {
  if (frames.length === 0) return { funcs: [funcs.of(LOST, "", false, true)], lines: [0] };
  const outermost = isWhole ? frames.length - 1 : frames.findLastIndex((frame) => frame.own);
  const kept = outermost < 0 ? frames : frames.slice(0, outermost + 1);
  const stack = { funcs: kept.map((frame) => funcOf(frame, funcs)), lines: kept.map((frame) => frame.line ?? 0) };
  if (kept.length < frames.length) {
    stack.funcs.push(funcs.of(RUNTIME, "", false, true));
    stack.lines.push(0);
  }
  stack.funcs.reverse();
  stack.lines.reverse();
  return stack;
}

function funcOf(frame: Frame, funcs: Funcs): number {
  // Without a symbol the line is all there is to tell them apart.
  const name = frame.function || (frame.file ? `no symbol, line ${frame.line ?? "unknown"}` : "no symbol");
  return funcs.of(name, frame.file ?? "", frame.own);
}

export function isWeighed(sample: Pick<StackSample, "on_cpu">, weight: Weight): boolean {
  return weight === "all" || weight === "await" || sample.on_cpu === (weight === "on");
}

/** How long each stack was seen. */
export function weigh(profile: Profile, weight: Weight): Nanos[] {
  const sums = profile.stacks.map(() => 0);
  for (const sample of profile.samples) {
    if (isWeighed(sample, weight)) sums[sample.stack]! += sample.weight;
  }
  return sums;
}

/** A stack, how long it was seen, and how long in the range before. */
export interface Weighed {
  readonly stack: Stack;
  readonly now: Nanos;
  readonly before: Nanos;
}

/** The stacks of a profile, and those of an earlier one with the same functions. */
export function weighed(profile: Profile, before: Profile | null, weight: Weight): Weighed[] {
  const list: Weighed[] = [];
  weigh(profile, weight).forEach((now, k) => now > 0 && list.push({ stack: profile.stacks[k]!, now, before: 0 }));
  if (before) weigh(before, weight).forEach((past, k) => past > 0 && list.push({ stack: before.stacks[k]!, now: 0, before: past }));
  return list;
}

export interface Node {
  /** An index into the functions; -1 for the root. */
  readonly func: number;
  readonly parent: Node | null;
  /** The same in every answer, for addresses. */
  readonly id: string;
  total: Nanos;
  /** Of that, in the function itself. */
  own: Nanos;
  /** The total in the range before. */
  before: Nanos;
  readonly children: Node[];
  /** Time by line of the function. */
  readonly lines: Map<number, Nanos>;
}

function node(func: number, parent: Node | null, id: string): Node {
  return { func, parent, id, total: 0, own: 0, before: 0, children: [], lines: new Map() };
}

function emptyRoot(): Node {
  return node(-1, null, "");
}

/** Adds `path`, outermost first, below `root`. */
class Builder {
  readonly root = emptyRoot();
  readonly #funcs: Funcs;
  readonly #children = new Map<Node, Map<number, Node>>();

  constructor(funcs: Funcs) {
    this.#funcs = funcs;
  }

  add(path: Stack, now: Nanos, before: Nanos): void {
    let at = this.root;
    at.total += now;
    at.before += before;
    for (let k = 0; k < path.funcs.length; k += 1) {
      at = this.#child(at, path.funcs[k]!);
      at.total += now;
      at.before += before;
      const line = path.lines[k]!;
      if (line > 0) at.lines.set(line, (at.lines.get(line) ?? 0) + now);
    }
    at.own += now;
  }

  #child(parent: Node, func: number): Node {
    let known = this.#children.get(parent);
    if (!known) this.#children.set(parent, (known = new Map()));
    let child = known.get(func);
    if (!child) {
      child = node(func, parent, hash(`${parent.id} ${this.#funcs.list[func]!.id}`));
      known.set(func, child);
      parent.children.push(child);
    }
    return child;
  }
}

/** Equal callers are one box, the heaviest first. */
export function heavyTree(stacks: readonly Weighed[], funcs: Funcs, isInverted = false): Node {
  const builder = new Builder(funcs);
  for (const { stack, now, before } of stacks) builder.add(isInverted ? reversed(stack) : stack, now, before);
  return sorted(builder.root, funcs);
}

function reversed(stack: Stack): Stack {
  return { funcs: stack.funcs.toReversed(), lines: stack.lines.toReversed() };
}

function sorted(root: Node, funcs: Funcs): Node {
  const name = (at: Node) => funcs.list[at.func]!.name;
  root.children.sort((a, b) => b.total - a.total || b.before - a.before || (name(a) < name(b) ? -1 : 1));
  root.children.forEach((child) => sorted(child, funcs));
  return root;
}

export interface TimePoll {
  readonly startAt: InstantText;
  readonly task: string;
  readonly worker: number;
  readonly loop: string;
}

/** In order of time every sample may be boxes of its own: so many are made, for the newest. */
export const MAX_TIME_BOXES = 200_000;

export interface TimeTree {
  readonly root: Node;
  /** What the boxes of polls stand for. */
  readonly polls: ReadonlyMap<Node, TimePoll>;
  /** So many samples, the oldest, have no place in it. */
  readonly left: number;
}

/** One poll after the other in the order in which they began, and in each what it did in order. */
export function timeTree(profile: Profile, weight: Weight, isInverted = false, maxBoxes = MAX_TIME_BOXES): TimeTree {
  const root = emptyRoot();
  const polls = new Map<Node, TimePoll>();
  const { funcs, samples, stacks } = profile;
  let [first, room] = [samples.length, maxBoxes];
  while (first > 0 && room >= 0) {
    first -= 1;
    room -= stacks[samples[first]!.stack]!.funcs.length + 1;
  }
  if (room < 0) first += 1;
  let [poll, open] = [root, ""];
  for (const sample of samples.slice(first)) {
    if (!isWeighed(sample, weight) || sample.weight === 0) continue;
    const key = `${sample.loop}/${sample.worker}/${sample.poll_start_at}`;
    if (open !== key) {
      [poll, open] = [node(funcs.of("poll", "", false, true), root, hash(key)), key];
      polls.set(poll, { startAt: sample.poll_start_at, task: sample.task, worker: sample.worker, loop: sample.loop });
      root.children.push(poll);
    }
    const stack = stacks[sample.stack]!;
    append(poll, isInverted ? reversed(stack) : stack, sample.weight, funcs);
    root.total += sample.weight;
  }
  return { root, polls, left: first };
}

/** Goes on in the boxes that are still open at the end of `parent`. */
function append(parent: Node, path: Stack, weight: Nanos, funcs: Funcs): void {
  let at = parent;
  at.total += weight;
  for (let k = 0; k < path.funcs.length; k += 1) {
    const func = path.funcs[k]!;
    let last = at.children.at(-1);
    // Own time is drawn behind what was called before it: what is called after it begins a new box.
    if (last?.func !== func || (last.own > 0 && k + 1 < path.funcs.length)) {
      last = node(func, at, hash(`${at.id} ${at.children.length} ${funcs.list[func]!.id}`));
      at.children.push(last);
    }
    at = last;
    at.total += weight;
    const line = path.lines[k]!;
    if (line > 0) at.lines.set(line, (at.lines.get(line) ?? 0) + weight);
  }
  at.own += weight;
}

export interface Sandwich {
  /** Its one child is the function, whose children are what called it. */
  readonly callers: Node;
  /** Its one child is the function, whose children are what it called. */
  readonly callees: Node;
}

/** All that calls a function and all that it calls. A function that calls itself counts once, from its outermost call. */
export function sandwich(stacks: readonly Weighed[], funcs: Funcs, func: number): Sandwich {
  const [callers, callees] = [new Builder(funcs), new Builder(funcs)];
  for (const { stack, now, before } of stacks) {
    const at = stack.funcs.indexOf(func);
    if (at < 0) continue;
    callers.add(reversed({ funcs: stack.funcs.slice(0, at + 1), lines: stack.lines.slice(0, at + 1) }), now, before);
    callees.add({ funcs: stack.funcs.slice(at), lines: stack.lines.slice(at) }, now, before);
  }
  return { callers: sorted(callers.root, funcs), callees: sorted(callees.root, funcs) };
}

/** One function over all stacks. */
export interface FuncSum {
  readonly func: Func;
  own: Nanos;
  total: Nanos;
  /** While it was the innermost function of the program: the time that it held the worker. */
  held: Nanos;
  /** The total in the range before. */
  before: Nanos;
  /** The line most time was spent at, 0 if not known. */
  line: number;
}

/** Every function, those that were longest at the innermost end of the program first. */
export function functions(stacks: readonly Weighed[], funcs: Funcs): FuncSum[] {
  const sums = new Map<number, FuncSum & { lines: Map<number, Nanos> }>();
  for (const { stack, now, before } of stacks) {
    const innermost = stack.funcs.findLast((func) => funcs.list[func]!.own);
    const seen = new Set<number>();
    for (let k = stack.funcs.length - 1; k >= 0; k -= 1) {
      const func = stack.funcs[k]!;
      if (seen.has(func) || funcs.list[func]!.isMade) continue;
      seen.add(func);
      let sum = sums.get(func);
      if (!sum) sums.set(func, (sum = { func: funcs.list[func]!, own: 0, total: 0, held: 0, before: 0, line: 0, lines: new Map() }));
      sum.total += now;
      sum.before += before;
      if (k === stack.funcs.length - 1) sum.own += now;
      if (func === innermost) sum.held += now;
      const line = stack.lines[k]!;
      if (line > 0) sum.lines.set(line, (sum.lines.get(line) ?? 0) + now);
    }
  }
  return [...sums.values()]
    .map(({ lines, ...sum }) => ({ ...sum, line: heaviestLine(lines) }))
    .sort((a, b) => b.held - a.held || b.own - a.own || b.total - a.total || (a.func.name < b.func.name ? -1 : 1));
}

/** The line most time was spent at; 0 if none is known. */
export function heaviestLine(lines: ReadonlyMap<number, Nanos>): number {
  let [line, most] = [0, -1];
  for (const [candidate, time] of lines) {
    if (time > most) [line, most] = [candidate, time];
  }
  return line;
}

export interface Matches {
  /** By function: 1 if it matches. */
  readonly funcs: Uint8Array;
  readonly count: number;
  /** Time in stacks of which some function matches. */
  readonly time: Nanos;
}

/** Functions whose name or file has the text in it; null for no text. */
export function search(text: string, stacks: readonly Weighed[], funcs: Funcs): Matches | null {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return null;
  const found = Uint8Array.from(funcs.list, (func) => (!func.isMade && `${func.name}\n${func.file}`.toLowerCase().includes(wanted) ? 1 : 0));
  const seen = new Set(stacks.flatMap(({ stack, now }) => (now > 0 ? stack.funcs.filter((func) => found[func] === 1) : [])));
  const time = stacks.reduce((sum, { stack, now }) => sum + (stack.funcs.some((func) => found[func] === 1) ? now : 0), 0);
  return { funcs: found, count: seen.size, time };
}

/** Where a box is found again: the node with this id, or null. */
export function nodeById(root: Node, id: string | null): Node | null {
  if (!id) return null;
  const open = [root];
  for (let at = open.pop(); at; at = open.pop()) {
    if (at.id === id) return at;
    open.push(...at.children);
  }
  return null;
}

/** 53 bits of a text as a short word (cyrb53). Not for secrets. */
function hash(text: string): string {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let k = 0; k < text.length; k += 1) {
    const code = text.charCodeAt(k);
    a = Math.imul(a ^ code, 0x9e3779b1);
    b = Math.imul(b ^ code, 0x5f356495);
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36);
}
