//! A dump of where tasks wait as stacks with the time they have waited: the calls of a task lead on into those of the task it awaits.

import type { DumpAnswer, DumpedWait, DumpLine, Frame, StackSample } from "../api/types.ts";

export interface AwaitStacks {
  /** Innermost first. */
  readonly stacks: Frame[][];
  readonly samples: StackSample[];
  /** Tasks of which nobody knows how long they have waited. */
  readonly unknown: number;
  /** Tasks that have no time of their own: they await others, which have it. */
  readonly awaiting: number;
}

/** Time is counted once, at the end of each chain: a task that awaits another waits for as long as that one does. */
export function awaitStacks(dump: Pick<DumpAnswer, "lines" | "began_at">): AwaitStacks {
  const byText = new Map<string, number>();
  const result: { stacks: Frame[][]; samples: StackSample[]; unknown: number; awaiting: number } = { stacks: [], samples: [], unknown: 0, awaiting: 0 };
  const path: Frame[][] = [];
  dump.lines.forEach((line, k) => {
    path.length = Math.min(path.length, line.depth);
    const { wait } = line;
    if (!wait) return;
    path.push(calls(line, wait));
    const next = dump.lines[k + 1];
    if (next && next.depth > line.depth) result.awaiting += 1;
    else if (wait.waited == null) result.unknown += 1;
    else result.samples.push(sample(dump.began_at, line.task, wait.waited, stackOf(path, byText, result.stacks)));
  });
  return result;
}

function stackOf(path: readonly Frame[][], byText: Map<string, number>, stacks: Frame[][]): number {
  const frames = [...path].reverse().flat();
  const text = JSON.stringify(frames);
  const known = byText.get(text);
  if (known != null) return known;
  byText.set(text, stacks.length);
  stacks.push(frames);
  return stacks.length - 1;
}

/** The calls of one task, innermost first, below what it awaits that is no task. */
function calls(line: DumpLine, wait: DumpedWait): Frame[] {
  const frames = wait.frames.length > 0 ? [...wait.frames] : [made(line.name ?? "task without a known stack")];
  const resource = wait.resource && `${wait.resource.kind || "resource"}${wait.resource.name ? ` ${wait.resource.name}` : ""}`;
  const awaited = wait.awaits ?? resource;
  return awaited ? [made(`await ${awaited}`), ...frames] : frames;
}

function made(name: string): Frame {
  return { function: name, file: "", line: 0, own: false };
}

function sample(at: string, task: string, weight: number, stack: number): StackSample {
  return { at, poll_start_at: at, task, loop: "0", worker: 0, weight, on_cpu: null, stack };
}
