//! What lies below the workers: pinned tasks and locks, metrics, and how to choose them.

import { useEffect, useRef, useState } from "preact/hooks";
import { apiUrl, get, isAbort } from "../../api/client.ts";
import type { MetricNamesAnswer, Resource, TaskPage } from "../../api/types.ts";
import { processId } from "../../app/session.ts";
import { plural, shortPlace } from "../../base/format.ts";
import { offered } from "../../model/metric_lane.ts";
import { MAX_METRICS, MAX_PINS, typedTask, type Pin } from "../../model/pins.ts";
import { shownName } from "../../model/names.ts";
import { placeText } from "../../ui/small.tsx";
import type { Timeline } from "../controller.ts";
import { chosenMetrics, chosenPins, pin, setMetrics } from "./chosen.ts";
import type { ExtraLane } from "./lane.ts";
import { knownOf, LaneRow } from "./lane_row.tsx";

export function ExtraLanes({ timeline, lanes }: { timeline: Timeline; lanes: readonly ExtraLane[] }) {
  return (
    <section class="extra-lanes" aria-label="Pinned tasks, locks and metrics" data-testid="extra-lanes">
      <Choosers timeline={timeline} />
      <div class="extra-rows">
        {lanes.map((lane) => <LaneRow key={lane.key} timeline={timeline} lane={lane} />)}
      </div>
    </section>
  );
}

/** The same lanes as tables. */
export function LaneTables({ timeline, lanes }: { timeline: Timeline; lanes: readonly ExtraLane[] }) {
  const view = timeline.view.value;
  return (
    <>
      {lanes.map((lane) => {
        const data = lane.loader.data.value;
        const error = lane.loader.error.value;
        return <div key={lane.key} data-testid="lane-table">{data ? lane.table(data, { view, recorded: knownOf(timeline, lane) }) : <p class={error ? "notice bad" : "muted"}>{error ? error.message : `${lane.name(null)}: loading…`}</p>}</div>;
      })}
    </>
  );
}

function Choosers({ timeline }: { timeline: Timeline }) {
  const pins = chosenPins();
  const metrics = chosenMetrics();
  const say = (text: string) => (timeline.announcement.value = text);
  return (
    <div class="lane-choosers">
      <PinChooser isFull={pins.length >= MAX_PINS} say={say} />
      <MetricChooser chosen={metrics} say={say} />
      <span class="muted grow ellipsis">{pins.length === 0 ? "Pin a task to see when it ran, was ready or waited; pin a lock to see who had it." : `${plural(pins.length, "lane")} pinned, at most ${MAX_PINS}`}</span>
      <Key />
    </div>
  );
}

function Key() {
  if (chosenPins().every((one) => one.kind !== "task")) return null;
  return (
    <span class="legend" aria-label="Colours of a pinned task">
      <span class="nowrap"><i class="c-runs" />running</span>
      <span class="nowrap"><i class="c-stands-ready" />ready</span>
      <span class="nowrap"><i class="c-waits" />waiting</span>
      <span class="nowrap"><i class="c-idle" />idle</span>
    </span>
  );
}

interface Offer {
  readonly pin: Pin;
  readonly title: string;
  readonly detail: string;
}

/** Milliseconds without a key before the server is asked. */
const REST = 150;
const SHOWN = 6;
/** Kinds that tasks hold or wait for. */
const SHARED = /lock|mutex|semaphore|channel|mpsc|broadcast|watch|oneshot|notify|barrier|queue|event|condition|once/i;

