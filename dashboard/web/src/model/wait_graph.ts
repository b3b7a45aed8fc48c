//! Who waits for whom as a graph that a person can take in: tasks point to what they wait for, and that to who holds it.
//!
//! Waiters that only differ in their number are one node, and what does not fit is counted, so that thousands of waits are a picture too.

import type { ResourceRef, Wait } from "../api/types.ts";
import { count, plural, shortPlace } from "../base/format.ts";

export interface WaitNode {
  readonly id: string;
  readonly kind: "task" | "resource";
  readonly title: string;
  readonly detail: string;
  /** Of tasks or resources; more than one if it stands for several. */
  readonly count: number;
  /** The one that it is; null if it is several, or has no page. */
  readonly subject: string | null;
  readonly isInCircle: boolean;
  /** The waits of the task, of the tasks, or for the resource. */
  readonly rows: readonly Wait[];
  /** What finds these rows in the table. */
  readonly search: string;
}

export interface WaitEdge {
  readonly from: string;
  readonly to: string;
  readonly kind: "waits" | "held";
  readonly isInCircle: boolean;
  /** In the second half of a circle. */
  readonly isBack: boolean;
}

export interface WaitGraph {
  readonly nodes: readonly WaitNode[];
  readonly edges: readonly WaitEdge[];
  /** Tasks and resources that are in no node. */
  readonly leftOut: { readonly tasks: number; readonly resources: number };
  /** What there is to see, in a sentence. */
  readonly summary: string;
}

/** So many waiters of one thing from one place are one node. */
const FOLD_FROM = 3;
/** So many nodes at most only wait for one thing, or only hold it; the rest of them are one more. Fewer where there is much else. */
const [MAX_BESIDE, MAX_BESIDE_MANY] = [8, 3];
/** More boxes than these are no picture any more. */
export const MAX_NODES = 120;
/** So many resources are named in the summary. */
const MAX_NAMED = 2;

interface Node {
  readonly id: string;
  readonly kind: "task" | "resource";
  title: string;
  detail: string;
  count: number;
  subject: string | null;
  search: string;
  readonly rows: Set<Wait>;
  readonly out: Map<string, Edge>;
  readonly into: Set<string>;
}

interface Edge {
  readonly kind: "waits" | "held";
  /** Where the task waits, or where it took what it holds; what it does there. */
  place: string | null;
  op: string;
}

type Nodes = Map<string, Node>;

export function waitGraph(rows: readonly Wait[], maxNodes = MAX_NODES): WaitGraph {
  const nodes: Nodes = new Map();
  for (const row of rows) addRow(nodes, row);
  const circles = circlesOf(rows);
  const summary = summaryOf(nodes, circles, rows);
  foldAlike(nodes, circles.nodes);
  for (const most of [MAX_BESIDE, MAX_BESIDE_MANY]) {
    if (most === MAX_BESIDE_MANY && nodes.size <= maxNodes / 2) break;
    foldBeside(nodes, circles.nodes, "waits", most);
    foldBeside(nodes, circles.nodes, "held", most);
  }
  return { ...drawn(nodes, circles, maxNodes), summary };
}

export function resourceText(resource: ResourceRef): string {
  const kind = resource.kind || "resource";
  return resource.name ? `${kind} ${resource.name}` : resource.location ? `${kind} of ${resource.location}` : `${kind} ${resource.resource}`;
}

/** All that can be reached from a node, and all from where it can be reached. */
export function chainOf(graph: Pick<WaitGraph, "edges">, id: string): ReadonlySet<string> {
  const chain = new Set([id]);
  for (const [tail, head] of [["from", "to"], ["to", "from"]] as const) {
    const next = [id];
    const seen = new Set(next);
    for (let k = 0; k < next.length; k += 1) {
      for (const edge of graph.edges) {
        if (edge[tail] !== next[k] || seen.has(edge[head])) continue;
        seen.add(edge[head]);
        chain.add(edge[head]);
        next.push(edge[head]);
      }
    }
  }
  return chain;
}

const taskId = (task: string) => `task-${task}`;
const nodeOf = (row: Wait) => (row.task == null ? `outside-${row.wait}` : taskId(row.task));

