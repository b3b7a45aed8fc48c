//! What the flame graph of awaits is drawn from: the program's own answer to where its tasks wait, the latest or a chosen one.

import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import { apiUrl, post } from "../api/client.ts";
import type { DumpAnswer, DumpSummary, DumpTaken, Process, StacksAnswer } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { place, setQuery } from "../app/router.ts";
import { link, process } from "../app/session.ts";
import { clock, count, duration, plural } from "../base/format.ts";
import { instant } from "../base/instant.ts";
import { awaitStacks } from "../model/awaits.ts";
import { Empty, Ready } from "../ui/states.tsx";

type Draw = (answer: StacksAnswer, said: ComponentChildren) => ComponentChildren;

export function Awaited({ weights, children }: { weights: ComponentChildren; children: Draw }) {
  const p = process.value;
  const [taken, setTaken] = useState(0);
  const known = useApi<{ dumps: DumpSummary[] }>(p && apiUrl(`/processes/${p.process}/dumps`), { subject: p?.process ?? null, question: `${p?.process} ${taken}` });
  const asked = place.value.query.get("dump");
  const wanted = asked ?? known.data?.dumps.find((dump) => dump.ended_at)?.dump ?? null;
  const dump = useApi<DumpAnswer>(p && wanted ? apiUrl(`/processes/${p.process}/dumps/${encodeURIComponent(wanted)}`) : null, { subject: `${p?.process} ${wanted}` });
  if (!p) return null;
  const ask = <Ask p={p} onTaken={() => setTaken((n) => n + 1)} />;
  if (wanted == null) return <>{weights}<Ready of={known}>{() => <NoDump p={p} ask={ask} />}</Ready></>;
  return (
    <Ready of={dump}>
      {(answer) => <Drawn p={p} dump={answer} known={known.data?.dumps ?? []} weights={weights} ask={ask} draw={children} />}
    </Ready>
  );
}

/** Asks the program now. */
function Ask({ p, onTaken }: { p: Process; onTaken: () => void }) {
  const [state, setState] = useState<{ isBusy: boolean; error: string | null }>({ isBusy: false, error: null });
  const ask = async () => {
    setState({ isBusy: true, error: null });
    try {
      const taken = await post<DumpTaken>(apiUrl(`/processes/${p.process}/dump`), {});
      setState({ isBusy: false, error: null });
      setQuery({ dump: taken.dump, focus: null });
      onTaken();
    } catch (cause) {
      setState({ isBusy: false, error: (cause as Error).message });
    }
  };
  if (p.state !== "live" || p.runtime === "tokio") return null;
  return (
    <>
      <button type="button" class="button" disabled={state.isBusy} onClick={() => void ask()} title="Asks the program in which line each of its tasks waits" data-testid="ask-flame">{state.isBusy ? "Asking…" : "Where do tasks wait now?"}</button>
      {state.error && <span class="bad" role="alert">{state.error}</span>}
    </>
  );
}

function NoDump({ p, ask }: { p: Process; ask: ComponentChildren }) {
  if (p.runtime === "tokio") {
    return (
      <Empty title="A tokio program cannot say where its tasks await">
        <p>Its futures keep no stack that could be read. What is recorded of waits is on <a href={link("/waits")}>Waits</a>, and on the page of each task under "Waited for".</p>
      </Empty>
    );
  }
  return (
    <Empty title="Nobody has asked yet where tasks wait">
      <p>The program can be asked in which line each of its tasks waits, and for how long it has. {p.state === "live" ? "From the command line that is" : <>{p.app} is not connected any more, so that nobody can answer now. While it runs, ask here or with</>} <code>loopd awaits --process {p.process}</code>.</p>
      {ask}
    </Empty>
  );
}

function Drawn({ p, dump, known, weights, ask, draw }: { p: Process; dump: DumpAnswer; known: readonly DumpSummary[]; weights: ComponentChildren; ask: ComponentChildren; draw: Draw }) {
  const found = useMemo(() => awaitStacks(dump), [dump]);
  const answer = useMemo<StacksAnswer>(() => ({ process: p.process, polls: found.samples.length, polls_without: 0, time_without: 0, weight: total(found.samples), stacks: found.stacks, samples: found.samples }), [found, p.process]);
  const choose = (
    <p class="row wrap">
      {known.filter((it) => it.ended_at).length > 1 ? (
        <label class="row">Asked at <select class="field" value={dump.dump} onChange={(event) => setQuery({ dump: event.currentTarget.value, focus: null })}>{known.filter((it) => it.ended_at).map((it) => <option key={it.dump} value={it.dump}>{clock(instant(it.began_at))}, {plural(it.tasks, "task")}</option>)}</select></label>
      ) : <span>Asked at {clock(instant(dump.began_at))}.</span>}
      {ask}
    </p>
  );
  const said = (
    <div class="stack tight" data-testid="await-summary">
      <p>
        <b>{duration(answer.weight)}</b> that {plural(found.samples.length, "task")} had waited, added up.
        {found.awaiting > 0 && <span class="muted"> {plural(found.awaiting, "other")} {found.awaiting === 1 ? "awaits" : "await"} these or have no end: their time is not counted again.</span>}
        {found.unknown > 0 && <span class="muted"> Of {plural(found.unknown, "task")} nobody knows how long.</span>}
        {dump.left_out > 0 && <span class="muted"> The program left {count(dump.left_out)} out.</span>}
        {dump.more && <span class="muted"> Only some of its tasks are shown.</span>}
      </p>
      {choose}
    </div>
  );
  if (found.samples.length === 0) {
    return (
      <>
        {weights}
        <Empty title="No task was found waiting"><p>{dump.reason ?? (found.unknown > 0 ? `Of ${plural(found.unknown, "task")} nobody knows how long.` : "It had no task that waits.")}</p>{choose}</Empty>
      </>
    );
  }
  return <>{draw(answer, said)}</>;
}

function total(samples: readonly { weight: number }[]): number {
  return samples.reduce((sum, sample) => sum + sample.weight, 0);
}
