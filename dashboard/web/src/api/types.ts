//! The HTTP API as TypeScript. Instants are decimal text of unix nanoseconds, lengths are numbers of nanoseconds, ids are text.

import type { InstantText, Nanos } from "../base/instant.ts";

export type ProcessState = "live" | "lost" | "ended";

export interface Coverage {
  layer: string;
  state: "on" | "off" | "unavailable";
  /** Why it is not on, and what would turn it on. */
  reason: string | null;
}

export interface Loop {
  loop: string;
  name: string;
  flavor: string;
  workers: number;
  opened_at: InstantText;
  closed_at: InstantText | null;
}

export interface Process {
  /** The store's row id, used in URLs; `id` is the process's own. */
  process: number;
  id: string;
  app: string;
  app_version: string | null;
  host: string;
  pid: number;
  labels: Record<string, string>;
  agent: string;
  agent_version: string;
  /** Which runtime its loops are of; uvloop's are asyncio's. */
  runtime: "tokio" | "asyncio" | "unknown";
  state: ProcessState;
  started_at: InstantText;
  /** The newest instant we have data for. */
  last_at: InstantText;
  ended_at: InstantText | null;
  slow_threshold: Nanos;
  coverage: Coverage[];
  /** As far as they were counted. */
  tasks_alive: number;
  more_tasks_alive?: boolean;
  tasks_spawned: number;
  polls: number;
  slow_polls: number;
  /** As far as they were counted. */
  open_resources: number;
  more_open_resources?: boolean;
  lost: number;
  loops: Loop[];
}

export interface Status {
  version: string;
  started_at: InstantText;
  now: InstantText;
  store: {
    path: string;
    bytes: number;
    epoch: string | number;
    oldest_at: InstantText | null;
    retain_age_ns: Nanos | null;
    retain_bytes: number | null;
  };
  sessions: number;
  batches: number;
  events: number;
  polls: number;
}

/** Information does not make a program look bad. */
export type FindingLevel = "info" | "warning" | "error";

export interface Headline {
  rule: string;
  level: FindingLevel;
  sentence: string;
  location: string | null;
  href: string;
  weight_ns: Nanos | null;
  count: number;
}

/** One thing that is wrong: what a rule found. */
export interface Finding {
  rule: string;
  /** The same whenever the same trouble is found again. */
  subject: string;
  level: FindingLevel;
  /** Delay inflicted on others, or what was held times how long; 0 if not known. */
  harm: Nanos;
  /** 0 to 100. */
  score: number;
  confidence: "possible" | "likely" | "certain";
  title: string;
  location: string | null;
  /** The same with the whole path; absent if that is not known. */
  path?: string;
  occurrences: number;
  first_seen_at: InstantText;
  last_seen_at: InstantText;
  evidence: { text: string; href?: string }[];
  why: string;
  fix: string;
  snippet?: { language: string; code: string };
  /** Why nobody wants to hear of it; absent if it is not muted. */
  muted?: string;
  /** When it was no longer found while the process ran; absent for what is found in the range. */
  resolved_at?: InstantText;
}

/** The body of the request that mutes a finding in all runs of its program, and of the answer. */
export interface Mute {
  rule: string;
  subject: string;
  /** Null lets it be heard again. */
  reason: string | null;
}

export interface RuleState {
  rule: string;
  title: string;
  state: "found" | "ok" | "not_applicable" | "needs";
  /** Why it does not apply, or what it needs. */
  reason: string;
}

export interface FindingsAnswer {
  process: number;
  from: InstantText;
  to: InstantText;
  findings: Finding[];
  /** Found while the process ran, and no longer at the end of the range: latest first. */
  resolved?: Finding[];
  rules: RuleState[];
}

/** Two ranges side by side. The first counts as before. */
export interface CompareAnswer {
  a: CompareSide;
  b: CompareSide;
  /** Places that became slower, fail more often, or run far more or less often. */
  changes: Finding[];
  /** Found in the second range only. */
  new: Finding[];
  /** Found in the first range only. */
  gone: Finding[];
  /** Found in both, as in the second. */
  lasting: Finding[];
  /** Every place: those whose share of busy time differs most come first. */
  sites: CompareSite[];
}

export interface CompareSide {
  process: number;
  app: string;
  /** Empty if it did not say. */
  app_version: string;
  from: InstantText;
  to: InstantText;
}

export interface CompareSite {
  location: string;
  /** Where a callback is defined, rather than where tasks are spawned. */
  is_callback: boolean;
  /** Null if nothing of it ran there. */
  a: SiteFigures | null;
  b: SiteFigures | null;
}

