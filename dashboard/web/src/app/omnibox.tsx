//! Search, commands and SQL in one field: a combobox with a list below, in a dialog over the page.

import { useEffect, useId, useRef, useState } from "preact/hooks";
import { readAsk } from "../model/omnibox.ts";
import { Icon } from "../ui/icons.tsx";
import type { NavPage } from "./commands.ts";
import { useFound, type Group, type Item } from "./omnibox_search.ts";
import { navigate } from "./router.ts";
import { isOmniboxOpen } from "./shortcuts.ts";

const ABOUT = { empty: "Type to search tasks, locations, resources, findings and pages.", search: "", command: "", sql: "Reads only. Instants are unix nanoseconds, lengths nanoseconds." } as const;

export function Omnibox({ pages }: { pages: readonly NavPage[] }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState<string | null>(null);
  const listId = useId();
  const ask = readAsk(text);
  const type = (next: string) => {
    setText(next);
    setChosen(null);
  };
  const { groups, isSearching, error } = useFound(ask, pages, type);
  const items = groups.flatMap((group) => group.items);
  // What is chosen may be gone with the next answer: then it is the first.
  const index = Math.max(0, items.findIndex((item) => item.key === chosen));
  const optionId = (k: number) => `${listId}-${k}`;
  useEffect(() => dialog.current!.showModal(), []);
  useEffect(() => document.getElementById(optionId(index))?.scrollIntoView({ block: "nearest" }), [index, text]);

  const run = (item: Item | undefined, isNewTab: boolean) => {
    if (!item) return;
    const { to } = item;
    if (item.isStaying && typeof to === "function") return to();
    dialog.current!.close();
    // After the dialog has given the focus back, so that a command may take it.
    requestAnimationFrame(() => {
      if (typeof to === "function") to();
      else if (isNewTab) window.open(to, "_blank", "noopener");
      else navigate(to);
    });
  };
  const onKey = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    const step = steps[event.key];
    if (step != null && items.length > 0) {
      event.preventDefault();
      const isEdge = Math.abs(step) === 1;
      const next = isEdge ? (index + step + items.length) % items.length : Math.min(Math.max(index + step, 0), items.length - 1);
      setChosen(items[next]!.key);
    } else if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      run(items[index], event.ctrlKey || event.metaKey);
    }
  };
  const isEmpty = items.length === 0;
  const told = isSearching ? "" : isEmpty ? "Nothing found" : `${items.length} ${items.length === 1 ? "choice" : "choices"}`;
  return (
    <dialog ref={dialog} class="omnibox" aria-label="Search and commands" onClose={() => (isOmniboxOpen.value = false)} onClick={(event) => event.target === event.currentTarget && event.currentTarget.close()} data-testid="omnibox">
      <div class="omnibox-field">
        <Icon name={ask.kind === "sql" ? "query" : ask.kind === "command" ? "right" : "search"} />
        <input
          role="combobox" aria-label="Search, > for commands, = for SQL" aria-expanded={!isEmpty} aria-controls={listId} aria-autocomplete="list" aria-activedescendant={isEmpty ? undefined : optionId(index)}
          class={ask.kind === "sql" ? "mono" : ""} placeholder="Search, or > for commands, = for SQL" spellcheck={false} autocomplete="off" autofocus value={text} onInput={(event) => type(event.currentTarget.value)} onKeyDown={onKey} data-testid="omnibox-input"
        />
        {isSearching && <span class="muted">searching…</span>}
        <kbd>Esc</kbd>
      </div>
      {ABOUT[ask.kind] && <p class="omnibox-about">{ABOUT[ask.kind]}</p>}
      {error && <p class="notice bad" role="alert">{error}</p>}
      <List id={listId} groups={groups} index={index} optionId={optionId} onPick={run} onPoint={setChosen} />
      {isEmpty && !isSearching && <p class="omnibox-about">{ask.kind === "command" ? "No command is called so." : "Nothing is called so here."}</p>}
      <p class="visually-hidden" role="status">{told}</p>
    </dialog>
  );
}

interface ListProps {
  readonly id: string;
  readonly groups: readonly Group[];
  readonly index: number;
  readonly optionId: (k: number) => string;
  readonly onPick: (item: Item, isNewTab: boolean) => void;
  readonly onPoint: (key: string) => void;
}

function List({ id, groups, index, optionId, onPick, onPoint }: ListProps) {
  let k = -1;
  return (
    <div id={id} class="omnibox-list" role="listbox" aria-label="What was found">
      {groups.map((group) => (
        <div key={group.title.split(" · ")[0]} role="group" aria-label={group.title}>
          <h2 aria-hidden="true">{group.title}</h2>
          {group.items.map((item) => {
            k += 1;
            return (
              <div key={item.key} id={optionId(k)} role="option" aria-selected={k === index} class="omnibox-item" onClick={(event) => onPick(item, event.ctrlKey || event.metaKey)} onPointerMove={() => onPoint(item.key)}>
                <Icon name={item.icon} />
                <bdi class="omnibox-title">{item.title}</bdi>
                {item.detail && <bdi class="omnibox-detail">{item.detail}</bdi>}
                {item.shortcut && <kbd>{item.shortcut}</kbd>}
              </div>
            );
          })}
        </div>
      ))}
    </div>
  );
}
