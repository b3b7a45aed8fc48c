//! The notes of a run beside the lanes: one that is written or changed, and the list of all.

import { useEffect, useRef, useState } from "preact/hooks";
import { setQuery } from "../app/router.ts";
import { clock, dateTime, duration } from "../base/format.ts";
import { instant, MILLISECOND, plus } from "../base/instant.ts";
import { asCli } from "../app/as_cli.ts";
import { Icon } from "../ui/icons.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import type { Column } from "../ui/table.tsx";
import type { Timeline } from "./controller.ts";
import type { Draft, NoteItem } from "./notes.ts";

/** Whoever writes here is mostly the same person. */
const AUTHOR_KEY = "loopd.author";
/** The API's limits. */
const MAX_TEXT = 4096;
const MAX_AUTHOR = 128;

export function NotePanel({ timeline }: { timeline: Timeline }) {
  const { notes } = timeline;
  if (!notes.isShown.value) return null;
  const open = notes.open.value;
  const chosen = notes.list.value.find((item) => String(item.note.note) === open) ?? null;
  return (
    <aside class="poll-panel notes-panel" aria-label="Notes" data-testid="notes-panel">
      <header>
        <h2 class="grow">Notes</h2>
        <button type="button" class="icon-button" aria-label="Close" title="Close (Esc)" onClick={() => notes.close()}><Icon name="close" /></button>
      </header>
      {notes.error.value && <p class="notice bad" role="alert">{notes.error.value.message}</p>}
      {open === "new" ? <Editor key="new" timeline={timeline} item={null} /> : chosen ? <Editor key={chosen.note.note} timeline={timeline} item={chosen} /> : (
        <button type="button" class="button" onClick={() => notes.begin()}>Write a note <kbd>b</kbd></button>
      )}
      {open != null && open !== "new" && !chosen && <p class="muted">Note {open.replace(/\D/g, "").slice(0, 19)} is not here: it was removed, or is about another run.</p>}
      <List timeline={timeline} open={open} />
    </aside>
  );
}

function List({ timeline, open }: { timeline: Timeline; open: string | null }) {
  const items = timeline.notes.list.value;
  if (items.length === 0) return <p class="muted">No note yet. A note stays as long as the run it is about, and goes with it when it is exported.</p>;
  const sql = `SELECT note, wall_time(from_at) AS at, text, author, process FROM notes\nWHERE process = ${timeline.process} OR process IS NULL\nORDER BY from_at`;
  return (
    <>
      <ul class="notes">
        {items.map((item) => (
          <li key={item.note.note} aria-current={String(item.note.note) === open ? "true" : undefined}>
            <button type="button" class="link" onClick={() => timeline.notes.go(item)} data-testid="note-item">{clock(instant(item.note.from), MILLISECOND)}</button>
            {item.to > item.from && <span class="muted"> + {duration(item.to - item.from)}</span>}
            {item.note.process == null && <span class="muted"> · all runs</span>}
            <p class="note-text" dir="auto">{item.note.text}</p>
            {item.note.author && <p class="muted"><bdi>{item.note.author}</bdi></p>}
          </li>
        ))}
      </ul>
      {timeline.notes.hasMore.value && <p class="muted">There are more; SQL and the command reach all.</p>}
      <TableTools name="notes" columns={COLUMNS} rows={() => items} sql={sql} cli={asCli("notes")} />
    </>
  );
}

const COLUMNS: readonly Column<NoteItem>[] = [
  { key: "note", title: "Note", cell: ({ note }) => note.note, value: ({ note }) => note.note },
  { key: "from", title: "From", cell: ({ note }) => note.from, value: ({ note }) => note.from },
  { key: "to", title: "To", cell: ({ note }) => note.to, value: ({ note }) => note.to },
  { key: "text", title: "Text", cell: ({ note }) => note.text, value: ({ note }) => note.text },
  { key: "author", title: "Author", cell: ({ note }) => note.author, value: ({ note }) => note.author },
  { key: "process", title: "Process", cell: ({ note }) => note.process, value: ({ note }) => note.process },
];

function Editor({ timeline, item }: { timeline: Timeline; item: NoteItem | null }) {
  const { notes } = timeline;
  const extent = item ?? notes.newAt.value ?? notes.whereNew();
  const [draft, setDraft] = useState<Draft>(() => ({ text: item?.note.text ?? "", author: item ? (item.note.author ?? "") : readAuthor(), isOfProcess: item ? item.note.process != null : true }));
  const [error, setError] = useState<string | null>(null);
  const [isSure, setSure] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (!item) field.current?.focus();
  }, []);
  const attempt = async (work: () => Promise<unknown>, said: string) => {
    setBusy(true);
    try {
      await work();
      setError(null);
      timeline.announcement.value = said;
    } catch (cause) {
      setError((cause as Error).message);
    }
    setBusy(false);
  };
  const save = () => attempt(async () => {
    keepAuthor(draft.author);
    if (item) return notes.edit(item.note, draft);
    const made = await notes.add(extent, draft);
    setQuery({ note: made.note });
  }, "Note saved");
  const remove = () => (isSure ? void attempt(async () => {
    await notes.remove(item!.note);
    setQuery({ note: null, notes: true });
  }, "Note removed") : setSure(true));
  const isChanged = !item || draft.text !== item.note.text || draft.author !== (item.note.author ?? "") || draft.isOfProcess !== (item.note.process != null);
  return (
    <form class="stack tight note-editor" aria-label={item ? "Note" : "New note"} onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <p class="muted">{item ? "At" : "New, at"} <b>{dateTime(plus(timeline.base, extent.from), MILLISECOND)}</b>{extent.to > extent.from && ` for ${duration(extent.to - extent.from)}`}</p>
      <textarea
        ref={field} class="field" rows={4} maxLength={MAX_TEXT} required aria-label="Text of the note" placeholder="What happened here?" dir="auto" value={draft.text} data-testid="note-text"
        onInput={(event) => setDraft({ ...draft, text: event.currentTarget.value })}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void save();
          if (event.key === "Escape") event.currentTarget.blur();
        }}
      />
      <label class="row"><span class="muted">By</span><input class="field grow" maxLength={MAX_AUTHOR} placeholder="nobody in particular" value={draft.author} onInput={(event) => setDraft({ ...draft, author: event.currentTarget.value })} data-testid="note-author" /></label>
      <label class="row"><input type="checkbox" checked={draft.isOfProcess} onChange={(event) => setDraft({ ...draft, isOfProcess: event.currentTarget.checked })} /><span>Only about this run</span></label>
      {error && <p class="notice bad" role="alert">{error}</p>}
      <div class="row wrap">
        <button type="submit" class="button primary" disabled={isBusy || draft.text.trim() === "" || !isChanged} title="Ctrl Enter" data-testid="note-save">{item ? "Save" : "Add note"}</button>
        <button type="button" class="button" onClick={() => setQuery({ note: null, notes: true })}>{item ? "Done" : "Cancel"}</button>
        <span class="grow" />
        {item && <button type="button" class="button" disabled={isBusy} onClick={remove} onBlur={() => setSure(false)} data-testid="note-remove">{isSure ? "Really remove?" : "Remove"}</button>}
      </div>
    </form>
  );
}

function readAuthor(): string {
  try {
    return localStorage.getItem(AUTHOR_KEY) ?? "";
  } catch {
    return "";
  }
}

function keepAuthor(author: string): void {
  try {
    localStorage.setItem(AUTHOR_KEY, author);
  } catch {
    // Where nothing may be kept, it is typed again.
  }
}
