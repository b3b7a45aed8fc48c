//! The search field of the page Tasks: text or a filter, what can be written in it, and what is wrong with what was.

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api/client.ts";
import { place, setQuery } from "../app/router.ts";
import { Popover } from "../ui/popover.tsx";

/** From the last key to the request. */
const PAUSE = 60;

export function TaskSearch({ error, toRows }: { error: Error | null; toRows: () => void }) {
  const asked = place.value.query.get("q") ?? "";
  // What is typed is ahead of the address for a moment, and must not be overwritten by it.
  const [typed, setTyped] = useState<string | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const apply = (text: string) => {
    clearTimeout(timer.current);
    setQuery({ q: text });
    setTyped(null);
  };
  const onInput = (text: string) => {
    setTyped(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => apply(text), PAUSE);
  };
  const onKeyDown = (event: KeyboardEvent & { currentTarget: HTMLInputElement }) => {
    if (event.key !== "Enter" && event.key !== "ArrowDown") return;
    event.preventDefault();
    apply(event.currentTarget.value);
    toRows();
  };
  const isWrong = error instanceof ApiError && error.part != null;
  return (
    <div class="task-search">
      <input
        class="field search" type="search" data-search placeholder="Name, place, id or filter  ( / )" aria-label="Search or filter tasks" spellcheck={false} autocomplete="off" value={typed ?? asked}
        aria-invalid={isWrong} aria-describedby={isWrong ? "filter-error" : undefined} onInput={(event) => onInput(event.currentTarget.value)} onKeyDown={onKeyDown}
      />
      <FilterHelp />
    </div>
  );
}

/** The filter with the wrong part marked, and what is wrong with it. */
export function FilterError({ error }: { error: Error | null }) {
  if (!(error instanceof ApiError) || !error.part) return null;
  const text = place.value.query.get("q") ?? "";
  const [from, to] = error.part;
  return (
    <p class="notice bad filter-error" role="alert" id="filter-error" data-testid="filter-error">
      <code>{text.slice(0, from)}<mark>{text.slice(from, to) || " "}</mark>{text.slice(to)}</code>
      <span class="grow">{error.message}. The rows are those of before.</span>
    </p>
  );
}

const EXAMPLES: readonly (readonly [string, string])[] = [
  ["fetch", "in the name or the spawn location; a number is also an id"],
  ["\"two words\"", "a text with spaces or signs in it"],
  ["name:worker  name=worker-7", "the name contains this, is this"],
  ["loc:src/handler.rs", "where it was spawned"],
  ["field:user=42", "in what the program says of it"],
  ["state:idle  state:alive,panicked", "alive, idle, running, ended, unwakeable, or an outcome; a comma is an or"],
  ["busy>5ms  life>=1m", "life, busy, scheduled, worst: with ns, us, ms, s, m, h, d"],
  ["polls<3  slow>0  wakes>5k", "polls, slow, wakes, self"],
  ["kind:blocking", "async, local, block_on, blocking, callback"],
  ["parent:17  waker:17  loop:1", "who spawned it, who woke it last, on which loop"],
  ["-state:ended", "not so"],
];

function FilterHelp() {
  const add = (text: string) => setQuery({ q: `${place.value.query.get("q") ?? ""} ${text.split("  ")[0]!}`.trim() });
  return (
    <Popover label="?" title="What can be written here" testId="filter-help">
      <h2>Filter tasks</h2>
      <p class="muted">Terms with a space between them are all met. A click adds one.</p>
      <dl class="filter-help">
        {EXAMPLES.map(([text, about]) => [
          <dt key={text}><button type="button" class="code-button" onClick={() => add(text)}>{text}</button></dt>,
          <dd key={about}>{about}</dd>,
        ])}
      </dl>
    </Popover>
  );
}
