//! Which keys there are. What this lists is what the pages do; change both together. [`commands`] has those that run a command.

import { signal } from "@preact/signals";

export const isHelpOpen = signal(false);
export const isOmniboxOpen = signal(false);

export interface KeyGroup {
  readonly title: string;
  /** Keys, with a space between those that are pressed singly, and what they do. */
  readonly keys: readonly (readonly [string, string])[];
  /** Pages that have them; all if not given. */
  readonly on?: RegExp;
}

const OMNIBOX = "Search and commands";

const GROUPS: readonly KeyGroup[] = [
  { title: "Move", on: /^\/timeline$/, keys: [["w s", "zoom in, out"], ["a d", "pan left, right"], ["wheel", "zoom at the pointer"], ["drag", "pan"], ["f", "fit what is selected; again: the whole recording"], ["z", "undo the last zoom"], ["g", "go to a time or range"]] },
  { title: "Find", on: /^\/timeline$/, keys: [["/", "highlight a place or task"], ["n p", "next, previous of what stands out: slow polls, findings, losses, notes"], ["Shift n p", "the same, of one kind alone: that of the last one, slow polls at first"], ["← →", "previous, next poll"], ["↑ ↓", "worker above, below"], [", .", "previous, next poll of the worker, wherever it is"], ["< >", "previous, next poll of the task"], ["[ ]", "who woke this poll, whom it woke"], ["Enter", "open the poll"], ["v", "show as a table"], ["Esc", "deselect"]] },
  { title: "Select", on: /^\/timeline$/, keys: [["Shift drag", "time and workers; on the axis all workers"], ["m", "the selected poll; else begin here, again: end here"], ["Shift m", "all that is in view"], ["Shift ← →", "move the end of the selection"], ["Shift ↑ ↓", "one worker less, more"], ["b", "write a note to the selection, or here"]] },
  { title: "Flame graph", on: /^\/slow$/, keys: [["1 2 3", "time order, left heavy, sandwich"], ["i", "inverted: from what ran to its callers"], ["← →", "previous, next box"], ["↑ ↓", "caller, callee"], ["Enter", "zoom into the box"], ["Esc", "zoom out to the caller"]] },
  { title: "Statement", on: /^\/query$/, keys: [["Ctrl Enter", "run it"], ["Ctrl Space", "complete"], ["Esc Tab", "leave the statement"], ["/", "go to the statement"]] },
  { title: "Histograms", on: /^\/tasks\/\d+\//, keys: [["← →", "bar before, after"], ["Enter", "choose its polls"], ["Shift ← →", "choose more"], ["Esc", "choose none"]] },
  { title: "Search field", on: /^\/(tasks|resources|waits|slow)$/, keys: [["/", "go to it"]] },
  { title: "Waits", on: /^\/waits$/, keys: [["← →", "slider: a step back, forth"], ["Shift ← →", "slider: a tenth of it"], ["+ −", "graph: zoom in, out"], ["← ↑ ↓ →", "graph: pan"], ["0", "graph: fit"], ["Space", "the chain of the node"], ["Enter", "open the node"]] },
  { title: "Tables", on: /^\/(tasks|resources|waits|slow|leaks|query|compare)(\/|$)/, keys: [["↑ ↓", "row above, below"], ["k j", "the same"], ["PgUp PgDn", "a screen at a time"], ["Home End", "first, last row"], ["Enter", "open the row"]] },
  { title: OMNIBOX, keys: [["Ctrl K", "open the omnibox; on a Mac also ⌘ K"], ["↑ ↓", "choose in it"], ["Enter", "open what is chosen"], ["Esc", "close"]] },
];

/** The keys of a page, its own first. `commands` are those that have a key on it. */
export function keysOf(path: string, commands: readonly { readonly title: string; readonly group: string; readonly key?: string }[]): KeyGroup[] {
  const groups = GROUPS.filter((group) => group.on == null || group.on.test(path));
  // Where `/` means nothing else, it opens the omnibox.
  const isSlashFree = !groups.some((group) => group.keys.some(([key]) => key === "/"));
  const byGroup = new Map<string, (readonly [string, string])[]>();
  // A key of the page comes before that of a command.
  const taken = new Set(groups.filter((group) => group.on).flatMap((group) => group.keys.flatMap(([key]) => key.split(" "))));
  for (const { title, group, key } of commands) {
    if (key && !taken.has(key)) byGroup.set(group, [...(byGroup.get(group) ?? []), [key, title]]);
  }
  const shared = groups.map((group) => (group.title === OMNIBOX && isSlashFree ? { ...group, keys: [["/", "open the omnibox"] as const, ...group.keys] } : group));
  return [...shared, ...[...byGroup].map(([title, keys]) => ({ title, keys }))];
}

/** True while the person is writing, so that letters are letters. */
export function isTyping(event: KeyboardEvent): boolean {
  // Inside a shadow root, as the editor of statements is, the event's own target is its host.
  const target = event.composedPath()[0] ?? event.target;
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
