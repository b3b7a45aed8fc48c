//! The columns of every table of tasks.

import type { SlowPoll, Task } from "../api/types.ts";
import { count, duration, nameText, plural, UNKNOWN } from "../base/format.ts";
import { At, Place, placeText } from "../ui/small.tsx";
import type { Column } from "../ui/table.tsx";
import { Icon } from "../ui/icons.tsx";

/** What is wrong with a task, worst first; empty when nothing is. */
export function warnings(task: Task): string[] {
  const list: string[] = [];
  if (task.outcome === "panicked" || task.outcome === "raised") list.push(task.outcome);
  if (task.outcome === "destroyed") list.push("destroyed while pending");
  if (task.unwakeable_at != null) list.push("cannot be woken");
  if (task.slow_polls != null && task.slow_polls > 0) list.push(plural(task.slow_polls, "slow poll"));
  // A timer that is taken back in time, such as that of a timeout, is one that never runs.
  if (task.polls === 0 && task.state !== "running" && task.kind !== "callback") list.push("never polled");
  if (task.self_wakes != null && task.wakes != null && task.wakes > 20 && task.self_wakes > task.wakes / 2) list.push("wakes itself");
  return list;
}

/** What the thread was doing in a slow poll; null if not known. */
export function doing(poll: SlowPoll): string | null {
  if (poll.syscall === "page_fault") return "waiting for memory";
  if (poll.syscall) return `in ${poll.syscall}`;
  return poll.running === "on_cpu" ? "computing" : poll.running === "off_cpu" ? "asleep in the kernel" : null;
}

export function StateChip({ task }: { task: Task }) {
  const word = task.state === "ended" ? (task.outcome ?? "ended") : task.state;
  const tone = word === "panicked" || word === "raised" ? "bad" : word === "cancelled" || word === "destroyed" ? "warn" : word === "running" ? "accent" : "";
  return <span class={`chip ${tone}`}>{word}</span>;
}

export const TASK_COLUMNS: readonly Column<Task>[] = [
  { key: "warn", title: "Warnings", hidesTitle: true, about: "Slow polls, panics, uncaught exceptions, tasks never polled", width: "36px", isSortable: false, priority: 2, cell: (task) => <Warn task={task} />, value: (task) => warnings(task).join("; ") },
  { key: "task", title: "Task", width: "92px", cell: (task) => <span class="mono">{task.task}</span>, value: (task) => task.task },
  { key: "name", title: "Name", least: 140, cell: (task) => task.name == null ? <span class="muted">{UNKNOWN}</span> : nameText(task.name), value: (task) => task.name },
  { key: "location", title: "Spawned at", least: 288, cell: (task) => <Place text={task.location && placeText(task.location)} />, value: (task) => (task.location ? placeText(task.location) : null) },
  { key: "state", title: "State", width: "96px", priority: 1, cell: (task) => <StateChip task={task} />, value: (task) => task.outcome ?? task.state },
  { key: "spawned_at", title: "Start", width: "108px", isNumber: true, priority: 7, cell: (task) => <At at={task.spawned_at} />, value: (task) => task.spawned_at },
  { key: "lifetime", title: "Lifetime", about: "From spawn to end, or to the newest data", width: "88px", isNumber: true, priority: 5, cell: (task) => duration(task.lifetime), value: (task) => task.lifetime },
  { key: "polls", title: "Polls", width: "72px", isNumber: true, priority: 6, cell: (task) => count(task.polls), value: (task) => task.polls },
  { key: "busy_time", title: "Busy", about: "Time inside polls", width: "84px", isNumber: true, priority: 3, cell: (task) => duration(task.busy_time), value: (task) => task.busy_time },
  { key: "scheduled_time", title: "Scheduled", about: "Time between a wake and the poll it led to; needs wakes", width: "92px", isNumber: true, priority: 8, cell: (task) => duration(task.scheduled_time), value: (task) => task.scheduled_time },
  { key: "max_poll_time", title: "Worst poll", width: "92px", isNumber: true, priority: 4, cell: (task) => <span class={(task.slow_polls ?? 0) > 0 ? "hot" : ""}>{duration(task.max_poll_time)}</span>, value: (task) => task.max_poll_time },
  { key: "wakes", title: "Wakes", width: "68px", isNumber: true, priority: 9, cell: (task) => count(task.wakes), value: (task) => task.wakes },
];

function Warn({ task }: { task: Task }) {
  const list = warnings(task);
  if (list.length === 0) return null;
  return <span class="warn-mark" role="img" aria-label={list.join(", ")} title={list.join(", ")}><Icon name="warn" size={14} /></span>;
}
