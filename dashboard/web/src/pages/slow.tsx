//! Which code blocks the loop? Sites by the worker time they took, each with the stack that held the worker and what to do about it.

import { apiUrl } from "../api/client.ts";
import type { Site, SlowAnswer, SlowPoll } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { clock, count, duration, percent, plural } from "../base/format.ts";
import { instant, MILLISECOND } from "../base/instant.ts";
import { asCliInRange } from "../app/as_cli.ts";
import { place, setQuery } from "../app/router.ts";
import { lastAt, link, process, processId, range, startedAt } from "../app/session.ts";
import type { FlameProps } from "../flame/flame_card.tsx";
import { rangeLabel, rangeToQuery, resolveRange } from "../model/range.ts";
import { pollHref } from "../timeline/links.ts";
import { lazy } from "../ui/lazy.tsx";
import { Prose } from "../ui/prose.tsx";
import { Card, Place, WholePlace } from "../ui/small.tsx";
import { Stack } from "../ui/stack.tsx";
import { Empty, Ready } from "../ui/states.tsx";
import { SumsBar } from "../ui/sums_bar.tsx";
import { Chevron, Table, type Column } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import { doing } from "./task_columns.tsx";

/** Sites asked for. */
const LIMIT = 100;
const FlameCard = lazy<FlameProps>(async () => (await import("../flame/flame_card.tsx")).FlameCard);

export function Slow() {
  const id = processId.value;
  const isWhole = range.value.kind === "all";
  const { from, to } = resolveRange(range.value, startedAt.value, lastAt.peek());
  const url = apiUrl("/slow", { process: id, from: isWhole ? null : String(from), to: isWhole ? null : String(to), limit: LIMIT });
  const slow = useApi<SlowAnswer>(url, { live: true, subject: id, question: `${id} ${JSON.stringify(rangeToQuery(range.value))}` });
  return (
    <div class="page" data-testid="slow">
      <header class="title">
        <div class="grow">
          <h1>Slow polls</h1>
          <p>{process.value?.runtime === "asyncio" ? "Steps and callbacks" : "Polls"} of {duration(process.value?.slow_threshold)} and more, by the line that held the {held()} · {rangeLabel(range.value)}</p>
        </div>
        {slow.data && slow.data.polls > 0 && (
          <p class="totals"><b>{duration(slow.data.total_time)}</b> of {held()} time in <b>{slow.data.more && "the newest "}{plural(slow.data.polls, "poll")}</b></p>
        )}
      </header>
      <Ready of={slow}>
        {(answer) => answer.sites.length === 0 ? <><NothingSlow />{(process.value?.runtime !== "tokio" || place.value.query.get("weight") === "await") && <FlameCard />}</> : (
          <>
            <Sites answer={answer} />
            <FlameCard />
            <Recent list={answer.recent} />
          </>
        )}
      </Ready>
    </div>
  );
}

/** What a slow poll holds up. */
function held(): string {
  return process.value?.runtime === "asyncio" ? "loop" : "worker";
}

function NothingSlow() {
  const p = process.value;
  if (p?.capture === "console snapshots") return <Empty title="Single polls are not captured"><p>{p.app} is read as console snapshots, which only count polls. The longest poll of a task is on its page, where its histogram was read.</p></Empty>;
  return (
    <Empty title="No slow poll in this range">
      <p>
        {plural(p?.polls ?? 0, "poll")} of this recording {p?.polls === 1 ? "was" : "were"} checked against a threshold of {duration(p?.slow_threshold)}
        {p?.slow_polls ? <>; {plural(p.slow_polls, "slow poll")} lie elsewhere. <button type="button" class="button" onClick={() => setQuery({ last: "all", from: null, to: null })}>Whole recording</button></> : "."}
      </p>
    </Empty>
  );
}

