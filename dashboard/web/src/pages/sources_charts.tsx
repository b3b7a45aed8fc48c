//! Over time: what the agent costs, what was lost for which reason, and how the clocks agree.

import { useMemo } from "preact/hooks";
import { apiUrl } from "../api/client.ts";
import type { ClockAnswer, Loss, MetricsAnswer, Process, QueryAnswer } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { bytes, clock, count, duration, percent, plural } from "../base/format.ts";
import { instant, MICROSECOND, MILLISECOND, plus, SECOND } from "../base/instant.ts";
import { startedAt, lastAt } from "../app/session.ts";
import { clockOffset } from "../model/clock_offset.ts";
import { byteUnit, heldValues, lossSteps, ratesOf } from "../model/rates.ts";
import { chartColumns, type ChartChoice } from "../query/chart_model.ts";
import { ResultChart } from "../query/result_chart.tsx";
import { Chart } from "../ui/chart.tsx";
import { Card } from "../ui/small.tsx";
import { Ready } from "../ui/states.tsx";

const POINTS = 120;

/** Processor, network and memory that the agent takes of its program, over the last hour of data. */
export function Overhead({ p }: { p: Process }) {
  const ask = (name: string) => useApi<MetricsAnswer>(apiUrl("/metrics", { process: p.process, name, points: POINTS }), { live: true, subject: p.process });
  const [cpu, sent, memory] = [ask("agent_cpu_nanos"), ask("agent_sent_bytes"), ask("agent_memory_bytes")];
  const valuesOf = (answer: MetricsAnswer) => answer.series.find((series) => series.loop === "0")?.values ?? [];
  const none = [cpu, sent, memory].every((one) => one.data && valuesOf(one.data).every((value) => value == null));
  if (none) return <Card title="What the agent costs, over time"><p class="muted">This agent does not tell what it costs.</p></Card>;
  const draw = (of: MetricsAnswer, title: string, values: readonly (number | null)[], format: (value: number) => string, atLeast: number) => <Card><Chart title={title} t0={of.t0} step={of.step} values={values} format={format} atLeast={atLeast} /></Card>;
  const drawBytes = (of: MetricsAnswer, title: string, values: readonly (number | null)[], atLeast: number) => {
    const unit = byteUnit(Math.max(atLeast, ...values.map((value) => value ?? 0)));
    return draw(of, title, values.map((value) => (value == null ? null : value / unit)), (value) => bytes(value * unit), atLeast / unit);
  };
  return (
    <section class="charts" aria-label="What the agent costs, over time" data-testid="overhead">
      <Ready of={cpu}>{(answer) => draw(answer, "Agent's CPU, of one processor", ratesOf(valuesOf(answer), answer.step).map((rate) => (rate == null ? null : rate / SECOND)), percent, 0.02)}</Ready>
      <Ready of={sent}>{(answer) => drawBytes(answer, "Sent per second", ratesOf(valuesOf(answer), answer.step), 1024)}</Ready>
      <Ready of={memory}>{(answer) => drawBytes(answer, "Agent's buffers", heldValues(valuesOf(answer)), 1 << 20)}</Ready>
    </section>
  );
}

const LOSS_STEPS = 24;

/** How much was lost when, by cause. */
export function LossChart({ losses }: { losses: readonly Loss[] }) {
  const [from, to] = [startedAt.value, lastAt.value];
  const drawn = useMemo(() => {
    const steps = lossSteps(losses, from, to, LOSS_STEPS);
    const names = steps.causes.map(({ cause }) => cause.replaceAll("_", " ").toLowerCase());
    const rows = steps.starts.map((start, k) => [clock(start, SECOND), ...steps.causes.map(({ counts }) => Math.round(counts[k]!))]);
    const answer: QueryAnswer = { columns: ["time", ...names].map((name) => ({ name, type: "mixed" })), rows, truncated: false, elapsed_ns: 0, hints: [] };
    const choice: ChartChoice = { x: 0, y: names.map((_, k) => k + 1), by: null, form: "bars" };
    return { answer, choice, columns: chartColumns(answer), uncounted: steps.uncounted };
  }, [losses, from, to]);
  return (
    <div data-testid="loss-chart">
      {drawn.columns.length > 1 && <ResultChart {...drawn} />}
      {drawn.uncounted > 0 && <p class="muted list-note">{plural(drawn.uncounted, "loss", "losses")} of an unknown number {drawn.uncounted === 1 ? "is" : "are"} not in the chart.</p>}
    </div>
  );
}

/** A wall clock that is kept right moves by less. */
const STEADY = 20 * MILLISECOND;

/** How far the program's clock is from loopd's. */
export function Clocks({ p }: { p: Process }) {
  const clocks = useApi<ClockAnswer>(apiUrl(`/processes/${p.process}/clock`), { live: true, subject: p.process });
  return (
    <Card title="Clocks" testId="clocks">
      <Ready of={clocks} lines={3}>
        {(answer) => (answer.readings.length === 0 ? <p class="muted">{answer.step == null ? "This server shows a recording and knows no clocks." : `${p.app} has not sent since loopd started; what its clocks showed before is not kept.`}</p> : <ClockReadings answer={answer} />)}
      </Ready>
    </Card>
  );
}

function ClockReadings({ answer }: { answer: ClockAnswer }) {
  const { readings, step } = answer;
  const least = readings.reduce((min, one) => Math.min(min, one.least_delay), Infinity);
  const drift = readings.at(-1)!.drift;
  const drawn = useMemo(() => {
    const rows = readings.map((one) => [one.at, one.least_delay, one.drift]);
    const result: QueryAnswer = { columns: ["at", "fastest_batch_time", "drift_time"].map((name) => ({ name, type: "integer" })), rows, truncated: false, elapsed_ns: 0, hints: [] };
    // Their units are known by their names, and then they are called what people call them.
    const columns = chartColumns(result).map((column, k) => ({ ...column, name: ["arrived", "from sealing to arrival, fastest batch", "drift of the program's wall clock"][k]! }));
    return { answer: result, columns, choice: { x: 0, y: [1, 2], by: null, form: "line" } satisfies ChartChoice };
  }, [readings]);
  const since = instant(readings[0]!.at);
  const offset = clockOffset(least);
  return (
    <div class="stack">
      <p data-testid="clock-offset">
        <span class={`chip ${offset.isApart ? "warn" : "ok"}`}>{offset.isApart ? "apart" : "no difference seen"}</span>{" "}
        Program's clock less loopd's: <b>{offset.interval}</b>. It is {offset.text}.
      </p>
      <p>
        <span class={`chip ${Math.abs(drift) > STEADY ? "warn" : "ok"}`}>{Math.abs(drift) > STEADY ? "moved" : "steady"}</span>{" "}
        {Math.abs(drift) < MICROSECOND ? "The program's wall clock has run evenly since its start." : <>Since the program started, its wall clock has {drift > 0 ? "gained" : "lost"} <b>{duration(Math.abs(drift))}</b>.</>} Recorded lengths do not depend on it: instants count from the start on a clock that never jumps.
      </p>
      <ResultChart {...drawn} />
      <p class="muted">{count(readings.reduce((sum, one) => sum + one.batches, 0))} batches from {clock(since, SECOND)} to {clock(plus(instant(readings.at(-1)!.at), step ?? 0), SECOND)}; kept for an hour, since loopd started.</p>
    </div>
  );
}
