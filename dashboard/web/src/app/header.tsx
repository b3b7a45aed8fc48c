//! The header: which process, which range, whether it follows, and whether loopd answers.

import { useRef, useState } from "preact/hooks";
import { connection } from "../api/live.ts";
import { between, SECOND } from "../base/instant.ts";
import { parseRange, rangeAround, rangeLabel, rangeToQuery, resolveRange, type Range } from "../model/range.ts";
import { useDismiss } from "../ui/dismiss.ts";
import { Icon } from "../ui/icons.tsx";
import { ProcessPicker } from "./process_picker.tsx";
import { isLive, lastAt, process, range, setRange, startedAt, toggleLive } from "./session.ts";
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

const PRESETS: readonly [string, Range][] = [
  ["last 10 s", { kind: "last", span: 10 * SECOND }],
  ["last 1 m", { kind: "last", span: 60 * SECOND }],
  ["last 5 m", { kind: "last", span: 300 * SECOND }],
  ["last 1 h", { kind: "last", span: 3600 * SECOND }],
  ["whole recording", { kind: "all" }],
];

/** How much is shown around an instant: as much as now, unless that is the whole recording. */
function spanAround(): number {
  const now = range.peek();
  const { from, to } = resolveRange(now, startedAt.peek(), lastAt.peek());
  return now.kind === "all" ? Math.min(between(from, to), 10 * SECOND) : between(from, to);
}

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
    const next = draft == null ? range.peek() : (parseRange(draft, lastAt.peek()) ?? rangeAround(draft, lastAt.peek(), startedAt.peek(), spanAround()));
    if (next) choose(next);
    else setWrong(true);
  };
  return (
    <div class="range" ref={box}>
      <input
        ref={input} class="field" id="range-field" aria-label="Time range" aria-invalid={isWrong} spellcheck={false} autocomplete="off"
        title="last 5 m · 14:03:07 – 14:03:12 · 14:03:07.412 + 50ms · 14:03:07 · +12.5s from the start · whole recording"
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
      {isWrong && <span class="visually-hidden" role="alert">Not a range. Try: last 5 m, 14:03:07, or 14:03:07 – 14:03:12</span>}
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

