// The answers of the mock API, one function per route.

import { region } from "./region.mjs";
import { kinView, lifeView } from "./task.mjs";
import * as w from "./world.mjs";
import { schema } from "./schema.mjs";

const { SECOND, MS } = w;

export function makeWorld({ frozen, empty, only, connectAfter }) {
  const bootedAt = Date.now();
  const startedAt = BigInt(frozen ? Date.parse("2026-11-22T14:02:11.250") : bootedAt - 62_000) * 1_000_000n;
  const base = { host: "ada-laptop", agent: "loopd-agent", agent_version: "0.1.0", runtime: "tokio", labels: { region: "eu-1" } };
  const live = { ...base, process: 1, id: "9f3c51d2a7e04b18", app: "checkout-api", app_version: "2.14.0", pid: 48213, seed: 11, load: 1, slow: true, state: "live", startedAt, head: 62 * SECOND };
  const ended = { ...base, process: 2, id: "5be1207c44aa9031", app: "ingest-worker", app_version: "0.9.3", pid: 47110, seed: 23, load: 0.5, slow: false, state: "ended", startedAt: startedAt - 3_600_000_000_000n, head: 45 * SECOND };
  const earlier = { ...base, process: 4, id: "77aa01d2a7e04b18", app: "checkout-api", app_version: "2.13.2", pid: 41877, seed: 17, load: 0.8, slow: false, state: "ended", startedAt: startedAt - 7_200_000_000_000n, head: 58 * SECOND };
  const lost = { ...base, process: 3, id: "c0ffee1200000007", app: "billing-cron", app_version: "1.0.1", pid: 45002, seed: 31, load: 0.7, slow: true, state: "lost", startedAt: startedAt - 86_400_000_000_000n, head: 38 * SECOND };
  const world = {
    frozen, processes: empty ? [] : only ? [live] : [live, ended, earlier, lost], version: 1,
    advance() {
      if (empty && connectAfter > 0 && Date.now() > bootedAt + connectAfter) world.processes = [live, ended, earlier, lost];
      if (frozen) return;
      live.head = (Date.now() - bootedAt) * MS + 62 * SECOND;
      world.version = Math.floor(live.head / (250 * MS));
    },
  };
  return world;
}

const at = (process, offset) => String(process.startedAt + BigInt(Math.round(offset)));
const offsetOf = (process, text) => Number(BigInt(text) - process.startedAt);

export function head(world) {
  const now = world.processes[0] ? at(world.processes[0], world.processes[0].head) : String(BigInt(Date.now()) * 1_000_000n);
  return { now, version: world.version, processes: world.processes.map((p) => ({ process: p.process, last_at: at(p, p.head), state: p.state })) };
}

export function answer(world, path, q) {
  const process = world.processes.find((p) => String(p.process) === q.get("process")) ?? world.processes[0];
  const task = /^\/tasks\/(\d+)\/(\d+)$/.exec(path);
  if (task) return taskView(world.processes.find((p) => String(p.process) === task[1]), Number(task[2]));
  const of = /^\/tasks\/(\d+)\/(\d+)\/(life|kin)$/.exec(path);
  if (of) {
    const view = taskView(world.processes.find((p) => String(p.process) === of[1]), Number(of[2]));
    return of[3] === "life" ? lifeView(view, q) : kinView(view);
  }
  const agent = /^\/processes\/(\d+)\/agent$/.exec(path);
  if (agent) return agentView(world.processes.find((p) => String(p.process) === agent[1]));
  const found = /^\/processes\/(\d+)\/findings$/.exec(path);
  if (found) return heard(world, findings(world.processes.find((p) => String(p.process) === found[1])));
  const dumps = /^\/processes\/(\d+)\/dumps$/.exec(path);
  if (dumps) {
    const latest = dumpView(world.processes.find((p) => String(p.process) === dumps[1]));
    return { dumps: latest ? [latest] : [] };
  }
  const dump = /^\/processes\/(\d+)\/dumps\/(\w+)$/.exec(path);
  if (dump) return dumpView(world.processes.find((p) => String(p.process) === dump[1]));
  const resource = /^\/resources\/(\d+)\/(\d+)$/.exec(path);
  if (resource) return resourceView(world.processes.find((p) => String(p.process) === resource[1]), resource[2]);
  if (path === "/status") return status(world);
  if (path === "/processes") return { processes: world.processes.map(processView) };
  if (path === "/schema") return schema;
  if (path === "/disk") return disk(world);
  const clock = /^\/processes\/(\d+)\/clock$/.exec(path);
  if (clock) return clockView(world, Number(clock[1]));
  if (path === "/demo") return { state: "unavailable", ends_at: null, length: null };
  if (path === "/compare") return compare(world, q);
  if (!process) return null;
  const routes = { "/overview": overview, "/timeline": timeline, "/region": (p, q) => region(p, q, { at, offsetOf }), "/tasks": tasks, "/slow": slow, "/stacks": stacks, "/leaks": leaks, "/survivors": survivors, "/resources": resources, "/waits": waits, "/marks": (p) => ({ marks: marksOf(p, 0), spans: [] }), "/metrics": metrics, "/losses": losses };
  return routes[path]?.(process, q) ?? null;
}

function status(world) {
  const first = world.processes[0];
  return {
    version: "0.1.0", started_at: String(BigInt(Date.now() - 7_200_000) * 1_000_000n), now: head(world).now,
    store: { path: "/home/ada/.local/state/loopd/loopd.db", bytes: 184_320_000, epoch: "e3a1", oldest_at: first ? at(world.processes.at(-1), 0) : null, retain_age_ns: 7 * 86_400 * SECOND, retain_bytes: 2_147_483_648 },
    sessions: first ? 1 : 0, batches: 1842, events: 402_118, polls: 612_345, disconnected: 2,
  };
}

function disk(world) {
  const share = (p, k) => Math.round((taskCount(p) + 1) * 900 * [1, 0.1, 0.15, 0.02][k]);
  const processes = world.processes.map((p) => ({ process: p.process, app: p.app, polls: share(p, 0), tasks: share(p, 1), tiles: share(p, 2), rollups: share(p, 3) }));
  const sum = (key) => processes.reduce((total, one) => total + one[key], 0);
  return {
    file_bytes: 184_320_000, wal_bytes: 4_194_304, free_bytes: 2_097_152, retain_bytes: 2_147_483_648, retain_age_ns: 7 * 86_400 * SECOND,
    kinds: [...["polls", "tasks", "tiles", "rollups"].map((kind) => ({ kind, bytes: sum(kind) })), { kind: "rows", bytes: 24_117_248 }],
    processes, more_processes: 0, oldest_at: status(world).store.oldest_at, poll_bytes_per_s: 5120, full_in: 210_000 * SECOND, polls_reach: 180_000 * SECOND,
    writer: { reason: null, since: null, commits: 1610, queued_bytes: 0 },
  };
}

