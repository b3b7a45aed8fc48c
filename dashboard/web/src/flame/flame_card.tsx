//! The stacks of slow polls as a flame graph: three views, four weights, a search, the change since before, and all of it as a table.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useMemo } from "preact/hooks";
import { apiUrl } from "../api/client.ts";
import type { StacksAnswer } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { place, setQuery } from "../app/router.ts";
import { lastAt, link, process, processId, range, startedAt } from "../app/session.ts";
import { isTyping } from "../app/shortcuts.ts";
import { clock, duration, percent, plural, shortPlace } from "../base/format.ts";
import { between, instant, MILLISECOND, plus, type Instant } from "../base/instant.ts";
import { Funcs, functions, heaviestLine, heavyTree, isWeighed, nodeById, profileOf, sandwich, search, timeTree, weigh, weighed, type FuncSum, type Node, type Profile, type Weight, type Weighed } from "../model/flame.ts";
import { boxesOf, indexOf } from "../model/flame_boxes.ts";
import { rangeToQuery, resolveRange } from "../model/range.ts";
import { pollHref } from "../timeline/links.ts";
import { CopyButton } from "../ui/clipboard.tsx";
import { Card, Tabs } from "../ui/small.tsx";
import { Empty, Ready } from "../ui/states.tsx";
import { Awaited } from "./awaited.tsx";
import { FlameView } from "./canvas_view.tsx";
import { FlameTable } from "./flame_table.tsx";
import { signed } from "./labels.ts";
import type { Say } from "./tip.tsx";

/** On the keys 1 to 3. */
const VIEWS = [["time", "Time order"], ["heavy", "Left heavy"], ["sandwich", "Sandwich"]] as const;
const WEIGHTS = [["all", "All time"], ["on", "On CPU"], ["off", "Off CPU"], ["await", "Await"]] as const;
type View = (typeof VIEWS)[number][0];

/** What the address says of the graph. */
interface Asked {
  /** Where the address keeps what is searched: a page may have a search of its own. */
  readonly searchKey: string;
  readonly view: View;
  readonly weight: Weight;
  /** A box, or in the sandwich a function. */
  readonly focus: string | null;
  readonly q: string;
  readonly isInverted: boolean;
  readonly isDiff: boolean;
  readonly isWhole: boolean;
  /** One site of the page alone. */
  readonly site: string | null;
}

function asked(searchKey: string): Asked {
  const { query } = place.value;
  const one = <Key extends string>(key: string, options: readonly (readonly [Key, string])[]) => options.find(([known]) => known === query.get(key))?.[0];
  return {
    searchKey, view: one("view", VIEWS) ?? "heavy", weight: one("weight", WEIGHTS) ?? "all", focus: query.get("focus"), q: query.get(searchKey) ?? "",
    isInverted: query.get("inverted") === "1", isDiff: query.get("diff") === "1", isWhole: query.get("whole") === "1", site: query.get("site"),
  };
}

/** A stretch of time on some workers, or on all if none are named. */
export interface Stretch {
  readonly from: Instant;
  readonly to: Instant;
  readonly lanes: string | null;
}

export interface FlameProps {
  readonly of?: Stretch;
  readonly searchKey?: string;
}

/** Of a stretch, or else of the range of the page. Keys work only where the graph is what the page is about. */
export function FlameCard({ of, searchKey = "q" }: FlameProps) {
  const it = asked(searchKey);
  // What tasks awaited is of a dump, and of no stretch.
  return it.weight === "await" && !of ? <AwaitFlame it={it} /> : <SlowFlame it={it} of={of} />;
}

/** Where tasks have waited since when, of one dump: the time of tasks, not of threads. It has no order, and nothing before it. */
function AwaitFlame({ it }: { it: Asked }) {
  const view = it.view === "time" ? "heavy" : it.view;
  return (
    <Card title="Flame graph" testId="flame" className="flame" tools={<CopyLink />}>
      <Awaited weights={<WeightTabs it={it} />}>
        {(answer, said) => <Graph it={{ ...it, view, isDiff: false, site: null }} answer={answer} before={null} canDiff={false} hasKeys said={said} />}
      </Awaited>
    </Card>
  );
}