export interface SiteFigures {
  spawned_per_min: number;
  polls_per_sec: number;
  /** Of the range; 1 keeps one worker busy. */
  busy_share: number;
  poll_p50: Nanos | null;
  poll_p99: Nanos | null;
  poll_max: Nanos;
  /** From wake to poll; null where no wakes were seen. */
  wake_p99: Nanos | null;
  /** Tasks that panicked or raised. */
  failed: number;
}

export interface Overview {
  process: Process;
  verdict: { level: "ok" | "warn" | "bad" | "incomplete"; sentence: string };
  headlines: Headline[];
  /** How many findings are information alone. */
  worth_knowing: number;
  health: {
    busy_share: number | null;
    polls_per_s: number | null;
    tasks_alive: number | null;
    more_tasks_alive?: boolean;
    worst_poll: Nanos | null;
    lost: number;
    rss_bytes: number | null;
    open_fds: number | null;
  };
  series: {
    t0: InstantText;
    step: Nanos;
    polls: (number | null)[];
    busy: (number | null)[];
    tasks_alive: (number | null)[];
    /** How long one wait for Python's lock took; absent where there is none. */
    gil_wait?: (Nanos | null)[];
    /** Share of time in Python's garbage collector; absent where there is none. */
    gc_share?: (number | null)[];
  };
}

/** Sparse columns: entry k describes bucket `i[k]`. */
export interface WireCells {
  i: number[];
  b0: Nanos[];
  b1: Nanos[];
  b2: Nanos[];
  b3: Nanos[];
  max: Nanos[];
  n: number[];
}

/** Offsets `s` are from the answer's `t0`. */
export interface WireSpans {
  s: number[];
  d: Nanos[];
}

export interface WirePolls extends WireSpans {
  t: string[];
  l: (number | string | null)[];
}

export interface WireLane {
  loop: string;
  loop_name: string;
  worker: number;
  thread_name: string | null;
  cells?: WireCells;
  polls?: WirePolls;
  parks?: WireSpans;
}

export interface SlowMark {
  loop: string;
  worker: number;
  start_at: InstantText;
  length: Nanos | null;
  task: string;
  running: boolean;
}

export interface Loss {
  from_at: InstantText | null;
  to_at: InstantText | null;
  kind: string;
  cause: string;
  count: number;
}

export interface TimelineAnswer {
  t0: InstantText;
  t1: InstantText;
  step: Nanos;
  level: number;
  exact: boolean;
  data_from: InstantText | null;
  data_to: InstantText | null;
  lanes: WireLane[];
  slow: SlowMark[];
  losses: Loss[];
  locations?: Record<string, string>;
}

export interface Location {
  id: number | string;
  file: string;
  line: number;
  column: number | null;
}

export interface Task {
  process: number;
  task: string;
  name: string | null;
  kind: string;
  state: "running" | "alive" | "ended";
  outcome: string | null;
  location: Location | null;
  loop: string | null;
  parent: string | null;
  spawned_at: InstantText | null;
  ended_at: InstantText | null;
  lifetime: Nanos | null;
  polls: number;
  busy_time: Nanos;
  max_poll_time: Nanos;
  /** Null when nobody recorded wakes. */
  scheduled_time: Nanos | null;
  wakes: number | null;
  self_wakes: number | null;
  last_waker: string | null;
  slow_polls: number;
  /** What the program says of it beside its name. */
  fields: Record<string, string>;
  /** Since when nothing is left that could wake it; null if something is, or nobody looked. */
  unwakeable_at: InstantText | null;
}

export interface DumpTaken {
  process: number;
  dump: string;
}

export interface DumpSummary {
  dump: string;
  began_at: InstantText;
  ended_at: InstantText | null;
  tasks: number;
  left_out: number;
  /** Why there is no dump, or not all of it. */
  reason: string | null;
}

/** Where tasks waited when somebody asked: a tree, line by line. */
export interface DumpAnswer extends DumpSummary {
  process: number;
  more?: boolean;
  lines: DumpLine[];
}

export interface DumpLine {
  task: string;
  depth: number;
  /** The task above, which awaits it. */
  parent: string | null;
  /** Null on the task's own line. */
  pointer: "cycle" | "above" | "missing" | null;
  name: string | null;
  /** Null on lines that only point to the task. */
  wait: DumpedWait | null;
}