function clockView(world, process) {
  const step = 10 * SECOND;
  const now = BigInt(head(world).now);
  const readings = Array.from({ length: 60 }, (_, k) => ({ at: String(now - BigInt((60 - k) * step)), least_delay: 2_400_000 + (k % 7) * 90_000, drift: k * 8_000, batches: 10 }));
  return { process, step, readings };
}

function taskCount(p) {
  return Math.floor(p.head / w.TASK_EVERY);
}

function processView(p) {
  const slow = w.slowPolls(p, 0, p.head).length;
  const spawned = taskCount(p);
  return {
    process: p.process, id: p.id, app: p.app, app_version: p.app_version, host: p.host, pid: p.pid, labels: p.labels, agent: p.agent, agent_version: p.agent_version, runtime: p.runtime,
    state: p.state, started_at: at(p, 0), last_at: at(p, p.head), ended_at: p.state === "ended" ? at(p, p.head) : null, slow_threshold: w.SLOW,
    coverage: coverageOf(p),
    tasks_alive: p.process === 1 ? 412 + Math.floor(p.head / SECOND) * 3 : 0, tasks_spawned: spawned, polls: Math.round(p.head / SECOND * 2100), slow_polls: slow,
    open_resources: p.process === 1 ? 63 : 0, lost: p.process === 2 ? 0 : 1204,
    loops: [{ loop: String(p.process * 10), name: "main", flavor: "multi_thread", workers: w.WORKERS, opened_at: at(p, 0), closed_at: p.state === "ended" ? at(p, p.head) : null }],
  };
}

function overview(p) {
  const slow = w.slowPolls(p, 0, p.head);
  const total = slow.reduce((sum, poll) => sum + poll.length, 0);
  const worst = slow.reduce((max, poll) => Math.max(max, poll.length), 31 * MS);
  const process = processView(p);
  const view = findings(p);
  const headlines = view.findings.filter((it) => it.level !== "info" || it.rule === "capture_incomplete").map((it) => ({
    rule: it.rule, level: it.level, sentence: it.title, location: it.location ?? "", href: `/findings?process=${p.process}&last=1h&finding=${encodeURIComponent(`${it.rule}:${it.subject}`)}`, weight_ns: it.harm || null, count: it.occurrences,
  }));
  const points = 120;
  const step = Math.max(p.head / points, MS);
  const series = { t0: at(p, 0), step, polls: [], busy: [], tasks_alive: [] };
  const lanes = Array.from({ length: w.WORKERS }, (_, k) => w.cellsOf(p, k, 0, p.head, 2 ** 24));
  const sums = Array.from({ length: points }, () => ({ polls: 0, busy: 0 }));
  for (const lane of lanes) {
    lane.i.forEach((i, j) => {
      const sum = sums[Math.min(points - 1, Math.floor((i * 2 ** 24) / step))];
      sum.polls += lane.n[j];
      sum.busy += lane.b0[j] + lane.b1[j] + lane.b2[j] + lane.b3[j];
    });
  }
  sums.forEach((sum, k) => {
    const second = (k * step) / SECOND;
    series.polls.push(sum.polls / (step / SECOND));
    series.busy.push(Math.min(1, sum.busy / (step * w.WORKERS)));
    series.tasks_alive.push(k < 2 ? null : Math.round(220 + second * (p.slow ? 3 : 0) + 40 * Math.sin(second)));
  });
  return {
    process,
    verdict: p.slow
      ? { level: "bad", sentence: `checkout-api blocks its own workers: ${slow.length} polls over 100 ms held them for ${(total / SECOND).toFixed(1)} s, mostly in src/cart/pricing.rs:131.`.replace("checkout-api", p.app) }
      : { level: "ok", sentence: `${p.app} looks healthy: no poll over 100 ms, nothing grows, nothing was lost.` },
    headlines,
    worth_knowing: view.findings.length - headlines.length,
    health: { busy_share: 0.41 * p.load, polls_per_s: 2093.4, tasks_alive: process.tasks_alive, worst_poll: worst, lost: process.lost, rss_bytes: p.process === 3 ? null : 143_360_000, open_fds: p.process === 3 ? null : 214 },
    series,
  };
}

export function mute(world, body) {
  world.muted ??= new Map();
  const key = `${body.rule}:${body.subject}`;
  if (body.reason == null) world.muted.delete(key);
  else world.muted.set(key, body.reason);
  return body;
}

function heard(world, view) {
  const muted = world.muted ?? new Map();
  return { ...view, findings: view.findings.map((it) => ({ ...it, muted: muted.get(`${it.rule}:${it.subject}`) })) };
}