function PinChooser({ isFull, say }: { isFull: boolean; say: (text: string) => void }) {
  const [text, setText] = useState("");
  const [offers, setOffers] = useState<readonly Offer[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [isOpen, setIsOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!isOpen) return;
    const controller = new AbortController();
    const timer = setTimeout(() => {
      search(text.trim(), controller.signal).then((found) => (setOffers(found), setError(null)), (cause: Error) => !isAbort(cause) && setError(cause.message));
    }, text ? REST : 0);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [text, isOpen]);
  const choose = (one: Pin) => {
    say(pin(one) ?? `${one.kind === "task" ? "Task" : "Resource"} ${one.id} is pinned`);
    setText("");
    setIsOpen(false);
  };
  const enter = () => {
    const id = typedTask(text);
    if (id) choose({ kind: "task", id });
    else if (offers?.[0]) choose(offers[0].pin);
  };
  return (
    <div
      class="chooser" ref={box}
      onFocusOut={(event) => !(event.relatedTarget instanceof Node && box.current?.contains(event.relatedTarget)) && setIsOpen(false)}
      onKeyDown={(event) => event.key === "Escape" && (event.stopPropagation(), setIsOpen(false))}
    >
      <input
        class="field" type="search" placeholder={isFull ? "All places are taken" : "Pin a task or lock…"} aria-label="Pin a task by its id or name, or a lock by its name" disabled={isFull} value={text} data-testid="pin-field"
        onInput={(event) => { setText(event.currentTarget.value); setIsOpen(true); }} onFocus={() => setIsOpen(true)}
        onKeyDown={(event) => event.key === "Enter" && enter()}
      />
      {isOpen && !isFull && (
        <div class="chooser-list" data-testid="pin-offers">
          {error && <p class="bad-text">{error}</p>}
          {!error && offers?.length === 0 && <p class="muted">No task or lock is called so.</p>}
          {!error && offers == null && <p class="muted">Looking…</p>}
          {offers?.map((offer) => (
            <button key={`${offer.pin.kind}${offer.pin.id}`} type="button" onClick={() => choose(offer.pin)}>
              <span class="ellipsis">{offer.title}</span> <span class="muted ellipsis">{offer.detail}</span>
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

async function search(text: string, signal: AbortSignal): Promise<Offer[]> {
  const process = processId.peek();
  const [tasks, resources] = await Promise.all([
    get<TaskPage>(apiUrl("/tasks", { process, q: text.replace(/^t(?:ask)?\s*(?=\d)/i, ""), sort: "busy_time", desc: "1", limit: SHOWN }), signal),
    get<{ rows: Resource[] }>(apiUrl("/resources", { process, state: "all", limit: 1000 }), signal),
  ]);
  const wanted = text.toLowerCase();
  const locks = resources.rows.filter((row) => SHARED.test(row.kind) && `${row.kind} ${row.name ?? ""} ${row.resource} ${placeText(row.location)}`.toLowerCase().includes(wanted));
  // Those for which somebody waits first: they are looked for.
  locks.sort((a, b) => (b.state?.waited_time ?? 0) - (a.state?.waited_time ?? 0));
  const place = (location: Resource["location"]) => (location ? shortPlace(placeText(location)) : "unknown place");
  return [
    ...tasks.rows.map((row): Offer => ({ pin: { kind: "task", id: row.task }, title: row.name ? shownName(row.name) : `task ${row.task}`, detail: `${row.name == null ? "" : `task ${row.task} · `}${place(row.location)}` })),
    ...locks.slice(0, SHOWN).map((row): Offer => ({ pin: { kind: "resource", id: row.resource }, title: `${row.kind} ${row.name ? shownName(row.name) : row.resource}`, detail: place(row.location) })),
  ];
}

function MetricChooser({ chosen, say }: { chosen: readonly string[]; say: (text: string) => void }) {
  const [names, setNames] = useState<readonly string[] | null>(null);
  const isFull = chosen.length >= MAX_METRICS;
  const load = () => {
    if (names == null) get<MetricNamesAnswer>(apiUrl("/lanes/metric-names", { process: processId.peek() })).then((answer) => setNames(answer.metrics.map((one) => one.name)), (cause: Error) => say(cause.message));
  };
  useEffect(load, []);
  const kinds = offered(names ?? []).filter((kind) => !chosen.includes(kind.key));
  return (
    <select
      class="field" aria-label="Add a metric as a lane" disabled={isFull} value="" data-testid="add-metric"
      onChange={(event) => {
        const { value } = event.currentTarget;
        if (value) setMetrics([...chosen, value]);
        event.currentTarget.value = "";
      }}
    >
      <option value="">{isFull ? `${MAX_METRICS} metrics are shown` : names?.length === 0 ? "No metric was read" : "Add a metric…"}</option>
      {kinds.map((kind) => <option key={kind.key} value={kind.key}>{kind.title}</option>)}
    </select>
  );
}
