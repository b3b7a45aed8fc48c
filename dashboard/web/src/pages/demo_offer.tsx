//! The demo, for people who have nothing to record yet: a button that starts it, and what says that it runs.

import { useEffect, useState } from "preact/hooks";
import { apiUrl, post } from "../api/client.ts";
import type { DemoAnswer } from "../api/types.ts";
import { useApi, type Loaded } from "../api/use_api.ts";
import { duration, plural } from "../base/format.ts";
import { between, instant, MINUTE, now, SECOND } from "../base/instant.ts";

interface Asking {
  readonly ask: (run: boolean) => Promise<void>;
  readonly isBusy: boolean;
  readonly error: string | null;
}

function useAsking(demo: Loaded<DemoAnswer>): Asking {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const ask = async (run: boolean) => {
    setBusy(true);
    try {
      await post<DemoAnswer>(apiUrl("/demo"), { run });
      setError(null);
    } catch (cause) {
      setError((cause as Error).message);
    } finally {
      setBusy(false);
      demo.reload();
    }
  };
  return { ask, isBusy, error };
}

/** On the page that waits for a first program. */
export function DemoOffer() {
  const demo = useApi<DemoAnswer>(apiUrl("/demo"), { live: true });
  const { ask, isBusy, error } = useAsking(demo);
  const answer = demo.data;
  const isOff = answer == null || answer.state === "off" || answer.state === "unavailable";
  return (
    <section class="card demo-offer" aria-label="Demo" data-testid="demo-offer">
      <div class="grow">
        <h2>Only looking around?</h2>
        {answer?.state === "unavailable" || demo.error
          ? <p>Run <code>loopd demo</code> in a terminal: it records a small shop with a blocked worker, a task leak and sockets nobody closes.</p>
          : <p>Load the demo: loopd starts a small shop with a blocked worker, a task leak and sockets nobody closes, and records it here like any other program, as “orders”.{answer?.length != null && ` It stops by itself after ${plural(Math.round(answer.length / MINUTE), "minute")}.`}</p>}
        {error && <p class="notice bad" role="alert">{error}</p>}
      </div>
      {answer && answer.state !== "unavailable" && (isOff
        ? <button type="button" class="button primary" disabled={isBusy} onClick={() => void ask(true)} data-testid="load-demo">Load demo</button>
        : <span class="muted" role="status">{answer.state === "stopping" ? "The last demo says goodbye…" : "The demo starts…"}</span>)}
    </section>
  );
}

/** On the overview, while the demo runs. */
export function DemoBar() {
  const demo = useApi<DemoAnswer>(apiUrl("/demo"), { live: true });
  const { ask, isBusy, error } = useAsking(demo);
  const [, tick] = useState(0);
  const isShown = demo.data?.state === "running" || demo.data?.state === "stopping";
  useEffect(() => {
    if (!isShown) return;
    const timer = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, [isShown]);
  if (!isShown) return null;
  const { state, ends_at } = demo.data!;
  const left = ends_at == null ? null : Math.max(0, Math.round(between(now(), instant(ends_at)) / SECOND) * SECOND);
  return (
    <div class="notice demo-bar" role="status" data-testid="demo-bar">
      <span class="grow">{state === "stopping" ? "The demo says goodbye…" : <>The demo runs as the program “orders”{left != null && <> and stops by itself in <span aria-live="off">{duration(left)}</span></>}. What was recorded stays.</>}{error && <> <b>{error}</b></>}</span>
      {state === "running" && <button type="button" class="button" disabled={isBusy} onClick={() => void ask(false)} data-testid="stop-demo">Stop demo</button>}
    </div>
  );
}
