//! Is something wrong, and where? One sentence, the evidence as links, then the pulse of the process.

import { apiUrl } from "../api/client.ts";
import type { Headline, Overview as Answer, Process } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { ago, atLeast, bytes, compact, count, dateTime, duration, percent, plural } from "../base/format.ts";
import { instant, MILLISECOND, now, SECOND } from "../base/instant.ts";
import { link, process, processId } from "../app/session.ts";
import { CAPTURE_INCOMPLETE, localHref, ruleText } from "../model/findings.ts";
import { pidText } from "../model/fleet.ts";
import { Chart } from "../ui/chart.tsx";
import { Icon, type IconName } from "../ui/icons.tsx";
import { Prose } from "../ui/prose.tsx";
import { Card, Place } from "../ui/small.tsx";
import { Ready } from "../ui/states.tsx";
import { DemoBar } from "./demo_offer.tsx";
import { badge } from "./finding_card.tsx";

export function Overview() {
  const id = processId.value;
  const overview = useApi<Answer>(apiUrl("/overview", { process: id }), { live: true, subject: id });
  return (
    <div class="page" data-testid="overview">
      <Ready of={overview} lines={12} isPage>
        {(answer) => (
          <>
            <DemoBar />
            <VerdictHead answer={answer} />
            <Health answer={answer} />
            {answer.headlines.length > 0 ? <Headlines list={answer.headlines} /> : <AllClear process={answer.process} worthKnowing={answer.worth_knowing} />}
            <Charts series={answer.series} isAsyncio={answer.process.runtime === "asyncio"} hasPolls={answer.process.capture === "records"} />
            <Incomplete process={answer.process} />
          </>
        )}
      </Ready>
    </div>
  );
}

const LEVELS: Record<Answer["verdict"]["level"], [string, string, IconName]> = {
  ok: ["ok", "Healthy", "check"],
  warn: ["warn", "Look at this", "warn"],
  bad: ["bad", "Needs fixing", "warn"],
  incomplete: ["warn", "Not enough data", "help"],
};

/** Of snapshots most rules cannot judge. */
const NOT_ALL_SEEN: (typeof LEVELS)["ok"] = ["ok", "Nothing found in snapshots", "help"];

function VerdictHead({ answer }: { answer: Answer }) {
  const p = answer.process;
  const [tone, word, icon] = answer.verdict.level === "ok" && p.capture !== "records" ? NOT_ALL_SEEN : LEVELS[answer.verdict.level];
  return (
    <header class="verdict" data-testid="verdict">
      <span class={`chip ${tone}`}><Icon name={icon} size={12} /> {word}</span>
      <VerdictSentence text={answer.verdict.sentence} />
      <p class="muted">
        <bdi>{[p.app, p.app_version].filter(Boolean).join(" ")}</bdi> · {p.host && <><bdi>{p.host}</bdi> · </>}{pidText(p)} · {p.state === "live" ? `recording since ${dateTime(instant(p.started_at), SECOND)}` : `${p.state}, last seen ${ago(instant(p.last_at), now())}`}
      </p>
    </header>
  );
}

/** The first clause is the verdict; what follows it is also true, and smaller. */
function VerdictSentence({ text }: { text: string }) {
  const [lead = "", ...rest] = text.split("; ");
  return (
    <>
      <h1><Prose text={lead} /></h1>
      {rest.length > 0 && <ul class="also">{rest.map((clause) => <li key={clause}><Prose text={clause} /></li>)}</ul>}
    </>
  );
}

/** More of them are for their own page. */
const MAX_HEADLINES = 4;

function Headlines({ list }: { list: readonly Headline[] }) {
  return (
    <section class="stack tight" aria-labelledby="found">
      <header class="row wrap">
        <h2 id="found" class="grow">What was found</h2>
        <a href={link("/findings")}>{list.length > MAX_HEADLINES ? `All findings, ${list.length - MAX_HEADLINES} more` : "All findings"}</a>
      </header>
      <ul class="headlines">
        {list.slice(0, MAX_HEADLINES).map((headline) => <HeadlineCard key={headline.href} headline={headline} />)}
      </ul>
    </section>
  );
}

function HeadlineCard({ headline }: { headline: Headline }) {
  const { tone, word, icon } = badge(headline);
  return (
    <li>
      <a class={`card headline ${tone}`} href={localHref(headline.href, link("/findings"))} data-testid="headline" data-rule={headline.rule}>
        <span class="headline-kind"><Icon name={icon} size={14} /> {word} {headline.rule === CAPTURE_INCOMPLETE ? "capture" : <span class="muted">{ruleText(headline.rule)}</span>}</span>
        <span class="headline-amount">{headline.weight_ns ? duration(headline.weight_ns) : plural(headline.count, "time")}</span>
        {headline.location && <span class="headline-place"><Place text={headline.location} /></span>}
        <span class="headline-text"><Prose text={headline.sentence} /></span>
        <span class="headline-more">Proof and fix <Icon name="right" size={12} /></span>
      </a>
    </li>
  );
}