function addRow(nodes: Nodes, row: Wait): void {
  const waiter = addTask(nodes, nodeOf(row), row.task, row.task_name);
  waiter.rows.add(row);
  waiter.detail = placeOf("waits at", row.location);
  const [first] = row.chain;
  const what = addWait(nodes, waiter, row.resource, row.op, row.location, first?.task ?? null);
  what?.rows.add(row);
  for (const holder of row.holders) {
    if (!what || holder.released_at != null) continue;
    const id = holder.task == null ? `holder-${what.id}` : taskId(holder.task);
    const node = addTask(nodes, id, holder.task, holder.task_name);
    if (node.rows.size === 0) node.detail = placeOf("took it at", holder.location);
    join(what, node, { kind: "held", place: holder.location, op: "" });
  }
  row.chain.forEach((link, k) => {
    const node = addTask(nodes, taskId(link.task), link.task, link.task_name);
    const next = row.chain[k + 1]?.task ?? null;
    // The last of a chain that is cut short waits as well, but nobody knows for whom.
    if (!link.resource && next == null) return;
    if (node.rows.size === 0) node.detail = placeOf("waits at", link.location);
    addWait(nodes, node, link.resource, link.op, link.location, next);
  });
}

/** The node that is waited for; null if that is another task itself. */
function addWait(nodes: Nodes, waiter: Node, resource: ResourceRef | null, op: string, place: string | null, holder: string | null): Node | null {
  const held = holder == null ? null : addTask(nodes, taskId(holder), holder, null);
  const edge: Edge = { kind: "waits", place, op };
  if (!resource && held) {
    join(waiter, held, edge);
    return null;
  }
  const id = resource ? `resource-${resource.resource}` : `unknown-${op} ${place}`;
  let what = nodes.get(id);
  if (!what) {
    // Their places would not tell those without a name apart.
    what = newNode(id, "resource", resource ? `${resource.kind || "resource"} ${resource.name || resource.resource}` : "something not known");
    what.subject = resource?.resource ?? null;
    what.detail = resource ? placeOf("of", resource.location) : op;
    what.search = resource?.name || resource?.location || place || op;
    nodes.set(id, what);
  }
  join(waiter, what, edge);
  if (held) join(what, held, { kind: "held", place: null, op: "" });
  return what;
}

function addTask(nodes: Nodes, id: string, task: string | null, name: string | null): Node {
  let node = nodes.get(id);
  if (!node) {
    node = newNode(id, "task", task == null ? "outside any task" : `task ${task}`);
    node.subject = task;
    node.search = task ?? "";
    nodes.set(id, node);
  }
  if (name && task != null) node.title = `task ${task} ${name}`;
  return node;
}

function newNode(id: string, kind: Node["kind"], title: string): Node {
  return { id, kind, title, detail: "", count: 1, subject: null, search: "", rows: new Set(), out: new Map(), into: new Set() };
}

function join(from: Node, to: Node, edge: Edge): void {
  const known = from.out.get(to.id);
  if (known) known.place ??= edge.place;
  else from.out.set(to.id, edge);
  to.into.add(from.id);
}

function placeOf(verb: string, place: string | null): string {
  return place ? `${verb} ${shortPlace(place)}` : "";
}

interface Circles {
  /** The tasks of each. */
  readonly tasks: readonly (readonly string[])[];
  readonly nodes: ReadonlySet<string>;
  /** Whether it is in the second half. */
  readonly edges: ReadonlyMap<string, boolean>;
}

/** A chain that ends at a task which is in it already is a circle from there on. */
function circlesOf(rows: readonly Wait[]): Circles {
  const tasks = new Map<string, string[]>();
  const nodes = new Set<string>();
  const edges = new Map<string, boolean>();
  for (const row of rows) {
    if (!row.cycle || row.task == null) continue;
    const path = [row.task, ...row.chain.map((link) => link.task)];
    const start = path.indexOf(path.at(-1)!);
    if (start === path.length - 1) continue;
    const circle = path.slice(start, -1);
    const name = [...circle].sort().join();
    if (tasks.has(name)) continue;
    tasks.set(name, circle);
    const steps = circle.flatMap((task, k) => {
      const resource = start + k === 0 ? row.resource : row.chain[start + k - 1]!.resource;
      return [taskId(task), ...(resource ? [`resource-${resource.resource}`] : [])];
    });
    steps.forEach((id, k) => {
      nodes.add(id);
      const edge = `${id} ${steps[(k + 1) % steps.length]}`;
      if (!edges.has(edge)) edges.set(edge, k >= steps.length / 2);
    });
  }
  return { tasks: [...tasks.values()], nodes, edges };
}

