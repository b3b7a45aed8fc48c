//! What ran when? The minimap, the lanes, and what is selected.

import { useEffect, useLayoutEffect, useMemo } from "preact/hooks";
import { CLASS_NAMES, CLASSES } from "../base/duration_class.ts";
import { duration } from "../base/format.ts";
import { place, setQuery } from "../app/router.ts";
import { link, process, processId, range, startedAt } from "../app/session.ts";
import { isTyping } from "../app/shortcuts.ts";
import { CanvasView, type Matches } from "../timeline/canvas_view.tsx";
import { Timeline } from "../timeline/controller.ts";
import { KIND_WORDS, readKind, STANDOUT_KINDS } from "../model/standouts.ts";
import { useExtraLanes } from "../timeline/extra/chosen.ts";
import { ExtraLanes, LaneTables } from "../timeline/extra/extra_lanes.tsx";
import { FindingStrip, FindingTable, useFindingBadges } from "../timeline/finding_strip.tsx";
import { onPageKey } from "../timeline/keys.ts";
import { LossTable } from "../timeline/losses.tsx";
import { Minimap } from "../timeline/minimap.tsx";
import { PollPanel } from "../timeline/poll_panel.tsx";
import { NotePanel } from "../timeline/note_panel.tsx";
import { RegionPanel } from "../timeline/region_panel.tsx";
import { lengthMatcher } from "../timeline/selecting.ts";
import { TableTwin } from "../timeline/table_twin.tsx";
import { CopyButton } from "../ui/clipboard.tsx";
import { Icon } from "../ui/icons.tsx";
import { lazy } from "../ui/lazy.tsx";
import { Empty, Failed } from "../ui/states.tsx";

/** The rows of a query, in a lane of their own. */
const OverlayStrip = lazy<{ timeline: Timeline; isTable: boolean }>(async () => (await import("../timeline/overlay_strip.tsx")).OverlayStrip);

export function TimelinePage() {
  // A new process or loop is a new timeline; a re-read list of processes is not.
  const loop = place.value.query.get("loop");
  return <Whole key={`${processId.value} ${loop}`} loop={loop} />;
}

function Whole({ loop }: { loop: string | null }) {
  const p = process.value!;
  const timeline = useMemo(() => new Timeline(p.process, startedAt.peek(), p.slow_threshold, loop), []);
  // Before it is seen: a key that is pressed then is not lost.
  useLayoutEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
      if (onPageKey(event, timeline)) event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => {
      removeEventListener("keydown", onKey);
      timeline.dispose();
    };
  }, [timeline]);
  const { all: extra, ofLoops, others } = useExtraLanes(timeline);
  useFindingBadges(timeline);
  const query = place.value.query;
  const isTable = query.get("table") === "1";
  // The tables have no width of their own; without one nothing would be asked for.
  useEffect(() => {
    if (isTable) timeline.resize(window.innerWidth);
  }, [timeline, isTable]);
  const matches = useMemo(() => both(matcher(query.get("q") ?? ""), lengthMatcher(timeline)), [query.get("q"), query.get("len"), timeline.selecting.region.value]);
  const error = timeline.loader.error.value;
  const canGoLive = process.value?.state === "live" && range.value.kind === "fixed";
  const hasNothing = timeline.data.value != null && timeline.lanes.value.length === 0;
  return (
    <div class="timeline" data-testid="timeline">
      <h1 class="visually-hidden">Timeline</h1>
      <Minimap timeline={timeline} />
      <Toolbar timeline={timeline} matches={matches} isTable={isTable} />
      <Stop timeline={timeline} />
      {error && timeline.data.value == null ? <Failed error={error} retry={() => timeline.resize(window.innerWidth)} /> : hasNothing ? <NoLanes /> : (
        <div class="timeline-body">
          <div class="timeline-main">
            {error && <p class="notice bad" role="alert">{error.message}</p>}
            {canGoLive && <button type="button" class="button go-live" title="Follow new data (l)" onClick={() => timeline.goLive()} data-testid="go-live">↦ live</button>}
            {!isTable && <FindingStrip timeline={timeline} />}
            {query.get("overlay") && <OverlayStrip timeline={timeline} isTable={isTable} />}
            {isTable ? <TableTwin timeline={timeline}><FindingTable timeline={timeline} /><LossTable timeline={timeline} /><LaneTables timeline={timeline} lanes={extra} /></TableTwin> : <CanvasView timeline={timeline} matches={matches} ofLoops={ofLoops} />}
            {!isTable && <ExtraLanes timeline={timeline} lanes={others} />}
            <RegionPanel timeline={timeline} />
          </div>
          {timeline.notes.isShown.value ? <NotePanel timeline={timeline} /> : <PollPanel timeline={timeline} />}
        </div>
      )}
    </div>
  );
}

/** A task id exactly, or part of a location. */
function matcher(text: string): Matches {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return null;
  return (task, location) => task === wanted || location.toLowerCase().includes(wanted);
}