function findings(p) {
  const slow = w.slowPolls(p, 0, p.head);
  const total = slow.reduce((sum, poll) => sum + poll.length, 0);
  const common = { confidence: "certain", first_seen_at: at(p, SECOND), last_seen_at: at(p, p.head) };
  const page = (name) => `/${name}?process=${p.process}`;
  const sick = [
    { ...common, rule: "capture_incomplete", subject: "capture", level: "info", harm: 0, score: 0, title: "capture incomplete: 1,204 records were lost, mostly polls (a thread recorded faster than could be sent), so all counts are lower bounds", location: null, occurrences: 1204, evidence: [{ text: "the books of every kind of record", href: page("sources") }], why: "What was lost cannot be looked at.", fix: "Give the agent more memory (`LOOPD_MEMORY_LIMIT`), or have it record less: `loopd capture`." },
    { ...common, rule: "cpu_bound_poll", subject: "src/cart/pricing.rs:131", level: "error", harm: total / 2, score: 61, title: `\`src/cart/pricing.rs:131\` computed for ${(total / 2 / SECOND).toFixed(1)} s in ${Math.ceil(slow.length / 2)} polls, and others waited`, location: "src/cart/pricing.rs:131", path: "/home/ada/checkout/src/cart/pricing.rs:131", occurrences: Math.ceil(slow.length / 2), evidence: [{ text: "every sample found the thread computing", href: page("slow") }, { text: "task 3 had the longest", href: `/tasks/${p.process}/3` }], why: "A worker that computes polls nobody else.", fix: "Move it to `tokio::task::spawn_blocking`, or yield between pieces.", snippet: { language: "rust", code: "let total = tokio::task::spawn_blocking(move || price(cart)).await?;" } },
    { ...common, rule: "task_leak", subject: "src/session/refresh.rs:33", level: "warning", confidence: "likely", harm: 186 * 30 * SECOND, score: 96, title: "186 tasks spawned at `src/session/refresh.rs:33` never ended (+180.0 per minute)", location: "src/session/refresh.rs:33", occurrences: 186, evidence: [{ text: "186 spawned and 0 ended within 1 min 2 s", href: page("leaks") }], why: "Each keeps its memory and whatever it holds.", fix: "Keep its handle and `abort()` it, or spawn it in a `JoinSet`." },
    { ...common, rule: "spawn_storm", subject: "src/cache/warm.rs:23", level: "info", harm: 0, score: 20, title: "tasks spawned at `src/cache/warm.rs:23` live for 4 µs", location: "src/cache/warm.rs:23", occurrences: 912, evidence: [{ text: "912 of them in a minute" }], why: "To spawn one costs about as much.", fix: "Await it in place." },
  ];
  const healthy = { ...common, rule: "spawn_storm", subject: "src/ingest.rs:9", level: "info", harm: 0, score: 20, title: "tasks spawned at `src/ingest.rs:9` live for 9 µs", location: "src/ingest.rs:9", occurrences: 120, evidence: [{ text: "120 of them in a minute" }], why: "To spawn one costs about as much.", fix: "Await it in place." };
  const found = p.slow ? sick : [healthy];
  const rule = (name, title, otherwise = "ok", reason = "") => {
    const state = found.some((it) => it.rule === name) ? "found" : otherwise;
    return { rule: name, title, state, reason: state === "found" ? "" : reason };
  };
  return {
    process: p.process, from: at(p, 0), to: at(p, p.head), findings: found,
    resolved: p.slow ? [{ ...common, rule: "deadlock", subject: "mutex ledger", level: "error", harm: 4 * SECOND, score: 70, title: "tasks 71 and 72 each held what the other waited for, since `src/ledger.rs:40`", location: "src/ledger.rs:40", occurrences: 1, evidence: [], why: "None of them could go on.", fix: "Take both in one order.", resolved_at: at(p, 31 * SECOND) }] : [],
    rules: [
      rule("capture_incomplete", "Records that were lost"), rule("cpu_bound_poll", "Polls that compute for long"), rule("deadlock", "Tasks that wait for each other"),
      rule("task_leak", "Tasks that never end and become more"), rule("spawn_storm", "Tasks that live shorter than it takes to spawn them"),
      rule("descheduled", "Workers that the system does not run", "needs", "the layer `sched`, which this process does not record"), rule("gc_gil", "Pauses of Python", "not_applicable", "there is no Python here"),
    ],
  };
}

/** Two sides: a range that begins later, or a newer version, is a later era, in which one place is slower, one faster, one new and one gone. */
function compare(world, q) {
  const side = (letter) => {
    const p = world.processes.find((it) => String(it.process) === q.get(letter));
    if (!p) return null;
    const from = q.get(`${letter}_from`) ? offsetOf(p, q.get(`${letter}_from`)) : 0;
    const to = q.get(`${letter}_to`) ? offsetOf(p, q.get(`${letter}_to`)) : p.head;
    return { p, era: p.slow && from >= 0 && p.process !== 4 ? (from > 0 || to >= p.head ? 1 : 0) : 0, view: { process: p.process, app: p.app, app_version: p.app_version, from: at(p, from), to: at(p, to) } };
  };
  const [a, b] = [side("a"), side("b")];
  if (!a || !b) return null;
  const factors = { 3: 6.2, 5: 0.28 };
  const figures = ({ p, era }, site) => {
    if ((site.id === 6 && era === 0) || (site.id === 7 && era === 1)) return null;
    const factor = (factors[site.id] ?? 1) ** era;
    const polls = site.weight * 21 * p.load;
    return { spawned_per_min: site.weight * 900 * p.load * (site.id === 4 && era ? 7 : 1), polls_per_sec: polls, busy_share: polls * 0.00012 * factor, poll_p50: 60_000 * factor, poll_p99: (1.9 + site.id / 2) * MS * factor, poll_max: 30 * MS * factor, wake_p99: p.process === 3 ? null : (site.id === 9 && era ? 31 : 1.1) * MS, failed: site.id === 1 && era ? 41 : 0 };
  };
  const sites = w.SITES.map((site) => ({ location: w.placeOf(site), is_callback: false, a: figures(a, site), b: figures(b, site) })).filter((site) => site.a || site.b);
  const share = (it) => it?.busy_share ?? 0;
  sites.sort((x, y) => Math.abs(share(y.a) - share(y.b)) - Math.abs(share(x.a) - share(x.b)));
  const found = ({ p, era }) => (era ? findings(p).findings : findings({ ...p, slow: false }).findings);
  const key = (it) => `${it.rule}:${it.subject}`;
  const [inA, inB] = [found(a), found(b)];
  const only = (list, other) => list.filter((it) => !other.some((o) => key(o) === key(it)));
  const slower = b.era > a.era ? [{ ...inB[1], rule: "regression", subject: "src/cart/pricing.rs:112", level: "warning", confidence: "likely", title: "tasks spawned at `src/cart/pricing.rs:112`: polls take up to 21.1 ms (p99), not 3.4 ms as in version 2.13.2" }] : [];
  return { a: a.view, b: b.view, changes: slower, new: only(inB, inA), gone: only(inA, inB), lasting: inB.filter((it) => inA.some((o) => key(o) === key(it))), sites };
}

function timeline(p, q) {
  const from = Math.max(offsetOf(p, q.get("from")), -SECOND * 600);
  const to = offsetOf(p, q.get("to"));
  const width = Number(q.get("width") ?? 1000);
  const inside = (list) => list.filter((poll) => poll.start + poll.length >= from && poll.start <= to);
  const lanes = [];
  const raw = rawPolls(p, from, to);
  const { level, step } = w.level(to - from, width);
  const t0 = Math.floor(from / step) * step;
  const lane = (worker) => ({ loop: String(p.process * 10), loop_name: "main", worker, thread_name: `tokio-rt-worker-${worker}` });
  for (let worker = 0; worker < w.WORKERS; worker += 1) {
    lanes.push(raw ? { ...lane(worker), ...raw[worker] } : { ...lane(worker), cells: w.cellsOf(p, worker, Math.max(0, t0), to, step) });
  }
  if (!raw && t0 < 0) for (const l of lanes) l.cells.i = l.cells.i.map((i) => i + Math.round(-t0 / step));
  const start = raw ? from : t0;
  if (raw) for (const l of lanes) for (const spans of [l.polls, l.parks]) spans.s = spans.s.map((s) => s - Math.round(start));
  const lossFrom = 21.8 * SECOND;
  return {
    t0: at(p, start), t1: at(p, to), step, level, exact: raw != null, data_from: at(p, 0), data_to: at(p, p.head), lanes,
    locations: raw ? Object.fromEntries(w.SITES.map((site) => [site.id, w.placeOf(site)])) : undefined,
    slow: inside(w.slowPolls(p, from, Math.min(to, p.head))).filter((s) => s.start + s.length < p.head).map((s) => ({ loop: String(p.process * 10), worker: s.worker, start_at: at(p, s.start), length: s.length, task: String(s.task), running: false })),
    losses: p.process === 2 || from > lossFrom + 0.7 * SECOND || to < lossFrom ? [] : [{ from_at: at(p, lossFrom), to_at: at(p, lossFrom + 0.7 * SECOND), kind: "poll", cause: "RING_FULL", count: 1204 }],
  };
}