function SlowFlame({ it, of }: { it: Asked; of: Stretch | undefined }) {
  const id = processId.value;
  const isAll = !of && range.value.kind === "all";
  const { from, to } = of ?? resolveRange(range.value, startedAt.value, lastAt.peek());
  const lanes = of?.lanes ?? null;
  const question = `${id} ${of ? `${from} ${to} ${lanes}` : JSON.stringify(rangeToQuery(range.value))} ${it.site ?? ""}`;
  const subject = `${id} ${it.site} ${of ? question : ""}`;
  const now = useApi<StacksAnswer>(stacksUrl(id, it.site, isAll ? null : { from, to }, lanes), { live: true, subject, question });
  // Before the whole recording there is nothing.
  const canDiff = !isAll && from > startedAt.value;
  const earlier = { from: plus(from, -between(from, to)), to: from };
  const before = useApi<StacksAnswer>(it.isDiff && canDiff ? stacksUrl(id, it.site, earlier, lanes) : null, { live: true, subject, question: `${question} before` });
  return (
    <Card title="Flame graph" testId="flame" className="flame" tools={<CopyLink />}>
      <Ready of={now}>
        {(answer) => answer.samples.length === 0 ? <>{!of && <WeightTabs it={it} />}<NoStacks answer={answer} site={it.site} /></> : <Graph it={it} answer={answer} before={it.isDiff && canDiff ? before.data : null} canDiff={canDiff} hasKeys={!of} />}
      </Ready>
    </Card>
  );
}

function stacksUrl(id: number | null, site: string | null, range: { from: Instant; to: Instant } | null, lanes: string | null): string {
  return apiUrl("/stacks", { process: id, location: site, lanes, from: range && String(range.from), to: range && String(range.to) });
}

function WeightTabs({ it }: { it: Asked }) {
  return <Tabs label="Weight" value={it.weight} options={WEIGHTS} onChange={(weight) => setQuery({ weight: weight === "all" ? null : weight, focus: null })} />;
}

function CopyLink() {
  return <div class="table-tools"><CopyButton label="Link" icon="link" text={() => window.location.href} /></div>;
}

function NoStacks({ answer, site }: { answer: StacksAnswer; site: string | null }) {
  return (
    <Empty title="No stack to show">
      <p>
        {answer.polls === 0 ? "No slow poll in this range." : `No stack was taken in ${plural(answer.polls, "slow poll")} of this range.`}{" "}
        {site ? <button type="button" class="button" onClick={() => setQuery({ site: null, focus: null })}>All sites</button> : <><a href={link("/sources")}>Sources</a> says whether stacks are taken.</>}
      </p>
    </Empty>
  );
}

interface GraphProps {
  readonly it: Asked;
  readonly answer: StacksAnswer;
  /** The range before; null without a comparison. */
  readonly before: StacksAnswer | null;
  readonly canDiff: boolean;
  readonly hasKeys: boolean;
  /** What to say instead of the summary of slow polls. */
  readonly said?: ComponentChildren;
}

function Graph({ it, answer, before, canDiff, hasKeys, said }: GraphProps) {
  const model = useModel(it, answer, before);
  const { funcs, stacks, total, table } = model;
  const matches = useMemo(() => search(it.q, stacks, funcs), [it.q, stacks, funcs]);
  const heaviest = table.find((sum) => sum.held > 0) ?? null;
  // The sandwich is always around something: what was chosen, else what held the worker longest.
  const chosen = it.view === "sandwich" ? (funcs.byId(it.focus) ?? heaviest?.func ?? table[0]?.func ?? null) : null;
  useKeys(model, it.searchKey, hasKeys);
  return (
    <div class="stack">
      <Toolbar it={it} canDiff={canDiff} model={model} />
      {said ?? <Summary it={it} answer={answer} model={model} heaviest={heaviest} />}
      <div class="flame-status row wrap">
        <Legend isDiff={before != null && it.view !== "time"} />
        <span class="grow" />
        <span class="muted" aria-live="polite" data-testid="flame-matches">
          {matches ? `${plural(matches.count, "function")} match${matches.count === 1 ? "es" : ""}: ${percent(total > 0 ? matches.time / total : 0)} of the time` : ""}
        </span>
      </div>
      {total === 0 ? <p class="muted">No sample found the thread {it.weight === "on" ? "computing" : "asleep"}.</p> : chosen
        ? <SandwichView model={model} func={chosen.index} matches={matches?.funcs ?? null} isDiff={before != null} />
        : <TreeView model={model} it={it} matches={matches?.funcs ?? null} isDiff={before != null && it.view === "heavy"} />}
      <FlameTable sums={table} total={total} isDiff={before != null} chosen={chosen} matches={matches?.funcs ?? null} />
    </div>
  );
}

