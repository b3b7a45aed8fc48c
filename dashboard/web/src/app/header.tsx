//! The header: which process, which range, whether it follows, and whether loopd answers.

import { useEffect, useRef, useState } from "preact/hooks";
import { connection } from "../api/live.ts";
import type { Process } from "../api/types.ts";
import { ago, clock } from "../base/format.ts";
import { instant, now, SECOND } from "../base/instant.ts";
import { href, withChanges } from "../model/query_string.ts";
import { parseRange, rangeLabel, rangeToQuery, type Range } from "../model/range.ts";
import { Icon } from "../ui/icons.tsx";
import { place } from "./router.ts";
import { hasMoreProcesses, isLive, lastAt, process, processes, range, setRange, toggleLive } from "./session.ts";
import { isHelpOpen, isOmniboxOpen } from "./shortcuts.ts";
import { cycleTheme, theme } from "./theme.ts";

export function Header() {
  return (
    <header class="head">
      <ProcessPicker />
      <SearchButton />
      <span class="grow" />
      <Connection />
      {process.value && <RangeField />}
      {process.value && <LiveToggle />}
      <ThemeButton />
      <button type="button" class="icon-button" aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick={() => (isHelpOpen.value = true)}>
        <Icon name="help" />
      </button>
    </header>
  );
}

function SearchButton() {
  const isMac = /Mac|iPhone|iPad/.test(navigator.platform);
  const keys = isMac ? "⌘K" : "Ctrl K";
  return (
    <button type="button" class="button search-button" aria-haspopup="dialog" aria-keyshortcuts={isMac ? "Meta+K" : "Control+K"} title={`Search, > for commands, = for SQL (${keys})`} onClick={() => (isOmniboxOpen.value = true)} data-testid="omnibox-open">
      <Icon name="search" size={14} /> <span>Search</span> <kbd>{keys}</kbd>
    </button>
  );
}

/** Closes a popup on Escape or a click elsewhere. */
function useDismiss(isOpen: boolean, close: () => void) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!isOpen) return;
    const onPointer = (event: PointerEvent) => !box.current?.contains(event.target as Node) && close();
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      close();
      // What had the focus inside is gone now.
      box.current?.querySelector<HTMLElement>("button[aria-expanded]")?.focus();
    };
    document.addEventListener("pointerdown", onPointer);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("pointerdown", onPointer);
      document.removeEventListener("keydown", onKey);
    };
  }, [isOpen]);
  return box;
}

function ProcessPicker() {
  const [isOpen, setOpen] = useState(false);
  const box = useDismiss(isOpen, () => setOpen(false));
  const current = process.value;
  if (!current) return null;
  return (
    <div class="process-picker" ref={box}>
      <button type="button" class="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)} data-testid="process-picker">
        <span class={`dot ${current.state}`} />
        <span class="visually-hidden">Process: </span>
        <b class="ellipsis">{current.app}</b>
        <span class="muted">pid {current.pid} · {current.state}</span>
        <Icon name="down" size={14} />
      </button>
      {isOpen && (
        <nav class="popup" aria-label="Processes">
          {processes.value?.map((p) => <ProcessItem key={p.process} process={p} isCurrent={p.process === current.process} onPick={() => setOpen(false)} />)}
          {hasMoreProcesses.value && <p class="muted">Older ones are left out; SQL reaches all.</p>}
        </nav>
      )}
    </div>
  );
}

function ProcessItem({ process: p, isCurrent, onPick }: { process: Process; isCurrent: boolean; onPick: () => void }) {
  const path = /^\/(?:tasks|resources)(?=\/)/.exec(place.value.path)?.[0] ?? place.value.path;
  const detail = p.state === "live" ? `since ${clock(instant(p.started_at), SECOND)}` : `last seen ${ago(instant(p.last_at), now())}`;
  return (
    <a href={href(path, withChanges(new URLSearchParams(), { process: p.process }))} aria-current={isCurrent ? "true" : undefined} onClick={onPick}>
      <span class={`dot ${p.state}`} />
      <b>{p.app}</b>
      <span class="muted">pid {p.pid} · {p.host}</span>
      <span class="grow" />
      <span class="muted">{p.state}, {detail}</span>
    </a>
  );
}

const PRESETS: readonly [string, Range][] = [
  ["last 10 s", { kind: "last", span: 10 * SECOND }],
  ["last 1 m", { kind: "last", span: 60 * SECOND }],
  ["last 5 m", { kind: "last", span: 300 * SECOND }],
  ["last 1 h", { kind: "last", span: 3600 * SECOND }],
  ["whole recording", { kind: "all" }],
];

function RangeField() {
  const [isOpen, setOpen] = useState(false);
  const [draft, setDraft] = useState<string | null>(null);
  const [isWrong, setWrong] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const box = useDismiss(isOpen, () => setOpen(false));
  const label = rangeLabel(range.value);
  const choose = (next: Range) => {
    setRange(next);
    setDraft(null);
    setWrong(false);
    setOpen(false);
    input.current?.blur();
  };
  const submit = () => {
    const next = draft == null ? range.peek() : parseRange(draft, lastAt.peek());
    if (next) choose(next);
    else setWrong(true);
  };
  return (
    <div class="range" ref={box}>
      <input
        ref={input} class="field" id="range-field" aria-label="Time range" aria-invalid={isWrong} spellcheck={false} autocomplete="off"
        title="last 5 m · 14:03:07 – 14:03:12 · 14:03:07.412 + 50ms · whole recording"
        value={draft ?? label}
        onInput={(event) => { setDraft(event.currentTarget.value); setWrong(false); }}
        onFocus={(event) => event.currentTarget.select()}
        onBlur={() => !isWrong && setDraft(null)}
        onKeyDown={(event) => {
          if (event.key === "Enter") submit();
          if (event.key === "Escape") { setDraft(null); setWrong(false); event.currentTarget.blur(); }
        }}
      />
      <button type="button" class="icon-button" aria-label="Choose a range" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}><Icon name="down" size={14} /></button>
      {isOpen && (
        <div class="popup">
          {PRESETS.map(([text, preset]) => (
            <button key={text} type="button" aria-current={JSON.stringify(rangeToQuery(preset)) === JSON.stringify(rangeToQuery(range.value)) ? "true" : undefined} onClick={() => choose(preset)}>{text}</button>
          ))}
        </div>
      )}
      {isWrong && <span class="visually-hidden" role="alert">Not a range. Try: last 5 m, or 14:03:07 – 14:03:12</span>}
    </div>
  );
}

function LiveToggle() {
  if (process.value?.state !== "live") return null;
  const live = isLive.value;
  return (
    <button type="button" class="button live-toggle" aria-pressed={live} title={live ? "Freeze what is on screen (l)" : "Follow new data (l)"} onClick={toggleLive} data-testid="live">
      <span class="dot" /> Live
    </button>
  );
}

const CONNECTION_TEXT = { open: "connected", connecting: "connecting…", broken: "loopd does not answer, retrying" };

function Connection() {
  const state = connection.value;
  return (
    <span class={`connection ${state}`} role="status" title="Connection to loopd" data-testid="connection" data-state={state}>
      <span class={`dot ${state}`} />
      <span>{CONNECTION_TEXT[state]}</span>
    </span>
  );
}

function ThemeButton() {
  const icon = theme.value === "auto" ? "auto" : theme.value === "light" ? "sun" : "moon";
  return (
    <button type="button" class="icon-button" aria-label={`Theme: ${theme.value}. Switch.`} title={`Theme: ${theme.value} (t)`} onClick={cycleTheme} data-testid="theme">
      <Icon name={icon} />
    </button>
  );
}

