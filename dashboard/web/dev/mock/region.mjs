// GET /region of made-up polls: the same sums as the server's, over at most half a minute.

import * as w from "./world.mjs";

const LONGEST = 30 * w.SECOND;
const ORDERS = { start_at: (row) => BigInt(row.start_at), length: (row) => row.length, worker: (row) => row.worker, task: (row) => Number(row.task) };

/** `at` and `offsetOf` turn offsets of a process into instants and back. */
export function region(p, q, { at, offsetOf }) {
  const from = offsetOf(p, q.get("from"));
  const to = Math.min(offsetOf(p, q.get("to")), from + LONGEST, p.head);
  const loop = String(p.process * 10);
  const wanted = q.get("lanes")?.split(",");
  const workers = Array.from({ length: w.WORKERS }, (_, k) => k).filter((k) => !wanted || wanted.includes(`${loop}.${k}`));
  const rows = [];
  const lanes = workers.map((worker) => {
    const lane = { loop, loop_name: "main", worker, thread_name: `tokio-rt-worker-${worker}`, polls: 0, busy_time: 0, max: 0 };
    for (let second = Math.max(0, Math.floor(from / w.SECOND) - 1); second * w.SECOND < to; second += 1) {
      const { polls } = w.chunk(p, worker, second);
      polls.s.forEach((start, k) => {
        const length = polls.d[k];
        if (start >= to || (start + length <= from && start < from)) return;
        if (q.has("task") && String(polls.t[k]) !== q.get("task")) return;
        lane.polls += 1;
        lane.busy_time += Math.max(0, Math.min(to, start + length) - Math.max(from, start));
        lane.max = Math.max(lane.max, length);
        const site = w.SITES.find((one) => one.id === polls.l[k]);
        rows.push({ start_at: at(p, start), length, loop, worker, task: String(polls.t[k]), location: site ? w.placeOf(site) : null, slow: length >= w.SLOW });
      });
    }
    return lane;
  });
  const lengths = rows.map((row) => row.length).sort((a, b) => a - b);
  const quantile = (share) => lengths[Math.max(1, Math.ceil(share * lengths.length)) - 1] ?? null;
  const time = lengths.reduce((sum, length) => sum + length, 0);
  const busy = lanes.reduce((sum, lane) => sum + lane.busy_time, 0);
  const [least, most] = [Number(q.get("min_length") ?? 0), Number(q.get("max_length") ?? Infinity)];
  const listed = rows.filter((row) => row.length >= least && row.length < most).sort(order(q));
  return {
    process: p.process, from: q.get("from") ?? at(p, from), to: q.get("to") ?? at(p, to), exact: true, why: null, workers: workers.length, lanes: lanes.filter((lane) => lane.polls > 0),
    polls: rows.length, time, busy_time: busy, share: busy / Math.max((to - from) * workers.length, 1), mean: rows.length > 0 ? Math.round(time / rows.length) : null,
    p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), max: lengths.at(-1) ?? null, slow: rows.filter((row) => row.slow).length, tasks: new Set(rows.map((row) => row.task)).size, unfinished: 0,
    first_start_at: rows.length > 0 ? rows.map((row) => row.start_at).sort()[0] : null, histogram: histogram(lengths), lengths_from: null, lengths_to: null,
    matching: listed.length, rows: listed.slice(0, Number(q.get("limit") ?? 200)),
  };
}

function order(q) {
  const key = ORDERS[q.get("sort") ?? "length"];
  const sign = q.get("desc") === "1" ? -1 : 1;
  return (a, b) => (key(a) < key(b) ? -sign : key(a) > key(b) ? sign : 0);
}

/** 1, 2 and 5 of each decade, without empty ends. */
function histogram(lengths) {
  const bounds = [0, ...Array.from({ length: 10 }, (_, k) => [1, 2, 5].map((step) => step * 10 ** (k + 2))).flat()];
  const bars = bounds.map((from, k) => ({ from, to: bounds[k + 1] ?? null, polls: 0 }));
  for (const length of lengths) bars[bounds.findLastIndex((bound) => bound <= length)].polls += 1;
  const first = bars.findIndex((bar) => bar.polls > 0);
  return first < 0 ? [] : bars.slice(first, bars.findLastIndex((bar) => bar.polls > 0) + 1);
}
