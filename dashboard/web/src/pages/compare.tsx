//! Did it get worse? Two runs, versions or ranges side by side: the verdict, what is different at which line, and every place with both figures.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { apiUrl } from "../api/client.ts";
import type { CompareAnswer, CompareSide, CompareSite, Finding, Process, SiteFigures } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { count, dateTime, duration, percent, plural, shortPlace, significant, UNKNOWN } from "../base/format.ts";
import { instant, now, SECOND } from "../base/instant.ts";
import { asCli } from "../app/as_cli.ts";
import { navigate, place, setQuery } from "../app/router.ts";
import { hasMoreProcesses, link, process, processes } from "../app/session.ts";
import { apiSide, changesOf, halves, lengthOf, ratio, ratioText, readSide, runBefore, sideChanges, sideWord, verdictOf, type Change, type Side, type Standing, type What } from "../model/compare.ts";
import { findingKey, localHref, ruleText } from "../model/findings.ts";
import { pidText } from "../model/fleet.ts";
import { href, type Changes } from "../model/query_string.ts";
import { ALL, parseRange, rangeLabel, type Range } from "../model/range.ts";
import { Icon } from "../ui/icons.tsx";
import { Prose } from "../ui/prose.tsx";
import { Card, Place, WholePlace } from "../ui/small.tsx";
import { Empty, Ready } from "../ui/states.tsx";
import { sortRows, Table, type Column, type Sort } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import { badge } from "./finding_card.tsx";

type Letter = "a" | "b";
interface Sides {
  readonly a: Side | null;
  readonly b: Side;
}

export function Compare() {
  const list = processes.value ?? [];
  const { a, b } = sidesOf(list, process.value!);
  return (
    <div class="page" data-testid="compare">
      <header class="title">
        <div class="grow">
          <h1>Compare</h1>
          <p>Two runs, versions or ranges side by side. A counts as before.</p>
        </div>
      </header>
      <Choice list={list} a={a} b={b} />
      {a == null ? <OnlyOne list={list} b={b} /> : <Compared list={list} a={a} b={b} />}
    </div>
  );
}

/** What the address says; otherwise the run that the page is about, and the one before it. */
function sidesOf(list: readonly Process[], current: Process): Sides {
  const { query } = place.value;
  const b = readSide(query, "b") ?? { process: current.process, range: ALL };
  const run = list.find((p) => p.process === b.process);
  const before = run && runBefore(run, list);
  return { a: readSide(query, "a") ?? (before ? { process: before.process, range: ALL } : null), b };
}

function choose(a: Side | null, b: Side): void {
  setQuery({ ...sideChanges("a", a), ...sideChanges("b", b) }, { push: true });
}

function Choice({ list, a, b }: { list: readonly Process[]; a: Side | null; b: Side }) {
  const run = list.find((p) => p.process === b.process);
  const before = run && runBefore(run, list);
  const version = run && runBefore(run, list, true);
  const cut = run && halves(run);
  return (
    <section class="card compare-choice" aria-label="What is compared">
      <SideFields letter="a" title="A, before" side={a} list={list} onChange={(side) => choose(side, b)} />
      <button type="button" class="icon-button" aria-label="Swap A and B" title="Swap A and B" disabled={a == null} onClick={() => a && choose(b, a)} data-testid="swap"><Icon name="swap" /></button>
      <SideFields letter="b" title="B, after" side={b} list={list} onChange={(side) => choose(a, side)} />
      <p class="row wrap compare-presets">
        <span class="muted">Choose</span>
        {before && <button type="button" class="button" onClick={() => choose({ process: before.process, range: ALL }, { ...b, range: ALL })}>the run before B</button>}
        {version && <button type="button" class="button" title={version.app_version ?? ""} onClick={() => choose({ process: version.process, range: ALL }, { ...b, range: ALL })}>the version before B</button>}
        {cut && <button type="button" class="button" onClick={() => choose(cut.a, cut.b)} data-testid="halves">the halves of B</button>}
      </p>
    </section>
  );
}

