//! The agent of one process: how much of what it recorded is here, what it costs, and what it is asked to capture.

import { useEffect, useState } from "preact/hooks";
import { apiUrl, change } from "../api/client.ts";
import type { AgentAnswer, AgentCost, AgentLedgerLine, Asker, Process, SettingKey, Settings, SettingsState } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { bytes, count, duration, percent, UNKNOWN } from "../base/format.ts";
import { MILLISECOND } from "../base/instant.ts";
import { Card } from "../ui/small.tsx";
import { Ready } from "../ui/states.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";

export function AgentPanel({ p }: { p: Process }) {
  const agent = useApi<AgentAnswer>(apiUrl(`/processes/${p.process}/agent`), { live: true, subject: p.process });
  return (
    <Ready of={agent}>
      {(answer) => (
        <>
          <Strip answer={answer} />
          <div class="two">
            <Card title="Live control" testId="settings">{p.capture === "console snapshots" ? <p class="body">Nothing can be switched: {p.app} is read as console snapshots, which are what its console-subscriber counts.</p> : <SettingList p={p} state={answer.settings} reload={agent.reload} />}</Card>
            <Card title="The ledger" isFlush testId="ledger" tools={<TableTools name="ledger" columns={LEDGER} rows={() => answer.ledger} sql={`SELECT * FROM ledger\nWHERE process = ${p.process}`} />}>
              <Table caption="Events produced, stored and dropped, by kind" columns={LEDGER} total={answer.ledger.length} rowAt={(k) => answer.ledger[k]} rowKey={(row) => row.kind} />
              <Causes ledger={answer.ledger} />
            </Card>
          </div>
        </>
      )}
    </Ready>
  );
}

function Strip({ answer: { cost, captured_share, reporting } }: { answer: AgentAnswer }) {
  const facts: [string, string, string][] = reporting ? [
    ["Captured", captured_share == null ? UNKNOWN : share(captured_share), "Stored, of all records whose fate is known"],
    ["Reports come", `${duration(reporting.lag)} late`, "How old the oldest news of the last report was when it was read. It comes about once a second; a difference of clocks between two machines is in it"],
    ["At most", `${duration(reporting.max_lag)} late`, "In the last minute of data"],
  ] : [
    ["Captured", captured_share == null ? UNKNOWN : share(captured_share), "Stored, of all records whose fate is known"],
    ["Agent's CPU", cost.cpu_share == null ? UNKNOWN : percent(cost.cpu_share), `Its own threads over the last minute, of one processor; ${duration(cost.cpu_nanos)} since the start`],
    ["Sends", rate(cost), `${bytes(cost.sent_bytes)} since the start`],
    ["Memory", bytes(cost.memory_bytes), "What the agent's buffers hold"],
  ];
  return (
    <dl class="cost" data-testid="agent-cost">
      {facts.map(([name, value, about]) => <div key={name} title={about}><dt>{name}</dt><dd>{value}</dd></div>)}
    </dl>
  );
}

function rate(cost: AgentCost): string {
  return cost.sent_bytes_per_s == null ? UNKNOWN : `${bytes(cost.sent_bytes_per_s)}/s`;
}

/** Rounded down: never 100 % while anything is missing. */
function share(value: number): string {
  return `${Math.floor(Math.min(1, value) * 1000) / 10} %`;
}

/** What each switch turns on, in the reader's words. */
const SWITCHES: readonly [Exclude<SettingKey, "slow_threshold">, string, string][] = [
  ["record_polls", "Single polls", "Without them tasks keep their counts, and the timeline is empty"],
  ["record_wakes", "Wakes", "Who woke whom, and how long it then took"],
  ["record_waits", "Waits", "Who waits for what, and the state of locks and channels"],
  ["sample_stacks", "Stacks", "Taken while a poll runs long"],
  ["track_fds", "File descriptors", "Every one that is open, with the stack that opened it where the agent can take it"],
  // Python has no such thing.
  ["app_events", "Spans and events", "Those of the program's own tracing"],
];

function SettingList({ p, state, reload }: { p: Process; state: SettingsState; reload: () => void }) {
  const [error, setError] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const ask = async (changes: Partial<Settings>) => {
    setBusy(true);
    try {
      await change(apiUrl(`/processes/${p.process}/settings`), changes);
      setError(null);
      reload();
    } catch (cause) {
      setError((cause as Error).message);
    } finally {
      setBusy(false);
    }
  };
  const isOpen = p.state === "live" && !isBusy;
  return (
    <div class="stack">
      {p.state !== "live" && <p class="muted">{p.app} is not connected. These were its last settings.</p>}
      {state.pending && p.state === "live" && <p class="notice" role="status" data-testid="settings-pending">Waiting for the agent to say that it does what it is asked for.</p>}
      {error && <p class="notice bad" role="alert">{error}</p>}
      <ul class="settings">
        {SWITCHES.filter(([key]) => key !== "app_events" || p.runtime !== "asyncio").map(([key, title, about]) => <Switch key={key} name={key} title={title} about={about} state={state} isOpen={isOpen} ask={ask} />)}
        <Threshold state={state} isOpen={isOpen} ask={ask} />
      </ul>
    </div>
  );
}

type Ask = (changes: Partial<Settings>) => Promise<void>;

