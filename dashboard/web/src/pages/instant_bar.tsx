//! Which instant of the recording is looked at: a slider over all of it, and a field for those who know the time.

import { useEffect, useRef, useState } from "preact/hooks";
import { dateTime, duration } from "../base/format.ts";
import { between, MILLISECOND, plus, SECOND, type Instant } from "../base/instant.ts";
import { parseInstant, parseLength } from "../model/range.ts";
import { keyStep, stepOf, within } from "../model/slider.ts";

export interface InstantBarProps {
  readonly at: Instant;
  /** The recording. */
  readonly from: Instant;
  readonly to: Instant;
  /** Called when the person rests, not for every pixel. */
  readonly onChange: (at: Instant) => void;
  readonly onNow: () => void;
}

/** Nanoseconds-thick reading of a slider is of no use: a thousandth of all is about its pixel. */
const PIXELS = 1000;
const REST_MS = 120;

export function InstantBar({ at, from, to, onChange, onNow }: InstantBarProps) {
  const [moved, setMoved] = useState<Instant | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  // The address has arrived at what was chosen, or somebody went back.
  useEffect(() => setMoved(null), [at]);
  const shown = within(moved ?? at, from, to);
  const move = (next: Instant) => {
    const wanted = within(next, from, to);
    setMoved(wanted);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => (wanted === at ? setMoved(null) : onChange(wanted)), REST_MS);
  };
  const span = between(from, to);
  const unit = Math.min(stepOf(span) / 10, span / PIXELS);
  const text = dateTime(shown, MILLISECOND);
  const rest = between(shown, to);
  return (
    <section class="card instant" aria-label="Instant" data-testid="instant">
      <input
        class="grow" type="range" min={0} max={span} step="any" value={between(from, shown)} aria-label="Instant" aria-valuetext={text} title="← → step, with Shift a tenth; Page Up and Down ten; Home, End"
        onInput={(event) => move(plus(from, Math.round(Number(event.currentTarget.value) / unit) * unit))}
        onKeyDown={(event) => {
          if (event.ctrlKey || event.metaKey || event.altKey) return;
          const next = keyStep(event.key, event.shiftKey, shown, from, to);
          if (next == null) return;
          event.preventDefault();
          move(next);
        }}
      />
      <TimeField text={text} parse={(typed) => parseMoment(typed, shown, to)} onChange={move} />
      <span class="muted nowrap instant-rest">{rest < MILLISECOND ? "the newest data" : `${duration(rest < SECOND ? rest : Math.round(rest / SECOND) * SECOND)} before the end`}</span>
      <button type="button" class="button" onClick={() => { clearTimeout(timer.current); onNow(); }}>Now</button>
    </section>
  );
}

/** A wall time as in the header's range, or `-5m`: before the newest data. */
function parseMoment(text: string, day: Instant, last: Instant): Instant | null {
  const length = /^\s*[-−]\s*(.+)$/.exec(text)?.[1];
  const before = length == null ? null : parseLength(length);
  return before == null ? parseInstant(text, day) : plus(last, -before);
}

function TimeField({ text, parse, onChange }: { text: string; parse: (text: string) => Instant | null; onChange: (at: Instant) => void }) {
  const [draft, setDraft] = useState<string | null>(null);
  const [isWrong, setWrong] = useState(false);
  const reset = () => { setDraft(null); setWrong(false); };
  return (
    <>
      <input
        class="field instant-field" aria-label="Time" aria-invalid={isWrong} spellcheck={false} autocomplete="off" title="14:03:07.412 · 2026-11-22 14:03:07 · -5m" value={draft ?? text}
        onInput={(event) => { setDraft(event.currentTarget.value); setWrong(false); }}
        onFocus={(event) => event.currentTarget.select()}
        onBlur={() => !isWrong && reset()}
        onKeyDown={(event) => {
          if (event.key === "Escape") { reset(); event.currentTarget.blur(); }
          if (event.key !== "Enter" || draft == null) return;
          const at = parse(draft);
          if (at == null) return setWrong(true);
          reset();
          onChange(at);
        }}
      />
      {isWrong && <span class="visually-hidden" role="alert">Not a time. Try: 14:03:07.412, or -5m</span>}
    </>
  );
}
