//! Where do tasks wait? The program says so when it is asked: who awaits whom, and in which line.

import { useState } from "preact/hooks";
import { apiUrl, post } from "../api/client.ts";
import type { DumpAnswer, DumpedWait, DumpLine, DumpSummary, DumpTaken, Process } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { count, duration, nameText, plural } from "../base/format.ts";
import { place, setQuery } from "../app/router.ts";
import { link, process } from "../app/session.ts";
import { At, Place, placeText } from "../ui/small.tsx";
import { FrameLine } from "../ui/stack.tsx";
import { Empty, Ready } from "../ui/states.tsx";

/** Deeper tasks are not indented any further. */
const MAX_INDENT = 16;

/** Asking the program. */
export interface Asking {
  isBusy: boolean;
  error: string | null;
  ask: () => void;
}

export function useAsking(p: Process | null): Asking {
  const [state, setState] = useState<{ process: number | null; isBusy: boolean; error: string | null }>({ process: null, isBusy: false, error: null });
  const id = p?.process ?? null;
  const ask = async () => {
    if (id == null) return;
    setState({ process: id, isBusy: true, error: null });
    // Shown at once, so that there is a place for what goes wrong.
    setQuery({ group: "awaits" });
    try {
      const taken = await post<DumpTaken>(apiUrl(`/processes/${id}/dump`), {});
      setQuery({ group: "awaits", dump: taken.dump });
      setState({ process: id, isBusy: false, error: null });
    } catch (cause) {
      setState({ process: id, isBusy: false, error: (cause as Error).message });
    }
  };
  const isOurs = state.process === id;
  return { isBusy: isOurs && state.isBusy, error: isOurs ? state.error : null, ask: () => void ask() };
}

export function AskButton({ asking }: { asking: Asking }) {
  const isLive = process.value?.state === "live";
  return (
    <button type="button" class="button" disabled={!isLive || asking.isBusy} title={isLive ? "Asks the program in which line each of its tasks waits" : "The program is not connected"} onClick={asking.ask} data-testid="ask-awaits">
      {asking.isBusy ? "Asking…" : "Where do tasks wait?"}
    </button>
  );
}

export function AwaitTree({ p, asking }: { p: Process; asking: Asking }) {
  const known = useApi<{ dumps: DumpSummary[] }>(apiUrl(`/processes/${p.process}/dumps`), { subject: p.process });
  const wanted = place.value.query.get("dump") ?? known.data?.dumps.find((dump) => dump.ended_at)?.dump;
  const dump = useApi<DumpAnswer>(wanted == null ? null : apiUrl(`/processes/${p.process}/dumps/${wanted}`), { subject: `${p.process} ${wanted}` });
  return (
    <>
      <p class="visually-hidden" role="status">{asking.isBusy ? "Asking the program" : ""}</p>
      {asking.error && <p class="notice bad" role="alert">{asking.error}</p>}
      {wanted != null ? <Ready of={dump}>{(answer) => <Dump p={p} dump={answer} />}</Ready> : <Ready of={known}>{() => <NobodyAsked p={p} asking={asking} />}</Ready>}
    </>
  );
}

function NobodyAsked({ p, asking }: { p: Process; asking: Asking }) {
  return (
    <Empty title="Nobody has asked yet">
      <p>The program can be asked in which line each of its tasks waits, and for which other task.</p>
      {p.state === "live" ? <AskButton asking={asking} /> : <p>{p.app} is not connected any more.</p>}
    </Empty>
  );
}

function Dump({ p, dump }: { p: Process; dump: DumpAnswer }) {
  const circles = dump.lines.filter((line) => line.pointer === "cycle").length;
  const sql = `SELECT task, awaits, awaits_task, resource, function, file, line\nFROM task_dumps LEFT JOIN frames USING (process, stack)\nWHERE process = ${p.process}\n  AND dump = ${dump.dump}\nORDER BY task, depth\nLIMIT 1000`;
  return (
    <section class="card" data-testid="await-tree">
      <header>
        <span class="muted grow">{dump.reason && dump.tasks === 0 ? "Asked" : plural(dump.tasks, "task")} at <At at={dump.began_at} /></span>
        {circles > 0 && <span class="chip bad" title="Tasks that await each other can never go on">{plural(circles, "circle")}</span>}
        <a class="button quiet" href={link("/query", { sql })}>as SQL</a>
      </header>
      {dump.reason && <p class="notice" role="status">{dump.reason}</p>}
      {dump.left_out > 0 && <p class="notice">{count(dump.left_out)} of them were left out.</p>}
      {dump.more && <p class="notice">Only some are shown; SQL reaches all.</p>}
      {dump.lines.length === 0 && !dump.reason && <Empty title="No task was alive" />}
      <ol class="await-tree">
        {dump.lines.map((line, k) => <Line key={k} p={p} line={line} />)}
      </ol>
    </section>
  );
}

const POINTERS = { cycle: "is above: it awaits itself in the end", above: "see above", missing: "nothing more is known of it" } as const;

function Line({ p, line }: { p: Process; line: DumpLine }) {
  return (
    <li style={{ "--depth": Math.min(line.depth, MAX_INDENT) }} class={line.depth === 0 ? "top" : undefined}>
      <div class="row">
        {line.parent && <span class="visually-hidden">awaited by {line.parent}:</span>}
        <a href={link(`/tasks/${p.process}/${line.task}`)}><b>{line.name == null ? `task ${line.task}` : nameText(line.name)}</b></a>
        {line.name && <span class="mono muted">{line.task}</span>}
        {line.pointer && <span class={line.pointer === "cycle" ? "chip bad" : "muted"}>{POINTERS[line.pointer]}</span>}
        {line.wait && <Facts wait={line.wait} />}
      </div>
      {line.wait && <Calls p={p} wait={line.wait} />}
    </li>
  );
}

function Facts({ wait }: { wait: DumpedWait }) {
  return (
    <span class="muted">
      {wait.age != null && `${duration(wait.age)} old `}{wait.location && <>from <Place text={placeText(wait.location)} /></>}{wait.ended_at && " · ended since"}
    </span>
  );
}

/** Outermost first: so it reads on to what is awaited, and to the tasks beneath. */
function Calls({ p, wait }: { p: Process; wait: DumpedWait }) {
  const { awaits, resource } = wait;
  return (
    <>
      {wait.frames.length > 0 && (
        <ol class="frames" aria-label="Calls, outermost first">
          {[...wait.frames].reverse().map((frame, k) => <FrameLine key={k} frame={frame} />)}
        </ol>
      )}
      {(awaits || resource) && (
        <p>
          awaits {awaits && <span class="mono">{awaits}</span>} {resource && <a href={link(`/resources/${p.process}/${resource.resource}`)}>{resource.kind || "resource"} {resource.name}</a>}
        </p>
      )}
      {!awaits && !resource && wait.frames.length === 0 && <p class="muted">where it waits is not known</p>}
    </>
  );
}