function SideFields({ letter, title, side, list, onChange }: { letter: Letter; title: string; side: Side | null; list: readonly Process[]; onChange: (side: Side) => void }) {
  const apps = [...new Set(list.map((p) => p.app))];
  const isKnown = side == null || list.some((p) => p.process === side.process);
  return (
    <fieldset class="compare-side" data-testid={`side-${letter}`}>
      <legend>{title}</legend>
      <select class="field" aria-label={`Run of ${letter.toUpperCase()}`} value={side == null ? "" : String(side.process)} onChange={(event) => onChange({ process: Number(event.currentTarget.value), range: ALL })}>
        {side == null && <option value="" disabled>choose a run</option>}
        {!isKnown && <option value={String(side.process)}>process {side.process}</option>}
        {apps.map((app) => (
          <optgroup key={app} label={app}>
            {list.filter((p) => p.app === app).map((p) => <option key={p.process} value={String(p.process)}>{runText(p)}</option>)}
          </optgroup>
        ))}
      </select>
      {side && <SideRange letter={letter} range={side.range} of={list.find((p) => p.process === side.process)} onChange={(range) => onChange({ ...side, range })} />}
      {hasMoreProcesses.value && letter === "a" && <p class="muted">Older runs are left out here; <code>loopd compare</code> takes their numbers.</p>}
    </fieldset>
  );
}

function runText(p: Process): string {
  return [[p.app, p.app_version].filter(Boolean).join(" "), `since ${dateTime(instant(p.started_at), SECOND)}`, pidText(p), p.state].join(" · ");
}

function SideRange({ letter, range, of, onChange }: { letter: Letter; range: Range; of: Process | undefined; onChange: (range: Range) => void }) {
  const [draft, setDraft] = useState<string | null>(null);
  const [isWrong, setWrong] = useState(false);
  const submit = () => {
    if (draft == null) return;
    const next = parseRange(draft, of ? instant(of.last_at) : now());
    setWrong(next == null);
    if (next == null) return;
    setDraft(null);
    onChange(next);
  };
  return (
    <>
      <input
        class="field" aria-label={`Range of ${letter.toUpperCase()}`} aria-invalid={isWrong} spellcheck={false} autocomplete="off" title="whole recording · last 5 m · 14:03:07 – 14:03:12 · 14:03:07.412 + 50ms"
        value={draft ?? rangeLabel(range)} onInput={(event) => { setDraft(event.currentTarget.value); setWrong(false); }} onFocus={(event) => event.currentTarget.select()} onBlur={submit}
        onKeyDown={(event) => { if (event.key === "Enter") submit(); if (event.key === "Escape") { setDraft(null); setWrong(false); } }}
      />
      {isWrong && <p class="bad-text" role="alert">Not a range. Try: last 5 m, or 14:03:07 – 14:03:12</p>}
    </>
  );
}

function OnlyOne({ list, b }: { list: readonly Process[]; b: Side }) {
  const run = list.find((p) => p.process === b.process);
  const cut = run && halves(run);
  const app = run?.app ?? "program";
  return (
    <Empty title={list.length <= 1 ? "There is only one run to compare" : `There is only one run of ${app}`}>
      <p>
        Record it again, after a change of the code or of its settings, and the two stand side by side here{list.length > 1 && "; or choose another run as A"}. Until then two ranges of this run can be compared, such as its first half and its second:
      </p>
      {cut && <button type="button" class="button primary" onClick={() => choose(cut.a, cut.b)}>Compare its halves</button>}
    </Empty>
  );
}

function Compared({ list, a, b }: { list: readonly Process[]; a: Side; b: Side }) {
  const runOf = (side: Side) => list.find((p) => p.process === side.process);
  const url = apiUrl("/compare", { ...apiSide("a", a, runOf(a)), ...apiSide("b", b, runOf(b)) });
  const question = JSON.stringify([sideWord(a), sideWord(b)]);
  const answer = useApi<CompareAnswer>(url, { subject: question, question });
  return <Ready of={answer} lines={12}>{(found) => <Result answer={found} a={a} b={b} reload={answer.reload} />}</Ready>;
}

