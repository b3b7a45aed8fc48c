// A made-up shop: what its four workers polled, second by second. The same seed gives the same second, so any range can be asked for
// in any order. Nothing here is in a production build.

export const MS = 1e6;
export const SECOND = 1e9;
export const SLOW = 100 * MS;
export const TASK_EVERY = 0.6 * MS;
export const WORKERS = 4;
const LEVEL0 = 2 ** 20;

export const SITES = [
  { id: 1, file: "src/http/server.rs", line: 58, column: 22, weight: 46, name: null },
  { id: 2, file: "src/http/server.rs", line: 41, column: 9, weight: 3, name: "accept-loop" },
  { id: 3, file: "src/cart/pricing.rs", line: 112, column: 18, weight: 14, name: null },
  { id: 4, file: "src/payments/client.rs", line: 77, column: 13, weight: 12, name: null },
  { id: 5, file: "src/session/refresh.rs", line: 33, column: 9, weight: 6, name: "session-refresh" },
  { id: 6, file: "src/cache/warm.rs", line: 19, column: 5, weight: 5, name: null },
  { id: 7, file: "src/metrics/flush.rs", line: 24, column: 5, weight: 2, name: "metrics-flush" },
  { id: 8, file: "src/main.rs", line: 37, column: 1, weight: 1, name: "main" },
  { id: 9, file: "/home/ada/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/hyper-util-0.1.19/src/rt/tokio.rs", line: 44, column: 9, weight: 11, name: null },
];
const WEIGHTED = SITES.flatMap((site) => Array(site.weight).fill(site));

export const placeOf = (site) => `${site.file}:${site.line}`;