interface Model {
  readonly funcs: Funcs;
  readonly stacks: readonly Weighed[];
  readonly total: number;
  /** The total of the range before; null without a comparison. */
  readonly totalBefore: number | null;
  readonly table: readonly FuncSum[];
  /** Of the view; the left-heavy one for the sandwich. */
  readonly root: Node;
  /** So many samples, the oldest, are not in it. */
  readonly left: number;
  readonly labelOf: (node: Node) => string;
  readonly say: Say;
  readonly hrefOf: (node: Node) => string | null;
}

function useModel(it: Asked, answer: StacksAnswer, before: StacksAnswer | null): Model {
  const profiles = useMemo(() => {
    const funcs = new Funcs();
    const now: Profile = profileOf(answer, funcs, it.isWhole);
    return { funcs, now, past: before && profileOf(before, funcs, it.isWhole) };
  }, [answer, before, it.isWhole]);
  const { funcs, now, past } = profiles;
  const stacks = useMemo(() => weighed(now, past, it.weight), [now, past, it.weight]);
  const total = useMemo(() => sumOf(weigh(now, it.weight)), [now, it.weight]);
  const totalBefore = useMemo(() => past && sumOf(weigh(past, it.weight)), [past, it.weight]);
  const table = useMemo(() => functions(stacks, funcs), [stacks, funcs]);
  const tree = useMemo(() => (it.view === "time" ? timeTree(now, it.weight, it.isInverted) : { root: heavyTree(stacks, funcs, it.isInverted && it.view === "heavy"), polls: null, left: 0 }), [now, stacks, funcs, it.view, it.weight, it.isInverted]);
  return useMemo(() => {
    const pollOf = (node: Node) => tree.polls?.get(node);
    const labelOf = (node: Node) => {
      const poll = pollOf(node);
      return poll ? `${clock(instant(poll.startAt), MILLISECOND)} worker ${poll.worker} task ${poll.task}` : funcs.list[node.func]!.name;
    };
    const say: Say = (node) => {
      const func = funcs.list[node.func]!;
      const line = heaviestLine(node.lines);
      const lines = node.lines.size > 1 ? `, mostly line ${line} of ${node.lines.size}` : line ? `:${line}` : "";
      const about = func.isMade ? null : `${func.file ? `${func.file}${lines}` : "no source line known"} · ${func.own ? "the program" : "runtime or library"}`;
      const times = `own ${duration(node.own)} · total ${duration(node.total)} (${percent(total > 0 ? node.total / total : 0)})`;
      const change = past && !tree.polls ? `before ${duration(node.before)} · change ${signed(node.total - node.before)}` : null;
      return [labelOf(node), ...[about, times, change].filter((text) => text != null)];
    };
    const hrefOf = (node: Node) => {
      const poll = pollOf(node);
      return poll ? pollHref({ loop: poll.loop, worker: poll.worker, start_at: poll.startAt, length: node.total }) : null;
    };
    return { funcs, stacks, total, totalBefore, table, root: tree.root, left: tree.left, labelOf, say, hrefOf };
  }, [funcs, stacks, total, totalBefore, table, tree, past]);
}

function sumOf(times: readonly number[]): number {
  return times.reduce((sum, time) => sum + time, 0);
}

function TreeView({ model, it, matches, isDiff }: { model: Model; it: Asked; matches: Uint8Array | null; isDiff: boolean }) {
  const boxes = useMemo(() => boxesOf(model.root), [model.root]);
  const focused = useMemo(() => nodeById(model.root, it.focus), [model.root, it.focus]);
  // What is open is opened again to leave it: then its caller fills the width.
  const open = (node: Node) => setFocus(node === focused ? parentId(node) : node.id);
  const summary = `${VIEWS.find(([view]) => view === it.view)![1]}: ${plural(boxes.nodes.length, "box", "boxes")}, ${duration(model.total)}. ${widest(model)} The table below has all functions.`;
  return (
    <>
      {model.left > 0 && <p class="muted">The oldest {plural(model.left, "stack")} have no place here: choose a shorter range to see them.</p>}
      {focused && <Focused model={model} node={focused} />}
      <FlameView boxes={boxes} funcs={model.funcs.list} labelOf={model.labelOf} focus={indexOf(boxes, focused)} matches={matches} isDiff={isDiff} summary={summary} say={model.say} onOpen={open} testId="flame-canvas" />
    </>
  );
}

