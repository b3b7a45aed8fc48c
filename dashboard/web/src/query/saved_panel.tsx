//! Where statements come from: examples, those saved in this browser, and the latest that ran.

import { useState } from "preact/hooks";
import { Card, Tabs } from "../ui/small.tsx";
import { Icon } from "../ui/icons.tsx";
import { examples, type Show } from "./examples.ts";
import { forget, forgetRecent, MAX_NAME, recent, save, saved } from "./saved.ts";

const LISTS = [["examples", "Examples"], ["saved", "Saved"], ["recent", "Recent"]] as const;
type List = (typeof LISTS)[number][0];

export interface Picked {
  readonly sql: string;
  readonly show?: Show;
}

export function SavedPanel({ process, sql, onPick }: { process: number; sql: string; onPick: (picked: Picked) => void }) {
  const [list, setList] = useState<List>("examples");
  return (
    <Card title="Queries" isFlush testId="queries" tools={<Tabs label="Which queries" value={list} options={LISTS} onChange={setList} />}>
      {list === "examples" && (
        <ul class="example-list">{examples(process).map((one) => <li key={one.name}><button type="button" onClick={() => onPick(one)} title={one.sql}>{one.name}</button></li>)}</ul>
      )}
      {list === "saved" && <SavedList sql={sql} onPick={onPick} />}
      {list === "recent" && <RecentList onPick={onPick} />}
    </Card>
  );
}

function SavedList({ sql, onPick }: { sql: string; onPick: (picked: Picked) => void }) {
  const [name, setName] = useState("");
  const [said, setSaid] = useState<string | null>(null);
  const isNew = !saved.value.some((one) => one.name === name.trim());
  const onSubmit = (event: Event) => {
    event.preventDefault();
    setSaid(save(name, sql) ?? `Saved in this browser as “${name.trim()}”.`);
    setName("");
  };
  return (
    <>
      <form class="save-form" onSubmit={onSubmit}>
        <input class="field" aria-label="Name for the statement" placeholder="Name for this statement" maxLength={MAX_NAME} value={name} onInput={(event) => setName(event.currentTarget.value)} data-testid="save-name" />
        <button type="submit" class="button" disabled={name.trim() === "" || sql.trim() === ""} data-testid="save">{isNew ? "Save" : "Replace"}</button>
      </form>
      <p class="muted list-note" role="status">{said ?? (saved.value.length === 0 ? "Kept in this browser alone. To share a query, send the link." : "")}</p>
      <ul class="example-list" data-testid="saved-list">
        {saved.value.map((one) => (
          <li key={one.name} class="row">
            <button type="button" class="grow ellipsis" onClick={() => onPick(one)} title={one.sql}>{one.name}</button>
            <button type="button" class="forget" aria-label={`Remove ${one.name}`} title="Remove" onClick={() => forget(one.name)}><Icon name="close" size={12} /></button>
          </li>
        ))}
      </ul>
    </>
  );
}

function RecentList({ onPick }: { onPick: (picked: Picked) => void }) {
  if (recent.value.length === 0) return <p class="muted list-note">What you run is listed here, in this browser.</p>;
  return (
    <>
      <ul class="example-list" data-testid="recent-list">
        {recent.value.map((sql) => <li key={sql}><button type="button" class="mono ellipsis" onClick={() => onPick({ sql })} title={sql}>{sql.replace(/\s+/g, " ")}</button></li>)}
      </ul>
      <p class="list-note"><button type="button" class="button quiet" onClick={forgetRecent}>Forget them</button></p>
    </>
  );
}
