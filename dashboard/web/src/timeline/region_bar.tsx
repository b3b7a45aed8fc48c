//! Statistics of a selected region: for each worker how many polls, how busy, and the longest.

import { duration, count, percent } from "../base/format.ts";
import { cellStats, pollStats, type RegionStats } from "../model/polls.ts";
import type { Timeline } from "./controller.ts";

export function RegionBar({ timeline }: { timeline: Timeline }) {
  const region = timeline.region.value;
  const data = timeline.data.value;
  if (!region || !data) return null;
  const span = region.to - region.from;
  const rows = data.lanes.map((lane) => ({ lane, stats: lane.polls ? pollStats(lane.polls, region.from, region.to) : lane.cells ? cellStats(lane.cells, region.from, region.to) : NOTHING }));
  const isExact = rows.every((row) => row.stats.isExact);
  return (
    <section class="region-bar" aria-label="Selected region" data-testid="region">
      <header>
        <h2>{duration(span)} selected</h2>
        {!isExact && <span class="muted" title="Numbers come from buckets whose edges are not the selection's. Zoom in for exact ones.">approximate</span>}
        <span class="grow" />
        <button type="button" class="button" onClick={() => timeline.fit()}>Zoom to it <kbd>f</kbd></button>
        <button type="button" class="button quiet" onClick={() => (timeline.region.value = null)}>Clear <kbd>Esc</kbd></button>
      </header>
      <table class="table auto">
        <thead><tr><th scope="col">Worker</th><th scope="col" class="end">Polls</th><th scope="col" class="end">Busy</th><th scope="col" class="end">Share</th><th scope="col" class="end">Mean poll</th><th scope="col" class="end">Longest</th></tr></thead>
        <tbody>
          {rows.map(({ lane, stats }) => (
            <tr key={lane.key}>
              <td>{lane.name}</td>
              <td class="end">{isExact ? "" : "≈ "}{count(stats.polls)}</td>
              <td class="end">{duration(stats.busy)}</td>
              <td class="end">{percent(stats.busy / span)}</td>
              <td class="end">{stats.polls > 0 ? duration(stats.busy / stats.polls) : "–"}</td>
              <td class={`end ${stats.max >= timeline.slowThreshold ? "hot" : ""}`}>{stats.max > 0 ? duration(stats.max) : "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

const NOTHING: RegionStats = { polls: 0, busy: 0, max: 0, isExact: false };