function widest(model: Model): string {
  const [first] = model.table;
  return first ? `${first.func.name} held it for ${duration(first.held)}.` : "";
}

function setFocus(focus: string | null): void {
  setQuery({ focus }, { push: true });
}

function parentId(node: Node): string | null {
  return node.parent && node.parent.func >= 0 ? node.parent.id : null;
}

/** What fills the width, how to leave it, and what else can be asked of it. */
function Focused({ model, node }: { model: Model; node: Node }) {
  const func = model.funcs.list[node.func]!;
  const [name, ...lines] = model.say(node);
  const href = model.hrefOf(node);
  return (
    <div class="flame-focus row wrap" data-testid="flame-focus">
      <button type="button" class="button" title="To its caller (Esc)" onClick={() => setFocus(parentId(node))}>← Back</button>
      <button type="button" class="button" onClick={() => setFocus(null)}>All</button>
      <b class="place ellipsis" title={name}>{name}</b>
      <span class="muted">{lines.at(-1)}</span>
      <span class="grow" />
      {href && <a class="button" href={href}>On the timeline</a>}
      {!func.isMade && <button type="button" class="button" title="Who calls it, and whom it calls (3)" onClick={() => setQuery({ view: "sandwich", focus: func.id }, { push: true })}>Callers and callees</button>}
    </div>
  );
}

function SandwichView({ model, func, matches, isDiff }: { model: Model; func: number; matches: Uint8Array | null; isDiff: boolean }) {
  const { funcs, stacks, total } = model;
  const { callers, callees } = useMemo(() => {
    const both = sandwich(stacks, funcs, func);
    return { callers: boxesOf(both.callers), callees: boxesOf(both.callees) };
  }, [stacks, funcs, func]);
  const { name } = funcs.list[func]!;
  const open = (node: Node) => !funcs.list[node.func]!.isMade && setFocus(funcs.list[node.func]!.id);
  const common = { funcs: funcs.list, labelOf: model.labelOf, focus: -1, matches, isDiff, say: model.say, onOpen: open };
  const share = percent(total > 0 ? callees.total / total : 0);
  return (
    <div class="stack tight" data-testid="flame-sandwich">
      <p class="row wrap"><b class="place ellipsis" title={name}>{name}</b> <span class="muted">{duration(callees.total)} · {share} of the time · click a box to go there</span></p>
      <h3>Callers</h3>
      <FlameView {...common} boxes={callers} isUp summary={`What calls ${name}: ${plural(callers.nodes.length - 1, "box", "boxes")}.`} testId="flame-callers" />
      <h3>Callees</h3>
      <FlameView {...common} boxes={callees} summary={`What ${name} calls: ${plural(callees.nodes.length - 1, "box", "boxes")}.`} testId="flame-callees" />
    </div>
  );
}

function Toolbar({ it, canDiff, model }: { it: Asked; canDiff: boolean; model: Model }) {
  return (
    <div class="row wrap flame-toolbar" role="toolbar" aria-label="Flame graph">
      <Tabs label="View" value={it.view} options={it.weight === "await" ? VIEWS.slice(1) : VIEWS} onChange={(view) => showView(it, view, model)} />
      <WeightTabs it={it} />
      <Toggle name="Inverted" title="From what ran to its callers (i)" isOn={it.isInverted} isEnabled={it.view !== "sandwich"} onChange={(inverted) => setQuery({ inverted, focus: null })} />
      <Toggle name="Whole stacks" title="Also the runtime that calls the program" isOn={it.isWhole} isEnabled onChange={(whole) => setQuery({ whole, focus: it.view === "sandwich" ? it.focus : null })} />
      {it.weight !== "await" && <Toggle name="Diff" title={canDiff ? "Against the range before, of the same length" : "There is nothing before this range: choose a later one"} isOn={it.isDiff && canDiff} isEnabled={canDiff} onChange={(diff) => setQuery({ diff })} />}
      {it.site && <button type="button" class="button" title="All sites again" onClick={() => setQuery({ site: null, focus: null })} data-testid="flame-site">only {shortPlace(it.site)} ×</button>}
      <input
        class="field search" type="search" data-search placeholder="Highlight function or file ( / )" aria-label="Highlight functions in the flame graph" value={it.q}
        onInput={(event) => setQuery({ [it.searchKey]: event.currentTarget.value })} onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
      />
    </div>
  );
}

