//! What was born since a mark, and is still here; used by Leaks. Mark, let the program do something, and see what it left behind.

import { useState } from "preact/hooks";
import { apiUrl } from "../api/client.ts";
import type { Survivors, SurvivorsAnswer, SurvivorSite } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { atLeast, clock, count, duration, percent, plural } from "../base/format.ts";
import { instant, SECOND, type Instant } from "../base/instant.ts";
import { asCli } from "../app/as_cli.ts";
import { link, process, processId } from "../app/session.ts";
import { rfc3339 } from "../model/cli.ts";
import { Icon } from "../ui/icons.tsx";
import { Prose } from "../ui/prose.tsx";
import { Card, Place, placeText, WholePlace } from "../ui/small.tsx";
import { Ready } from "../ui/states.tsx";
import type { Column } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import { clearMarks, mark, marks } from "./mark_now.tsx";
import { resourceText } from "../model/wait_graph.ts";
import { TaskRef } from "./waits.tsx";

/** How many places are shown before somebody asks for the rest. */
const SHOWN = 8;

export function BornSince() {
  const [from, to] = marks();
  if (from == null) return null;
  return <Since from={from} to={to ?? null} />;
}

function Since({ from, to }: { from: Instant; to: Instant | null }) {
  const url = apiUrl("/survivors", { process: processId.value, from: String(from), to: to == null ? null : String(to) });
  const answer = useApi<SurvivorsAnswer>(url, { live: true, subject: url });
  const sites = answer.data ? [...answer.data.tasks.sites, ...answer.data.resources.sites] : [];
  return (
    <Card
      title={to == null ? "Born since the mark and still here" : "Born between the marks and still here"} testId="survivors"
      tools={
        <>
          <TableTools name="survivors" columns={COLUMNS} rows={() => sites} cli={asCli("leaks", { born: `${rfc3339(from)}..${to == null ? "" : rfc3339(to)}` })} />
          {process.value?.state === "live" && <button type="button" class="button" onClick={mark} title={to == null ? "Ends the range here" : "The next range begins where this one ends"}>Mark again</button>}
          <button type="button" class="button" aria-label="Clear the marks" onClick={clearMarks}>Clear</button>
        </>
      }
    >
      <Ready of={answer} lines={2}>{(found) => <Found answer={found} sites={sites} from={from} to={to} />}</Ready>
    </Card>
  );
}

function Found({ answer, sites, from, to }: { answer: SurvivorsAnswer; sites: readonly SurvivorSite[]; from: Instant; to: Instant | null }) {
  const [isWhole, setWhole] = useState(false);
  const when = to == null ? `since ${clock(from, SECOND)}` : `from ${clock(from, SECOND)} to ${clock(to, SECOND)}`;
  const shown = isWhole ? sites : sites.slice(0, SHOWN);
  return (
    <div class="stack tight">
      <p>{stay(answer.tasks, "task", "spawned")}, {stay(answer.resources, "resource", "opened")} {when}. <span class="muted">As of {clock(instant(answer.at), SECOND)}.</span></p>
      {answer.caveat && <p class="row muted" role="note"><Icon name="warn" size={14} /> <span><Prose text={answer.caveat} /></span></p>}
      {sites.length > 0 && <ul class="survivors" aria-label="What is still here, by the line that started it">{shown.map((site) => <Site key={`${site.kind} ${placeText(site.location)}`} site={site} />)}</ul>}
      {sites.length > SHOWN && <p><button type="button" class="button quiet" aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>{isWhole ? "Show fewer" : `Show all ${count(sites.length)} places`}</button></p>}
    </div>
  );
}

/** `12 of 340 tasks spawned`. */
function stay({ alive, more, born, about }: Survivors, one: string, verb: string): string {
  if (born === 0) return `no ${one} ${verb}`;
  return `${atLeast(alive, more)} of ${about ? "about " : ""}${plural(born, one)} ${verb}`;
}

