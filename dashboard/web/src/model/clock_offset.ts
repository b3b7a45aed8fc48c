//! How far two clocks are apart, as far as messages that only go one way can tell.

import { duration } from "../base/format.ts";
import { MILLISECOND, type Nanos } from "../base/instant.ts";

/** Below this the way of a batch explains what differs. */
const CLOSE = 50 * MILLISECOND;

export interface ClockOffset {
  /** Whether the clocks are surely apart, or so much that no way of a batch explains it. */
  readonly isApart: boolean;
  /** How far the program's clock is ahead of the server's (behind if below zero), from the one to the other; null where nothing is known. */
  readonly from: Nanos;
  readonly to: Nanos | null;
  readonly interval: string;
  readonly text: string;
}

/** `least`: the least time from the sealing of a batch by one clock to its arrival by the other. */
export function clockOffset(least: Nanos): ClockOffset {
  // What a batch took is the way, which is never below zero, less what its clock is ahead.
  const from = least === 0 ? 0 : -least;
  const isApart = least < -MILLISECOND || least > CLOSE;
  if (least < 0) {
    return { isApart, from, to: null, interval: `+${duration(-least)} or more`, text: `ahead by at least ${duration(-least)}: a batch came before it was sealed. How much more than that is as much as the fastest batch was on its way, which cannot be told from here` };
  }
  return { isApart, from, to: null, interval: `−${duration(least)} or more`, text: `behind by at most ${duration(least)}, the time that the fastest batch took by both clocks. It may also be ahead, by less than that batch was on its way; how long that was cannot be told from here` };
}