/** Raw polls if they fit the API's limit of 20 000. */
function rawPolls(p, from, to) {
  const end = Math.min(to, p.head);
  if (to - from > 12 * SECOND) return null;
  const lanes = [];
  let total = 0;
  for (let worker = 0; worker < w.WORKERS; worker += 1) {
    const polls = { s: [], d: [], t: [], l: [] };
    const parks = { s: [], d: [] };
    for (let second = Math.max(0, Math.floor(from / SECOND) - 1); second * SECOND < end; second += 1) {
      const chunk = w.chunk(p, worker, second);
      for (let k = 0; k < chunk.polls.s.length; k += 1) {
        const s = chunk.polls.s[k];
        if (s + chunk.polls.d[k] < from || s > end) continue;
        polls.s.push(s); polls.d.push(chunk.polls.d[k]); polls.t.push(String(chunk.polls.t[k])); polls.l.push(chunk.polls.l[k]);
      }
      for (let k = 0; k < chunk.parks.s.length; k += 1) {
        if (chunk.parks.s[k] + chunk.parks.d[k] < from || chunk.parks.s[k] > end) continue;
        parks.s.push(chunk.parks.s[k]); parks.d.push(chunk.parks.d[k]);
      }
    }
    total += polls.s.length;
    if (total > 20_000) return null;
    lanes.push({ polls, parks });
  }
  return lanes;
}

const taskCache = new Map();
function taskRow(p, index) {
  const key = `${p.process}/${index}`;
  if (taskCache.has(key)) return taskCache.get(key);
  const site = w.siteOfTask(index);
  const rnd = w.random(p.seed, 99, index);
  const spawned = index * w.TASK_EVERY;
  const isLong = site.id === 5 || site.id === 2 || site.id === 8;
  const lifetime = isLong ? 1e15 : 2 * MS + rnd() * rnd() * rnd() * 9 * SECOND;
  const polls = 1 + Math.floor(rnd() * rnd() * 60);
  const busy = Math.round(polls * (20_000 + rnd() * rnd() * 900_000));
  const isSlow = p.slow && [3, 4, 6].includes(site.id) && index % 211 === 3;
  const row = {
    process: p.process, task: String(index), name: site.name, kind: index % 977 === 0 ? "block_on" : "task", loop: String(p.process * 10), parent: index > 20 ? String(index - (index % 17) - 1) : null,
    location: { id: site.id, file: site.file, line: site.line, column: site.column }, outcome: null, ended: spawned + lifetime, spawned,
    polls: index % 503 === 0 ? 0 : polls, busy_time: busy, max_poll_time: isSlow ? 240 * MS : Math.round(busy / polls * (1 + rnd() * 3)), scheduled_time: p.process === 1 ? Math.round(polls * 15_000 * rnd()) : null,
    wakes: p.process === 1 ? polls - 1 : null, self_wakes: p.process === 1 ? Math.floor(polls * 0.1) : null, last_waker: index > 4 ? String(index - 3) : null, slow_polls: isSlow ? 1 : 0, fields: index % 5 ? {} : { tenant: `shop-${index % 9}`, request: `r-${index}` }, unwakeable_at: null, panics: index % 1301 === 5,
  };
  taskCache.set(key, row);
  return row;
}

function taskOut(p, row) {
  const isEnded = row.ended <= p.head || p.state !== "live";
  const end = Math.min(row.ended, p.head);
  const { spawned, ended, panics, ...rest } = row;
  return {
    ...rest, state: isEnded ? "ended" : row.task % 40 === 0 ? "running" : "alive", outcome: isEnded ? (panics ? "panicked" : row.task % 83 === 0 ? "cancelled" : "completed") : null,
    spawned_at: at(p, spawned), ended_at: isEnded ? at(p, end) : null, lifetime: end - spawned,
  };
}

function tasks(p, q) {
  const offset = Number(q.get("offset") ?? 0);
  const limit = Math.min(Number(q.get("limit") ?? 100), 1000);
  const state = q.get("state") ?? "all";
  const text = (q.get("q") ?? q.get("filter") ?? "").toLowerCase();
  const location = q.get("location");
  const all = [];
  for (let k = 0; k < taskCount(p); k += 1) {
    const row = taskRow(p, k);
    const isEnded = row.ended <= p.head || p.state !== "live";
    if (state === "alive" && isEnded) continue;
    if (state === "ended" && !isEnded) continue;
    const place = `${row.location.file}:${row.location.line}`;
    if (location && place !== location) continue;
    if (text && !place.toLowerCase().includes(text) && !(row.name ?? "").includes(text) && row.task !== text) continue;
    all.push(row);
  }
  const sort = q.get("sort") ?? "spawned_at";
  const value = (row) => sort === "spawned_at" || sort === "task" ? row.spawned : sort === "location" ? `${row.location.file}:${String(row.location.line).padStart(6)}` : sort === "lifetime" ? Math.min(row.ended, p.head) - row.spawned : row[sort] ?? 0;
  const sign = q.get("desc") === "0" ? 1 : -1;
  all.sort((a, b) => { const x = value(a), y = value(b); return (x < y ? -1 : x > y ? 1 : 0) * sign; });
  return { total: all.length, offset, rows: all.slice(offset, offset + limit).map((row) => taskOut(p, row)) };
}

function slowOut(p, s, withStack = true) {
  const stack = w.STACKS[s.site.id];
  return {
    loop: String(p.process * 10), worker: s.worker, start_at: at(p, s.start), length: s.length, task: String(s.task), spawn_location: w.placeOf(s.site),
    samples: Math.floor(s.length / (50 * MS)), running: p.process === 3 ? null : stack?.running ?? null, syscall: p.process === 3 || stack?.running !== "off_cpu" ? null : "futex", stack: p.process === 3 || !withStack || !stack ? null : w.framesOf(s.site.id),
  };
}

