//! Instants and lengths of time.
//!
//! An instant is unix nanoseconds, which a JavaScript number cannot hold exactly, so it is a bigint here and a decimal string on
//! the wire. A length is a plain number: 2^53 ns is 104 days. The compiler refuses to mix the two, because one is not a number.

/** An instant: nanoseconds since 1970, UTC. */
export type Instant = bigint & { readonly __brand?: "unix ns" };

/** A length of time in nanoseconds. */
export type Nanos = number;

/** An instant as the API writes it: decimal unix nanoseconds. */
export type InstantText = string;

/** The resolution that shows every digit. */
export const NANOSECOND: Nanos = 1;
export const MICROSECOND: Nanos = 1e3;
export const MILLISECOND: Nanos = 1e6;
export const SECOND: Nanos = 1e9;
export const MINUTE: Nanos = 60e9;
export const HOUR: Nanos = 3600e9;
export const DAY: Nanos = 86400e9;

/** Reads an instant from the API. The text is trusted to be decimal digits: it comes from our own server. */
export function instant(text: InstantText): Instant {
  return BigInt(text) as Instant;
}

/** Reads an instant that a person or a URL may have damaged. */
export function instantOrNull(text: string | null | undefined): Instant | null {
  return text != null && /^-?\d{1,19}$/.test(text) ? (BigInt(text) as Instant) : null;
}

/** `at + length`, rounded to a whole nanosecond. */
export function plus(at: Instant, length: Nanos): Instant {
  return (at + BigInt(Math.round(length))) as Instant;
}

/** Length from `earlier` to `later`; negative when they are the other way round. */
export function between(earlier: Instant, later: Instant): Nanos {
  return Number(later - earlier);
}

/** The browser's clock, good to a millisecond. */
export function now(): Instant {
  return (BigInt(Date.now()) * 1_000_000n) as Instant;
}

/** Whole milliseconds for `Date`, and the nanoseconds that `Date` cannot hold. */
export function split(at: Instant): { millis: number; nanos: number } {
  const nanos = ((at % 1_000_000n) + 1_000_000n) % 1_000_000n;
  return { millis: Number((at - nanos) / 1_000_000n), nanos: Number(nanos) };
}