/** Goes to a view; the sandwich is around what was in focus. */
function showView(it: Asked, view: View, { funcs, root }: Model): void {
  if (view === it.view) return;
  const focused = view === "sandwich" ? nodeById(root, it.focus) : null;
  const func = focused && funcs.list[focused.func];
  setQuery({ view: view === "heavy" ? null : view, focus: func && !func.isMade ? func.id : null });
}

function Toggle({ name, title, isOn, isEnabled, onChange }: { name: string; title: string; isOn: boolean; isEnabled: boolean; onChange: (isOn: boolean) => void }) {
  return <button type="button" class="button" aria-pressed={isOn} disabled={!isEnabled} title={title} onClick={() => onChange(!isOn)}>{name}</button>;
}

function Summary({ it, answer, model: { total, totalBefore }, heaviest }: { it: Asked; answer: StacksAnswer; model: Model; heaviest: FuncSum | null }) {
  const kind = it.weight === "all" ? "" : it.weight === "on" ? "on-CPU " : "off-CPU ";
  const held = process.value?.runtime === "asyncio" ? "loop" : "worker";
  const unknown = it.weight === "all" ? 0 : sumOf(answer.samples.map((sample) => (sample.on_cpu == null ? sample.weight : 0)));
  const taken = answer.samples.filter((sample) => isWeighed(sample, it.weight));
  const sampled = new Set(taken.map((sample) => `${sample.loop} ${sample.worker} ${sample.poll_start_at}`)).size;
  return (
    <p data-testid="flame-summary">
      <b>{duration(total)}</b> of {kind}{held} time in {plural(taken.length, "stack")} of {answer.more && "the newest "}{plural(sampled, "slow poll")}.
      {totalBefore != null && <> <b>{signed(total - totalBefore)}</b> against {duration(totalBefore)} in the range before.</>}
      {heaviest && <> <b class="place">{heaviest.func.name}</b>{heaviest.line > 0 && <> at <span class="place" title={heaviest.func.file}>{shortPlace(`${heaviest.func.file}:${heaviest.line}`)}</span></>} held it longest: {duration(heaviest.held)}, {percent(total > 0 ? heaviest.held / total : 0)}.</>}
      {unknown > 0 && <span class="muted"> Of {duration(unknown)} it is not known, and they are left out.</span>}
      {answer.polls_without > 0 && <span class="muted"> No stack was taken in {plural(answer.polls_without, "other")} ({duration(answer.time_without)}).</span>}
      {answer.more && <span class="muted"> There are more: choose a shorter range to see them.</span>}
    </p>
  );
}

function Legend({ isDiff }: { isDiff: boolean }) {
  return (
    <span class="legend" aria-label="Boxes">
      <span class="nowrap"><i class="flame-own" /><b>the program</b>: bold, with a bar</span>
      <span class="nowrap"><i class="flame-other" />runtime and libraries</span>
      {isDiff && <><span class="nowrap"><i class="flame-more" />+ more than before</span><span class="nowrap"><i class="flame-less" />− less</span></>}
    </span>
  );
}

function useKeys(model: Model, searchKey: string, hasKeys: boolean): void {
  // Before it is seen: a key that is pressed then is not lost.
  useLayoutEffect(() => {
    if (!hasKeys) return;
    const onKey = (event: KeyboardEvent) => {
      if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
      // Keys may be quicker than the page: what counts is the address, not what was last drawn.
      const it = asked(searchKey);
      const out = () => {
        const focused = nodeById(model.root, it.focus);
        if (it.focus) setFocus(focused ? parentId(focused) : null);
      };
      const actions: Record<string, () => void> = {
        "1": () => showView(it, "time", model), "2": () => showView(it, "heavy", model), "3": () => showView(it, "sandwich", model),
        i: () => it.view !== "sandwich" && setQuery({ inverted: !it.isInverted, focus: null }), Escape: out,
      };
      const action = actions[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    };
    // Before the keys of all pages, some of which are the same.
    addEventListener("keydown", onKey, true);
    return () => removeEventListener("keydown", onKey, true);
  });
}