function Result({ answer, a, b, reload }: { answer: CompareAnswer; a: Side; b: Side; reload: () => void }) {
  const changes = changesOf(answer);
  const of = (standing: Standing) => changes.filter((change) => change.standing === standing);
  const verdict = verdictOf(answer, changes);
  const isGrowing = [a, b].some((side) => side.range.kind !== "fixed" && processes.value?.find((p) => p.process === side.process)?.state === "live");
  return (
    <>
      <header class="verdict" data-testid="compare-verdict">
        <span class={`chip ${verdict.tone}`}>{verdict.tone === "bad" || verdict.tone === "warn" ? <Icon name="warn" size={12} /> : <Icon name="check" size={12} />} {verdict.word}</span>
        <h2>{verdict.sentence}</h2>
        {verdict.also.length > 0 && <ul class="also">{verdict.also.map((clause) => <li key={clause}>{clause}</li>)}</ul>}
        <ul class="muted"><SideText letter="A" side={answer.a} /><SideText letter="B" side={answer.b} /></ul>
        {isGrowing && <button type="button" class="button" onClick={reload}>Compare again up to now</button>}
      </header>
      <ChangeTable title="Became worse" about="at least twice as long or as often, and by more than chance" changes={of("worse")} answer={answer} testId="worse" />
      <ChangeTable title="Became better" about="by the same measure" changes={of("better")} answer={answer} testId="better" />
      <Findings answer={answer} />
      <ChangeTable title="New places" about="nothing of them ran in A" changes={of("new")} answer={answer} testId="new" />
      <ChangeTable title="Gone places" about="nothing of them ran in B; a line that moved is one that went and one that came" changes={of("gone")} answer={answer} testId="gone" />
      <ChangeTable title="Run more or less often" about="another load, or a loop that runs away or is not reached" changes={of("other")} answer={answer} testId="other" />
      <Places answer={answer} a={a} b={b} />
    </>
  );
}

function SideText({ letter, side }: { letter: string; side: CompareSide }) {
  const name = [side.app, side.app_version].filter(Boolean).join(" ");
  return (
    <li>
      <b>{letter}</b> {name}, {dateTime(instant(side.from), SECOND)}, {duration(lengthOf(side))}: <a href={sideHref(side, "/timeline")}>timeline</a>, <a href={sideHref(side, "/findings")}>findings</a>, <a href={sideHref(side, "/slow")}>slow polls</a>
    </li>
  );
}

/** A page of that run and range. */
function sideHref(side: CompareSide, path: string, changes: Changes = {}): string {
  return href(path, { process: side.process, from: side.from, to: side.to, ...changes });
}

/** What the tasks of a place did there, those first that show it best. */
function tasksHref(side: CompareSide, location: string, what: What): string {
  const sort = { poll_p99: "max_poll_time", wake_p99: "scheduled_time", failed: "state", spawned_per_min: "spawned_at", busy_share: "busy_time" }[what];
  return sideHref(side, "/tasks", { q: location, sort, desc: what === "failed" ? "0" : "1" });
}

const WHATS: Readonly<Record<What, { title: string; about: string; text: (value: number) => string }>> = {
  poll_p99: { title: "poll length, p99", about: "99 of 100 polls take no longer", text: duration },
  wake_p99: { title: "wake to poll, p99", about: "99 of 100 polls come no later after the wake", text: duration },
  failed: { title: "tasks failed", about: "They panicked or raised", text: count },
  spawned_per_min: { title: "tasks spawned a minute", about: "Of the range", text: significant },
  busy_share: { title: "share of one worker", about: "Time inside polls as a share of the range", text: percent },
};

const SURE: Record<Change["sure"], string> = { certain: "It was seen", likely: "Many polls on both sides say so", possible: "Other causes look alike" };

function ChangeTable({ title, about, changes, answer, testId }: { title: string; about: string; changes: readonly Change[]; answer: CompareAnswer; testId: string }) {
  if (changes.length === 0) return null;
  const columns = changeColumns(answer);
  return (
    <Card title={<>{title} <span class="muted card-about">{about}</span></>} isFlush testId={testId} tools={<TableTools name={`compare-${testId}`} columns={columns} rows={() => changes} />}>
      <Table
        caption={title} columns={columns} total={changes.length} rowAt={(k) => changes[k]} rowKey={(it) => `${it.location} ${it.what}`} height={changes.length > 12 ? "392px" : ""}
        hrefOf={(it) => tasksHref(it.b == null ? answer.a : answer.b, it.location, it.what)} open={navigate}
      />
    </Card>
  );
}

