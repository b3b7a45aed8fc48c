//! Anything else: SQL over the documented views. The statement is in the URL, so a question can be sent to a colleague.

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, apiUrl, isAbort, runQuery } from "../api/client.ts";
import type { QueryAnswer, Schema } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { duration, plural } from "../base/format.ts";
import { queryAsCli } from "../app/as_cli.ts";
import { useOffer } from "../app/offers.ts";
import { place, setQuery } from "../app/router.ts";
import { processId } from "../app/session.ts";
import type { EditorProps } from "../query/editor.tsx";
import { errorRange } from "../query/error_place.ts";
import { examples } from "../query/examples.ts";
import { Result } from "../query/result.tsx";
import { remember } from "../query/saved.ts";
import { SavedPanel, type Picked } from "../query/saved_panel.tsx";
import { SchemaPanel } from "../query/schema_panel.tsx";
import { CopyButton } from "../ui/clipboard.tsx";
import { lazy } from "../ui/lazy.tsx";
import { Card } from "../ui/small.tsx";
import { Empty, Loading, Ready } from "../ui/states.tsx";

/** Rows fetched at most; the server has its own limit on top. */
const LIMIT = 5000;
/** Longer statements are not in the address: servers and chats cut such links. */
const MAX_IN_URL = 6000;

const Editor = lazy<EditorProps>(async () => (await import("../query/editor.tsx")).Editor, () => <div class="editor loading" />);

export function Query() {
  const process = processId.value ?? 1;
  const given = place.value.query.get("sql");
  const [first] = useState({ sql: given ?? examples(process)[0]!.sql });
  const [written, setWritten] = useState(first);
  const [sql, setSql] = useState(first.sql);
  const { answer, error, isRunning, asked, run, stop } = useStatement();
  const schema = useApi<Schema>(apiUrl("/schema"));
  const insert = useRef<(text: string) => void>(() => {});
  const write = (text: string) => {
    setWritten({ sql: text });
    setSql(text);
  };
  const start = (text: string) => {
    setQuery({ sql: text.length <= MAX_IN_URL ? text : null });
    void run(text);
  };
  // Also one that the omnibox or the way back brings while the page is open.
  useEffect(() => {
    if (!given || given === asked.current) return;
    write(given);
    void run(given);
  }, [given]);
  useOffer({ name: "statement", sql, cli: queryAsCli(sql) });
  const pick = ({ sql: text, show }: Picked) => {
    // How the result of another statement was shown does not fit this one.
    setQuery({ sql: text, show: show && show !== "table" ? show : null, x: null, y: null, by: null, form: null }, { push: true });
    write(text);
    if (text === asked.current) void run(text);
  };
  return (
    <div class="page wide" data-testid="query">
      <header class="title"><div><h1>Query</h1><p>Read-only SQL over what was recorded. Instants are unix nanoseconds, lengths nanoseconds.</p></div></header>
      <div class="query">
        <div class="stack">
          <Card title="Statement" isFlush tools={<div class="table-tools"><CopyButton label="as CLI" icon="terminal" text={() => queryAsCli(sql)} /><CopyButton label="Link" icon="link" text={() => window.location.href} /></div>}>
            <Editor given={written} onInput={setSql} onRun={() => start(sql)} schema={schema.data} error={error ? errorRange(error.sql, error.at) : null} onReady={(put) => (insert.current = put)} />
            <div class="editor-foot">
              <button type="button" class="button primary" disabled={isRunning || sql.trim() === ""} onClick={() => start(sql)} data-testid="run">Run</button>
              {isRunning && <button type="button" class="button" onClick={stop} data-testid="stop">Stop</button>}
              <span class="muted hint"><kbd>Ctrl</kbd> <kbd>Enter</kbd> runs · <kbd>Ctrl</kbd> <kbd>Space</kbd> completes · <kbd>Esc</kbd> <kbd>Tab</kbd> leaves the editor</span>
              <span class="grow" />
              <span class="muted" role="status" data-testid="query-status">{isRunning ? "Running…" : answer && !error ? `${plural(answer.rows.length, "row")}${answer.truncated ? ", there are more" : ""} in ${duration(answer.elapsed_ns)}` : ""}</span>
            </div>
            {sql.length > MAX_IN_URL && <p class="muted list-note">Longer than {MAX_IN_URL} characters: the statement is not in the address.</p>}
          </Card>
          {error && (
            <p class="notice bad mono" role="alert" data-testid="query-error">
              <span>{error.at && <b>line {error.at.line}, column {error.at.column}: </b>}{error.sentence}</span>
            </p>
          )}
          {answer && !error ? <Result answer={answer} sql={asked.current ?? sql} /> : !error && !isRunning && <Empty title="Press Run to ask"><p>Or start from one of the examples.</p></Empty>}
          {answer && !error && answer.hints.map((hint) => <p key={hint} class="notice" data-testid="query-hint">{hint}</p>)}
          {isRunning && !answer && <Loading />}
        </div>
        <aside class="stack">
          <SavedPanel process={process} sql={sql} onPick={pick} />
          <Card title="Schema" isFlush testId="schema">
            <Ready of={schema}>{(known) => <SchemaPanel schema={known} insert={(text) => insert.current(text)} pick={(text) => pick({ sql: text })} />}</Ready>
          </Card>
        </aside>
      </div>
    </div>
  );
}

interface Failure {
  readonly sql: string;
  readonly sentence: string;
  readonly at: ApiError["at"];
}

/** One statement at a time; a new one, or leaving the page, ends the one before, also on the server. */
function useStatement() {
  const [answer, setAnswer] = useState<QueryAnswer | null>(null);
  const [error, setError] = useState<Failure | null>(null);
  const [isRunning, setRunning] = useState(false);
  const abort = useRef<AbortController | null>(null);
  const asked = useRef<string | null>(null);
  const run = async (text: string) => {
    abort.current?.abort();
    const controller = new AbortController();
    abort.current = controller;
    asked.current = text;
    setRunning(true);
    setError(null);
    remember(text);
    try {
      setAnswer(await runQuery(text, LIMIT, controller.signal));
    } catch (cause) {
      if (isAbort(cause)) return;
      setError({ sql: text, sentence: (cause as Error).message, at: cause instanceof ApiError ? cause.at : null });
    }
    setRunning(false);
  };
  const stop = () => {
    abort.current?.abort();
    setRunning(false);
  };
  useEffect(() => () => abort.current?.abort(), []);
  return { answer, error, isRunning, asked, run, stop };
}
