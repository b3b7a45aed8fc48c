//! What can be done on any page: the keys do it, and `>` in the omnibox. One list, so that each is shown with its key.

import type { IconName } from "../ui/icons.tsx";
import { copy } from "../ui/clipboard.tsx";
import { clock } from "../base/format.ts";
import { instant, SECOND } from "../base/instant.ts";
import { pidText } from "../model/fleet.ts";
import { href } from "../model/query_string.ts";
import type { Range } from "../model/range.ts";
import { offers } from "./offers.ts";
import { navigate } from "./router.ts";
import { say } from "./said.tsx";
import { isLive, link, process, processes, setRange, toggleLive } from "./session.ts";
import { isHelpOpen } from "./shortcuts.ts";
import { cycleTheme, setTheme, theme, type Theme } from "./theme.ts";

export interface Command {
  readonly title: string;
  readonly group: "Go to" | "Copy" | "View" | "Range" | "Process";
  readonly key?: string;
  readonly icon?: IconName;
  readonly run: () => void;
}

export interface NavPage {
  readonly path: string;
  readonly title: string;
  readonly icon?: IconName;
}

/** The keys of the first ten pages in the navigation. */
const DIGITS = "1234567890";
const THEMES: readonly (readonly [Theme, string])[] = [["auto", "as the system"], ["light", "light"], ["dark", "dark"]];
const RANGES: readonly (readonly [string, Range])[] = [
  ["last 10 s", { kind: "last", span: 10 * SECOND }],
  ["last 1 m", { kind: "last", span: 60 * SECOND }],
  ["last 5 m", { kind: "last", span: 300 * SECOND }],
  ["last 1 h", { kind: "last", span: 3600 * SECOND }],
  ["whole recording", { kind: "all" }],
];

export function commands(pages: readonly NavPage[]): Command[] {
  return [...goTo(pages), ...copies(), ...views(), ...ranges(), ...others()];
}

function goTo(pages: readonly NavPage[]): Command[] {
  return pages.filter((page) => page.icon).map((page, k) => ({
    title: `Go to ${page.title}`, group: "Go to", icon: page.icon!, ...(k < DIGITS.length ? { key: DIGITS[k]! } : {}), run: () => navigate(link(page.path)),
  }));
}

/** Of several tables the first has the keys: it is what the page is about. */
function copies(): Command[] {
  const list: Command[] = [{ title: "Copy link", group: "Copy", key: "c", icon: "link", run: () => void copyAs("the link", window.location.href) }];
  const of = (name: string, k: number) => (offers.value.length > 1 || k > 0 ? ` (${name})` : "");
  const forms = [["sql", "SQL", "q", "query"], ["cli", "CLI command", "x", "terminal"]] as const;
  for (const [form, word, key, icon] of forms) {
    offers.value.filter((offer) => offer[form] != null).forEach((offer, k) => {
      list.push({ title: `Copy as ${word}${of(offer.name, k)}`, group: "Copy", icon, ...(k === 0 ? { key } : {}), run: () => void copyAs(word, offer[form]!) });
    });
  }
  return list;
}

async function copyAs(what: string, text: string): Promise<void> {
  say((await copy(text)) ? `Copied ${what}` : "The browser does not allow copying here");
}

function views(): Command[] {
  const list: Command[] = [];
  if (process.value?.state === "live") list.push({ title: isLive.value ? "Live off: freeze what is on screen" : "Live on: follow new data", group: "View", key: "l", icon: "slow", run: toggleLive });
  if (process.value) {
    list.push({ title: "Note: write one on the timeline", group: "View", icon: "note", run: () => navigate(link("/timeline", { note: "new" })) });
    list.push({ title: "Notes of this run", group: "View", icon: "note", run: () => navigate(link("/timeline", { notes: true })) });
  }
  list.push({ title: "Theme: the next one", group: "View", key: "t", icon: "auto", run: cycleTheme });
  for (const [name, text] of THEMES) {
    if (name !== theme.value) list.push({ title: `Theme: ${text}`, group: "View", icon: name === "auto" ? "auto" : name === "light" ? "sun" : "moon", run: () => setTheme(name) });
  }
  list.push({ title: "Show the keys of this page", group: "View", key: "?", icon: "help", run: () => (isHelpOpen.value = true) });
  return list;
}

function ranges(): Command[] {
  if (!process.value) return [];
  const type: Command = { title: "Range: type a time or range", group: "Range", key: "g", icon: "slow", run: focusRange };
  return [type, ...RANGES.map(([text, range]): Command => ({ title: `Range: ${text}`, group: "Range", icon: "slow", run: () => setRange(range) }))];
}

function focusRange(): void {
  document.querySelector<HTMLInputElement>("#range-field")?.focus();
}

function others(): Command[] {
  const list = processes.value?.filter((p) => p.process !== process.value?.process) ?? [];
  return list.map((p) => ({
    title: `Process: ${[p.app, p.app_version].filter(Boolean).join(" ")}, ${pidText(p)}, ${p.state}, since ${clock(instant(p.started_at), SECOND)}`, group: "Process", icon: "sources",
    run: () => navigate(href("/", { process: p.process })),
  }));
}
