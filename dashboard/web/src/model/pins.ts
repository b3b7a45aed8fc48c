//! Which lanes are shown below the workers, as the address says it: `pins=t12,r3` for tasks and resources, `lanes=queues,rss_bytes` for metrics.

/** A task or a resource that stays in sight. */
export interface Pin {
  readonly kind: "task" | "resource";
  readonly id: string;
}

/** Each is a request and a canvas; more would push the workers off the screen. */
export const MAX_PINS = 8;
export const MAX_METRICS = 8;
/** Stands for no lane, where saying nothing stands for the usual ones. */
const NONE = "none";

export function parsePins(text: string | null): Pin[] {
  const pins: Pin[] = [];
  for (const part of (text ?? "").split(",")) {
    const found = /^([tr])(\d{1,20})$/.exec(part.trim());
    if (!found) continue;
    const pin: Pin = { kind: found[1] === "t" ? "task" : "resource", id: found[2]! };
    if (!pins.some((known) => isSamePin(known, pin))) pins.push(pin);
  }
  return pins.slice(0, MAX_PINS);
}

export function pinsText(pins: readonly Pin[]): string | null {
  return pins.length === 0 ? null : pins.map(pinText).join(",");
}

export function pinText(pin: Pin): string {
  return `${pin.kind === "task" ? "t" : "r"}${pin.id}`;
}

export function isSamePin(a: Pin, b: Pin): boolean {
  return a.kind === b.kind && a.id === b.id;
}

/** With one more, or without it. Full is full: the answer is then what it was. */
export function withPin(pins: readonly Pin[], pin: Pin): Pin[] {
  if (pins.some((known) => isSamePin(known, pin)) || pins.length >= MAX_PINS) return [...pins];
  return [...pins, pin];
}

export function withoutPin(pins: readonly Pin[], pin: Pin): Pin[] {
  return pins.filter((known) => !isSamePin(known, pin));
}

/** Metric lanes by key; `usual` where the address says nothing. */
export function parseMetrics(text: string | null, usual: readonly string[]): string[] {
  if (text == null) return [...usual];
  if (text === NONE) return [];
  return [...new Set(text.split(",").map((key) => key.trim()).filter((key) => /^[\w.:-]{1,200}$/.test(key)))].slice(0, MAX_METRICS);
}

/** What the address says; null if that is the usual. */
export function metricsText(keys: readonly string[], usual: readonly string[]): string | null {
  if (keys.length === usual.length && keys.every((key, k) => key === usual[k])) return null;
  return keys.length === 0 ? NONE : keys.join(",");
}

/** What somebody typed who wants to pin: `12`, `task 12`, `t12`; null if it is a name to search for. */
export function typedTask(text: string): string | null {
  return /^(?:task\s+|t)?(\d{1,20})$/i.exec(text.trim())?.[1] ?? null;
}
