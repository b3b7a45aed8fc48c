// A task's life and kin, made of the polls and wakes that the mock gives of it.

const BOUNDS = [0, ...Array.from({ length: 10 }, (_, k) => [1, 2, 5].map((n) => n * 10 ** (k + 2))).flat()];

/** `view` is the answer for the task, `q` the query. */
export function lifeView(view, q) {
  const { task } = view;
  const begin = BigInt(task.spawned_at);
  const span = Math.max(task.lifetime, 1);
  const woken = new Map(view.wakes.map((wake) => [String(BigInt(wake.at) + BigInt(wake.delay)), wake]));
  const polls = view.polls.map((poll) => {
    const wake = woken.get(poll.start_at);
    return { ...poll, delay: wake?.delay ?? null, by: wake?.by ?? null, wakes: wake?.count ?? 0 };
  });
  const by = q.get("by") ?? "length";
  const [min, max] = [Number(q.get("min") ?? 0), Number(q.get("max") ?? Infinity)];
  const isChoice = q.has("min") || q.has("max") || q.has("waker");
  const isChosen = (poll) => (!q.has("min") && !q.has("max") ? true : poll[by] != null && poll[by] >= min && poll[by] < max) && (!q.has("waker") || (poll.wakes > 0 && (poll.by ?? "0") === q.get("waker")));
  const chosen = polls.filter(isChosen);
  const key = q.get("sort") ?? "length";
  const sign = q.get("desc") === "0" ? 1 : -1;
  const value = (poll) => (key === "start_at" ? Number(BigInt(poll.start_at) - begin) : (poll[key] ?? 0));
  const columns = Number(q.get("columns") ?? 600);
  const step = Math.ceil(span / columns);
  const strip = { step, ...Object.fromEntries(["running", "ready", "waiting", "lost", "max", "chosen"].map((name) => [name, Array(columns).fill(0)])) };
  if (!isChoice) strip.chosen = [];
  for (const poll of polls) {
    const k = Math.min(Math.max(Math.floor(Number(BigInt(poll.start_at) - begin) / step), 0), columns - 1);
    strip.running[k] = Math.min(strip.running[k] + poll.length, step);
    strip.ready[k] = Math.min(strip.ready[k] + (poll.delay ?? 0), step - strip.running[k]);
    strip.max[k] = Math.max(strip.max[k], poll.length);
    if (isChoice && isChosen(poll)) strip.chosen[k] += 1;
  }
  const sum = (list) => list.reduce((total, n) => total + n, 0);
  const [running, ready] = [sum(strip.running), sum(strip.ready)];
  const wakers = new Map();
  for (const poll of polls.filter((it) => it.wakes > 0)) {
    const row = wakers.get(poll.by) ?? { task: poll.by, name: null, location: poll.by && task.location, polls: 0, wakes: 0, is_self: poll.by === task.task, delay: 0, max_delay: 0, last_at: poll.start_at };
    wakers.set(poll.by, { ...row, polls: row.polls + 1, wakes: row.wakes + poll.wakes, delay: row.delay + poll.delay, max_delay: Math.max(row.max_delay, poll.delay) });
  }
  return {
    process: task.process, task: task.task, begin: String(begin), end: String(begin + BigInt(Math.round(span))), from: String(begin), to: String(begin + BigInt(Math.round(span))), is_cut: false,
    polls: polls.length, polls_counted: polls.length, polls_woken: polls.filter((it) => it.wakes > 0).length,
    parts: [{ state: "running", what: null, time: running }, { state: "ready", what: null, time: ready }, { state: "unknown", what: null, time: Math.max(0, span - running - ready) }].filter((part) => part.time > 0),
    waited: [], waited_total: 0, strip, lengths: classes(polls.map((poll) => poll.length)), delays: classes(polls.filter((poll) => poll.delay != null).map((poll) => poll.delay)),
    wakers: [...wakers.values()].sort((a, b) => b.polls - a.polls), wakers_total: wakers.size,
    chosen: chosen.length, rows: chosen.sort((a, b) => (value(a) - value(b)) * sign).slice(0, Number(q.get("limit") ?? 100)),
  };
}

function classes(values) {
  const list = BOUNDS.map((from, k) => ({ from, to: BOUNDS[k + 1] ?? null, count: values.filter((n) => n >= from && n < (BOUNDS[k + 1] ?? Infinity)).length }));
  return list.slice(list.findIndex((it) => it.count > 0), list.findLastIndex((it) => it.count > 0) + 1);
}

export function kinView({ task, location_stats: stats }) {
  const spread = (own) => ({ min: own * 0.2, p10: own * 0.4, p50: own * 0.9, p90: own * 1.6, p99: own * 3, max: own * 5, own, below: 0.55, up_to: 0.56 });
  const figures = { tasks: stats.tasks, lifetime: spread(task.lifetime), busy_time: spread(task.busy_time), polls: spread(task.polls), max_poll_time: spread(task.max_poll_time) };
  const none = { tasks: 0, lifetime: null, busy_time: null, polls: null, max_poll_time: null };
  const isEnded = task.state === "ended";
  return { process: task.process, task: task.task, ancestors: [], ancestors_end: "root", gone: null, cancelled: [], cancelled_after: [], cancelled_after_total: 0, siblings: { location: task.location, ended: isEnded ? figures : none, alive: isEnded ? none : figures }, searched_from: null };
}
