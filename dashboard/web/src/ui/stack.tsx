//! A stack as people debug: own frames first in weight, the runtime's folded away.

import { useState } from "preact/hooks";
import type { Frame } from "../api/types.ts";
import { shortPlace } from "../base/format.ts";

/** Foreign frames between own ones are shown; runs longer than this, and the tail below the last own frame, are folded. */
const KEEP = 3;

export function Stack({ frames }: { frames: readonly Frame[] }) {
  const [isWhole, setWhole] = useState(false);
  const runs = isWhole ? [{ frames, isFolded: false }] : fold(frames);
  return (
    <ol class="frames" data-testid="stack" aria-label="Stack, innermost frame first">
      {runs.map((run, k) =>
        run.isFolded ? (
          <li key={k}>
            <button type="button" onClick={() => setWhole(true)}>{run.frames.length} more runtime and library frames</button>
          </li>
        ) : (
          run.frames.map((frame, j) => <FrameLine key={`${k}.${j}`} frame={frame} />)
        ))}
    </ol>
  );
}

export function FrameLine({ frame }: { frame: Frame }) {
  const place = frame.file ? shortPlace(frame.line ? `${frame.file}:${frame.line}` : frame.file) : "";
  return (
    <li class={frame.own ? "own" : undefined}>
      <span>{frame.function || "no symbol"}</span>
      <span title={frame.file ?? undefined}>{place}</span>
    </li>
  );
}

function fold(frames: readonly Frame[]): { frames: readonly Frame[]; isFolded: boolean }[] {
  if (!frames.some((frame) => frame.own)) return [{ frames, isFolded: false }];
  const runs: { frames: Frame[]; isFolded: boolean }[] = [];
  for (let k = 0; k < frames.length; ) {
    let end = k;
    while (end < frames.length && frames[end]!.own === frames[k]!.own) end += 1;
    const run = frames.slice(k, end);
    const isLast = end === frames.length;
    const keep = frames[k]!.own ? run.length : isLast && k > 0 ? 0 : k === 0 ? 1 : run.length <= KEEP ? run.length : 0;
    if (keep > 0) runs.push({ frames: run.slice(0, keep), isFolded: false });
    if (keep < run.length) runs.push({ frames: run.slice(keep), isFolded: true });
    k = end;
  }
  return runs;
}
