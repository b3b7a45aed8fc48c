//! Numbers as people read them. Three significant digits, a thin space before the unit, never a rounding to zero of something that is not.

import { DAY, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND, split, type Instant, type Nanos } from "./instant.ts";

/** Shown where a value is unknown, which is not the same as zero. */
export const UNKNOWN = "–";

const UNITS: readonly [Nanos, string][] = [
  [SECOND, "s"],
  [MILLISECOND, "ms"],
  [MICROSECOND, "µs"],
  [1, "ns"],
];

/** `1.25 ms`, `48 ns`, `2 m 05 s`, `3 d 4 h`. */
export function duration(length: Nanos | null | undefined): string {
  if (length == null || !Number.isFinite(length)) return UNKNOWN;
  if (length < 0) return `−${duration(-length)}`;
  if (length === 0) return "0 s";
  if (length >= MINUTE) return longDuration(length);
  for (const [unit, name] of UNITS) {
    if (length >= unit * 0.9995 || unit === 1) return `${significant(length / unit)} ${name}`;
  }
  return UNKNOWN;
}

function longDuration(length: Nanos): string {
  const seconds = Math.round(length / SECOND);
  if (length >= DAY) return pair(Math.round(seconds / 3600), 24, "d", "h");
  if (length >= HOUR) return pair(Math.round(seconds / 60), 60, "h", "m");
  return pair(seconds, 60, "m", "s");
}

function pair(small: number, perBig: number, big: string, unit: string): string {
  const rest = small % perBig;
  const head = `${Math.floor(small / perBig)} ${big}`;
  return rest === 0 ? head : `${head} ${String(rest).padStart(2, "0")} ${unit}`;
}

/** Three significant digits without an exponent: `1.25`, `12.5`, `125`, `1250`. */
export function significant(value: number): string {
  if (value === 0) return "0";
  const magnitude = Math.floor(Math.log10(Math.abs(value)) + 1e-9);
  const digits = Math.max(0, 2 - magnitude);
  const text = value.toFixed(Math.min(digits, 6));
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** `1 234 567`: thin spaces read the same in every country. */
export function count(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return UNKNOWN;
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** `12.3 k`, `4.56 M` for places too narrow for [`count`]. */
export function compact(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (size < 1000) return significant(value);
  if (size < 1e6) return `${significant(value / 1e3)} k`;
  if (size < 1e9) return `${significant(value / 1e6)} M`;
  return `${significant(value / 1e9)} G`;
}

/** A share of 0..1 as `12.3 %`; something is never shown as nothing. */
export function percent(share: number | null | undefined): string {
  if (share == null || !Number.isFinite(share)) return UNKNOWN;
  const value = share * 100;
  if (value > 0 && value < 0.1) return "<0.1 %";
  return `${value >= 99.95 ? Math.round(value) : Number(value.toFixed(value < 10 ? 1 : 0))} %`;
}

/** `12.3 MiB`. */
export function bytes(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${significant(size)} ${units[unit]}`;
}

/** A count of what may have been too much to be counted to the end: `100 000+`. */
export function atLeast(value: number | null | undefined, more: boolean | undefined): string {
  return `${count(value)}${more ? "+" : ""}`;
}

/** `1 poll`, `2 polls`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Local wall time with as many digits below the second as `resolution` needs: `14:03:07.412`. */
export function clock(at: Instant, resolution: Nanos = MILLISECOND): string {
  const { millis, nanos } = split(at);
  const date = new Date(millis);
  const head = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  const fraction = String(date.getMilliseconds()).padStart(3, "0") + String(nanos).padStart(6, "0");
  const digits = resolution >= SECOND ? 0 : Math.min(9, Math.ceil(-Math.log10(resolution / SECOND) - 1e-9));
  return digits === 0 ? head : `${head}.${fraction.slice(0, digits)}`;
}

/** Local date and wall time, `2026-11-22 14:03:07.412`. */
export function dateTime(at: Instant, resolution: Nanos = MILLISECOND): string {
  const date = new Date(split(at).millis);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(at, resolution)}`;
}

/** `12 s ago`, with `now` given so that a recording can be its own present. */
export function ago(at: Instant, now: Instant): string {
  const length = Number(now - at);
  return length < SECOND ? "just now" : `${duration(Math.round(length / SECOND) * SECOND)} ago`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** Longer places and pieces of code are abridged in sentences and headings; the tooltip has all of it. */
const LONGEST_SHOWN = 120;

/** The beginning and the end of what is too long to be read: a path says most at its end. */
export function abridged(text: string, most = LONGEST_SHOWN): string {
  const letters = [...text];
  if (letters.length <= most) return text;
  const kept = most - 1;
  return `${letters.slice(0, Math.floor(kept / 3)).join("")}…${letters.slice(letters.length - Math.ceil((kept * 2) / 3)).join("")}`;
}

/** A name that can be seen and clicked, also if the program gave one of blanks and of characters that have no shape. */
export function nameText(name: string): string {
  return /^[\p{C}\p{Z}]*$/u.test(name) ? "(blank)" : name;
}

/** `src/cart.rs:88` from the deepest part of a path: the last two folders are what people recognise. */
export function shortPlace(place: string): string {
  // Python's packages and its own library say enough from their names on.
  const python = /\/(?:(?:site|dist)-packages|lib(?:64)?\/python3[^/]*)\/(?!.*(?:site|dist)-packages\/)(.*\.py(?::\d+)?)$/.exec(place);
  if (python?.[1]) return python[1];
  const registry = /(?:registry\/src\/[^/]+|git\/checkouts\/[^/]+\/[^/]+)\/(.*)$/.exec(place);
  if (registry?.[1]) return registry[1];
  const parts = place.split("/");
  return parts.length <= 4 ? place : `…/${parts.slice(-3).join("/")}`;
}