function Sites({ answer }: { answer: SlowAnswer }) {
  const opened = place.value.query.get("location") ?? answer.sites[0]?.location;
  const most = Math.max(...answer.sites.map((site) => site.total_time));
  return (
    <ol class="sites">
      {answer.sites.map((site) => (
        <SiteCard key={`${site.by} ${site.location}`} site={site} share={site.total_time / most} of={answer.total_time} isOpen={site.location === opened} />
      ))}
    </ol>
  );
}

function SiteCard({ site, share, of, isOpen }: { site: Site; share: number; of: number; isOpen: boolean }) {
  // "none" keeps every site closed; without the key the worst one is open.
  const toggle = () => setQuery({ location: isOpen ? "none" : site.location });
  return (
    <li class="card site" data-testid="site">
      <h2><button type="button" class="site-head" aria-expanded={isOpen} onClick={toggle}>
        <Chevron isOpen={isOpen} />
        <span class="site-title">
          <WholePlace text={site.location} />
          <span class="muted ellipsis">{site.function || (site.by === "spawn_location" ? "where the task was spawned: no stack was taken" : "no symbol")}</span>
        </span>
        <span class="site-bar" aria-hidden="true"><i style={{ width: `${Math.max(share * 100, 0.5)}%` }} /></span>
        <Number name="total" value={duration(site.total_time)} isStrong />
        <Number name="of all" value={percent(of > 0 ? site.total_time / of : null)} />
        <Number name="polls" value={count(site.polls)} />
        <Number name="median" value={duration(site.p50)} />
        <Number name="worst" value={duration(site.max)} />
      </button></h2>
      {isOpen && <SiteBody site={site} />}
    </li>
  );
}

function Number({ name, value, isStrong = false }: { name: string; value: string; isStrong?: boolean }) {
  return <span class="site-number"><span class={isStrong ? "strong" : ""}>{value}</span><small>{name}</small></span>;
}

function SiteBody({ site }: { site: Site }) {
  const stacks = merged(site.stacks);
  return (
    <div class="site-body">
      {site.advice && <p class="advice"><OnCpu site={site} /> <Prose text={site.advice} /></p>}
      <div class="site-columns">
        <section class="stack tight">
          <h3>{stacks.length > 1 ? `Stacks while it blocked, ${stacks.length > MAX_STACKS ? `the ${MAX_STACKS} most frequent of ${stacks.length}` : "most frequent first"}` : "Stack while it blocked"}</h3>
          {stacks.length === 0 && <p class="muted">No stack was taken. <a href={link("/sources")}>Sources</a> says why stacks are off.</p>}
          {stacks.slice(0, MAX_STACKS).map((stack, k) => (
            <div key={k}>
              {stacks.length > 1 && <p class="muted">in {plural(stack.count, "sample")}</p>}
              <Stack frames={stack.frames} />
            </div>
          ))}
          {stacks.length > 0 && <p><button type="button" class="button" onClick={() => toFlame(site)} data-testid="site-flame">Flame graph of this site</button></p>}
        </section>
        <section class="stack tight">
          <h3>Longest polls</h3>
          <ul class="examples">{site.examples.map((poll) => <Example key={poll.start_at + poll.worker} poll={poll} worst={site.max} />)}</ul>
        </section>
      </div>
    </div>
  );
}

/** Shows the stacks of one site alone. */
function toFlame(site: Site): void {
  setQuery({ site: site.location, focus: null });
  document.querySelector("[data-testid=flame]")?.scrollIntoView({ block: "start" });
}

/** On or off the CPU decides where the fix lies, so it is said first. */
function OnCpu({ site }: { site: Site }) {
  const samples = site.on_cpu + site.off_cpu;
  if (samples === 0) return null;
  const onCpu = site.on_cpu / samples;
  return <span class="chip accent" title={`Share of the time it was sampled: on CPU ${percent(onCpu)}, off CPU ${percent(1 - onCpu)}`}>{DOING[site.doing ?? "unknown"]} {percent(site.found_so / samples)}</span>;
}

