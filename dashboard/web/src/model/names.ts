//! Names come from programs and may be of any length; where there is little room only their beginning is shown.

/** No line of a lane is longer than this on any screen. */
const MAX_SHOWN = 160;

/** On one line, and no longer than anybody reads on a picture. */
export function shownName(text: string): string {
  const line = text.slice(0, 4 * MAX_SHOWN).replaceAll(/[\s\u0000-\u001f\u202a-\u202e\u2066-\u2069]+/g, " ");
  // By code points, so that no half of an emoji is left.
  const points = Array.from(line);
  return points.length > MAX_SHOWN ? `${points.slice(0, MAX_SHOWN).join("")}…` : line;
}
