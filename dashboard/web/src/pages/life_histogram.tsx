//! Polls by length, or by the time from their wake, on two logarithmic axes. Each bar is a button that chooses its polls.

import { useRef } from "preact/hooks";
import type { LifeClass } from "../api/types.ts";
import { setQuery } from "../app/router.ts";
import { durationClass } from "../base/duration_class.ts";
import { compact, count, duration, plural } from "../base/format.ts";
import { below, classText, isPicked, logHeight, picked, pickText, type Measure, type Pick } from "../model/life.ts";

interface Props {
  readonly by: Measure;
  readonly classes: readonly LifeClass[];
  readonly pick: Pick | null;
  readonly label: string;
}

export function LifeHistogram({ by, classes, pick, label }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const most = Math.max(1, ...classes.map((it) => it.count));
  const all = classes.reduce((sum, it) => sum + it.count, 0);
  const chosen = classes.findIndex((it) => isPicked(pick, by, it));
  const choose = (it: LifeClass, isMore: boolean) => {
    const next = picked(pick, by, it, isMore);
    setQuery({ pick: next && pickText(next) }, { push: pick == null });
  };
  const onKey = (event: KeyboardEvent) => {
    const at = classes.findIndex((_, k) => box.current!.children[k] === document.activeElement);
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -classes.length, End: classes.length }[event.key];
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && pick) return void (setQuery({ pick: null }), event.stopPropagation());
    if (step == null) return;
    event.preventDefault();
    const next = Math.min(Math.max(at + step, 0), classes.length - 1);
    (box.current!.children[next] as HTMLElement).focus();
    if (event.shiftKey) choose(classes[next]!, true);
  };
  const [half, most99] = [below(classes, 0.5), below(classes, 0.99)];
  return (
    <figure class="life-histogram" data-testid={`histogram-${by}`}>
      <div class="axis" aria-hidden="true"><span>{compact(most)}</span><span>1</span></div>
      <div class="bars" ref={box} role="group" aria-label={`${label}. Arrow keys move, Enter chooses, Shift with an arrow key or a click chooses more.`} onKeyDown={onKey}>
        {classes.map((it, k) => {
          const isOn = isPicked(pick, by, it);
          const text = `${classText(it.from, it.to)}: ${plural(it.count, "poll")}`;
          return (
            <button
              key={it.from} type="button" aria-pressed={isOn} aria-label={text} title={text} tabIndex={k === Math.max(chosen, 0) ? 0 : -1}
              class={pick && !isOn ? "faint" : ""} onClick={(event) => choose(it, event.shiftKey)}
            >
              <i class={by === "length" ? `c${durationClass(it.from)}` : "c-ready"} style={{ height: `${logHeight(it.count, most) * 100}%` }} />
            </button>
          );
        })}
      </div>
      <div class="ticks" aria-hidden="true">{classes.map((it, k) => <span key={it.from}>{isDecade(it.from) || k === 0 ? duration(it.from) : ""}</span>)}</div>
      <figcaption class="muted">
        {count(all)} polls{half != null && <> · half under {duration(half)}</>}{most99 != null && most99 !== half && <> · 99 % under {duration(most99)}</>} · both axes logarithmic
      </figcaption>
    </figure>
  );
}

function isDecade(from: number): boolean {
  return from > 0 && Number.isInteger(Math.round(Math.log10(from) * 1e6) / 1e6);
}
