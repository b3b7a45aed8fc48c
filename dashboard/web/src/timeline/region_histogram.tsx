//! How long the polls of a region took: a bar for each step of length. A bar is a button: it lists its polls and marks them.

import type { RegionAnswer } from "../api/types.ts";
import { setQuery } from "../app/router.ts";
import { durationClass } from "../base/duration_class.ts";
import { count, duration, percent, plural } from "../base/format.ts";
import { lengthsToText, type Lengths } from "../model/region.ts";

type Bar = RegionAnswer["histogram"][number];

/** The height of one poll, as a share: it must be seen beside a million. */
const LEAST = 0.06;

export function Histogram({ answer, chosen }: { answer: RegionAnswer; chosen: Lengths | null }) {
  const { histogram } = answer;
  const all = histogram.reduce((sum, bar) => sum + bar.polls, 0);
  const most = Math.max(1, ...histogram.map((bar) => bar.polls));
  return (
    <figure class="histogram" data-testid="region-histogram">
      <figcaption class="row">
        <h3 class="grow">How long they took</h3>
        <span class="muted">log scale</span>
        {chosen && <button type="button" class="button quiet" onClick={() => setQuery({ len: null })}>All lengths</button>}
      </figcaption>
      {histogram.length === 0 ? <p class="muted">{answer.polls === 0 ? "No poll in this region." : "Not known for these polls."}</p> : (
        <div class="bars" role="group" aria-label={`Polls by length: ${plural(all, "poll")}`}>
          {histogram.map((bar) => <One key={bar.from} bar={bar} all={all} most={most} isChosen={chosen?.from === bar.from && chosen.to === bar.to} />)}
        </div>
      )}
    </figure>
  );
}

function One({ bar, all, most, isChosen }: { bar: Bar; all: number; most: number; isChosen: boolean }) {
  const range = bar.to == null ? `${duration(bar.from)} and longer` : bar.from === 0 ? `under ${duration(bar.to)}` : `${duration(bar.from)} to ${duration(bar.to)}`;
  const text = `${range}: ${plural(bar.polls, "poll")}, ${percent(bar.polls / Math.max(all, 1))}`;
  return (
    <button type="button" class="bar" aria-pressed={isChosen} title={text} disabled={bar.polls === 0} onClick={() => setQuery({ len: isChosen ? null : lengthsToText(bar) })}>
      <span class="visually-hidden">{text}. </span>
      <span class="bar-count" title={count(bar.polls)}>{bar.polls > 0 ? short(bar.polls) : ""}</span>
      <i class={`c${durationClass(bar.from)}`} style={{ height: `${height(bar.polls, most) * 100}%` }} />
      <span class="bar-from">{isDecade(bar.from) ? (bar.from === 0 ? "0" : duration(bar.from)) : ""}</span>
    </button>
  );
}

/** As few letters as tell sizes apart: a bar is narrow. */
function short(polls: number): string {
  for (const [unit, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]] as const) {
    if (polls >= unit) return `${(polls / unit).toFixed(polls < 9.95 * unit ? 1 : 0)}${letter}`;
  }
  return String(polls);
}

/** Three bars are a decade: the first of them has room for its length. */
function isDecade(from: number): boolean {
  return from === 0 || /^10*$/.test(String(from));
}

function height(polls: number, most: number): number {
  if (polls === 0) return 0;
  return most === 1 ? 1 : LEAST + (1 - LEAST) * (Math.log10(polls) / Math.log10(most));
}