/** Tasks at one place, each waiting for a thing of its own that nobody holds: idle workers, most often. */
function foldAlike(nodes: Nodes, circle: ReadonlySet<string>): void {
  const groups = new Map<string, Node[]>();
  for (const node of nodes.values()) {
    if (!isBeside(node, "waits", circle)) continue;
    const [[target, edge]] = [...node.out] as [[string, Edge]];
    const what = nodes.get(target)!;
    if (what.kind !== "resource" || what.into.size > 1 || what.out.size > 0) continue;
    const resource = [...what.rows][0]?.resource;
    group(groups, [resource?.kind, resource?.location ?? resource?.name, edge.op, edge.place, node.subject == null && "outside"].filter(Boolean).join("\n"), node);
  }
  for (const [key, alike] of groups) {
    if (alike.length < FOLD_FROM) continue;
    const [first] = alike as [Node];
    const [target, edge] = [...first.out][0]!;
    const resource = [...first.rows][0]?.resource;
    const what = newNode(`each-${key.replaceAll("\n", " ")}`, "resource", `${count(alike.length)} × ${resource?.kind || "resource"}`);
    what.detail = resource?.location ? `of ${shortPlace(resource.location)}` : "one for each";
    what.count = alike.length;
    what.search = resource?.location ?? resource?.kind ?? nodes.get(target)!.search;
    nodes.set(what.id, what);
    for (const node of alike) {
      const own = [...node.out.keys()][0]!;
      for (const row of nodes.get(own)!.rows) what.rows.add(row);
      nodes.delete(own);
      node.out.clear();
      join(node, what, edge);
    }
    fold(nodes, what, alike, "waits");
  }
}

/** Of one thing: those that wait from one place, or that took it at one place; then the smallest, until few are left. */
function foldBeside(nodes: Nodes, circle: ReadonlySet<string>, kind: Edge["kind"], most: number): void {
  for (const what of [...nodes.values()]) {
    const beside = () => [...(kind === "waits" ? what.into : what.out.keys())].map((id) => nodes.get(id)!).filter((node) => isBeside(node, kind, circle));
    const edgeOf = (node: Node) => (kind === "waits" ? node.out.get(what.id)! : what.out.get(node.id)!);
    const groups = new Map<string, Node[]>();
    for (const node of beside()) group(groups, `${edgeOf(node).op}\n${edgeOf(node).place}\n${node.subject == null}`, node);
    for (const alike of groups.values()) if (alike.length >= FOLD_FROM) fold(nodes, what, alike, kind);
    const left = beside();
    if (left.length <= most) continue;
    left.sort((a, b) => b.count - a.count);
    fold(nodes, what, left.slice(most - 1), kind, true);
  }
}

/** Whether a task does nothing but to wait for one thing, or to hold one. */
function isBeside(node: Node, kind: Edge["kind"], circle: ReadonlySet<string>): boolean {
  if (node.kind !== "task" || circle.has(node.id)) return false;
  return kind === "waits" ? node.into.size === 0 && node.out.size === 1 : node.out.size === 0 && node.into.size === 1;
}

function group<T>(groups: Map<string, T[]>, key: string, one: T): void {
  const known = groups.get(key);
  if (known) known.push(one);
  else groups.set(key, [one]);
}

/** Replaces nodes beside `what` by one that stands for them: of one place and kind, or the rest of all. */
function fold(nodes: Nodes, what: Node, alike: readonly Node[], kind: Edge["kind"], isRest = false): void {
  const [first] = alike as [Node];
  const known = kind === "waits" ? first.out.get(what.id)! : what.out.get(first.id)!;
  const edge: Edge = isRest ? { kind, place: null, op: "" } : known;
  const isOutside = !isRest && first.subject == null;
  const total = alike.reduce((sum, node) => sum + node.count, 0);
  // Not named after its first one: the group is the same while waits come and go.
  const id = [kind, isRest ? "rest" : "at", edge.op, edge.place, what.id, isOutside && "outside"].filter(Boolean).join(" ");
  const node = newNode(id, "task", `${count(total)} ${isRest ? "more " : ""}${isOutside ? "outside any task" : "tasks"}`);
  node.detail = isRest ? "from other places" : placeOf(kind === "waits" ? "wait at" : "took it at", edge.place);
  node.count = total;
  node.search = edge.place ?? what.search;
  for (const one of alike) {
    for (const row of one.rows) node.rows.add(row);
    what.into.delete(one.id);
    what.out.delete(one.id);
    nodes.delete(one.id);
  }
  nodes.set(node.id, node);
  if (kind === "waits") join(node, what, edge);
  else join(what, node, edge);
}

