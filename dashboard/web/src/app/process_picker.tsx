//! Which process of the fleet the page is about, and which of its loops.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Loop, Process } from "../api/types.ts";
import { ago, clock, nameText } from "../base/format.ts";
import { instant, now, SECOND } from "../base/instant.ts";
import { answers, pidText } from "../model/fleet.ts";
import { href, withChanges } from "../model/query_string.ts";
import { useDismiss } from "../ui/dismiss.ts";
import { Icon } from "../ui/icons.tsx";
import { place } from "./router.ts";
import { hasMoreProcesses, link, process, processes } from "./session.ts";

/** Fewer are found faster by looking. */
const WORTH_A_FILTER = 3;

export function ProcessPicker() {
  const [isOpen, setOpen] = useState(false);
  const close = () => setOpen(false);
  const box = useDismiss(isOpen, close);
  const current = process.value;
  if (!current) return null;
  const chosen = chosenLoop(current);
  return (
    <div class="process-picker" ref={box}>
      <button type="button" class="button" aria-expanded={isOpen} title="Process and loop" onClick={() => setOpen(!isOpen)} data-testid="process-picker">
        <span class={`dot ${current.state}`} />
        <span class="visually-hidden">Process: </span>
        <b class="ellipsis">{nameText(current.app)}</b>
        <span class="muted">{pidText(current)} · {current.state}</span>
        {chosen && <span class="muted ellipsis">· {loopLabel(chosen)}</span>}
        <Icon name="down" size={14} />
      </button>
      {isOpen && <Fleet current={current} chosen={chosen} close={close} />}
    </div>
  );
}

function Fleet({ current, chosen, close }: { current: Process; chosen: Loop | null; close: () => void }) {
  const [text, setText] = useState("");
  const list = useRef<HTMLElement>(null);
  const all = processes.value ?? [];
  const shown = all.filter((p) => answers(p, text));
  const canFilter = all.length > WORTH_A_FILTER;
  useEffect(() => list.current?.querySelector("input")?.focus(), []);
  return (
    <nav class="popup" aria-label="Processes" ref={list} onKeyDown={(event) => onArrow(event, list.current)}>
      {canFilter && (
        <input class="field fleet-filter" type="search" placeholder="Name, host, pid, version or label" aria-label="Filter processes" value={text} onInput={(event) => setText(event.currentTarget.value)} data-testid="fleet-filter" />
      )}
      {shown.map((p) => <ProcessItem key={p.process} process={p} isCurrent={p.process === current.process} close={close} />)}
      {shown.length === 0 && <p class="muted">None of {all.length} is called that.{hasMoreProcesses.value ? " Older ones are not in this list; SQL reaches all." : ""}</p>}
      {shown.length > 0 && hasMoreProcesses.value && <p class="muted">Older ones are left out; SQL reaches all.</p>}
      {current.loops.length > 1 && <Loops loops={current.loops} chosen={chosen} close={close} />}
    </nav>
  );
}

/** What choosing one does is said: not every page goes by it. */
function Loops({ loops, chosen, close }: { loops: readonly Loop[]; chosen: Loop | null; close: () => void }) {
  return (
    <>
      <h2 class="popup-title">On the timeline</h2>
      <a href={link("/timeline", { loop: null })} aria-current={chosen ? undefined : "true"} onClick={close}>All loops</a>
      {loops.map((it) => (
        <a key={it.loop} href={link("/timeline", { loop: it.loop })} aria-current={it === chosen ? "true" : undefined} onClick={close}>
          <b class="ellipsis">{loopLabel(it)}</b>
          <span class="muted">{it.flavor} · {it.workers === 1 ? "1 worker" : `${it.workers} workers`}{it.closed_at != null && " · closed"}</span>
        </a>
      ))}
    </>
  );
}

function ProcessItem({ process: p, isCurrent, close }: { process: Process; isCurrent: boolean; close: () => void }) {
  const path = /^\/(?:tasks|resources)(?=\/)/.exec(place.value.path)?.[0] ?? place.value.path;
  const detail = p.state === "live" ? `since ${clock(instant(p.started_at), SECOND)}` : `last seen ${ago(instant(p.last_at), now())}`;
  return (
    <a href={href(path, withChanges(new URLSearchParams(), { process: p.process }))} aria-current={isCurrent ? "true" : undefined} onClick={close}>
      <span class={`dot ${p.state}`} />
      <b class="ellipsis">{nameText(p.app)}</b>
      {p.app_version && <span class="muted ellipsis">{p.app_version}</span>}
      <span class="muted">{pidText(p)} · {p.host}</span>
      <span class="grow" />
      <span class="muted">{p.state}, {detail}</span>
    </a>
  );
}

function chosenLoop(p: Process): Loop | null {
  return p.loops.find((it) => it.loop === place.value.query.get("loop")) ?? null;
}

function loopLabel(it: Loop): string {
  return it.name ? nameText(it.name) : `loop ${it.loop}`;
}

/** Up and down walk through the field and the links. */
function onArrow(event: KeyboardEvent, list: HTMLElement | null): void {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const stops = [...(list?.querySelectorAll<HTMLElement>("input, a") ?? [])];
  const at = stops.indexOf(document.activeElement as HTMLElement);
  const next = stops[at + (event.key === "ArrowDown" ? 1 : -1)];
  if (!next) return;
  event.preventDefault();
  next.focus();
}