function changeColumns(answer: CompareAnswer): readonly Column<Change>[] {
  const value = (letter: Letter, it: Change) => {
    const amount = it[letter];
    return amount == null ? <span class="muted">{UNKNOWN}</span> : <a href={tasksHref(answer[letter], it.location, it.what)} title={`Its tasks in ${letter.toUpperCase()}`}>{WHATS[it.what].text(amount)}</a>;
  };
  return [
    { key: "location", title: "Place", width: "32%", cell: (it) => <><Place text={it.location} />{it.isCallback && <span class="muted"> callback</span>}</>, value: (it) => it.location },
    { key: "what", title: "What", width: "172px", cell: (it) => <span title={WHATS[it.what].about}>{WHATS[it.what].title}</span>, value: (it) => it.what },
    { key: "a", title: "A", width: "84px", isNumber: true, cell: (it) => value("a", it), value: (it) => it.a },
    { key: "b", title: "B", width: "84px", isNumber: true, cell: (it) => value("b", it), value: (it) => it.b },
    { key: "ratio", title: "B / A", width: "156px", isNumber: true, cell: (it) => <Ratio change={it} />, value: ratio },
    { key: "sure", title: "How sure", width: "22%", cell: (it) => <span title={SURE[it.sure]}>{it.sure}{it.doubt && <span class="muted">: {it.doubt}</span>}</span>, value: (it) => (it.doubt ? `${it.sure}: ${it.doubt}` : it.sure) },
  ];
}

/** Sixteen times as much fills its half. */
const FULL = 4;

/** The number, and a bar from the middle: to the right is more. */
function Ratio({ change }: { change: Change }) {
  const times = ratio(change);
  const length = times == null ? 0 : Math.max(-1, Math.min(1, Math.log2(times) / FULL));
  return (
    <span class={`ratio ${change.standing}`}>
      {ratioText(change)}
      {times != null && <i aria-hidden="true"><b style={length < 0 ? { right: "50%", width: `${-length * 50}%` } : { left: "50%", width: `${length * 50}%` }} /></i>}
    </span>
  );
}

function Findings({ answer }: { answer: CompareAnswer }) {
  const [isOpen, setOpen] = useState(false);
  const { lasting } = answer;
  return (
    <>
      <div class="two">
        <FindingList title="Found in B only" none="Nothing new was found." list={answer.new} side={answer.b} testId="only-b" />
        <FindingList title="Found in A only" none="Nothing has gone." list={answer.gone} side={answer.a} testId="only-a" />
      </div>
      {lasting.length > 0 && (
        <section class="stack tight">
          <p><button type="button" class="button quiet" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>{isOpen ? "Hide" : "Show"} {plural(lasting.length, "finding")} of both</button></p>
          {isOpen && <FindingList title="Found in both" none="" list={lasting} side={answer.b} testId="both" />}
        </section>
      )}
    </>
  );
}

function FindingList({ title, none, list, side, testId }: { title: string; none: string; list: readonly Finding[]; side: CompareSide; testId: string }) {
  return (
    <Card title={title} testId={testId}>
      {list.length === 0 ? <p class="muted">{none}</p> : (
        <ul class="stack">
          {list.map((finding) => <FindingLine key={findingKey(finding)} finding={finding} side={side} />)}
        </ul>
      )}
    </Card>
  );
}