function taskView(p, index) {
  const row = taskRow(p, index);
  const task = taskOut(p, row);
  const polls = [];
  const mine = w.slowPolls(p, 0, p.head).filter((s) => s.task === index);
  const first = Math.floor(row.spawned / SECOND);
  for (let second = first; second < Math.min(first + 3, p.head / SECOND); second += 1) {
    for (let worker = 0; worker < w.WORKERS; worker += 1) {
      const chunk = w.chunk(p, worker, second).polls;
      chunk.t.forEach((t, k) => { if (t === index) polls.push({ start_at: at(p, chunk.s[k]), length: chunk.d[k], loop: String(p.process * 10), worker }); });
    }
  }
  for (let k = 0; k < Math.min(task.polls, 80) && polls.length < 120; k += 1) {
    const rnd = w.random(3, index, k);
    polls.push({ start_at: at(p, row.spawned + rnd() * Math.max(task.lifetime, MS)), length: Math.round(10_000 + rnd() * rnd() * 2 * MS), loop: String(p.process * 10), worker: k % 4 });
  }
  polls.sort((a, b) => (BigInt(a.start_at) < BigInt(b.start_at) ? -1 : 1));
  const wakes = p.process !== 1 ? [] : polls.slice(-40).map((poll, k) => ({ at: String(BigInt(poll.start_at) - 20_000n), delay: 20_000 + (k % 7) * 3_000, by: k % 3 ? String(Math.max(0, index - 3)) : null, count: 1 + (k % 4 === 0 ? 2 : 0) }));
  const bounds = [1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9];
  return {
    task, polls, slowest: [...polls].sort((a, b) => b.length - a.length).slice(0, 20), wakes, slow: mine.map((s) => slowOut(p, s)), waits: waitRows(p).filter((row) => row.task === String(index)), past_waits: pastWaits(p, index), holds: [], marks: marksOf(p, index), app_spans: [], children: index % 5,
    resources: row.location.id === 4 ? resourceRows(p).slice(0, 2) : [],
    location_stats: { tasks: 4211, polls: 31_870, busy_time: 9.1 * SECOND, p50: 41_000, p99: 4.2 * MS },
    poll_histogram: bounds.map((le_ns, k) => ({ le_ns, count: polls.filter((poll) => poll.length <= le_ns && poll.length > (bounds[k - 1] ?? 0)).length })),
  };
}

function slow(p, q) {
  const from = q.get("from") ? offsetOf(p, q.get("from")) : 0;
  const to = q.get("to") ? offsetOf(p, q.get("to")) : p.head;
  const list = w.slowPolls(p, from, Math.min(to, p.head));
  const bySite = new Map();
  for (const s of list) bySite.set(s.site.id, [...(bySite.get(s.site.id) ?? []), s]);
  const sites = [...bySite].map(([id, polls]) => {
    const stack = w.STACKS[id];
    const lengths = polls.map((s) => s.length).sort((a, b) => a - b);
    const total = lengths.reduce((sum, length) => sum + length, 0);
    const onCpu = stack.running === "on_cpu" ? total * 0.94 : total * 0.02;
    const hasStack = p.process !== 3;
    return {
      location: hasStack ? stack.location : w.placeOf(polls[0].site), function: hasStack ? stack.function : null, by: hasStack ? "stack" : "spawn_location", polls: polls.length, total_time: total, max: lengths.at(-1), p50: lengths[lengths.length >> 1],
      on_cpu: hasStack ? Math.round(onCpu) : 0, off_cpu: hasStack ? Math.round(total - onCpu) : 0, doing: !hasStack ? null : onCpu * 2 > total ? "computing" : "blocked", found_so: hasStack ? Math.round(Math.max(onCpu, total - onCpu)) : 0, leaf: stack.leaf, advice: hasStack ? stack.advice : "No stack was taken, so this is where the task was spawned. Turn on stacks to see the blocking line.",
      stacks: hasStack ? [{ count: polls.length * 3, frames: w.framesOf(id) }] : [], examples: [...polls].sort((a, b) => b.length - a.length).slice(0, 5).map((s) => slowOut(p, s)),
    };
  });
  sites.sort((a, b) => b.total_time - a.total_time);
  return { total_time: sites.reduce((sum, site) => sum + site.total_time, 0), polls: list.length, sites, recent: list.slice(-50).reverse().map((s) => slowOut(p, s)) };
}

function stacks(p, q) {
  const from = q.get("from") ? offsetOf(p, q.get("from")) : 0;
  const to = q.get("to") ? offsetOf(p, q.get("to")) : p.head;
  const location = q.get("location");
  const polls = w.slowPolls(p, from, Math.min(to, p.head)).filter((s) => !location || w.STACKS[s.site.id].location === location || w.placeOf(s.site) === location);
  const seen = new Map();
  const samples = [];
  let timeWithout = 0;
  for (const poll of polls) {
    const taken = p.process === 3 ? [] : w.stacksOf(p, poll);
    if (taken.length === 0) timeWithout += poll.length;
    taken.forEach((sample, k) => {
      const next = taken[k + 1];
      const start = k === 0 ? poll.start : (taken[k - 1].at + sample.at) / 2;
      const end = next ? (sample.at + next.at) / 2 : poll.start + poll.length;
      if (sample.at < from || sample.at >= to) return;
      if (!seen.has(sample.key)) seen.set(sample.key, { index: seen.size, frames: sample.frames });
      samples.push({ at: at(p, sample.at), poll_start_at: at(p, poll.start), task: String(poll.task), loop: String(p.process * 10), worker: poll.worker, weight: Math.round(end - start), on_cpu: sample.onCpu, stack: seen.get(sample.key).index });
    });
  }
  return {
    process: p.process, polls: polls.length, polls_without: p.process === 3 ? polls.length : 0, time_without: timeWithout, weight: samples.reduce((sum, sample) => sum + sample.weight, 0),
    stacks: [...seen.values()].map((it) => it.frames), samples,
  };
}

function leaks(p) {
  const now = at(p, p.head);
  const loc = (id) => { const site = w.SITES[id - 1]; return { id, file: site.file, line: site.line, column: site.column }; };
  if (!p.slow) return { at: now, window: 45 * SECOND, tasks: [], resources: [], complete: true, caveat: null };
  const open = resourceRows(p).filter((r) => r.closed_at == null);
  return {
    at: now, window: 60 * SECOND,
    tasks: [
      { location: loc(5), alive: 186, spawned: 186, ended: 0, growth_per_min: 180, oldest_age: 61 * SECOND, median_age: 30 * SECOND, verdict: "growing", counts: [2, 21, 44, 68, 90, 113, 139, 161, 186], examples: ["14", "31", "67", "102", "140"] },
      { location: loc(3), alive: 141, spawned: 14_020, ended: 13_879, growth_per_min: 12, oldest_age: 9 * SECOND, median_age: 1.1 * SECOND, verdict: "steady", counts: [120, 128, 131, 127, 135, 140, 132, 138, 141], examples: ["90011", "90044"] },
      { location: loc(2), alive: 1, spawned: 1, ended: 0, growth_per_min: 0, oldest_age: 61 * SECOND, median_age: 61 * SECOND, verdict: "settled", counts: [1, 1, 1, 1, 1, 1, 1, 1, 1], examples: ["2"] },
    ],
    resources: [
      { location: { id: 40, file: "src/payments/client.rs", line: 64, column: 20 }, kind: "tcp", open: 57, opened: 61, closed: 4, unclosed: 0, growth_per_min: 56, oldest_age: 58 * SECOND, median_age: 29 * SECOND, verdict: "growing", counts: [0, 7, 15, 21, 29, 36, 44, 50, 57], examples: open.slice(0, 3).map(({ resource, name, opened_at, task }) => ({ resource, name, opened_at, task })) },
      { location: { id: 41, file: "src/cache/warm.rs", line: 23, column: 9 }, kind: "file", open: 6, opened: 912, closed: 906, unclosed: 3, growth_per_min: 0, oldest_age: 12 * SECOND, median_age: 2 * SECOND, verdict: "steady", counts: [5, 6, 6, 7, 6, 5, 6, 6, 6], examples: [] },
    ],
    complete: p.process === 1 ? false : false, caveat: "1 204 events were lost at 14:02:33, so some ends may be missing: a task counted as alive may have ended.",
  };
}