function AllClear({ process: p, worthKnowing }: { process: Process; worthKnowing: number }) {
  return (
    <div class="card all-clear">
      <Icon name="check" />
      <p>
        Checked {p.polls != null && <>{plural(p.polls, "poll")} against the {duration(p.slow_threshold)} threshold, </>}{plural(p.tasks_spawned, "task")} and {atLeast(p.open_resources, p.more_open_resources)} open {p.open_resources === 1 ? "resource" : "resources"} for growth,
        and the ledger for losses. {p.polls == null && "Single polls are not captured by console snapshots. "}{worthKnowing > 0 && <><a href={link("/findings", { info: "1" })}>{plural(worthKnowing, "thing")} worth knowing</a>. </>}
        <a href={link("/findings")}>What was looked for</a> · <a href={link("/timeline")}>Open the timeline</a>
      </p>
    </div>
  );
}

function Health({ answer: { health, process: p } }: { answer: Answer }) {
  const slow = (health.worst_poll ?? 0) >= p.slow_threshold;
  return (
    <dl class="health" aria-label="Health" data-testid="health">
      <Figure name="Busy" value={percent(health.busy_share)} about={p.runtime === "asyncio" ? "Share of the loops' time spent in callbacks and task steps, last 60 s" : "Share of the workers' time spent in polls, last 60 s"} tone={(health.busy_share ?? 0) > 0.9 ? "warn" : ""} />
      <Figure name="Polls per second" value={compact(health.polls_per_s)} about="Polls started per second, last 60 s" />
      <Figure name="Tasks alive" value={atLeast(health.tasks_alive, health.more_tasks_alive)} about="Spawned and not ended" href={link("/tasks", { state: "alive" })} />
      <Figure name="Worst poll" value={duration(health.worst_poll)} about="The longest poll, last 60 s" tone={slow ? "bad" : ""} href={link("/slow")} />
      <Figure name="Lost events" value={count(health.lost)} about="Produced but not stored; counts are then lower bounds" tone={health.lost > 0 ? "warn" : ""} href={link("/sources")} />
      <Figure name="Memory" value={bytes(health.rss_bytes)} about="Resident set size of the process" />
      <Figure name="Open files" value={count(health.open_fds)} about="File descriptors, sockets included" href={link("/resources", { state: "open" })} />
    </dl>
  );
}

function Figure({ name, value, about, tone = "", href }: { name: string; value: string; about: string; tone?: string; href?: string }) {
  return (
    <div title={about}>
      <dt>{name}</dt>
      <dd class={tone}>{href ? <a href={href}>{value}</a> : value}</dd>
    </div>
  );
}

function Charts({ series, isAsyncio, hasPolls }: { series: Answer["series"]; isAsyncio: boolean; hasPolls: boolean }) {
  const common = { t0: series.t0, step: series.step };
  return (
    <section class="charts" aria-label="Over time">
      {hasPolls && <Card><Chart {...common} title={isAsyncio ? "Busy share of loops" : "Busy share of workers"} values={series.busy} format={percent} atLeast={0.2} atMost={1} /></Card>}
      {hasPolls && <Card><Chart {...common} title="Polls per second" values={series.polls} format={compact} atLeast={10} /></Card>}
      <Card><Chart {...common} title="Tasks alive" values={series.tasks_alive} format={compact} atLeast={10} /></Card>
      {series.gil_wait && <Card><Chart {...common} title="Wait for Python's lock (GIL)" values={series.gil_wait} format={duration} atLeast={MILLISECOND} /></Card>}
      {series.gc_share && <Card><Chart {...common} title="Time in the garbage collector" values={series.gc_share} format={percent} atLeast={0.05} atMost={1} /></Card>}
    </section>
  );
}

/** Layers that did not record: the absence of a finding there means nothing. */
function Incomplete({ process: p }: { process: Process }) {
  const missing = p.coverage.filter((layer) => layer.state !== "on");
  if (missing.length === 0 || process.value == null) return null;
  return (
    <p class="muted">
      Not recorded here: {missing.map((layer) => layer.layer.replaceAll("_", " ")).join(", ")}. <a href={link("/sources")}>Why, and how to turn it on</a>
    </p>
  );
}
