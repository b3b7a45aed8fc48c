//! Navigation, header and the page in between.

import type { ComponentType } from "preact";
import { useEffect, useLayoutEffect } from "preact/hooks";
import { matchPath } from "../model/query_string.ts";
import { NotFound } from "../pages/not_found.tsx";
import { Overview } from "../pages/overview.tsx";
import { Icon, type IconName } from "../ui/icons.tsx";
import { lazy } from "../ui/lazy.tsx";
import { Failed, Loading } from "../ui/states.tsx";
import { FirstRun, isGreeting } from "../pages/first_run.tsx";
import { commands, type Command, type NavPage } from "./commands.ts";
import { Header } from "./header.tsx";
import { place } from "./router.ts";
import { Said } from "./said.tsx";
import { link, process, processes, processesError } from "./session.ts";
import { isHelpOpen, isOmniboxOpen, isTyping } from "./shortcuts.ts";

type Params = Record<string, string>;
interface Page {
  readonly path: string;
  readonly title: string;
  readonly icon?: IconName;
  readonly view: ComponentType<{ params: Params }>;
  /** Works before any process has connected. */
  readonly needsNoProcess?: boolean;
  /** Fills the main area itself instead of scrolling in it. */
  readonly isFlush?: boolean;
}

/** A page that is fetched when it is first opened. */
function page(load: () => Promise<ComponentType<{ params: Params }>>): ComponentType<{ params: Params }> {
  return lazy<{ params: Params }>(load);
}

const Compare = page(async () => (await import("../pages/compare.tsx")).Compare);
const Findings = page(async () => (await import("../pages/findings.tsx")).Findings);
const Leaks = page(async () => (await import("../pages/leaks.tsx")).Leaks);
const Query = page(async () => (await import("../pages/query.tsx")).Query);
const ResourcePage = page(async () => (await import("../pages/resource.tsx")).ResourcePage);
const Resources = page(async () => (await import("../pages/resources.tsx")).Resources);
const Slow = page(async () => (await import("../pages/slow.tsx")).Slow);
const Sources = page(async () => (await import("../pages/sources.tsx")).Sources);
const TaskPage = page(async () => (await import("../pages/task.tsx")).TaskPage);
const Tasks = page(async () => (await import("../pages/tasks.tsx")).Tasks);
const TimelinePage = page(async () => (await import("../pages/timeline.tsx")).TimelinePage);
const Waits = page(async () => (await import("../pages/waits.tsx")).Waits);
const loadOmnibox = async () => (await import("./omnibox.tsx")).Omnibox;
const Omnibox = lazy<{ pages: readonly NavPage[] }>(loadOmnibox, () => null);
const HelpDialog = lazy<{ title: string; commands: readonly Command[] }>(async () => (await import("./help.tsx")).HelpDialog, () => null);

const PAGES: readonly Page[] = [
  { path: "/", title: "Overview", icon: "overview", view: Overview },
  { path: "/findings", title: "Findings", icon: "findings", view: Findings },
  { path: "/timeline", title: "Timeline", icon: "timeline", view: TimelinePage, isFlush: true },
  { path: "/tasks", title: "Tasks", icon: "tasks", view: Tasks },
  { path: "/tasks/:process/:task", title: "Task", view: TaskPage },
  { path: "/slow", title: "Slow", icon: "slow", view: Slow },
  { path: "/waits", title: "Waits", icon: "waits", view: Waits },
  { path: "/leaks", title: "Leaks", icon: "leaks", view: Leaks },
  { path: "/resources", title: "Resources", icon: "resources", view: Resources },
  { path: "/resources/:process/:resource", title: "Resource", view: ResourcePage },
  { path: "/compare", title: "Compare", icon: "compare", view: Compare },
  { path: "/query", title: "Query", icon: "query", view: Query, needsNoProcess: true },
  { path: "/sources", title: "Sources", icon: "sources", view: Sources, needsNoProcess: true },
];

