//! What of a result can be laid over the timeline, and the way there.

import type { QueryAnswer } from "../api/types.ts";
import { dateTime, duration, plural } from "../base/format.ts";
import { MILLISECOND, plus, type Instant } from "../base/instant.ts";
import { link, processId } from "../app/session.ts";
import { overlayOf } from "../timeline/overlay_rows.ts";
import { Icon } from "../ui/icons.tsx";
import { Empty } from "../ui/states.tsx";

/** Room on both sides of what is shown, as a share of it. */
const MARGIN = 0.05;

export function OverlayOffer({ answer, sql }: { answer: QueryAnswer; sql: string }) {
  const overlay = overlayOf(answer);
  if (!overlay || overlay.items.length === 0 || processId.value == null) {
    return (
      <Empty title="No row has a time">
        <p>Select an instant as <code>start_at</code> or <code>at</code>, and if you like <code>length</code> or an end such as <code>ended_at</code>, and a <code>label</code>.</p>
      </Empty>
    );
  }
  const { columns, items } = overlay;
  const from = items.reduce((least, item) => (item.at < least ? item.at : least), items[0]!.at);
  const to = items.reduce((most, item) => (plus(item.at, item.length) > most ? plus(item.at, item.length) : most), items[0]!.at);
  const margin = Math.max(Number(to - from) * MARGIN, MILLISECOND);
  const spans = items.filter((item) => item.length > 0).length;
  const around = { last: null, from: String(plus(from, -margin) as Instant), to: String(plus(to, margin)) };
  return (
    <div class="overlay-offer body" data-testid="overlay-offer">
      <p>
        {plural(spans, "span")} and {plural(items.length - spans, "point")} over {duration(Number(to - from))}, from {dateTime(from)} on:
        time from <code>{columns.at}</code>{columns.length ? <>, length from <code>{columns.length}</code></> : columns.end ? <>, end from <code>{columns.end}</code></> : ", no length"}{columns.label ? <>, label from <code>{columns.label}</code></> : ", no label"}.
        {overlay.timeless > 0 && ` ${plural(overlay.timeless, "row")} without a time ${overlay.timeless === 1 ? "is" : "are"} left out.`}
        {answer.truncated && " The result was cut off; the rest is not shown."}
      </p>
      <a class="button primary" href={link("/timeline", { ...around, overlay: sql })} data-testid="overlay-open"><Icon name="timeline" size={14} /> Lay over the timeline</a>
    </div>
  );
}
