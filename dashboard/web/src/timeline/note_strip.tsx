//! Flags of notes below the axis. Each is a button: it opens its note, or the list where several lie together.

import { useState, useEffect, useRef } from "preact/hooks";
import { setQuery } from "../app/router.ts";
import { plural } from "../base/format.ts";
import { firstLine, flags } from "../model/notes.ts";
import { toPixel, viewEnd } from "../model/geometry.ts";
import type { Timeline } from "./controller.ts";

/** Its height, and none without notes. */
export function noteStripHeight(timeline: Timeline): number {
  return timeline.notes.list.value.length > 0 ? 24 : 0;
}

/** Beside the lanes' names: how many, and the way to the list. */
export function NoteStripName({ timeline }: { timeline: Timeline }) {
  const { list } = timeline.notes;
  if (list.value.length === 0) return null;
  return (
    <div class="note-name">
      <button type="button" class="link" onClick={() => setQuery({ notes: true })}>{plural(list.value.length, "note")}</button>
    </div>
  );
}

export function NoteStrip({ timeline }: { timeline: Timeline }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const items = timeline.notes.list.value;
  const isEmpty = items.length === 0;
  useEffect(() => {
    if (!box.current) return;
    const observer = new ResizeObserver(() => box.current && setWidth(box.current.clientWidth));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, [isEmpty]);
  if (isEmpty) return null;
  const view = timeline.view.value;
  const open = timeline.notes.open.value;
  const lasting = items.filter((item) => item.to > item.from && item.to > view.start && item.from < viewEnd(view));
  return (
    <div ref={box} class="note-strip" role="group" aria-label="Notes">
      {width > 0 && lasting.map(({ note, from, to }) => {
        const left = Math.max(toPixel(view, width, from), 0);
        return <i key={`span ${note.note}`} class="note-span" style={{ left: `${left}px`, width: `${Math.max(Math.min(toPixel(view, width, to), width) - left, 2)}px` }} />;
      })}
      {width > 0 && flags(items, view, width).map(({ x, items: together }) => {
        const [first] = together;
        const isOne = together.length === 1;
        const title = isOne ? firstLine(first!.note.text) : together.map((item) => firstLine(item.note.text, 40)).slice(0, 6).join("\n");
        const isOpen = together.some((item) => String(item.note.note) === open);
        return (
          <button
            key={first!.note.note} type="button" class="note-flag" aria-pressed={isOpen} style={{ left: `${x}px` }} title={title} aria-label={isOne ? `Note: ${title}` : plural(together.length, "note")}
            onClick={() => (isOne ? timeline.notes.go(first!) : setQuery({ notes: true }))} data-testid="note-flag"
          >
            {isOne ? <bdi>{firstLine(first!.note.text, 24)}</bdi> : together.length}
          </button>
        );
      })}
    </div>
  );
}