function Switch({ name, title, about, state, isOpen, ask }: { name: Exclude<SettingKey, "slow_threshold">; title: string; about: string; state: SettingsState; isOpen: boolean; ask: Ask }) {
  const asked = state.desired[name];
  const inForce = state.in_force?.[name] ?? null;
  const shown = asked ?? inForce ?? state.configured?.[name] ?? false;
  return (
    <li>
      <button type="button" role="switch" class="switch" aria-checked={shown} aria-label={title} disabled={!isOpen} data-testid={`switch-${name}`} onClick={() => void ask({ [name]: !shown })} />
      <span class="grow"><b>{title}</b> <span class="muted">{about}</span></span>
      <InForce asker={state.asked_by[name]} text={inForce == null ? "not told" : inForce ? "on" : "off"} isSame={asked == null || asked === inForce} back={() => void ask({ [name]: null })} isOpen={isOpen} />
    </li>
  );
}

function Threshold({ state, isOpen, ask }: { state: SettingsState; isOpen: boolean; ask: Ask }) {
  const asked = state.desired.slow_threshold;
  const inForce = state.in_force?.slow_threshold ?? null;
  const shown = asked ?? inForce ?? state.configured?.slow_threshold ?? null;
  const [draft, setDraft] = useState<string | null>(null);
  useEffect(() => setDraft(null), [shown]);
  const nanos = Math.round(Number(draft) * MILLISECOND);
  const isRight = draft != null && Number.isFinite(nanos) && nanos >= MILLISECOND && nanos <= 3_600_000 * MILLISECOND;
  const submit = () => isRight && void ask({ slow_threshold: nanos });
  return (
    <li>
      <form class="row" onSubmit={(event) => { event.preventDefault(); submit(); }}>
        <input class="field threshold" type="number" min="1" max="3600000" step="any" aria-label="Slow from, in milliseconds" disabled={!isOpen} value={draft ?? (shown == null ? "" : String(shown / MILLISECOND))} aria-invalid={draft != null && !isRight} onInput={(event) => setDraft(event.currentTarget.value)} />
        <span>ms</span>
        {draft != null && <button class="button" disabled={!isRight || !isOpen}>Set</button>}
      </form>
      <span class="grow"><b>Slow from</b> <span class="muted">A poll at least this long is slow; 1 ms to 1 h</span></span>
      <InForce asker={state.asked_by.slow_threshold} text={inForce == null ? "not told" : duration(inForce)} isSame={asked == null || asked === inForce} back={() => void ask({ slow_threshold: null })} isOpen={isOpen} />
    </li>
  );
}

/** What is asked of more than this run cannot be taken back from it alone. */
const WIDER: Readonly<Record<Exclude<Asker, "run">, [string, string]>> = {
  app: ["asked of the program", "Asked of every run of this program; `loopd capture NAME` changes that, and a word for this run wins over it"],
  all: ["asked of all", "Asked of every program; `loopd capture --all` changes that, and a word for this run wins over it"],
};

function InForce({ asker, isSame, text, back, isOpen }: { asker: Asker | undefined; isSame: boolean; text: string; back: () => void; isOpen: boolean }) {
  return (
    <>
      {asker === "run" && <button type="button" class="button quiet" disabled={!isOpen} title="Back to what its program or all are asked for, else to its own configuration" onClick={back}>reset</button>}
      {(asker === "app" || asker === "all") && <span class="muted" title={WIDER[asker][1]}>{WIDER[asker][0]}</span>}
      <span class={`chip ${isSame ? "" : "warn"}`} title="What its agent says is in force">{isSame ? text : `still ${text}`}</span>
    </>
  );
}

const LEDGER: readonly Column<AgentLedgerLine>[] = [
  { key: "kind", title: "Kind", cell: (row) => row.kind, value: (row) => row.kind },
  { key: "produced", title: "Produced", isNumber: true, width: "96px", cell: (row) => count(row.produced), value: (row) => row.produced },
  { key: "stored", title: "Stored", isNumber: true, width: "96px", cell: (row) => count(row.stored), value: (row) => row.stored },
  { key: "dropped", title: "Dropped", about: "By the agent, on the way, or here", isNumber: true, width: "84px", cell: (row) => (row.dropped > 0 ? <b class="warn-text">{count(row.dropped)}</b> : <span class="muted">0</span>), value: (row) => row.dropped },
  { key: "in_flight", title: "On its way", about: "Produced and not yet accounted for", isNumber: true, width: "88px", cell: (row) => count(row.in_flight), value: (row) => row.in_flight },
];

/** Why records of all kinds were dropped, most first. */
function Causes({ ledger }: { ledger: readonly AgentLedgerLine[] }) {
  const list = ledger.flatMap((line) => line.by_cause.map(({ cause, count: n }) => ({ kind: line.kind, cause, n })));
  if (list.length === 0) return null;
  list.sort((a, b) => b.n - a.n);
  return <ul class="losses" data-testid="causes">{list.map(({ kind, cause, n }) => <li key={`${kind} ${cause}`}><b>{count(n)}</b> {kind} records: {CAUSES[cause] ?? cause.replaceAll("_", " ")}</li>)}</ul>;
}

const CAUSES: Readonly<Record<string, string>> = {
  ring_full: "recorded faster than the agent could drain them",
  no_ring: "no buffer was left for another thread",
  window_evicted: "loopd was away for longer than the agent's memory bridges",
  agent_limit: "a table inside the agent was full",
  shutdown_deadline: "the program ended before they were sent",
  malformed: "loopd could not read them",
  storage_full: "loopd's disk was full",
  store_rollback: "the database was replaced while the program ran",
};
