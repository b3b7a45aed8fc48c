//! What is wrong, why, and what to do? Findings by the harm they do, each with its proof; then what every rule said.

import { useState } from "preact/hooks";
import { apiUrl } from "../api/client.ts";
import type { Finding, FindingsAnswer, RuleState } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { count, dateTime, plural } from "../base/format.ts";
import { instant, SECOND } from "../base/instant.ts";
import { asCliInRange } from "../app/as_cli.ts";
import { place, setQuery } from "../app/router.ts";
import { lastAt, link, process, processId, range, startedAt } from "../app/session.ts";
import { apart, byMute, findingKey, looked, ruleText } from "../model/findings.ts";
import { rangeLabel, rangeToQuery, resolveRange } from "../model/range.ts";
import { Prose } from "../ui/prose.tsx";
import { At, Card } from "../ui/small.tsx";
import { Empty, Ready } from "../ui/states.tsx";
import { Chevron, type Column } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import { FindingCard } from "./finding_card.tsx";

export function Findings() {
  const id = processId.value;
  const isWhole = range.value.kind === "all";
  const { from, to } = resolveRange(range.value, startedAt.value, lastAt.peek());
  // A range that ends with the data has no end of its own, so that the newest is always in it.
  const url = id == null ? null : apiUrl(`/processes/${id}/findings`, { from: isWhole ? null : String(from), to: range.value.kind === "fixed" ? String(to) : null });
  const findings = useApi<FindingsAnswer>(url, { live: true, subject: id, question: `${id} ${JSON.stringify(rangeToQuery(range.value))}` });
  return (
    <div class="page" data-testid="findings">
      <header class="title">
        <div class="grow">
          <h1>Findings</h1>
          <p>What is wrong, with the proof and what to do about it · {rangeLabel(range.value)}</p>
        </div>
        {findings.data && <Tools list={findings.data.findings} />}
      </header>
      <Ready of={findings}>{(answer) => <Found answer={answer} changed={findings.reload} />}</Ready>
    </div>
  );
}

/** More than there ever are. */
const LIMIT = 1000;

function Tools({ list }: { list: readonly Finding[] }) {
  const sql = `SELECT level, score, confidence, rule, location, occurrences, wall_time(last_seen_at) AS last_seen, resolved_at IS NULL AS open, muted, title\nFROM findings\nWHERE process = ${processId.value}\nORDER BY score DESC`;
  return <TableTools name="findings" columns={COLUMNS} rows={() => list} sql={sql} cli={asCliInRange("findings", { all: true, limit: LIMIT })} />;
}

/** A column of the file. */
function column(key: string, value: (finding: Finding) => string | number | null): Column<Finding> {
  return { key, title: key, cell: value, value };
}

const COLUMNS: readonly Column<Finding>[] = [
  column("level", (it) => it.level),
  column("rule", (it) => it.rule),
  column("subject", (it) => it.subject),
  column("location", (it) => it.location),
  column("score", (it) => it.score),
  column("harm", (it) => it.harm),
  column("confidence", (it) => it.confidence),
  column("occurrences", (it) => it.occurrences),
  column("first_seen_at", (it) => it.first_seen_at),
  column("last_seen_at", (it) => it.last_seen_at),
  column("muted", (it) => it.muted ?? null),
  column("title", (it) => it.title),
  column("fix", (it) => it.fix),
];

function Found({ answer, changed }: { answer: FindingsAnswer; changed: () => void }) {
  const { heard, muted } = byMute(answer.findings);
  const { important, worthKnowing } = apart(heard);
  const resolved = answer.resolved ?? [];
  const knowing = `${plural(worthKnowing.length, "thing")} that a healthy program may have`;
  return (
    <>
      {important.length === 0 ? <AllClear answer={answer} muted={apart(muted).important.length} /> : <Cards list={important} label="What is wrong" changed={changed} />}
      {worthKnowing.length > 0 && <Folded name="info" title="Worth knowing" about={knowing} list={worthKnowing} changed={changed} testId="worth-knowing" />}
      {muted.length > 0 && <Folded name="muted" title={`${count(muted.length)} muted`} about="found, but somebody has said why it need not be heard" list={muted} changed={changed} testId="muted" />}
      {resolved.length > 0 && <Resolved list={resolved} />}
      <Rules list={answer.rules} />
    </>
  );
}