function FindingLine({ finding, side }: { finding: Finding; side: CompareSide }) {
  const { tone, word, icon } = badge(finding);
  const own = sideHref(side, "/findings", { finding: findingKey(finding) });
  const proof: ComponentChildren[] = finding.evidence.slice(0, 2).map((it) => <span key={it.text}> · {it.href ? <a href={localHref(it.href, own)}><Prose text={it.text} /></a> : <Prose text={it.text} />}</span>);
  return (
    <li class="stack tight compare-finding">
      <p class="row wrap"><span class={`chip ${tone}`}><Icon name={icon} size={12} /> {word}</span> <span class="muted">{ruleText(finding.rule)} · {finding.confidence}</span></p>
      <p><a href={own}><Prose text={finding.title} /></a></p>
      {finding.location && <p><WholePlace text={finding.location} /></p>}
      {proof.length > 0 && <p class="muted">{plural(finding.occurrences, "time")}{proof}</p>}
    </li>
  );
}

function Places({ answer, a, b }: { answer: CompareAnswer; a: Side; b: Side }) {
  const [sort, setSort] = useState<Sort | null>(null);
  const columns = placeColumns(answer);
  const sorted = sortRows(answer.sites, columns, sort);
  return (
    <Card title={<>Every place <span class="muted card-about">with the figures of both; those first whose share of busy time differs most</span></>} isFlush testId="places" tools={<TableTools name="compare" columns={columns} rows={() => sorted} sql={sqlOf(answer)} cli={asCli(["compare", sideWord(a), sideWord(b)], {}, null)} />}>
      {sorted.length === 0 ? <p class="body muted">No task of a known place ran on either side. <a href={link("/sources")}>Sources</a> says which layers record.</p> : (
        <Table
          caption="Every place in A and B" columns={columns} total={sorted.length} rowAt={(k) => sorted[k]} rowKey={(site) => `${site.location} ${site.is_callback}`} sort={sort} onSort={setSort} height={sorted.length > 16 ? "504px" : ""}
          hrefOf={(site) => tasksHref(site.b ? answer.b : answer.a, site.location, "busy_share")} open={navigate}
        />
      )}
    </Card>
  );
}

function placeColumns(answer: CompareAnswer): readonly Column<CompareSite>[] {
  const pair = (key: keyof SiteFigures, title: string, about: string, text: (value: number) => string): Column<CompareSite>[] =>
    (["a", "b"] as const).map((letter) => ({
      key: `${letter}_${key}`, title: `${title} ${letter.toUpperCase()}`, about, width: "9.2%", isNumber: true,
      cell: (site) => site[letter]?.[key] == null ? <span class="muted">{UNKNOWN}</span> : text(site[letter][key]),
      value: (site) => site[letter]?.[key] ?? null,
    }));
  const sides: Column<CompareSite> = {
    key: "sides", title: "Tasks", width: "56px", isSortable: false,
    cell: (site) => <>{site.a ? <a href={tasksHref(answer.a, site.location, "busy_share")} aria-label={`Tasks of ${shortPlace(site.location)} in A`}>A</a> : <span class="muted">{UNKNOWN}</span>} {site.b ? <a href={tasksHref(answer.b, site.location, "busy_share")} aria-label={`Tasks of ${shortPlace(site.location)} in B`}>B</a> : <span class="muted">{UNKNOWN}</span>}</>,
  };
  return [
    { key: "location", title: "Place", cell: (site) => <Place text={site.location} />, value: (site) => site.location },
    ...pair("busy_share", "Busy", "Time inside polls as a share of the range; 100 % keeps one worker busy", percent),
    ...pair("polls_per_sec", "Polls/s", "Polls a second", significant),
    ...pair("poll_p99", "p99", "99 of 100 polls take no longer", duration),
    ...pair("wake_p99", "Late", "From wake to poll, 99 of 100; needs wakes", duration),
    sides,
  ];
}

/** The same from the roll-ups of each minute. */
function sqlOf({ a, b }: CompareAnswer): string {
  const of = (letter: string, side: CompareSide) =>
    `SELECT location, '${letter}' AS side, sum(spawned) AS spawned, sum(polls) AS polls, duration(sum(busy_time)) AS busy,\n       duration(max(p99)) AS worst_p99, duration(max(max_poll_time)) AS longest\nFROM rollups\nWHERE process = ${side.process} AND start_at >= ${BigInt(side.from) - 60_000_000_000n} AND start_at < ${side.to}\nGROUP BY location`;
  return `${of("A", a)}\nUNION ALL\n${of("B", b)}\nORDER BY location, side`;
}
