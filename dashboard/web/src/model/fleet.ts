//! Finding a process among many.

import type { Process } from "../api/types.ts";

/** Its process id, which no program tells that is read from outside. */
export function pidText(process: Pick<Process, "pid">): string {
  return process.pid === 0 ? "pid not known" : `pid ${process.pid}`;
}

/** Whether each word of `text` is part of what a process is called: name, version, host, pid, state, runtime, a label. */
export function answers(process: Process, text: string): boolean {
  const labels = Object.entries(process.labels).map(([key, value]) => `${key}=${value}`);
  const called = [process.app, process.app_version ?? "", process.host, pidText(process), process.state, process.runtime, ...labels].join("\n").toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => called.includes(word));
}
