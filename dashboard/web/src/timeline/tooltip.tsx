//! What is under the pointer, in three lines.

import { clock, duration, percent, plural } from "../base/format.ts";
import { plus, MICROSECOND } from "../base/instant.ts";
import { toOffset } from "../model/geometry.ts";
import { LossLines, lossesAt } from "./losses.tsx";
import type { StretchStats, Timeline } from "./controller.ts";
import type { PollItem } from "./data.ts";

const WIDTH = 320;

export function Tooltip({ timeline }: { timeline: Timeline }) {
  const hover = timeline.hover.value;
  if (!hover || hover.lane < 0) return null;
  const { poll } = hover;
  const canvas = document.querySelector("[data-testid=timeline-canvas]")?.getBoundingClientRect();
  if (!canvas) return null;
  const left = Math.min(canvas.left + hover.x + 14, window.innerWidth - WIDTH);
  const top = Math.min(canvas.top + hover.y + 18, window.innerHeight - 110);
  const sum = poll ? null : timeline.sumAtPoint(hover.x, canvas.width, hover.lane);
  const view = timeline.view.value;
  const losses = lossesAt(timeline, toOffset(view, canvas.width, hover.x), view.span / canvas.width);
  const gone = poll ? null : timeline.whyNothing(hover.lane, toOffset(view, canvas.width, hover.x));
  if (!poll && !sum && !gone && losses.length === 0) return null;
  return (
    <div class="tip" style={{ left: `${left}px`, top: `${top}px` }} role="presentation" data-testid="tip">
      <LossLines losses={losses} />
      {poll ? <OnePoll timeline={timeline} poll={poll} /> : gone ? <span class="muted">{gone}</span> : sum && <Stretch sum={sum} />}
    </div>
  );
}

function OnePoll({ timeline, poll }: { timeline: Timeline; poll: PollItem }) {
  return (
    <>
      <b>{poll.isRunning ? `running for ${duration(poll.length)}` : duration(poll.length)}</b>{poll.isSlow && <span class="hot"> · slow</span>}
      <br />
      {poll.location ? <span class="place">{poll.location}</span> : <span class="muted">click for its stack</span>}
      <br />
      <span class="muted">task {poll.task} · {clock(plus(timeline.base, poll.start), MICROSECOND)}</span>
    </>
  );
}

function Stretch({ sum }: { sum: StretchStats }) {
  return (
    <>
      <b>{sum.busy === 0 && sum.polls === 0 ? "idle" : `${percent(sum.busy / sum.span)} busy`}</b> <span class="muted">over {duration(sum.span)}</span>
      <br />
      <span class="muted">{sum.polls === 0 ? "no poll" : plural(sum.polls, "poll")} started{sum.max > 0 && `, the longest ${duration(sum.max)}`}</span>
    </>
  );
}
