//! A GET request as component state: keeps the last answer on screen while the next one loads, and never shows an answer to an old question.

import { useEffect, useRef, useState } from "preact/hooks";
import { get, isAbort } from "./client.ts";
import { generation, recovered } from "./live.ts";
import { refresh } from "../app/session.ts";
import { asking, type Asked } from "../model/asking.ts";

export interface Loaded<T> {
  data: T | null;
  error: Error | null;
  /** True while the first answer, or one to a new question, is on its way. */
  isLoading: boolean;
  reload: () => void;
}

export interface Options {
  /** Ask again when new data was stored. */
  live?: boolean;
  /** The old answer is shown while the URL changes, unless this changes too. */
  subject?: string | number | null;
  /**
   * What is asked, if the URL also says "up to now": the same question is only asked again after its answer, or a slow
   * answer would be cancelled for ever by a moving tail. The URL by default.
   */
  question?: string;
}

export function useApi<T>(url: string | null, { live = false, subject = null, question }: Options = {}): Loaded<T> {
  const [state, setState] = useState<Asked<T>>({
    subject, data: null, error: null, isLoading: url != null,
  });
  const [again, setAgain] = useState(0);
  const inFlight = useRef<string | null>(null);
  const asked = useRef<string | null>(null);
  const tick = live ? refresh.value : 0;
  const wanted = url == null ? null : `${again} ${generation.value} ${question ?? url}`;
  const back = recovered.value;
  const abort = useRef<AbortController | null>(null);

  useEffect(() => {
    if (wanted == null) return void (asked.current = null);
    if (inFlight.current === wanted) return;
    abort.current?.abort();
    const controller = new AbortController();
    abort.current = controller;
    inFlight.current = wanted;
    const isSame = asked.current === wanted;
    asked.current = wanted;
    setState((old) => asking(old, subject, isSame));
    get<T>(url!, controller.signal)
      .then((data) => setState({ subject, data, error: null, isLoading: false }))
      .catch((cause: unknown) => {
        if (isAbort(cause)) return;
        setState((old) => ({ ...old, error: cause instanceof Error ? cause : new Error(String(cause)), isLoading: false }));
      })
      .finally(() => {
        if (abort.current === controller) inFlight.current = null;
      });
  }, [wanted, tick, subject]);

  useEffect(() => {
    if (state.error != null) setAgain((n) => n + 1);
  }, [back]);

  useEffect(() => () => abort.current?.abort(), []);
  const isFresh = state.subject === subject;
  return { data: isFresh ? state.data : null, error: isFresh ? state.error : null, isLoading: state.isLoading || !isFresh, reload: () => setAgain((n) => n + 1) };
}
