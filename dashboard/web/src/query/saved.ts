//! Queries that this browser keeps: those with a name, and the latest that ran.

import { signal } from "@preact/signals";

export interface Saved {
  readonly name: string;
  readonly sql: string;
}

const SAVED_KEY = "loopd.queries";
const RECENT_KEY = "loopd.queries.recent";
export const MAX_SAVED = 100;
export const MAX_RECENT = 20;
export const MAX_NAME = 80;
/** A longer statement is not kept: the browser keeps some five million characters for all pages of loopd. */
const MAX_SQL = 20_000;

export const saved = signal<readonly Saved[]>(readSaved(load(SAVED_KEY)));
export const recent = signal<readonly string[]>(readRecent(load(RECENT_KEY)));

/** What was stored, as far as it has the shape that we store: another version, or a person, may have written it. */
export function readSaved(text: string | null): Saved[] {
  const list = parse(text).filter((one): one is Saved => typeof one === "object" && one != null && typeof (one as Saved).name === "string" && typeof (one as Saved).sql === "string");
  return list.slice(0, MAX_SAVED).map(({ name, sql }) => ({ name: name.slice(0, MAX_NAME), sql: sql.slice(0, MAX_SQL) }));
}

export function readRecent(text: string | null): string[] {
  return parse(text).filter((one): one is string => typeof one === "string" && one.length <= MAX_SQL).slice(0, MAX_RECENT);
}

function parse(text: string | null): unknown[] {
  try {
    const value: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

/** The list with this query in it, in place of one of the same name. */
export function withSaved(list: readonly Saved[], name: string, sql: string): Saved[] {
  const one = { name: name.trim().slice(0, MAX_NAME), sql };
  const rest = list.filter((other) => other.name !== one.name);
  return [...rest, one].sort((a, b) => a.name.localeCompare(b.name));
}

/** The newest first, each once. */
export function withRecent(list: readonly string[], sql: string): string[] {
  const text = sql.trim();
  if (text === "" || text.length > MAX_SQL) return [...list];
  return [text, ...list.filter((other) => other !== text)].slice(0, MAX_RECENT);
}

/** Why it was not kept; null if it was. */
export function save(name: string, sql: string): string | null {
  if (sql.length > MAX_SQL) return `Statements of more than ${MAX_SQL} characters are not kept.`;
  const next = withSaved(saved.peek(), name, sql);
  if (next.length > MAX_SAVED) return `This browser keeps ${MAX_SAVED} queries; remove one first.`;
  saved.value = next;
  return store(SAVED_KEY, next) ? null : "This browser refuses to keep anything, so the query goes with this tab.";
}

export function forget(name: string): void {
  saved.value = saved.peek().filter((one) => one.name !== name);
  store(SAVED_KEY, saved.peek());
}

export function remember(sql: string): void {
  recent.value = withRecent(recent.peek(), sql);
  store(RECENT_KEY, recent.peek());
}

export function forgetRecent(): void {
  recent.value = [];
  store(RECENT_KEY, []);
}

function load(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // Storage is refused in some private windows, and there is none outside browsers.
  }
}

function store(key: string, value: unknown): boolean {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