export interface DumpedWait {
  kind: string;
  location: Location | null;
  age: Nanos | null;
  /** Null if it has been polled since, or nobody knows. */
  waited: Nanos | null;
  /** After the dump. */
  ended_at: InstantText | null;
  /** Innermost first. */
  frames: Frame[];
  awaits: string | null;
  resource: { resource: string; kind: string; name: string } | null;
}

export interface TaskPage {
  total: number;
  /** Tasks that ended before this were not looked through. */
  searched_from: InstantText | null;
  /** Whether more are alive than were looked through. */
  more?: boolean;
  /** The filter as a condition on the view `tasks`; absent without one. */
  filter_sql?: string;
  offset: number;
  rows: Task[];
}

export interface Poll {
  start_at: InstantText;
  length: Nanos;
  loop: string;
  worker: number;
}

export interface Frame {
  function: string | null;
  file: string | null;
  line: number | null;
  /** In the program's own code, not in a library. */
  own: boolean;
}

export interface SlowPoll {
  loop: string;
  worker: number;
  start_at: InstantText;
  /** Null while it is still running. */
  length: Nanos | null;
  task: string;
  spawn_location: string | null;
  samples: number;
  running: "on_cpu" | "off_cpu" | null;
  /** The system call most samples found it in. */
  syscall: string | null;
  stack: Frame[] | null;
}

/** How things stand with a resource; null for what it does not tell. */
export interface ResourceState {
  at: InstantText;
  depth: number | null;
  capacity: number | null;
  permits: number | null;
  waiters: number | null;
  senders: number | null;
  receivers: number | null;
  locked: boolean | null;
  acquired: number | null;
  contended: number | null;
  waited_time: Nanos | null;
  held_time: Nanos | null;
  sent: number | null;
  received: number | null;
  lagged: number | null;
}

export interface Resource {
  resource: string;
  kind: string;
  name: string | null;
  location: Location | null;
  task: string | null;
  opened_at: InstantText;
  closed_at: InstantText | null;
  how: string | null;
  /** Null if it never told. */
  state: ResourceState | null;
}

export interface ResourceRef {
  resource: string;
  kind: string;
  name: string;
  location: string | null;
}

export interface Holder {
  task: string | null;
  task_name: string | null;
  since_at: InstantText;
  location: string | null;
  amount: number;
  released_at: InstantText | null;
  /** It took it after the wait began. */
  later: boolean;
}

export interface Wait {
  wait: string;
  task: string | null;
  task_name: string | null;
  resource: ResourceRef | null;
  op: string;
  location: string | null;
  amount: number;
  began_at: InstantText;
  ended_at: InstantText | null;
  length: Nanos;
  state: "pending" | "ready" | "cancelled" | "unfinished";
  holders: Holder[];
  /** Who holds it up, whom that one waits for, and so on. */
  chain: { task: string; task_name: string | null; op: string; resource: ResourceRef | null; location: string | null }[];
  /** The chain comes back to a task in it. */
  cycle: boolean;
  /** All of it as a sentence without its subject. */
  text: string;
}

export interface WaitsAnswer {
  total: number;
  /** Whether there are more than `total`, which is counted so far only. */
  more: boolean;
  /** The instant at which they lasted; null if none was asked for. */
  at: InstantText | null;
  rows: Wait[];
}

export interface Hold {
  resource: string | null;
  task: string | null;
  task_name: string | null;
  since_at: InstantText;
  ended_at: InstantText;
  length: Nanos;
  location: string | null;
  amount: number;
  waits: number;
}

export interface ResourceDetail {
  resource: Resource;
  open_stack: Frame[];
  holders: Holder[];
  waits: Wait[];
  past_waits: Wait[];
  holds: Hold[];
  states: ResourceState[];
}

export interface Mark {
  at: InstantText;
  task: string | null;
  level: string | null;
  target: string;
  message: string;
  fields: Record<string, string>;
  location: string | null;
}

export interface Settings {
  record_polls: boolean | null;
  record_wakes: boolean | null;
  record_waits: boolean | null;
  sample_stacks: boolean | null;
  track_fds: boolean | null;
  app_events: boolean | null;
  slow_threshold: Nanos | null;
}
export type SettingKey = keyof Settings;

/** This run, every run of its program, or every program. */
export type Asker = "run" | "app" | "all";

export interface SettingsState {
  /** Null: nobody asks for it. */
  desired: Settings;
  /** Whose word it is, for what is asked for. */
  asked_by: Partial<Record<SettingKey, Asker>>;
  in_force: Settings | null;
  configured: Settings | null;
  pending: boolean;
}

