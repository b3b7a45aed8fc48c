//! Findings where they happened: a row of badges above the workers, each a link; and marks on the workers that they are about.

import { useEffect } from "preact/hooks";
import { apiUrl } from "../api/client.ts";
import type { Finding, FindingsAnswer } from "../api/types.ts";
import { useApi } from "../api/use_api.ts";
import { link, processId, refresh } from "../app/session.ts";
import { clock, plural } from "../base/format.ts";
import { plus } from "../base/instant.ts";
import { badgesOf, clustered, MAX_BADGED, worst, type FindingBadge } from "../model/finding_badges.ts";
import { byMute, findingKey, ruleText } from "../model/findings.ts";
import { focus, toPixel, viewEnd } from "../model/geometry.ts";
import { shownName } from "../model/names.ts";
import { Card } from "../ui/small.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { TableTools } from "../ui/table_tools.tsx";
import type { Palette } from "../ui/canvas.ts";
import type { Timeline } from "./controller.ts";
import type { Lane } from "./data.ts";
import { bodyTop, type Layout } from "./layout.ts";
import type { View } from "../model/geometry.ts";

/** Badges nearer together than this are one. */
const APART = 26;
/** To judge a whole recording takes the server a while: this many ticks of new data, a second apart at least. */
const EVERY = 20;

/** Reads the findings and keeps their places in `timeline.badges`. */
export function useFindingBadges(timeline: Timeline): void {
  const url = apiUrl(`/processes/${processId.value}/findings`);
  const answer = useApi<FindingsAnswer>(url, { subject: processId.value, question: `${url} ${Math.floor(refresh.value / EVERY)}` });
  const slow = (timeline.data.value?.slow.length ?? 0) + (timeline.far.value?.slow.length ?? 0);
  useEffect(() => {
    const findings = byMute(answer.data?.findings ?? []).heard;
    const places = [...(timeline.far.peek()?.slow ?? []), ...(timeline.data.peek()?.slow ?? [])];
    const seen = new Set<string>();
    const once = places.filter((poll) => !seen.has(`${poll.lane} ${poll.start}`) && seen.add(`${poll.lane} ${poll.start}`));
    timeline.badges.value = badgesOf(findings, once, timeline.base);
  }, [answer.data, slow, timeline]);
}

function plain(text: string): string {
  return shownName(text.replaceAll("`", ""));
}

function hrefOf(finding: Finding): string {
  return link("/findings", { finding: findingKey(finding) });
}

export function FindingStrip({ timeline }: { timeline: Timeline }) {
  const badges = timeline.badges.value;
  const view = timeline.view.value;
  const width = timeline.shownWidth.value;
  if (badges.length === 0 || width <= 0) return null;
  const clusters = clustered(badges, (at) => toPixel(view, width, at), width, APART);
  const inView = clusters.reduce((sum, cluster) => sum + cluster.badges.length, 0);
  const before = badges.filter((badge) => badge.at < view.start).length;
  const goTo = (list: readonly FindingBadge[]) => {
    const [first, last] = [list[0]!.at, list.at(-1)!.at];
    timeline.show(focus(first, Math.max(last - first, 1e6), 0.5, timeline.extent.peek()));
  };
  return (
    <nav class="finding-strip" aria-label="Findings in view" data-testid="finding-strip">
      <span class="finding-count muted" title={`The first ${MAX_BADGED} findings, by how bad they are, have badges`}>{inView === 0 ? "No finding here" : plural(inView, "finding")}{before > 0 && <button type="button" class="link" aria-label="Go to the finding before" title="Go to the one before" onClick={() => goTo([badges[before - 1]!])}> ◂</button>}{badges.length - before - inView > 0 && <button type="button" class="link" aria-label="Go to the finding after" title="Go to the one after" onClick={() => goTo([badges.find((badge) => badge.at > viewEnd(view))!])}> ▸</button>}</span>
      <ol class="finding-badges">
        {clusters.map(({ x, badges: list }) => {
          const finding = worst(list);
          const title = list.map((badge) => `${badge.finding.level}: ${plain(badge.finding.title)}`).join("\n");
          const style = { left: `${Math.min(Math.max(x, 10), width - 10)}px` };
          const isSpread = list.length > 1 && list.at(-1)!.at - list[0]!.at > view.span / 1e4;
          return (
            <li key={`${list[0]!.at} ${findingKey(finding)}`} style={style}>
              {isSpread ? <button type="button" class={`finding-badge ${finding.level}`} title={title} aria-label={`${plural(list.length, "finding")}, the worst: ${plain(finding.title)}. Zoom in`} onClick={() => goTo(list)}>{list.length}</button>
                : <a class={`finding-badge ${finding.level}`} href={hrefOf(finding)} title={title} aria-label={list.length > 1 ? `${plural(list.length, "finding")}, the worst: ${plain(finding.title)}` : `${finding.level}: ${plain(finding.title)}`} data-testid="finding-badge">{list.length > 1 ? list.length : finding.level === "info" ? "i" : "!"}</a>}
            </li>
          );
        })}
      </ol>
    </nav>
  );
}

/** A mark on the worker where the proof of a finding lies. */
export function drawBadges(c: CanvasRenderingContext2D, width: number, { view, lanes, layout }: { view: View; lanes: readonly Lane[]; layout: Layout }, badges: readonly FindingBadge[], palette: Palette): void {
  for (const { at, lane, finding } of badges) {
    const x = toPixel(view, width, at);
    const k = lane == null ? -1 : lanes.findIndex((candidate) => candidate.key === lane);
    if (k < 0 || x < -6 || x > width + 6) continue;
    const bottom = bodyTop(layout, k) + layout.body;
    c.beginPath();
    c.moveTo(x, bottom - 7);
    c.lineTo(x + 6, bottom + 4);
    c.lineTo(x - 6, bottom + 4);
    c.closePath();
    c.strokeStyle = palette.surface;
    c.lineWidth = 3;
    c.stroke();
    c.fillStyle = finding.level === "error" ? palette.bad : finding.level === "warning" ? palette.classes[2] : palette.ink3;
    c.fill();
  }
}

/** The same as a table. */
export function FindingTable({ timeline }: { timeline: Timeline }) {
  const view = timeline.view.value;
  const rows = timeline.badges.value.filter((badge) => badge.at >= view.start && badge.at <= viewEnd(view));
  if (timeline.badges.value.length === 0) return null;
  const columns: readonly Column<FindingBadge>[] = [
    { key: "at", title: "At", width: "132px", isNumber: true, cell: (row) => clock(plus(timeline.base, row.at)), value: (row) => String(plus(timeline.base, row.at)) },
    { key: "level", title: "Level", width: "80px", cell: ({ finding }) => finding.level, value: ({ finding }) => finding.level },
    { key: "rule", title: "Rule", width: "180px", cell: ({ finding }) => ruleText(finding.rule), value: ({ finding }) => finding.rule },
    { key: "title", title: "What is wrong", cell: ({ finding }) => <a href={hrefOf(finding)}>{plain(finding.title)}</a>, value: ({ finding }) => finding.title },
    { key: "worker", title: "On", width: "140px", cell: (row) => timeline.lanes.value.find((lane) => lane.key === row.lane)?.name ?? "", value: (row) => row.lane },
  ];
  return (
    <Card title={`${plural(rows.length, "finding")} in view`} isFlush tools={<TableTools name="findings-in-view" columns={columns} rows={() => rows} />}>
      <Table caption="Findings in view" columns={columns} total={rows.length} rowAt={(k) => rows[k]} rowKey={(row) => `${row.at} ${findingKey(row.finding)}`} />
    </Card>
  );
}