/** What most samples found, in a word or two. */
const DOING: Readonly<Record<NonNullable<Site["doing"]> | "unknown", string>> = {
  computing: "computing",
  blocked: "waiting",
  memory: "waiting for memory",
  processor: "without a processor",
  unknown: "asleep",
};

/** Stacks that differ only in the runtime below the program are one to the reader. */
function merged(stacks: Site["stacks"]): Site["stacks"] {
  const bySight = new Map<string, Site["stacks"][number]>();
  for (const stack of stacks) {
    const depth = stack.frames.findLastIndex((frame) => frame.own);
    const sight = stack.frames.slice(0, depth < 0 ? undefined : depth + 1).map((frame) => `${frame.function} ${frame.file}:${frame.line}`).join("\n");
    const known = bySight.get(sight);
    bySight.set(sight, known ? { ...known, count: known.count + stack.count } : stack);
  }
  return [...bySight.values()].sort((a, b) => b.count - a.count);
}

/** Different stacks shown of one site: the rest are variations. */
const MAX_STACKS = 3;

function Example({ poll, worst }: { poll: SlowPoll; worst: number }) {
  return (
    <li>
      <a href={pollHref(poll)} data-testid="example">
        <time>{clock(instant(poll.start_at), MILLISECOND)}</time>
        <span class="example-bar" aria-hidden="true"><i style={{ width: `${((poll.length ?? worst) / worst) * 100}%` }} /></span>
        <b>{poll.length == null ? "running" : duration(poll.length)}</b>
        <span class="muted">worker {poll.worker} · task {poll.task}</span>
      </a>
    </li>
  );
}

const COLUMNS: readonly Column<SlowPoll>[] = [
  { key: "start_at", title: "Start", width: "116px", cell: (poll) => <a href={pollHref(poll)}>{clock(instant(poll.start_at), MILLISECOND)}</a>, value: (poll) => poll.start_at },
  { key: "length", title: "Length", width: "92px", isNumber: true, cell: (poll) => (poll.length == null ? "running" : duration(poll.length)), value: (poll) => poll.length },
  { key: "running", title: "While blocked", width: "148px", cell: (poll) => doing(poll) ?? <span class="muted">no samples</span>, value: doing },
  { key: "worker", title: "Worker", width: "68px", isNumber: true, cell: (poll) => poll.worker, value: (poll) => poll.worker },
  { key: "task", title: "Task", width: "92px", cell: (poll) => <a class="mono" href={link(`/tasks/${processId.value}/${poll.task}`)}>{poll.task}</a>, value: (poll) => poll.task },
  { key: "own", title: "Blocked at", cell: (poll) => <Place text={ownPlace(poll) ?? poll.spawn_location} />, value: (poll) => ownPlace(poll) ?? poll.spawn_location },
];

function ownPlace(poll: SlowPoll): string | null {
  const frame = poll.stack?.find((candidate) => candidate.own && candidate.file);
  return frame ? `${frame.file}:${frame.line}` : null;
}

function Recent({ list }: { list: readonly SlowPoll[] }) {
  const sql = `SELECT wall_time(start_at) AS started, duration(length) AS took, worker, task\nFROM slow\nWHERE process = ${processId.value}\nORDER BY start_at DESC\nLIMIT 100`;
  return (
    <Card title="Newest first" isFlush tools={<TableTools name="slow-polls" columns={COLUMNS} rows={() => list} sql={sql} cli={asCliInRange("slow", { limit: LIMIT })} />}>
      <Table caption="Slow polls, newest first" columns={COLUMNS} total={list.length} rowAt={(k) => list[k]} rowKey={(poll) => poll.start_at} height={list.length > 12 ? "392px" : ""} />
      <SumsBar columns={COLUMNS} rows={list} formats={{ length: duration }} />
    </Card>
  );
}