/** mulberry32 over a mixed seed. */
export function random(...seed) {
  let a = seed.reduce((sum, part) => Math.imul(sum ^ part, 0x9e3779b1) + 0x85ebca6b, 0x1234567) >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function siteOfTask(index) {
  return WEIGHTED[Math.floor(random(7, index)() * WEIGHTED.length)];
}

function pollLength(rnd) {
  const kind = rnd();
  if (kind < 0.7) return 4_000 + rnd() * 85_000;
  if (kind < 0.93) return 100_000 + rnd() * 700_000;
  if (kind < 0.995) return 1 * MS + rnd() * rnd() * 8 * MS;
  return 10 * MS + rnd() * 22 * MS;
}

const chunks = new Map();

/** Polls and parks of one worker in one second, offsets from the process's start. */
export function chunk(process, worker, second) {
  const key = `${process.process}/${worker}/${second}`;
  let found = chunks.get(key);
  if (!found) chunks.set(key, (found = makeChunk(process, worker, second)));
  return found;
}

function makeChunk(process, worker, second) {
  const rnd = random(process.seed, worker, second);
  const from = second * SECOND;
  const polls = { s: [], d: [], t: [], l: [] };
  const parks = { s: [], d: [] };
  const load = (0.35 + 0.3 * Math.sin(second / 5 + worker) + (second % 17 === 9 ? 0.35 : 0)) * process.load;
  let slowAt = null;
  let slowFor = 0;
  if (process.slow && (second * 5 + worker * 3) % 13 === 2) {
    slowFor = 105 * MS + rnd() * rnd() * 520 * MS;
    slowAt = from + rnd() * (SECOND - slowFor - 5 * MS);
  }
  let at = from + rnd() * MS;
  while (at < from + SECOND - 40 * MS) {
    let length = pollLength(rnd);
    let site;
    let task = Math.max(0, Math.floor(at / TASK_EVERY) - Math.floor(rnd() * 300));
    if (slowAt != null && at >= slowAt) {
      length = Math.min(slowFor, from + SECOND - at - 2 * MS);
      site = [SITES[2], SITES[2], SITES[3], SITES[5]][(second + worker) % 4];
      while (siteOfTask(task) !== site) task += 1;
      slowAt = null;
    } else {
      site = siteOfTask(task);
    }
    polls.s.push(Math.round(at));
    polls.d.push(Math.round(length));
    polls.t.push(task);
    polls.l.push(site.id);
    at += length;
    const gap = rnd() < 0.25 ? 600 + rnd() * 3_000 : (length + 120_000) * ((1 - load) / Math.max(load, 0.05)) * 2 * rnd();
    if (gap > 20_000) {
      parks.s.push(Math.round(at + 700));
      parks.d.push(Math.round(gap - 1_400));
    }
    at += gap;
  }
  return { polls, parks, cells: makeCells(polls) };
}

function makeCells(polls) {
  const cells = new Map();
  const at = (i) => {
    let cell = cells.get(i);
    if (!cell) cells.set(i, (cell = [0, 0, 0, 0, 0, 0]));
    return cell;
  };
  for (let k = 0; k < polls.s.length; k += 1) {
    const start = polls.s[k];
    const length = polls.d[k];
    const c = length < 1e5 ? 0 : length < 1e6 ? 1 : length < 1e7 ? 2 : 3;
    at(Math.floor(start / LEVEL0))[5] += 1;
    for (let i = Math.floor(start / LEVEL0); i * LEVEL0 < start + length; i += 1) {
      const cell = at(i);
      cell[c] += Math.min(start + length, (i + 1) * LEVEL0) - Math.max(start, i * LEVEL0);
      cell[4] = Math.max(cell[4], length);
    }
  }
  return cells;
}

/** All slow polls that start in `[from, to]`, offsets. */
export function slowPolls(process, from, to) {
  const list = [];
  if (!process.slow) return list;
  for (let second = Math.max(0, Math.floor(from / SECOND) - 1); second * SECOND < to; second += 1) {
    for (let worker = 0; worker < WORKERS; worker += 1) {
      if ((second * 5 + worker * 3) % 13 !== 2) continue;
      const { polls } = chunk(process, worker, second);
      for (let k = 0; k < polls.s.length; k += 1) {
        if (polls.d[k] < SLOW || polls.s[k] + polls.d[k] < from || polls.s[k] > to) continue;
        list.push({ worker, start: polls.s[k], length: polls.d[k], task: polls.t[k], site: SITES[polls.l[k] - 1] });
      }
    }
  }
  return list.sort((a, b) => a.start - b.start);
}

export function level(span, width) {
  let k = 0;
  while (k < 9 && span / (LEVEL0 * 4 ** k) > width) k += 1;
  return { level: k, step: LEVEL0 * 4 ** k };
}

/** Cells of one worker at one level, sparse and columnar as the API has them. `t0` is a multiple of `step`. */
export function cellsOf(process, worker, t0, t1, step) {
  const sums = new Map();
  const ratio = step / LEVEL0;
  const end = Math.min(t1, process.head);
  for (let second = Math.max(0, Math.floor(t0 / SECOND)); second * SECOND < end; second += 1) {
    for (const [i, cell] of chunk(process, worker, second).cells) {
      const at = i * LEVEL0;
      if (at + LEVEL0 <= t0 || at >= end) continue;
      const j = Math.floor(i / ratio) - Math.round(t0 / step);
      let sum = sums.get(j);
      if (!sum) sums.set(j, (sum = [0, 0, 0, 0, 0, 0]));
      for (let c = 0; c < 4; c += 1) sum[c] += cell[c];
      sum[4] = Math.max(sum[4], cell[4]);
      sum[5] += cell[5];
    }
  }
  const keys = [...sums.keys()].sort((a, b) => a - b);
  const column = (c) => keys.map((key) => sums.get(key)[c]);
  return { i: keys, b0: column(0), b1: column(1), b2: column(2), b3: column(3), max: column(4), n: column(5) };
}

export const STACKS = {
  3: {
    location: "src/cart/pricing.rs:131", function: "shop::cart::pricing::tax_table", leaf: "core::slice::sort::stable::quicksort::quicksort", running: "on_cpu",
    advice: "On CPU for the whole poll: move the work to tokio::task::spawn_blocking or a rayon pool, or split it with tokio::task::yield_now().await.",
    frames: [
      ["core::slice::sort::stable::quicksort::quicksort", "/rustc/1.95.0/library/core/src/slice/sort/stable/quicksort.rs", 41, false],
      ["alloc::slice::<impl [T]>::sort_by_key", "/rustc/1.95.0/library/alloc/src/slice.rs", 337, false],
      ["shop::cart::pricing::tax_table", "src/cart/pricing.rs", 131, true],
      ["shop::cart::pricing::price::{{closure}}", "src/cart/pricing.rs", 118, true],
    ],
  },
  4: {
    location: "src/payments/client.rs:91", function: "shop::payments::client::load_key", leaf: "read", running: "off_cpu",
    advice: "Off CPU inside std::fs::read: a blocking system call on a worker. Use tokio::fs::read, or read the key once at start.",
    frames: [
      ["__libc_read", "", null, false],
      ["std::fs::read::inner", "/rustc/1.95.0/library/std/src/fs.rs", 322, false],
      ["shop::payments::client::load_key", "src/payments/client.rs", 91, true],
      ["shop::payments::client::sign::{{closure}}", "src/payments/client.rs", 84, true],
    ],
  },
  6: {
    location: "src/cache/warm.rs:27", function: "shop::cache::warm::fill", leaf: "nanosleep", running: "off_cpu",
    advice: "Off CPU inside std::thread::sleep: it puts the whole worker to sleep. Use tokio::time::sleep(..).await.",
    frames: [
      ["clock_nanosleep", "", null, false],
      ["std::thread::functions::sleep", "/rustc/1.95.0/library/std/src/thread/functions.rs", 313, false],
      ["shop::cache::warm::fill", "src/cache/warm.rs", 27, true],
      ["shop::cache::warm::run::{{closure}}", "src/cache/warm.rs", 21, true],
    ],
  },
};

const TOKIO = "/home/ada/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-1.48.0/src/runtime";
const RUNTIME_FRAMES = [
  ["tokio::runtime::task::core::Core<T,S>::poll", `${TOKIO}/task/core.rs`, 365],
  ["tokio::runtime::task::harness::Harness<T,S>::poll", `${TOKIO}/task/harness.rs`, 153],
  ["tokio::runtime::scheduler::multi_thread::worker::Context::run_task", `${TOKIO}/scheduler/multi_thread/worker.rs`, 640],
  ["tokio::runtime::scheduler::multi_thread::worker::Context::run", `${TOKIO}/scheduler/multi_thread/worker.rs`, 562],
  ["std::thread::lifecycle::spawn_unchecked::{{closure}}", "/rustc/1.95.0/library/std/src/thread/lifecycle.rs", 91],
].map(([fn, file, line]) => [fn, file, line, false]);

export function framesOf(siteId) {
  return [...STACKS[siteId].frames, ...RUNTIME_FRAMES].map(([fn, file, line, own]) => ({ function: fn, file, line, own }));
}

/** The stacks taken in a slow poll, one each 50 ms: what computes is not always in the same function. */
export function stacksOf(process, poll) {
  const taken = [];
  const rnd = random(process.seed, 5, Math.floor(poll.start / MS));
  for (let k = 1; k * 50 * MS < poll.length; k += 1) taken.push({ at: poll.start + k * 50 * MS, ...stackAt(poll.site.id, rnd()) });
  return taken;
}

function stackAt(siteId, rnd) {
  const frames = framesOf(siteId);
  if (siteId !== 3) return { key: String(siteId), frames, onCpu: siteId === 6 && rnd < 0.1 ? null : false };
  const lib = (fn, file, line) => ({ function: fn, file: `/rustc/1.95.0/library/${file}`, line, own: false });
  const own = (fn, line) => ({ function: fn, file: "src/cart/pricing.rs", line, own: true });
  const tail = frames.slice(3);
  if (rnd < 0.45) return { key: "3 sort", frames, onCpu: true };
  if (rnd < 0.6) return { key: "3 merge", frames: [lib("core::slice::sort::stable::merge::merge", "core/src/slice/sort/stable/merge.rs", 61), ...frames.slice(1)], onCpu: true };
  if (rnd < 0.7) return { key: "3 table", frames: [own("shop::cart::pricing::tax_table", 127), ...tail], onCpu: true };
  if (rnd < 0.85) return { key: "3 round", frames: [own("shop::cart::pricing::round_half_even", 164), own("shop::cart::pricing::discount", 149), ...tail], onCpu: true };
  if (rnd < 0.95) return { key: "3 hash", frames: [lib("core::hash::BuildHasher::hash_one", "core/src/hash/mod.rs", 699), lib("std::collections::hash::map::HashMap<K,V,S>::get", "std/src/collections/hash/map.rs", 902), own("shop::cart::pricing::discount", 152), ...tail], onCpu: true };
  return { key: "3 log", frames: [{ function: "__libc_write", file: "", line: null, own: false }, own("shop::cart::pricing::audit", 171), ...tail], onCpu: false };
}