export interface AgentCost {
  cpu_share: number | null;
  cpu_nanos: Nanos | null;
  sent_bytes: number | null;
  sent_bytes_per_s: number | null;
  memory_bytes: number | null;
}

export interface AgentLedgerLine {
  kind: string;
  produced: number;
  stored: number;
  dropped: number;
  in_flight: number;
  by_cause: { cause: string; count: number }[];
}

export interface AgentAnswer {
  process: number;
  settings: SettingsState;
  coverage: Coverage[];
  cost: AgentCost;
  ledger: AgentLedgerLine[];
  captured_share: number | null;
}

export interface TaskDetail {
  task: Task;
  polls: Poll[];
  slowest: Poll[];
  wakes: { at: InstantText; delay: Nanos; by: string | null; count: number }[];
  slow: SlowPoll[];
  waits: Wait[];
  past_waits: Wait[];
  holds: Hold[];
  marks: Mark[];
  app_spans: { span: string; name: string; opened_at: InstantText; length: Nanos; busy_time: Nanos; fields: Record<string, string>; location: string | null }[];
  children: number;
  resources: Resource[];
  location_stats: { tasks: number; polls: number; busy_time: Nanos; p50: Nanos | null; p99: Nanos | null } | null;
  poll_histogram: { le_ns: Nanos | null; count: number }[];
}

export interface Site {
  location: string;
  function: string | null;
  /** `spawn_location` when no stack was taken: then the location is where the task began, not what blocked. */
  by: "stack" | "spawn_location";
  polls: number;
  total_time: Nanos;
  max: Nanos;
  p50: Nanos;
  on_cpu: number;
  off_cpu: number;
  leaf: string | null;
  advice: string | null;
  stacks: { count: number; frames: Frame[] }[];
  examples: SlowPoll[];
}

export interface SlowAnswer {
  total_time: Nanos;
  /** The newest, as far as they were counted. */
  polls: number;
  more?: boolean;
  sites: Site[];
  recent: SlowPoll[];
}

/** The part of a slow poll that one stack stands for. */
export interface StackSample {
  at: InstantText;
  poll_start_at: InstantText;
  task: string;
  loop: string;
  worker: number;
  weight: Nanos;
  /** Null if not known. */
  on_cpu: boolean | null;
  /** Which of the answer's stacks. */
  stack: number;
}

export interface StacksAnswer {
  process: number;
  polls: number;
  /** In how many of them no stack was taken, and how long those were. */
  polls_without: number;
  time_without: Nanos;
  weight: Nanos;
  more?: boolean;
  /** Innermost frame first; one without frames was lost. */
  stacks: Frame[][];
  /** Polls in the order in which they began, and within a poll by time. */
  samples: StackSample[];
}

export type LeakVerdict = "growing" | "steady" | "settled";

export interface TaskLeak {
  location: Location | null;
  /** As far as they were counted. */
  alive: number;
  more?: boolean;
  spawned: number;
  ended: number;
  growth_per_min: number;
  oldest_age: Nanos | null;
  median_age: Nanos | null;
  verdict: LeakVerdict;
  counts: number[];
  examples: string[];
}

export interface ResourceLeak {
  location: Location | null;
  kind: string;
  /** As far as they were counted. */
  open: number;
  more?: boolean;
  opened: number;
  closed: number;
  unclosed: number;
  growth_per_min: number;
  oldest_age: Nanos | null;
  median_age: Nanos | null;
  verdict: LeakVerdict;
  counts: number[];
  examples: { resource: string; name: string | null; opened_at: InstantText; task: string | null }[];
}

export interface LeaksAnswer {
  at: InstantText;
  window: Nanos;
  tasks: TaskLeak[];
  resources: ResourceLeak[];
  complete: boolean;
  caveat: string | null;
}

/** What was born in a range, and is still there. */
export interface SurvivorsAnswer {
  process: number;
  from: InstantText;
  to: InstantText;
  at: InstantText;
  tasks: Survivors;
  resources: Survivors;
  complete: boolean;
  caveat: string | null;
}

export interface Survivors {
  born: number;
  /** `born` was not counted to the end. */
  about?: boolean;
  alive: number;
  more?: boolean;
  sites: SurvivorSite[];
}