function findPage(path: string): { page: Page; params: Params } | null {
  for (const page of PAGES) {
    const params = matchPath(page.path, path);
    if (params) return { page, params };
  }
  return null;
}

/** Milliseconds after the start, when the page itself has been fetched. */
const OMNIBOX_AFTER = 1000;

export function App() {
  const found = findPage(place.value.path);
  const title = found?.page.title ?? "Not found";
  useEffect(() => {
    // Isolated: a name that reads from right to left would turn the rest around.
    document.title = process.value ? `${title} · \u2068${process.value.app}\u2069 · loopd` : `${title} · loopd`;
  }, [title, process.value?.app]);
  // Before anything is seen: a key that is pressed then is not lost.
  useLayoutEffect(() => {
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  useEffect(() => {
    // So that the first letters that are typed into it are not lost.
    const timer = setTimeout(() => void loadOmnibox().catch(() => {}), OMNIBOX_AFTER);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class="frame">
      <a class="button skip" href="#main" onClick={(event) => { event.preventDefault(); document.querySelector<HTMLElement>("main")?.focus(); }}>Skip to content</a>
      <Nav path={place.value.path} />
      <Header />
      <main id="main" class={`main ${found?.page.isFlush && process.value && !isGreeting.value ? "flush" : ""}`} tabIndex={-1}>
        <Content found={found} />
      </main>
      <Said />
      {isOmniboxOpen.value && <Omnibox pages={PAGES} />}
      {isHelpOpen.value && <HelpDialog title={title} commands={commands(PAGES)} />}
    </div>
  );
}

function Content({ found }: { found: { page: Page; params: Params } | null }) {
  if (!found) return <NotFound />;
  if (!found.page.needsNoProcess) {
    if (processes.value == null) return processesError.value ? <Failed error={processesError.value} isPage /> : <Loading />;
    if (process.value == null || isGreeting.value) return <FirstRun />;
  }
  const View = found.page.view;
  return <View key={found.page.path} params={found.params} />;
}

function Nav({ path }: { path: string }) {
  const isHere = (page: Page) => path === page.path || (page.path.length > 1 && path.startsWith(`${page.path}/`));
  return (
    <nav class="nav" aria-label="Pages">
      <a class="brand" href={link("/")} aria-label="loopd overview">
        <Logo /> <span>loopd</span>
      </a>
      <ul>
        {PAGES.filter((page) => page.icon).map((page) => (
          <li key={page.path}>
            <a href={link(page.path)} aria-current={isHere(page) ? "page" : undefined} title={page.title}>
              <Icon name={page.icon!} /> <span>{page.title}</span>
            </a>
          </li>
        ))}
      </ul>
      <p class="foot">Press <kbd>?</kbd> for keys</p>
    </nav>
  );
}

function Logo() {
  return (
    <svg width="22" height="22" viewBox="0 0 32 32" aria-hidden="true">
      <circle cx="16" cy="16" r="11" fill="none" stroke="var(--accent)" stroke-width="4" stroke-dasharray="58 12" stroke-linecap="round" />
      <circle cx="16" cy="16" r="4.5" fill="#e4572e" />
    </svg>
  );
}

/** Keys that mean the same on every page: those of the commands, and what opens the omnibox. The timeline adds its own. */
function onKey(event: KeyboardEvent): void {
  const isOmniboxKey = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k";
  if (isOmniboxKey) {
    event.preventDefault();
    isHelpOpen.value = false;
    isOmniboxOpen.value = !isOmniboxOpen.value;
    return;
  }
  if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const run = event.key === "/" ? search : commands(PAGES).find((command) => command.key === event.key)?.run;
  if (!run) return;
  event.preventDefault();
  run();
}

/** The search field of the page, or else the omnibox. */
function search(): void {
  const field = document.querySelector<HTMLElement>("[data-search]");
  if (field) field.focus();
  else isOmniboxOpen.value = true;
}
