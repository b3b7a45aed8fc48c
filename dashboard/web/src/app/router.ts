//! Where we are: a path and a query, kept in the address bar. Plain `<a href>` links work everywhere; nothing else changes the page.

import { signal } from "@preact/signals";
import { href, withChanges, type Changes } from "../model/query_string.ts";

export interface Place {
  readonly path: string;
  readonly query: URLSearchParams;
}

export const place = signal<Place>(read());

function read(): Place {
  return { path: window.location.pathname, query: new URLSearchParams(window.location.search) };
}

export function navigate(to: string, { replace = false } = {}): void {
  const current = window.location.pathname + window.location.search;
  if (to !== current) window.history[replace ? "replaceState" : "pushState"](null, "", to);
  const before = place.peek().path;
  place.value = read();
  if (before !== place.peek().path && !replace) document.querySelector("main")?.scrollTo(0, 0);
}

/** Changes some keys of the query. Replaces by default: adjusting a view should not take fifty clicks of Back to leave. */
export function setQuery(changes: Changes, { push = false } = {}): void {
  const { path, query } = place.peek();
  navigate(href(path, withChanges(query, changes)), { replace: !push });
}

export function startRouter(): void {
  addEventListener("popstate", () => (place.value = read()));
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const anchor = event.target instanceof Element ? event.target.closest("a") : null;
    if (!anchor || anchor.target || anchor.hasAttribute("download") || anchor.origin !== window.location.origin) return;
    if (anchor.pathname.startsWith("/api/")) return;
    event.preventDefault();
    navigate(anchor.pathname + anchor.search);
  });
}
