//! Rows of the server's table of tasks by page, asked for as they come into view; a new question empties the cache.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { get, isAbort } from "../api/client.ts";
import type { Task, TaskPage } from "../api/types.ts";
import type { InstantText } from "../base/instant.ts";
import { isLive, refresh } from "../app/session.ts";
import { RowCache } from "../model/row_cache.ts";

export const PAGE = 200;
/** While following, a fresh first page every so often; the rest keeps its rows until scrolled to again. */
const LIVE_EVERY = 3;

export interface Rows {
  readonly cache: RowCache<Task>;
  /** Whether the rows are those of the question before. */
  readonly isStale: boolean;
  readonly error: Error | null;
  readonly searchedFrom: InstantText | null;
  readonly more: boolean;
  /** The filter as a condition of SQL. */
  readonly filterSql: string;
  readonly reload: () => void;
}

export function useRows(urlOf: (offset: number, limit: number) => string): Rows {
  const [, redraw] = useState(0);
  const [error, setError] = useState<Error | null>(null);
  const [said, setSaid] = useState<{ searchedFrom: InstantText | null; more: boolean; filterSql: string }>({ searchedFrom: null, more: false, filterSql: "" });
  const question = urlOf(0, PAGE);
  const abort = useRef<AbortController | null>(null);
  const last = useRef<RowCache<Task> | null>(null);
  const cache = useMemo(() => {
    abort.current?.abort();
    const controller = new AbortController();
    abort.current = controller;
    const load = async (offset: number) => {
      try {
        const page = await get<TaskPage>(urlOf(offset, PAGE), controller.signal);
        setError(null);
        setSaid({ searchedFrom: page.searched_from, more: page.more ?? false, filterSql: page.filter_sql ?? "" });
        return page;
      } catch (cause) {
        if (!isAbort(cause)) setError(cause as Error);
        return null;
      }
    };
    return new RowCache<Task>(PAGE, load, () => redraw((n) => n + 1));
  }, [question]);
  useEffect(() => () => abort.current?.abort(), []);
  useEffect(() => cache.want(0, 40), [cache]);
  const tick = isLive.value ? refresh.value : 0;
  useEffect(() => {
    if (tick > 0 && tick % LIVE_EVERY === 0) cache.refreshFirst();
  }, [tick]);
  // Rows of the question before stay until the next has an answer: a list that goes blank at every key flickers.
  if (cache.total != null) last.current = cache;
  const shown = cache.total == null && last.current ? last.current : cache;
  return { cache: shown, isStale: shown !== cache, error, ...said, reload: () => cache.refreshFirst() };
}