export interface SurvivorSite {
  location: Location | null;
  /** `task`, or the kind of resources. */
  kind: string;
  born: number;
  about?: boolean;
  alive: number;
  more?: boolean;
  /** Null where not all were counted. */
  share: number | null;
  oldest_age: Nanos;
  median_age: Nanos | null;
  /** So many, the oldest, were looked at for what follows. */
  looked: number;
  opened_by: { location: Location | null; survivors: number; tasks: number; task: string; task_name: string | null } | null;
  waits_for: {
    op: string;
    kind: string;
    location: string | null;
    tasks: number;
    /** Null if they wait for different ones. */
    resource: ResourceRef | null;
    held_by: { task: string; task_name: string | null; location: string | null; tasks: number } | null;
  } | null;
  examples: { id: string; name: string; born_at: InstantText; opened_by: string | null }[];
}

export interface LossesAnswer {
  ledger: { kind: string; produced: number; stored: number; dropped: number; lost: number }[];
  losses: Loss[];
}

export interface QueryAnswer {
  columns: { name: string; type: "null" | "integer" | "real" | "text" | "blob" | "mixed" }[];
  rows: unknown[][];
  truncated: boolean;
  elapsed_ns: Nanos;
  /** What was read in full, and how to ask for less. */
  hints: string[];
}

export interface Schema {
  views: { name: string; about: string; columns: { name: string; type: string; about: string }[] }[];
  functions: ({ name: string; about?: string; signature?: string } | string)[];
}

/** What the live stream says after a commit. */
export interface Head {
  now: InstantText;
  /** Grows with every commit; nothing more. */
  version: number;
  processes: { process: number; last_at: InstantText; state: ProcessState }[];
}

/** One task's life; everything in it is of the time from `from` to `to`. */
export interface TaskLife {
  process: number;
  task: string;
  begin: InstantText;
  end: InstantText;
  from: InstantText;
  to: InstantText;
  /** Whether that is less than was asked for. */
  is_cut: boolean;
  polls: number;
  polls_counted: number;
  /** Those with a wake that led to them. */
  polls_woken: number;
  parts: LifePart[];
  waited: Waited[];
  waited_total: number;
  strip: LifeStrip;
  lengths: LifeClass[];
  delays: LifeClass[];
  wakers: Waker[];
  wakers_total: number;
  /** How many polls were asked for. */
  chosen: number;
  rows: LifePoll[];
}

export interface LifePart {
  state: "running" | "ready" | "queued" | "waiting" | "several" | "lost" | "unknown";
  /** What it waited for; null unless `waiting`. */
  what: string | null;
  time: Nanos;
}

export interface Waited {
  resource: string | null;
  kind: string;
  name: string;
  op: string;
  waits: number;
  time: Nanos;
  is_open: boolean;
}

/** Columns of equal length. */
export interface LifeStrip {
  step: Nanos;
  running: Nanos[];
  ready: Nanos[];
  waiting: Nanos[];
  lost: Nanos[];
  max: Nanos[];
  /** How many of the chosen polls overlap it; empty if none was chosen. */
  chosen: number[];
}

/** `to` is the shortest that is too long for it. */
export interface LifeClass {
  from: Nanos;
  to: Nanos | null;
  count: number;
}

export interface Waker {
  /** Null outside any task. */
  task: string | null;
  name: string | null;
  location: Location | null;
  polls: number;
  wakes: number;
  is_self: boolean;
  delay: Nanos;
  max_delay: Nanos;
  last_at: InstantText;
}

export interface LifePoll extends Poll {
  delay: Nanos | null;
  by: string | null;
  wakes: number;
}

/** What a task has to do with others. */
export interface TaskKin {
  process: number;
  task: string;
  /** The nearest first. */
  ancestors: Task[];
  ancestors_end: "root" | "gone" | "deep" | "circle";
  gone: string | null;
  /** Itself first; empty if it was not cancelled. */
  cancelled: CancelledTask[];
  cancelled_after: Task[];
  cancelled_after_total: number;
  siblings: { location: Location; ended: Population; alive: Population } | null;
  searched_from: InstantText | null;
  more?: boolean;
}

export interface CancelledTask {
  task: string;
  name: string | null;
  location: Location | null;
  ended_at: InstantText | null;
  last_waker: string | null;
  is_likely: boolean;
  parent: string | null;
  parent_outcome: string | null;
  parent_ended_at: InstantText | null;
}

export interface Population {
  tasks: number;
  lifetime: Spread | null;
  busy_time: Spread | null;
  polls: Spread | null;
  max_poll_time: Spread | null;
}

export interface Spread {
  min: number;
  p10: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
  /** Of the task asked for. */
  own: number;
  /** The share whose figure is less, and that whose figure is less or the same. */
  below: number;
  up_to: number;
}
