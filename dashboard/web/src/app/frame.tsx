//! Navigation, header and the page in between.

import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { matchPath } from "../model/query_string.ts";
import { Leaks } from "../pages/leaks.tsx";
import { NotFound } from "../pages/not_found.tsx";
import { Overview } from "../pages/overview.tsx";
import { Query } from "../pages/query.tsx";
import { Resources } from "../pages/resources.tsx";
import { Slow } from "../pages/slow.tsx";
import { TaskPage } from "../pages/task.tsx";
import { Tasks } from "../pages/tasks.tsx";
import { TimelinePage } from "../pages/timeline.tsx";
import { Icon, type IconName } from "../ui/icons.tsx";
import { lazy } from "../ui/lazy.tsx";
import { Failed, Loading } from "../ui/states.tsx";
import { FirstRun, isGreeting } from "../pages/first_run.tsx";
import { focusRange, Header } from "./header.tsx";
import { place } from "./router.ts";
import { link, process, processes, processesError, toggleLive } from "./session.ts";
import { HelpDialog, isHelpOpen, isTyping } from "./shortcuts.tsx";
import { cycleTheme } from "./theme.ts";

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

const Waits = lazy<{ params: Params }>(async () => (await import("../pages/waits.tsx")).Waits);
const ResourcePage = lazy<{ params: Params }>(async () => (await import("../pages/resource.tsx")).ResourcePage);
const Sources = lazy<{ params: Params }>(async () => (await import("../pages/sources.tsx")).Sources);

const PAGES: readonly Page[] = [
  { path: "/", title: "Overview", icon: "overview", view: Overview },
  { path: "/timeline", title: "Timeline", icon: "timeline", view: TimelinePage, isFlush: true },
  { path: "/tasks", title: "Tasks", icon: "tasks", view: Tasks },
  { path: "/tasks/:process/:task", title: "Task", view: TaskPage },
  { path: "/slow", title: "Slow", icon: "slow", view: Slow },
  { path: "/waits", title: "Waits", icon: "waits", view: Waits },
  { path: "/leaks", title: "Leaks", icon: "leaks", view: Leaks },
  { path: "/resources", title: "Resources", icon: "resources", view: Resources },
  { path: "/resources/:process/:resource", title: "Resource", view: ResourcePage },
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

export function App() {
  const found = findPage(place.value.path);
  const title = found?.page.title ?? "Not found";
  useEffect(() => {
    document.title = process.value ? `${title} · ${process.value.app} · loopd` : `${title} · loopd`;
  }, [title, process.value?.app]);
  useEffect(() => {
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return (
    <div class="frame">
      <a class="button skip" href="#main" onClick={(event) => { event.preventDefault(); document.querySelector<HTMLElement>("main")?.focus(); }}>Skip to content</a>
      <Nav path={place.value.path} />
      <Header />
      <main id="main" class={`main ${found?.page.isFlush && process.value && !isGreeting.value ? "flush" : ""}`} tabIndex={-1}>
        <Content found={found} />
      </main>
      <HelpDialog />
    </div>
  );
}

function Content({ found }: { found: { page: Page; params: Params } | null }) {
  if (!found) return <NotFound />;
  if (!found.page.needsNoProcess) {
    if (processes.value == null) return processesError.value ? <Failed error={processesError.value} /> : <Loading />;
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

/** Keys that mean the same on every page; the timeline adds its own. */
function onKey(event: KeyboardEvent): void {
  if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const actions: Record<string, () => void> = {
    "?": () => (isHelpOpen.value = true),
    l: () => process.value?.state === "live" && toggleLive(),
    t: cycleTheme,
    g: focusRange,
    "/": () => document.querySelector<HTMLInputElement>("[data-search]")?.focus(),
  };
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}