function survivors(p, q) {
  const from = Number(BigInt(q.get("from") ?? String(p.startedAt)) - p.startedAt);
  const to = q.has("to") ? Number(BigInt(q.get("to")) - p.startedAt) : p.head;
  const length = Math.max(0, Math.min(to, p.head) - from) / SECOND;
  const [stay, all, open] = [Math.floor(length * 3), Math.floor(length * 226), Math.floor(length * 0.9)];
  const site = (id) => { const it = w.SITES[id - 1]; return { id, file: it.file, line: it.line, column: it.column }; };
  const examples = (first) => [0, 1, 2].map((k) => ({ id: String(first + k), name: "", born_at: at(p, from + k * SECOND), opened_by: "3" }));
  const oldest = Math.max(0, p.head - from);
  const by = { location: site(1), survivors: Math.min(stay, 200), tasks: 41, task: "812", task_name: "request" };
  const lock = { op: "lock", kind: "mutex", location: "src/session/refresh.rs:51", tasks: Math.min(stay, 37), resource: { resource: "3", kind: "mutex", name: "sessions", location: "src/session/mod.rs:12" }, held_by: { task: "14", task_name: "reaper", location: "src/session/reap.rs:20", tasks: Math.min(stay, 37) } };
  return {
    process: p.process, from: String(p.startedAt + BigInt(Math.round(from))), to: at(p, Math.min(to, p.head)), at: at(p, p.head), complete: false,
    caveat: p.slow ? "1 204 task and resource records were lost, so some of these may have ended" : null,
    tasks: { born: all, alive: stay, sites: stay === 0 ? [] : [{ location: site(5), kind: "task", born: stay + 9, alive: stay, share: stay / (stay + 9), oldest_age: oldest, median_age: oldest / 2, looked: Math.min(stay, 200), opened_by: by, waits_for: lock, examples: examples(9000) }] },
    resources: { born: open * 4, alive: open, sites: open === 0 ? [] : [{ location: { id: 40, file: "src/payments/client.rs", line: 64, column: 20 }, kind: "tcp", born: open * 4, alive: open, share: 0.25, oldest_age: oldest, median_age: oldest / 2, looked: open, opened_by: { ...by, survivors: open, tasks: 1 }, waits_for: null, examples: examples(300) }] },
  };
}