/** What hangs together stays together: circles first, then what is held, then the rest; the largest of each first. */
function drawn(nodes: Nodes, circles: Circles, maxNodes: number): Omit<WaitGraph, "summary"> {
  const parts = partsOf(nodes).map((part) => {
    const rank = part.some((node) => circles.nodes.has(node.id)) ? 0 : part.some((node) => node.kind === "resource" && node.out.size > 0) ? 1 : 2;
    return { part, rank, size: part.reduce((sum, node) => sum + node.count, 0) };
  });
  parts.sort((a, b) => a.rank - b.rank || b.size - a.size);
  const all = parts.flatMap(({ part }) => part);
  const chosen = new Set(all.slice(0, maxNodes));
  const left = all.slice(maxNodes);
  const sum = (kind: Node["kind"]) => left.reduce((total, node) => total + (node.kind === kind ? node.count : 0), 0);
  const edges = [...chosen].flatMap((from) =>
    [...from.out].filter(([to]) => chosen.has(nodes.get(to)!)).map(([to, edge]) => ({ from: from.id, to, kind: edge.kind, isInCircle: circles.edges.has(`${from.id} ${to}`), isBack: circles.edges.get(`${from.id} ${to}`) ?? false })),
  );
  return {
    nodes: [...chosen].map((node) => ({ ...node, rows: [...node.rows], isInCircle: circles.nodes.has(node.id) })),
    edges,
    leftOut: { tasks: sum("task"), resources: sum("resource") },
  };
}

/** Each from what most tasks wait for, on to what is farther from it. */
function partsOf(nodes: Nodes): Node[][] {
  const weight = (node: Node) => (node.kind === "resource" ? node.into.size : 0);
  const starts = [...nodes.values()].sort((a, b) => weight(b) - weight(a));
  const seen = new Set<Node>();
  const parts: Node[][] = [];
  for (const start of starts) {
    if (seen.has(start)) continue;
    const part = [start];
    seen.add(start);
    for (let k = 0; k < part.length; k += 1) {
      for (const id of [...part[k]!.out.keys(), ...part[k]!.into]) {
        const next = nodes.get(id)!;
        if (seen.has(next)) continue;
        seen.add(next);
        part.push(next);
      }
    }
    parts.push(part);
  }
  return parts;
}

/** `3 tasks wait in a circle; 41 wait for mutex config, held by task 7`. */
function summaryOf(nodes: Nodes, circles: Circles, rows: readonly Wait[]): string {
  const waiting = new Set(rows.map(nodeOf));
  const told = new Set(circles.tasks.flat().map(taskId));
  const parts: string[] = [];
  if (circles.tasks.length === 1) parts.push(told.size === 1 ? `task ${circles.tasks[0]![0]!} waits for itself` : `${count(told.size)} tasks wait in a circle`);
  if (circles.tasks.length > 1) parts.push(`${count(told.size)} tasks wait in ${count(circles.tasks.length)} circles`);
  const held = [...nodes.values()]
    .filter((node) => node.kind === "resource" && node.out.size > 0)
    .map((node) => ({ node, waiters: [...node.into].filter((id) => waiting.has(id) && !told.has(id)) }))
    .filter(({ waiters }) => waiters.length > 0)
    .sort((a, b) => b.waiters.length - a.waiters.length);
  for (const { node, waiters } of held.slice(0, MAX_NAMED)) {
    const holders = [...node.out.keys()].map((id) => nodes.get(id)!);
    const by = holders.length === 1 ? holders[0]!.title : `${count(holders.length)} tasks`;
    parts.push(`${number(waiters.length, parts)} for ${node.title}, held by ${by}`);
    for (const id of waiters) told.add(id);
  }
  const isHeld = (id: string) => [...nodes.get(id)!.out.keys()].some((to) => nodes.get(to)!.kind === "task" || nodes.get(to)!.out.size > 0);
  const more = [...waiting].filter((id) => !told.has(id) && isHeld(id)).length;
  if (more > 0) parts.push(`${number(more, parts)} for something else that is held`);
  const idle = [...waiting].filter((id) => !told.has(id) && !isHeld(id)).length;
  if (idle > 0) parts.push(`${number(idle, parts)} for what nobody is known to hold`);
  const text = parts.join("; ");
  return text && `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}

/** The first of several counts says what it counts. */
function number(tasks: number, before: readonly string[]): string {
  const verb = tasks === 1 ? "waits" : "wait";
  return before.length === 0 ? `${plural(tasks, "task")} ${verb}` : `${count(tasks)} ${verb}`;
}
