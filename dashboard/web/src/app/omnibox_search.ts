//! What the omnibox finds: pages and findings here, tasks, locations and notes by asking the server, the newest resources in a list that is fetched once.

import { useEffect, useMemo, useState } from "preact/hooks";
import { apiUrl, get, isAbort, runQuery } from "../api/client.ts";
import type { Finding, FindingsAnswer, Note, NotesAnswer, Resource, Task, TaskPage } from "../api/types.ts";
import { atLeast, dateTime, nameText, shortPlace } from "../base/format.ts";
import { instant, SECOND } from "../base/instant.ts";
import { byMute, findingKey } from "../model/findings.ts";
import { latest } from "../model/latest.ts";
import { firstLine } from "../model/notes.ts";
import { likeLiteral, pick, type Ask } from "../model/omnibox.ts";
import { noteHref } from "../timeline/links.ts";
import { placeText } from "../ui/small.tsx";
import type { IconName } from "../ui/icons.tsx";
import { commands, type Command, type NavPage } from "./commands.ts";
import { link, processId } from "./session.ts";

export interface Item {
  readonly key: string;
  readonly title: string;
  readonly detail?: string;
  readonly icon: IconName;
  /** The key that does the same without the omnibox. */
  readonly shortcut?: string;
  /** Where it leads, or what it does. */
  readonly to: string | (() => void);
  /** The omnibox stays, because this only fills it. */
  readonly isStaying?: boolean;
}

export interface Group {
  readonly title: string;
  readonly items: readonly Item[];
}

export interface Found {
  readonly groups: readonly Group[];
  /** More may come. */
  readonly isSearching: boolean;
  readonly error: string | null;
}

/** Of each kind: more are a matter for their own page. */
const SHOWN = 6;
/** Milliseconds without a key before the server is asked. */
const REST = 120;
/** The newest, as the page Resources has them. */
const RESOURCES = 1000;
/** Locations that contain what was typed; the best of them are shown. */
const LOCATIONS = 200;

interface Place {
  readonly id: string;
  readonly text: string;
}

export function useFound(ask: Ask, pages: readonly NavPage[], setText: (text: string) => void): Found {
  const id = processId.value;
  const wanted = ask.kind === "search" ? ask.text : null;
  const tasks = useAnswer<TaskPage>(id == null ? null : wanted, (text, signal) => get(apiUrl("/tasks", { process: id, q: text, sort: "spawned_at", desc: "1", limit: SHOWN }), signal));
  const places = useAnswer<Place[]>(id == null ? null : wanted, (text, signal) => locations(id!, text, signal));
  const notes = useAnswer<NotesAnswer>(wanted, (text, signal) => get(apiUrl("/notes", { q: text, limit: SHOWN }), signal));
  const resources = useOnce<{ rows: Resource[] }>(id == null || wanted == null ? null : apiUrl("/resources", { process: id, state: "all", limit: RESOURCES }));
  const findings = useOnce<FindingsAnswer>(id == null || (wanted == null && ask.kind !== "command") ? null : apiUrl(`/processes/${id}/findings`));
  const heard = byMute(findings?.findings ?? []).heard;
  switch (ask.kind) {
    case "empty":
      return done([start(setText), { title: "Pages", items: pageItems(pages, "") }]);
    case "command":
      return done(commandGroups([...commands(pages)], heard, ask.text));
    case "sql":
      return done([sqlGroup(ask.text, setText)]);
    case "search": {
      const rows = resources?.rows ?? [];
      const groups: Group[] = [
        { title: "Pages", items: pageItems(pages, ask.text) },
        { title: tasks.answer ? `Tasks · ${atLeast(tasks.answer.total, tasks.answer.more)}` : "Tasks", items: (tasks.answer?.rows ?? []).map(taskItem) },
        { title: "Findings", items: pick(heard, ask.text, (it) => `${plain(it.title)} ${it.rule.replaceAll("_", " ")} ${it.location ?? ""}`, SHOWN).map(findingItem) },
        { title: "Locations", items: pick(places.answer ?? [], ask.text, (it) => it.text, SHOWN).map((it) => placeItem(it, rows)) },
        { title: "Notes", items: (notes.answer?.notes ?? []).map(noteItem) },
        { title: "Resources", items: pick(rows, ask.text, (row) => `${row.name ?? ""} ${row.kind} ${placeText(row.location)}`, SHOWN).map(resourceItem) },
        { title: "More", items: id == null ? [] : [{ key: "all", title: `All tasks that match “${ask.text}”`, icon: "tasks", to: link("/tasks", { q: ask.text }) }] },
      ];
      const isSearching = tasks.isAsking || places.isAsking || notes.isAsking;
      return { groups: groups.filter((group) => group.items.length > 0), isSearching, error: tasks.error ?? places.error ?? notes.error };
    }
  }
}

function done(groups: readonly Group[]): Found {
  return { groups: groups.filter((group) => group.items.length > 0), isSearching: false, error: null };
}

/** Asks while somebody types. The answer to what was typed before stays until the next one is there. */
function useAnswer<Answer>(wanted: string | null, ask: (text: string, signal: AbortSignal) => Promise<Answer>) {
  const [state, setState] = useState<{ for: string | null; answer: Answer | null; error: string | null }>({ for: null, answer: null, error: null });
  const asking = useMemo(() => latest(ask, (text, answer: Answer | null, error) => {
    if (!error || !isAbort(error)) setState({ for: text, answer, error: error?.message ?? null });
  }, REST), [processId.value]);
  useEffect(() => {
    if (wanted == null) {
      asking.stop();
      setState({ for: null, answer: null, error: null });
    } else asking.ask(wanted);
  }, [wanted, asking]);
  useEffect(() => asking.stop, [asking]);
  return { answer: state.answer, error: state.error, isAsking: wanted != null && state.for !== wanted };
}