function resourceRows(p) {
  const kinds = [["tcp", "10.0.3.17:443", "src/payments/client.rs", 64], ["file", "/var/lib/shop/tax.csv", "src/cache/warm.rs", 23], ["udp", "0.0.0.0:0", "src/metrics/flush.rs", 30], ["child process", "gs -q invoice.pdf", "src/mail/invoice.rs", 71]];
  return Array.from({ length: 420 }, (_, k) => {
    const [kind, name, file, line] = kinds[k % 7 === 0 ? 0 : k % 4];
    const opened = (k / 420) * p.head;
    const closed = k % 7 === 0 ? null : opened + 0.4 * SECOND;
    return { resource: String(k + 1), kind, name: `${name}${kind === "tcp" ? ` #${k}` : ""}`, location: { id: 40 + (k % 4), file, line, column: 9 }, task: String(k * 31), opened_at: at(p, opened), closed_at: closed == null ? null : at(p, closed), how: closed == null ? null : k % 13 === 0 ? "unclosed" : "closed", state: null };
  });
}

const nothing = { depth: null, capacity: null, permits: null, waiters: null, senders: null, receivers: null, locked: null, acquired: null, contended: null, waited_time: null, held_time: null, sent: null, received: null, lagged: null };

/** Locks, permits and channels, which stay open. */
function sharedRows(p) {
  const row = (id, kind, name, file, line, state) => ({ resource: String(id), kind, name, location: { id: 60 + id, file, line, column: 12 }, task: "2", opened_at: at(p, 3 * MS), closed_at: null, how: null, state: { ...nothing, at: at(p, p.head), ...state } });
  return [
    row(9001, "mutex", "config", "src/config/store.rs", 18, { locked: true, waiters: 3, acquired: 48_211, contended: 912, waited_time: 71 * SECOND, held_time: 58 * SECOND }),
    row(9002, "semaphore", "db permits", "src/db/pool.rs", 44, { permits: 0, capacity: 8, waiters: 1, acquired: 9_120, contended: 311, waited_time: 22 * SECOND, held_time: 402 * SECOND }),
    row(9003, "mpsc", "outbox", "src/mail/queue.rs", 27, { depth: 61, capacity: 64, senders: 4, receivers: 1, waiters: 0, sent: 88_102, received: 88_041 }),
    row(9005, "mutex", "audit", "src/payments/audit.rs", 9, { locked: true, waiters: 1, acquired: 640, contended: 2, waited_time: 11 * SECOND, held_time: 13 * SECOND }),
    row(9004, "mutex", "ledger", "src/payments/ledger.rs", 12, { locked: true, waiters: 1, acquired: 811, contended: 4, waited_time: 14 * SECOND, held_time: 15 * SECOND }),
  ];
}

const NAMES = { 31: "refresher", 2: "supervisor" };
const link = (task, op = "", resource = null, location = null) => ({ task: String(task), task_name: NAMES[task] ?? null, op, resource, location });

/** Those that last at the end, or at an earlier instant. */
function waitRows(p, now = p.head) {
  if (p.process !== 1) return [];
  const [config, permits, , audit, ledger] = sharedRows(p).map(({ resource, kind, name, location }) => ({ resource, kind, name, location: `${location.file}:${location.line}` }));
  const wait = (task, resource, op, location, began, holder, chain, cycle = false) => ({
    wait: String(task * 7), task: String(task), task_name: NAMES[task] ?? null, resource, op, location, amount: 1, began_at: at(p, began), ended_at: null, length: Math.round(now - began), state: "pending",
    holders: holder == null ? [] : [{ task: String(holder), task_name: NAMES[holder] ?? null, since_at: at(p, began - SECOND), location: "src/config/store.rs:52", amount: 1, released_at: null, later: false }],
    chain, cycle, text: `waits ${((now - began) / SECOND).toFixed(1)} s for ${resource.kind} ${resource.name} in ${op} at ${location}${holder == null ? "" : `, held by task ${holder} for ${((now - began) / SECOND + 1).toFixed(1)} s`}`,
  });
  const circle = (a, b, began) => [
    wait(a, ledger, "lock", "src/payments/charge.rs:77", began, b, [link(b, "lock", audit, "src/payments/audit.rs:31"), link(a, "lock", ledger, "src/payments/charge.rs:77")], true),
    wait(b, audit, "lock", "src/payments/audit.rs:31", began + 0.1 * SECOND, a, [link(a, "lock", ledger, "src/payments/charge.rs:77"), link(b, "lock", audit, "src/payments/audit.rs:31")], true),
  ];
  const behind = (task, began) => wait(task, config, "lock", "src/http/routes.rs:118", began, 31, [link(31, "acquire", permits, "src/session/refresh.rs:40"), link(205)]);
  const lasting = [wait(31, permits, "acquire", "src/session/refresh.rs:40", p.head - 14.2 * SECOND, 205, [link(205)]), ...circle(140, 141, p.head - 9.6 * SECOND), behind(310, p.head - 3.2 * SECOND), behind(312, p.head - 0.7 * SECOND)];
  // A deadlock that somebody resolved, and more and more orders that wait for a lock until it is given back.
  const past = now < 31 * SECOND ? circle(71, 72, 27 * SECOND) : [];
  const convoy = now < 24 * SECOND ? Array.from({ length: 41 }, (_, k) => wait(800 + k, config, "lock", k % 10 === 9 ? "src/orders/cancel.rs:31" : "src/orders/total.rs:12", (14 + k * 0.2) * SECOND, 7, [link(7)])) : [];
  const inbox = (k) => ({ resource: String(7000 + k), kind: "mpsc", name: "", location: "src/ws/session.rs:20" });
  const idle = Array.from({ length: 60 }, (_, k) => ({ ...wait(600 + k, inbox(k), "recv", "src/ws/session.rs:44", (2 + k * 0.1) * SECOND, null, []) }));
  return [...lasting, ...past, ...convoy, ...idle].filter((row) => BigInt(row.began_at) <= BigInt(at(p, now)));
}

function pastWaits(p, index) {
  const all = waitRows(p);
  if (all.length === 0) return [];
  return Array.from({ length: index % 6 }, (_, k) => ({ ...all[0], wait: String(k + 1), task: String(index), began_at: at(p, p.head - (20 + k) * SECOND), ended_at: at(p, p.head - (19 + k) * SECOND), length: (2 + k * 31) * MS, state: k % 4 === 3 ? "cancelled" : "ready", chain: [], text: "waited" }));
}

function waits(p, q) {
  const asked = q.get("at");
  if (asked != null) {
    const now = Math.min(Math.max(offsetOf(p, asked), 0), p.head);
    const rows = waitRows(p, now);
    return { total: rows.length, more: false, at: at(p, now), rows };
  }
  const rows = q.get("pending") === "1" ? waitRows(p) : [...waitRows(p), ...pastWaits(p, 5)];
  return { total: rows.length, more: false, at: null, rows };
}

function resourceView(p, id) {
  const resource = [...sharedRows(p), ...resourceRows(p)].find((row) => row.resource === id);
  if (!resource) return null;
  const mine = waitRows(p).filter((row) => row.resource.resource === id);
  const holds = Array.from({ length: 9 }, (_, k) => ({ resource: id, task: String(200 + k), task_name: null, since_at: at(p, p.head - (20 + k) * SECOND), ended_at: at(p, p.head - (19 + k) * SECOND), length: (120 + k * 37) * MS, location: "src/config/store.rs:52", amount: 1, waits: k % 4 }));
  return { resource, open_stack: w.framesOf(3), holders: mine.flatMap((row) => row.holders).slice(0, 1), waits: mine, past_waits: pastWaits(p, 5), holds: resource.state ? holds : [], states: resource.state ? [resource.state] : [] };
}

function marksOf(p, index) {
  if (p.process !== 1 || index % 3 !== 0) return [];
  return [["warn", "payment provider is slow"], ["info", "cart priced"], [null, "checkout"]].map(([level, message], k) => ({ at: at(p, p.head - (3 + k) * SECOND), task: String(index), level, target: "checkout::cart", message, fields: { cart: `c-${index}`, items: "3" }, location: "src/cart/pricing.rs:88" }));
}

function coverageOf(p) {
  return [
    { layer: "hooks", state: "on", reason: "" },
    { layer: "wrapped", state: p.process === 1 ? "on" : "off", reason: p.process === 1 ? "" : "the app spawns with `tokio::spawn`; wrap spawns with `loopd_agent::spawn` to see how tasks end" },
    { layer: "watchdog", state: p.process === 3 ? "unavailable" : "on", reason: p.process === 3 ? "stacks are taken on Linux x86-64 only" : "" },
    { layer: "tracing", state: "unavailable", reason: "build with tokio's feature `tracing` and add `loopd_agent::layer()` to your subscriber" },
    { layer: "guards", state: "on", reason: "" },
    { layer: "fds", state: "off", reason: "set `LOOPD_TRACK_FDS=1`, or switch it on here" },
    { layer: "metrics", state: "on", reason: "" },
  ];
}

/** What was asked of runs since the mock began. */
const asked = {};
const ASKED_OF_ALL = { track_fds: false };

/** The program is asked where its tasks wait. */
export function dump(world, process) {
  const p = world.processes.find((other) => other.process === process);
  p.dumps = (p.dumps ?? 0) + 1;
  return { process, dump: String(p.dumps) };
}

function dumpView(p) {
  if (!p?.dumps) return null;
  const frame = (fn, file, line, own = true) => ({ function: fn, file, line, own });
  const main = [frame("TaskGroup.__aexit__", "/usr/lib/python3.14/asyncio/taskgroups.py", 72, false), frame("main", "shop/app.py", 13)];
  const reserve = [frame("Lock.acquire", "/usr/lib/python3.14/asyncio/locks.py", 113, false), frame("reserve", "shop/stock.py", 40)];
  const wait = (frames, awaits, resource = null, waited = 1.4 * SECOND) => ({ kind: "async", location: { id: "1", file: "shop/app.py", line: 7, column: 0 }, age: 3.2 * SECOND, waited, ended_at: null, frames, awaits, resource });
  const line = (task, depth, parent, name, rest, pointer = null) => ({ task: String(task), depth, parent: parent && String(parent), pointer, name, wait: rest });
  return {
    process: p.process, dump: String(p.dumps), began_at: at(p, p.head), ended_at: at(p, p.head), tasks: 6, left_out: 0, reason: null,
    lines: [
      line(11, 0, null, "checkout", wait(main, "Future")),
      line(12, 1, 11, "reserve", wait(reserve, "Lock", { resource: "5", kind: "lock", name: "stock" })),
      line(13, 1, 11, null, wait([], "Task")),
      line(11, 2, 13, "checkout", null, "cycle"),
      line(14, 0, null, "reporter", wait([frame("sleep", "/usr/lib/python3.14/asyncio/tasks.py", 702, false), frame("report", "shop/report.py", 9)], "sleep")),
      line(12, 1, 14, "reserve", null, "above"),
      line(99, 1, 14, null, null, "missing"),
      line(15, 0, null, "heartbeat", wait([frame("sleep", "/usr/lib/python3.14/asyncio/tasks.py", 702, false), frame("beat", "shop/app.py", 31)], "sleep", null, 0.6 * SECOND)),
    ],
  };
}

export function patch(world, path, body) {
  const process = /^\/processes\/(\d+)\/settings$/.exec(path);
  if (!process) return null;
  Object.assign((asked[process[1]] ??= {}), body);
  return agentView(world.processes.find((p) => String(p.process) === process[1])).settings;
}

function agentView(p) {
  const lost = p.process === 2 ? 0 : 1204;
  const configured = { record_polls: true, record_wakes: true, record_waits: true, sample_stacks: true, track_fds: false, app_events: false, slow_threshold: w.SLOW };
  const own = Object.entries(asked[p.process] ?? {}).filter(([, value]) => value != null);
  const desired = { ...Object.fromEntries(Object.keys(configured).map((key) => [key, null])), ...ASKED_OF_ALL, ...Object.fromEntries(own) };
  const asked_by = { ...Object.fromEntries(Object.keys(ASKED_OF_ALL).map((key) => [key, "all"])), ...Object.fromEntries(own.map(([key]) => [key, "run"])) };
  const wanted = Object.fromEntries(Object.entries(desired).filter(([, value]) => value != null));
  const line = (kind, produced, dropped, by_cause = []) => ({ kind, produced, stored: produced - dropped, dropped, in_flight: 0, by_cause });
  return {
    process: p.process, coverage: coverageOf(p),
    settings: { desired, asked_by, configured, in_force: { ...configured, ...wanted, ...(desired.app_events ? { app_events: false } : {}) }, pending: desired.app_events === true },
    cost: { cpu_share: 0.0062, cpu_nanos: Math.round(p.head * 0.0062), sent_bytes: Math.round(p.head / SECOND) * 41_300, sent_bytes_per_s: 41_300, memory_bytes: 9_437_184 },
    ledger: [line("poll", 231_204, lost, lost ? [{ cause: "ring_full", count: lost }] : []), line("task", 204_118, 0), line("wake", 198_772, 0), line("wait", 41_200, 0), line("resource", 842, 0), line("sample", 312, 0)],
    captured_share: lost ? 0.9982 : 1,
  };
}

function resources(p, q) {
  const state = q.get("state") ?? "all";
  const rows = [...sharedRows(p), ...resourceRows(p)].filter((r) => state === "all" || (state === "open") === (r.closed_at == null));
  const offset = Number(q.get("offset") ?? 0);
  return { total: rows.length, rows: rows.slice(offset, offset + Number(q.get("limit") ?? 100)) };
}

function metrics(p, q) {
  return { name: q.get("name"), t0: at(p, 0), step: p.head / 60, series: Array.from({ length: 4 }, (_, worker) => ({ loop: String(p.process * 10), worker, values: Array.from({ length: 60 }, (_, k) => Math.round(8 + 8 * Math.sin(k / 4 + worker))) })) };
}

function losses(p) {
  const lost = p.process === 2 ? 0 : 1204;
  return {
    ledger: [
      { kind: "poll", produced: 231_204, stored: 230_000, dropped: lost, lost: 0 }, { kind: "task", produced: 204_118, stored: 204_118, dropped: 0, lost: 0 },
      { kind: "wake", produced: 198_772, stored: 198_772, dropped: 0, lost: 0 }, { kind: "resource", produced: 842, stored: 842, dropped: 0, lost: 0 }, { kind: "sample", produced: 312, stored: 312, dropped: 0, lost: 0 },
    ],
    losses: lost ? [{ kind: "poll", cause: "RING_FULL", count: lost, from_at: at(p, 21.8 * SECOND), to_at: at(p, 22.5 * SECOND) }] : [],
  };
}

export function query(world, sql) {
  if (/^\s*(insert|update|delete|drop|attach|pragma)\b/i.test(sql)) return { error: "not authorized: queries may only read the documented views" };
  const p = world.processes[0];
  if (!p || !/\bfrom\b/i.test(sql)) return { columns: [{ name: "1" }], rows: [[1]], truncated: false, elapsed_ns: 41_000, hints: [] };
  if (/\bfrom locations\b/i.test(sql)) {
    const wanted = (/LIKE '%(.*?)%' ESCAPE/.exec(sql)?.[1] ?? "").replaceAll("''", "'").replace(/\\([%_\\])/g, "$1").toLowerCase();
    const rows = w.SITES.map((site) => [site.id, w.placeOf(site)]).filter(([, place]) => place.toLowerCase().includes(wanted));
    return { columns: [{ name: "location_id", type: "integer" }, { name: "location", type: "text" }], rows, truncated: false, elapsed_ns: 90_000, hints: [] };
  }
  const rows = Array.from({ length: 200 }, (_, k) => taskOut(p, taskRow(p, k * 7)));
  if (/group by/i.test(sql)) {
    const sums = w.SITES.map((site) => [`${site.file}:${site.line}`, site.weight * 1021, site.weight * 31, site.weight * 7121, site.weight * 0.7e9, 12e6 + site.weight * 1e5, site.id === 3 ? 11 : 0]);
    return { columns: ["location", "tasks", "alive", "polls", "busy_time", "max_poll_time", "slow_polls"].map((name) => ({ name })), rows: sums, truncated: false, elapsed_ns: 3_120_000, hints: [`all tasks are read (up to 1.2 million were stored); narrow it by process and time, as in: where tasks.process = 1 and tasks.spawned_at > unix('-1h')`] };
  }
  const columns = ["task", "name", "location", "spawned_at", "polls", "busy_time", "max_poll_time"];
  return { columns: columns.map((name) => ({ name })), rows: rows.map((r) => [r.task, r.name, `${r.location.file}:${r.location.line}`, r.spawned_at, r.polls, r.busy_time, r.max_poll_time]), truncated: true, elapsed_ns: 2_410_000, hints: [] };
}