function Site({ site }: { site: SurvivorSite }) {
  const isTask = site.kind === "task";
  const all = isTask ? link("/tasks", { state: "alive", location: site.location ? String(site.location.id) : null, place: site.location ? placeText(site.location) : null, sort: "spawned_at", desc: "1" }) : link("/resources", { state: "open" });
  return (
    <li class="stack tight" data-testid="survivor-site">
      <p class="row wrap">
        <WholePlace text={site.location && placeText(site.location)} />
        {!isTask && site.kind && <span class="chip">{site.kind}</span>}
        <span><b>{atLeast(site.alive, site.more)}</b> of {site.about && "about "}{count(site.born)} still {isTask ? "alive" : "open"}{site.share != null && ` (${percent(site.share)})`}</span>
        <span class="muted">{ages(site)}</span>
      </p>
      {site.waits_for && <WaitsFor site={site} wait={site.waits_for} />}
      {site.opened_by && <StartedBy site={site} by={site.opened_by} />}
      <p class="row wrap">
        <span class="muted">Such as</span>
        {site.examples.map((it) => <a key={it.id} class="mono" href={link(`/${isTask ? "tasks" : "resources"}/${processId.value}/${it.id}`)}>{it.name || it.id}</a>)}
        <a href={all}>{isTask ? "All that are alive of this line" : "All that are open"}</a>
      </p>
    </li>
  );
}

function ages({ alive, oldest_age, median_age }: SurvivorSite): string {
  const oldest = `${duration(oldest_age)} old`;
  if (alive === 1) return oldest;
  return median_age == null ? `the oldest ${oldest}` : `the oldest ${oldest}, half of them ${duration(median_age)}`;
}

/** `37 of 200`, where only the oldest were looked at. */
function ofLooked(some: number, site: SurvivorSite): string {
  return `${count(some)} of ${site.looked < site.alive || site.more ? `the ${count(site.looked)} oldest` : count(site.looked)}`;
}

function waitText(wait: NonNullable<SurvivorSite["waits_for"]>): string {
  return [wait.op, wait.resource ? resourceText(wait.resource) : wait.kind].filter(Boolean).join(" ") || "something";
}

function WaitsFor({ site, wait }: { site: SurvivorSite; wait: NonNullable<SurvivorSite["waits_for"]> }) {
  const text = waitText(wait);
  const { held_by } = wait;
  return (
    <p>
      <span class="muted">{ofLooked(wait.tasks, site)} wait for</span> {wait.resource ? <a href={link(`/resources/${processId.value}/${wait.resource.resource}`)}>{text}</a> : text}
      {wait.location && <> <span class="muted">at</span> <Place text={wait.location} /></>}
      {held_by && <><span class="muted">, {held_by.tasks < wait.tasks && `${count(held_by.tasks)} of them `}held up by</span> <TaskRef task={held_by.task} name={held_by.task_name} />{held_by.location && <> <span class="muted">since</span> <Place text={held_by.location} /></>}</>}
    </p>
  );
}

function StartedBy({ site, by }: { site: SurvivorSite; by: NonNullable<SurvivorSite["opened_by"]> }) {
  return (
    <p>
      <span class="muted">{ofLooked(by.survivors, site)} {site.kind === "task" ? "spawned" : "opened"} by</span> <TaskRef task={by.task} name={by.task_name} />
      {by.tasks > 1 && ` and ${plural(by.tasks - 1, "other")}`}
      {by.location && <> <span class="muted">of</span> <Place text={placeText(by.location)} /></>}
    </p>
  );
}

/** A column of the file. */
function column(key: string, value: (site: SurvivorSite) => string | number | null): Column<SurvivorSite> {
  return { key, title: key, cell: value, value };
}

const COLUMNS: readonly Column<SurvivorSite>[] = [
  column("what", (site) => site.kind),
  column("location", (site) => placeText(site.location)),
  column("born", (site) => site.born),
  column("alive", (site) => site.alive),
  column("share", (site) => site.share),
  column("oldest_age", (site) => site.oldest_age),
  column("median_age", (site) => site.median_age),
  column("waits_for", (site) => site.waits_for && waitText(site.waits_for)),
  column("opened_by", (site) => site.opened_by?.task ?? null),
  column("opener_location", (site) => site.opened_by && placeText(site.opened_by.location)),
  column("examples", (site) => site.examples.map((it) => it.id).join(" ")),
];
