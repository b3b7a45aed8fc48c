//! The instants that somebody marked on the page Leaks, and the button that marks the present one.

import { head } from "../api/live.ts";
import { instant, now, type Instant } from "../base/instant.ts";
import { place, setQuery } from "../app/router.ts";
import { process } from "../app/session.ts";
import { addMark, marksText, readMarks, type Marks } from "../model/marks.ts";

export function marks(): Marks {
  return readMarks(place.value.query.get("mark"));
}

/** On the clock of the server, which this one may not agree with. */
function present(): Instant {
  const told = head.peek();
  return told ? instant(told.now) : now();
}

export function mark(): void {
  setQuery({ mark: marksText(addMark(marks(), present())) }, { push: true });
}

export function clearMarks(): void {
  setQuery({ mark: null }, { push: true });
}

/** Only of a program that goes on: after the last instant of a recording nothing is born. */
export function MarkNow() {
  if (marks().length > 0 || process.value?.state !== "live") return null;
  return <button type="button" class="button" onClick={mark} data-testid="mark-now" title="Then let the program do something, and see what of it stays">Mark now</button>;
}
