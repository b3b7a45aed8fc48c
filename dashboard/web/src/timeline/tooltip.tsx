//! What is under the pointer, in three lines.

import { clock, duration } from "../base/format.ts";
import { plus, MICROSECOND } from "../base/instant.ts";
import type { Timeline } from "./controller.ts";

const WIDTH = 320;

export function Tooltip({ timeline }: { timeline: Timeline }) {
  const hover = timeline.hover.value;
  if (!hover?.poll) return null;
  const { poll } = hover;
  const canvas = document.querySelector("[data-testid=timeline-canvas]")?.getBoundingClientRect();
  if (!canvas) return null;
  const left = Math.min(canvas.left + hover.x + 14, window.innerWidth - WIDTH);
  const top = Math.min(canvas.top + hover.y + 18, window.innerHeight - 110);
  return (
    <div class="tip" style={{ left: `${left}px`, top: `${top}px` }} role="presentation" data-testid="tip">
      <b>{poll.isRunning ? `running for ${duration(poll.length)}` : duration(poll.length)}</b>{poll.isSlow && <span class="hot"> · slow</span>}
      <br />
      {poll.location ? <span class="place">{poll.location}</span> : <span class="muted">zoom in for its location</span>}
      <br />
      <span class="muted">task {poll.task} · {clock(plus(timeline.base, poll.start), MICROSECOND)}</span>
    </div>
  );
}