/** Fetched when it is first wanted, and kept while the omnibox is open. */
function useOnce<Answer>(url: string | null): Answer | null {
  const [answer, setAnswer] = useState<Answer | null>(null);
  useEffect(() => {
    if (url == null || answer != null) return;
    const controller = new AbortController();
    // Without it the rest is still found.
    get<Answer>(url, controller.signal).then(setAnswer).catch(() => {});
    return () => controller.abort();
  }, [url]);
  return answer;
}

async function locations(process: number, text: string, signal: AbortSignal): Promise<Place[]> {
  const [first = ""] = text.split(/\s+/);
  const answer = await runQuery(`SELECT location_id, location FROM locations WHERE process = ${process} AND location LIKE ${likeLiteral(first)} ESCAPE '\\'`, LOCATIONS, signal);
  const [id, location] = ["location_id", "location"].map((name) => answer.columns.findIndex((column) => column.name === name));
  return answer.rows.map((row) => ({ id: String(row[id!]), text: String(row[location!]) }));
}

function start(setText: (text: string) => void): Group {
  const prefix = (key: string, title: string, detail: string, icon: IconName): Item => ({ key, title, detail, icon, shortcut: key, to: () => setText(key), isStaying: true });
  return { title: "Begin with", items: [prefix(">", "Run a command", "theme, live, range, copy as SQL or CLI, mute", "right"), prefix("=", "Ask in SQL", "opens on the page Query and runs", "query")] };
}

function pageItems(pages: readonly NavPage[], wanted: string): Item[] {
  return pick(pages.filter((page) => page.icon), wanted, (page) => page.title).map((page) => ({ key: `page ${page.path}`, title: page.title, icon: page.icon!, to: link(page.path) }));
}

function taskItem(task: Task): Item {
  const place = task.location ? shortPlace(placeText(task.location)) : "unknown place";
  return { key: `task ${task.task}`, title: task.name == null ? `task ${task.task}` : nameText(task.name), detail: `${task.name == null ? "" : `task ${task.task} · `}${place} · ${task.outcome ?? task.state}`, icon: "tasks", to: link(`/tasks/${task.process}/${task.task}`) };
}

function findingItem(finding: Finding): Item {
  return { key: `finding ${findingKey(finding)}`, title: plain(finding.title), detail: finding.level, icon: "findings", to: link("/findings", { finding: findingKey(finding) }) };
}

function noteItem(note: Note): Item {
  const detail = [dateTime(instant(note.from), SECOND), note.author].filter(Boolean).join(" · ");
  return { key: `note ${note.note}`, title: firstLine(note.text), detail, icon: "note", to: noteHref(note) };
}

/** Where tasks are spawned, or resources opened. */
function placeItem({ id, text }: Place, resources: readonly Resource[]): Item {
  const opens = resources.some((row) => row.location && placeText(row.location) === text);
  const to = opens ? link("/resources", { q: text, state: "all" }) : link("/tasks", { location: id, place: text });
  return { key: `place ${id}`, title: shortPlace(text), detail: opens ? "what it opened" : "its tasks", icon: opens ? "resources" : "timeline", to };
}

function resourceItem(row: Resource): Item {
  const place = row.location ? ` · ${shortPlace(placeText(row.location))}` : "";
  return { key: `resource ${row.resource}`, title: row.name ? nameText(row.name) : `${row.kind} ${row.resource}`, detail: `${row.kind}${place} · ${row.closed_at ? (row.how ?? "closed") : "open"}`, icon: "resources", to: link(`/resources/${processId.value}/${row.resource}`) };
}

function commandGroups(list: readonly Command[], findings: readonly Finding[], wanted: string): Group[] {
  const mutes = findings.map((finding): Item => ({ key: `mute ${findingKey(finding)}`, title: `Mute: ${plain(finding.title)}`, icon: "findings", to: link("/findings", { finding: findingKey(finding), muting: true }) }));
  const items = list.map((command): Item & { group: string } => ({ key: command.title, title: command.title, icon: command.icon ?? "right", ...(command.key ? { shortcut: command.key } : {}), to: command.run, group: command.group }));
  const groups = [...new Set(items.map((item) => item.group))].map((title) => ({ title, items: pick(items.filter((item) => item.group === title), wanted, (item) => item.title) }));
  return [...groups, { title: "Findings", items: pick(mutes, wanted, (item) => item.title, wanted ? SHOWN * 2 : SHOWN) }];
}

const EXAMPLES: readonly (readonly [string, string])[] = [
  ["What blocked longest", "SELECT wall_time(start_at) AS started, duration(length) AS took, task FROM slow ORDER BY length DESC LIMIT 50"],
  ["Tasks alive by spawn location", "SELECT location, count(*) AS alive FROM tasks WHERE ended_at IS NULL GROUP BY 1 ORDER BY 2 DESC"],
  ["What was lost", "SELECT kind, cause, sum(count) AS lost FROM losses GROUP BY kind, cause"],
];

function sqlGroup(sql: string, setText: (text: string) => void): Group {
  if (sql) return { title: "SQL", items: [{ key: "sql", title: "Run on the page Query", detail: sql, icon: "query", to: link("/query", { sql }) }] };
  return { title: "For example", items: EXAMPLES.map(([title, text]) => ({ key: title, title, detail: text, icon: "query", to: () => setText(`= ${text}`), isStaying: true })) };
}

/** Backticks mark code where it is drawn; here it is a name. */
function plain(text: string): string {
  return text.replaceAll("`", "");
}