function both(one: Matches, other: Matches): Matches {
  if (!one || !other) return one ?? other;
  return (task, location, length, start) => one(task, location, length, start) && other(task, location, length, start);
}

function Toolbar({ timeline, matches, isTable }: { timeline: Timeline; matches: Matches; isTable: boolean }) {
  return (
    <div class="toolbar" role="toolbar" aria-label="Timeline">
      <input
        class="field search" type="search" data-search placeholder="Place or task" title="Highlights polls of a place or task (/)" aria-label="Highlight polls of a place or task" value={place.value.query.get("q") ?? ""}
        onInput={(event) => setQuery({ q: event.currentTarget.value })}
        onKeyDown={(event) => {
          if (event.key === "Enter" && matches) timeline.stepMatch(matches);
          if (event.key === "Escape") event.currentTarget.blur();
        }}
      />
      <Stepper timeline={timeline} />
      <button type="button" class="button" title="The whole recording (f)" onClick={() => timeline.fit()}>Fit</button>
      <button type="button" class="button" title="Undo the last zoom (z)" onClick={() => timeline.back()}>Undo</button>
      <span class="muted nowrap" data-testid="span">{matches && !timeline.data.value?.isExact ? "Zoom in to highlight" : `${duration(timeline.view.value.span)} in view${timeline.data.value?.isExact ? " · every poll" : ""}`}</span>
      <span class="grow" />
      <Legend hasLosses={(timeline.data.value?.losses.length ?? 0) > 0} />
      <button type="button" class="icon-button" aria-label="Notes" title="Notes of this run (b writes one)" aria-pressed={timeline.notes.isShown.value} onClick={() => (timeline.notes.isShown.peek() ? timeline.notes.close() : setQuery({ notes: true }))} data-testid="notes-button"><Icon name="note" /></button>
      <CopyButton label="Link" icon="link" text={() => window.location.href} />
      <button type="button" class="button" aria-pressed={isTable} title="The same as tables (v)" onClick={() => setQuery({ table: !isTable })}>as table</button>
    </div>
  );
}

/** To the next of what stands out, and of which kinds. */
function Stepper({ timeline: { standouts } }: { timeline: Timeline }) {
  const kind = standouts.kind.value;
  const what = kind ? KIND_WORDS[kind][0] : "slow poll, finding, loss or note";
  return (
    <span class="stepper" role="group" aria-label="What stands out">
      <button type="button" class="button" aria-label={`Previous ${what}`} title={`Previous ${what} (p)`} onClick={() => standouts.step(-1)} data-testid="previous-standout">←</button>
      <select class="field" aria-label="Step through" title="What n and p step through" value={kind ?? ""} onChange={(event) => standouts.choose(readKind(event.currentTarget.value))} data-testid="step-kind">
        <option value="">all kinds</option>
        {STANDOUT_KINDS.map((one) => <option key={one} value={one}>{KIND_WORDS[one][1]}</option>)}
      </select>
      <button type="button" class="button" aria-label={`Next ${what}`} title={`Next ${what} (n)`} onClick={() => standouts.step(1)} data-testid="next-standout">→</button>
    </span>
  );
}

/** The one that was stepped to. */
function Stop({ timeline }: { timeline: Timeline }) {
  const stop = timeline.standouts.current.value;
  if (!stop) return null;
  return <p class={`stop ellipsis ${stop.kind}`} title={stop.text} data-testid="standout" data-kind={stop.kind} data-id={stop.id} data-at={Math.round(stop.at)}>{stop.href ? <a href={stop.href}>{stop.text}</a> : stop.text}</p>;
}

function Legend({ hasLosses }: { hasLosses: boolean }) {
  return (
    <span class="legend" aria-label="Colours and textures: length of a poll">
      {CLASSES.map((c) => <span key={c} class="nowrap"><i class={`c${c}`} />{CLASS_NAMES[c]}</span>)}
      <span class="nowrap" title="The worker ran no poll: it was parked, as far as single parks are kept"><i class="c-park" />idle</span>
      <span class="nowrap" title="Nothing is known: the worker was not there, or what it did was not recorded"><i class="c-hatch" />unknown</span>
      {hasLosses && <span class="nowrap"><i class="c-lost" />lost</span>}
    </span>
  );
}

function NoLanes() {
  const p = process.value;
  if (p?.capture === "console snapshots") {
    return (
      <Empty title="Single polls are not captured">
        <p><Icon name="timeline" /> {p.app} is read as console snapshots, which carry neither single polls nor workers. Its <a href={link("/tasks")}>tasks</a> have what is counted.</p>
      </Empty>
    );
  }
  return (
    <Empty title="No worker has been seen yet">
      <p><Icon name="timeline" /> Lanes appear when the app's loop starts. <a href={link("/sources")}>Sources</a> says what is connected.</p>
    </Empty>
  );
}