function Cards({ list, label, changed }: { list: readonly Finding[]; label: string; changed: () => void }) {
  const chosen = place.value.query.get("finding");
  return (
    <ul class="findings" aria-label={label}>
      {list.map((finding) => <FindingCard key={findingKey(finding)} finding={finding} isChosen={findingKey(finding) === chosen} changed={changed} />)}
    </ul>
  );
}

/** A line that opens to show its findings; what is open is in the address. */
function Folded({ name, title, about, list, changed, testId }: { name: "info" | "muted"; title: string; about: string; list: readonly Finding[]; changed: () => void; testId: string }) {
  const query = place.value.query;
  const isOpen = query.get(name) === "1" || list.some((finding) => findingKey(finding) === query.get("finding"));
  return (
    <section class="stack tight">
      <button type="button" class="worth-knowing" aria-expanded={isOpen} onClick={() => setQuery({ [name]: isOpen ? null : "1", finding: null })} data-testid={testId}>
        <Chevron isOpen={isOpen} /> <b>{title}</b> <span class="muted">{about}</span>
      </button>
      {isOpen && <Cards list={list} label={title} changed={changed} />}
    </section>
  );
}

/** How many are shown before somebody asks for the rest. */
const RESOLVED = 5;

/** What was found while the program ran, one line each: it may come back. */
function Resolved({ list }: { list: readonly Finding[] }) {
  const [isWhole, setWhole] = useState(false);
  const shown = isWhole ? list : list.slice(0, RESOLVED);
  return (
    <Card title="No longer found" testId="resolved">
      <ul class="stack tight">
        {shown.map((finding) => (
          <li key={findingKey(finding)} class="row wrap">
            <span class="muted">until <At at={finding.resolved_at} resolution={SECOND} /></span>
            <span><Prose text={finding.title} /></span>
            <span class="muted">{ruleText(finding.rule)}</span>
            {finding.muted != null && <span class="chip" title={finding.muted}>muted</span>}
          </li>
        ))}
      </ul>
      {list.length > RESOLVED && <button type="button" class="button quiet" aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>{isWhole ? "Show fewer" : `Show all ${count(list.length)}`}</button>}
    </Card>
  );
}

function AllClear({ answer, muted }: { answer: FindingsAnswer; muted: number }) {
  const p = process.value;
  const title = muted > 0 ? "Nothing is wrong but what is muted, as far as was seen" : "Nothing is wrong, as far as was seen";
  return (
    <Empty title={p?.polls === 0 && muted === 0 ? "There is nothing to judge yet" : title}>
      <p>
        {looked(answer.rules)} at {p?.polls == null ? "counters" : plural(p.polls, "poll")} of {plural(p?.tasks_spawned ?? 0, "task")}, from {dateTime(instant(answer.from), SECOND)} to {dateTime(instant(answer.to), SECOND)}.
        What each looks for is below.
      </p>
    </Empty>
  );
}

const STATES: Record<RuleState["state"], [string, string]> = {
  found: ["warn", "found"],
  ok: ["ok", "ok"],
  needs: ["", "needs more"],
  not_applicable: ["", "does not apply"],
};

function Rules({ list }: { list: readonly RuleState[] }) {
  return (
    <Card title="What was looked for" isFlush testId="rules" tools={<a class="table-tools" href={link("/sources")}>What is captured</a>}>
      <div class="scroll">
        <table class="table auto rules">
          <caption class="visually-hidden">What each rule said</caption>
          <thead><tr><th scope="col">State</th><th scope="col">Looks for</th><th scope="col">What it would take</th></tr></thead>
          <tbody>
            {list.map((rule) => {
              const [tone, word] = STATES[rule.state] ?? ["", rule.state];
              return (
                <tr key={rule.rule}>
                  <td><span class={`chip ${tone}`}>{word}</span></td>
                  <td title={rule.rule}>{rule.title}</td>
                  <td class="muted">{rule.reason && <Prose text={rule.reason} />}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </Card>
  );
}
