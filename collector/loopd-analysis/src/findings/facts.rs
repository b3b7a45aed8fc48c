//! What rules judge by: plain values about one process and one range, each bounded by whoever reads
//! them. Locations are `file:line` as pages show them ([`crate::slow::short_path`]).

use std::collections::BTreeMap;

use loopd_model::{
    Coverage, CoverageState, DropCause, EVENT_LOOP_FLAVOR, LoopId, RecordKind, ResourceId, TaskId,
    TaskKind, UnixNanos, WaitId, WorkerId,
};

use crate::capture::Capture;
use crate::checks::Complaint;
use crate::histogram::Histogram;
use crate::leaks::Population;
use crate::rollup;
use crate::runtime::Runtime;
use crate::slow;
use crate::wait_graph::Blocker;

/// Everything that rules may know of a process in the range `from..to`. An instant after `to` is never in
/// it: what had not happened by then is not known.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Of which runtime its loops are.
    pub runtime: Runtime,
    /// How it was captured.
    pub capture: Capture,
    /// The beginning of the range.
    pub from: UnixNanos,
    /// Its end.
    pub to: UnixNanos,
    /// When the process began to be recorded.
    pub started_at: UnixNanos,
    /// How the process was at the end of the range.
    pub state: State,
    /// Polls at least this long are slow, in nanoseconds.
    pub slow_threshold: u64,
    /// What was captured at the end of the range, and why not.
    pub coverage: Vec<Coverage>,
    /// What was lost in the range or touches it.
    pub losses: Vec<Lost>,
    /// What was lost before the range: of which kinds (`None`: of any), and when last.
    pub lost_before: Vec<(Option<RecordKind>, UnixNanos)>,
    /// Its loops, open or closed.
    pub loops: Vec<Loop>,
    /// What tasks did, by spawn location: most busy first.
    pub sites: Vec<SpawnSite>,
    /// The same in the range before of the same length, or of the run that it is compared with; empty if
    /// there is nothing to compare with.
    pub before: Vec<SpawnSite>,
    /// What `before` is, as in "than in *the ten minutes before*".
    pub before_name: String,
    /// How long that was, in nanoseconds; 0 if there is nothing to compare with.
    pub before_length: u64,
    /// Slow polls, latest first.
    pub slow_polls: Vec<SlowPoll>,
    /// Tasks that were alive at the end of the range, by spawn location, callbacks aside. Of a process that had
    /// shut down by then, at the instant at which it began to ([`crate::leaks::end_of_life`]); so are the
    /// other things that are told as they stood at the end: open resources, single tasks, open waits.
    pub tasks: Vec<TaskPopulation>,
    /// Resources that were open at the end of the range or were never closed, by kind and open location.
    pub resources: Vec<ThingPopulation>,
    /// Single tasks alive at the end of the range that stand out: the oldest, those without a waker, those
    /// that wake themselves, those in an unfinished poll.
    pub alive: Vec<AliveTask>,
    /// Tasks that ended in the range with an outcome to look at: panicked, raised, destroyed.
    pub ended: Vec<Lived>,
    /// Waits that lasted at the end of the range, longest first, with those who held what they wait for.
    pub open_waits: Vec<OpenWait>,
    /// All waits that touch the range, by place.
    pub wait_sites: Vec<WaitSite>,
    /// Holds that ended in the range and that somebody waited for, or that were long, by place.
    pub hold_sites: Vec<HoldSite>,
    /// Locks, channels, semaphores: how things stood.
    pub uses: Vec<ResourceUse>,
    /// What asyncio complained of in the range.
    pub complaints: Vec<Complaint>,
    /// Work given to other threads (`spawn_blocking`, jobs of executors), by where it was given.
    pub jobs: Vec<JobSite>,
    /// Readings in the range, by name, each at [`Facts::POINTS`] even steps.
    pub metrics: BTreeMap<String, Vec<Series>>,
    /// Time inside recorded polls from the beginning of the range to the end of each step, in nanoseconds,
    /// by worker: for loops that do not tell `worker_busy_nanos`, as those of Python.
    pub busy: Vec<Series>,
}

/// How a process stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It runs.
    #[default]
    Live,
    /// It said goodbye.
    Ended,
    /// It went without one.
    Lost,
}

/// Telemetry that was produced and will never arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Of what; `None`: anything.
    pub kind: Option<RecordKind>,
    /// Why.
    pub cause: DropCause,
    /// How much; 0 if not known.
    pub count: u64,
    /// Not before.
    pub from: UnixNanos,
    /// Not after.
    pub to: UnixNanos,
}

/// One loop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loop {
    /// Its id.
    pub id: LoopId,
    /// What the program calls it.
    pub name: String,
    /// Such as `tokio multi_thread`.
    pub flavor: String,
    /// 0 if not known.
    pub workers: u32,
    /// The operating system's ids of the threads that run it, as far as known.
    pub threads: Vec<u64>,
    /// When it opened; `None` if not seen.
    pub opened_at: Option<UnixNanos>,
    /// When it began to shut down; `None` while open.
    pub closed_at: Option<UnixNanos>,
    /// When the first poll on it began, and when the last one did; `None` if there was none, or nobody
    /// knows.
    pub active: Option<(UnixNanos, UnixNanos)>,
}

impl Loop {
    /// Whether it is a `loopd_agent::EventLoop`, which has callbacks and executors as asyncio's loops have.
    pub fn is_event_loop(&self) -> bool {
        self.flavor == EVENT_LOOP_FLAVOR
    }
}

/// What all tasks of one spawn location did in the range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpawnSite {
    /// Where they were spawned; `None` if not known.
    pub location: Option<String>,
    /// Counts, sums and histograms.
    pub cell: rollup::Cell,
    /// Whether they are callbacks, of which a location has one "task" a loop.
    pub is_callback: bool,
    /// Some of them.
    pub examples: Vec<TaskId>,
}

/// A worker of a loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The loop.
    pub loop_id: LoopId,
    /// The worker.
    pub worker: WorkerId,
}

/// One slow poll.
#[derive(Clone, Debug, Default)]
pub struct SlowPoll {
    /// Whose, how long, with its stacks; what it is grouped by.
    pub poll: slow::SlowPoll,
    /// On which worker.
    pub lane: Lane,
    /// When it began.
    pub start_at: UnixNanos,
    /// Whether its end was seen.
    pub has_ended: bool,
    /// The task that was polled.
    pub task: TaskId,
    /// What sort of task that is; `None` if its spawn was not seen.
    pub kind: Option<TaskKind>,
    /// Who waited behind it; `None` where wakes are not recorded, or no longer kept.
    pub victims: Option<Victims>,
}

/// Who waited for a worker to be free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Victims {
    /// How many polls came late for it.
    pub polls: u64,
    /// How late, in all, in nanoseconds: only the part in which the worker was blocked.
    pub delay: u64,
}

/// Tasks of one spawn location.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskPopulation {
    /// Where they were spawned; `None` if not known.
    pub location: Option<String>,
    /// How many are alive, as far as they were counted.
    pub alive: u64,
    /// Spawned in the window of `population`.
    pub spawned: u64,
    /// Ended in it.
    pub ended: u64,
    /// How many were alive over the window, and how old they are.
    pub population: Population,
    /// Some of the oldest.
    pub examples: Vec<TaskId>,
}

/// Resources of one kind and open location.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ThingPopulation {
    /// What they are.
    pub kind: String,
    /// Where they were opened; `None` if not known.
    pub location: Option<String>,
    /// How many are open, as far as they were counted; of a process that shut down, before it did.
    pub open: u64,
    /// How many are open at the end of the range, also after a shutdown.
    pub left_open: u64,
    /// Opened in the window of `population`.
    pub opened: u64,
    /// Closed in it.
    pub closed: u64,
    /// Dropped without the close that they require, ever.
    pub unclosed: u64,
    /// How many were open over the window, and how old they are.
    pub population: Population,
    /// Some of the oldest: id and name.
    pub examples: Vec<(ResourceId, String)>,
}

/// One task that is alive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AliveTask {
    /// The task.
    pub task: TaskId,
    /// Its name; empty if it has none.
    pub name: String,
    /// What sort; `None` if its spawn was not seen.
    pub kind: Option<TaskKind>,
    /// Where it was spawned.
    pub location: Option<String>,
    /// When it was spawned; `None` if not seen.
    pub spawned_at: Option<UnixNanos>,
    /// How often it was polled.
    pub polls: u64,
    /// Time inside its polls.
    pub busy_time: u64,
    /// How often it was woken; `None` if no wake was seen.
    pub wakes: Option<u64>,
    /// How often by itself.
    pub self_wakes: Option<u64>,
    /// Since when nothing is left that could wake it; `None` if something is, or nobody knows.
    pub unwakeable_at: Option<UnixNanos>,
    /// What the program says of it.
    pub fields: Vec<(String, String)>,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// A panic.
    #[default]
    Panicked,
    /// An exception that nobody caught in it.
    Raised,
    /// Garbage-collected while pending.
    Destroyed,
}

/// One task that ended badly.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lived {
    /// The task.
    pub task: TaskId,
    /// Where it was spawned.
    pub location: Option<String>,
    /// When it ended.
    pub ended_at: UnixNanos,
    /// How.
    pub end: End,
    /// Whether another task waited for its end, as far as waits are recorded: one that waits for any of a set
    /// is not known to wait for this one.
    pub was_joined: bool,
}

/// One wait that lasts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenWait {
    /// Its id.
    pub wait: WaitId,
    /// Who waits; `None` outside any task.
    pub task: Option<TaskId>,
    /// That task's name; empty if it has none.
    pub task_name: String,
    /// For what; `None` if not known.
    pub resource: Option<ResourceId>,
    /// The kind of that; empty if not known.
    pub resource_kind: String,
    /// Its name; empty if it has none.
    pub resource_name: String,
    /// Where that was opened.
    pub resource_location: Option<String>,
    /// To do what: `lock`, `send` …
    pub op: String,
    /// Where in the program.
    pub location: Option<String>,
    /// Permits wanted; 0 where nothing is counted.
    pub amount: u64,
    /// When it began.
    pub began_at: UnixNanos,
    /// Who holds what it waits for and has not given it back, as far as known. For the op `join`: the
    /// tasks whose end it waits for.
    pub holders: Vec<WaitHolder>,
    /// The one task that alone can end this wait though it holds nothing: the only one that receives from
    /// a full channel, or that sends to an empty one. `None` if several could, or nobody knows. Of a wait to
    /// receive it says little: whoever waits so may have nothing to do, or be in a `select!` beside what is
    /// not recorded.
    pub awaits_task: Option<TaskId>,
}

impl OpenWait {
    /// The tasks that hold it up, as far as known.
    pub fn blockers(&self) -> Vec<Blocker> {
        let held = self.holders.iter().filter_map(|holder| {
            Some(Blocker { task: holder.task?, amount: holder.amount.max(1) })
        });
        let held: Vec<_> = held.collect();
        let other = self.awaits_task.filter(|_| held.is_empty());
        held.into_iter().chain(other.map(|task| Blocker { task, amount: 1 })).collect()
    }
}

/// Who holds what another waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitHolder {
    /// Who; `None` outside any task.
    pub task: Option<TaskId>,
    /// That task's name; empty if it has none.
    pub task_name: String,
    /// Since when.
    pub since_at: UnixNanos,
    /// Where it was taken.
    pub location: Option<String>,
    /// Permits that it holds; 0 where nothing is counted.
    pub amount: u64,
    /// Whether that is inferred: it got the resource while the other one waited.
    pub is_later: bool,
}

/// All waits at one place to do one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WaitSite {
    /// Where in the program; `None` if not known.
    pub location: Option<String>,
    /// To do what.
    pub op: String,
    /// The kind of what was waited for; empty if not known.
    pub resource_kind: String,
    /// Where that was opened, if all were opened at one place.
    pub resource_location: Option<String>,
    /// How many waits.
    pub waits: u64,
    /// Of these, those that were given up.
    pub cancelled: u64,
    /// Time of all of them, as far as it is in the range.
    pub total_time: u64,
    /// The longest.
    pub max_time: u64,
    /// How many tasks waited.
    pub tasks: u64,
    /// The task with most of them, how many in a row it had, and how long these took: one after the other
    /// with no other wait of the task between.
    pub longest_row: (TaskId, u64, u64),
    /// How long the task of `longest_row` had lived when it ended, or at the end of the range; `None` if
    /// not known.
    pub row_life: Option<u64>,
    /// The first in the range began then.
    pub first_at: UnixNanos,
    /// The last began then.
    pub last_at: UnixNanos,
}

/// All holds taken at one place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HoldSite {
    /// Where it was taken; `None` if not known.
    pub location: Option<String>,
    /// The kind of what was held.
    pub resource_kind: String,
    /// Where that was opened, if all were opened at one place.
    pub resource_location: Option<String>,
    /// One of what was held.
    pub resource: ResourceId,
    /// How many holds.
    pub holds: u64,
    /// Time of all of them.
    pub total_time: u64,
    /// The longest.
    pub max_time: u64,
    /// Time inside polls of the holder during the longest; `None` if not known. What is not busy was
    /// awaited while it was held.
    pub max_busy_time: Option<u64>,
    /// Who had the longest.
    pub max_task: Option<TaskId>,
    /// Waits that began during these holds.
    pub waits: u64,
    /// The first in the range began then.
    pub first_at: UnixNanos,
    /// The last ended then.
    pub last_at: UnixNanos,
}

/// How things stood with one lock, channel or semaphore.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceUse {
    /// The resource.
    pub resource: ResourceId,
    /// What it is: `mutex`, `rw_lock`, `semaphore`, `channel` …
    pub kind: String,
    /// Its name; empty if it has none.
    pub name: String,
    /// Where it was opened.
    pub location: Option<String>,
    /// Values in it at even steps of the range; `None` before it told one.
    pub depths: Vec<Option<f64>>,
    /// Tasks that waited for it at the same steps.
    pub waiters: Vec<Option<f64>>,
    /// Of these, those that wait for room in a channel.
    pub waiting_senders: Vec<Option<f64>>,
    /// Free permits at the same steps.
    pub permits: Vec<Option<f64>>,
    /// Values or permits that there can be; `None`: without bound, or not told.
    pub capacity: Option<u64>,
    /// Values sent in the range; `None` if never told.
    pub sent: Option<u64>,
    /// Values received in the range.
    pub received: Option<u64>,
    /// How often it was taken in the range.
    pub acquired: Option<u64>,
    /// How often somebody waited in the range.
    pub contended: Option<u64>,
    /// Time of waits in the range.
    pub waited_time: Option<u64>,
    /// Time of holds in the range.
    pub held_time: Option<u64>,
    /// Values that a receiver missed, in the range.
    pub lagged: Option<u64>,
}

/// Work given to other threads from one place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobSite {
    /// Where it was given, which is where its task was spawned; `None` if not known.
    pub location: Option<String>,
    /// Time between being given and being begun, of jobs that began in the range.
    pub delays: Histogram,
    /// The sum of these times, and of those of the jobs that wait at the end of the range.
    pub waited_time: u64,
    /// How many had not begun by the end of the range.
    pub waiting: u64,
    /// Some of those that waited longest.
    pub examples: Vec<TaskId>,
}

/// One metric of one loop and worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Of which loop; none (0) for the process.
    pub loop_id: LoopId,
    /// Of which worker; `None` where it belongs to none.
    pub worker: Option<WorkerId>,
    /// The last reading of each step; `None` where there is none.
    pub values: Vec<Option<f64>>,
}

impl Facts {
    /// Into so many steps the range is cut for what is read over time.
    pub const POINTS: usize = 60;

    /// The length of the range, in nanoseconds; at least 1.
    pub fn length(&self) -> u64 {
        self.to.0.saturating_sub(self.from.0).max(1).cast_unsigned()
    }

    /// What a sum over the range comes to in ten minutes: what adds up over days is no worse for that. A
    /// shorter range is taken as it is.
    pub fn in_ten_minutes(&self, sum: u64) -> u64 {
        const TEN_MINUTES: u64 = 600_000_000_000;
        let share = TEN_MINUTES as f64 / self.length().max(TEN_MINUTES) as f64;
        (sum as f64 * share) as u64
    }

    /// In whose words to advise what is of no single loop.
    pub fn words(&self) -> Runtime {
        let is_event_loop = !self.loops.is_empty() && self.loops.iter().all(Loop::is_event_loop);
        self.runtime.on(is_event_loop)
    }

    /// How long before the end of the range an instant was, in nanoseconds.
    pub fn since(&self, at: UnixNanos) -> u64 {
        self.to.0.saturating_sub(at.0).max(0).cast_unsigned()
    }

    /// Why a layer does not record; `None` if it does. A layer that nobody spoke of does not.
    pub fn missing(&self, layer: &str) -> Option<String> {
        let Some(coverage) = self.coverage.iter().find(|coverage| coverage.layer == layer) else {
            return Some(format!("the layer `{layer}`, which this process does not record"));
        };
        (coverage.state != CoverageState::On)
            .then(|| format!("the layer `{layer}`: {}", coverage.reason))
    }

    /// Whether records of this kind may be missing from the range: then "never" cannot be said. The end of
    /// a process that went away is no such loss for what was open at the last that is known.
    pub fn has_lost(&self, kind: RecordKind) -> bool {
        self.losses.iter().any(|lost| {
            lost.cause != DropCause::UnknownTail && lost.kind.is_none_or(|lost| lost == kind)
        })
    }

    /// The same of the range and of the time before it from `at` on: what began then may be over.
    pub fn has_lost_since(&self, kind: RecordKind, at: UnixNanos) -> bool {
        let is_later = |&(lost, last): &(Option<RecordKind>, UnixNanos)| {
            lost.is_none_or(|lost| lost == kind) && last >= at
        };
        self.has_lost(kind) || self.lost_before.iter().any(is_later)
    }

    /// Why none of these layers records, any of which would do; `None` if one does. The reason is that of
    /// the first that the process has.
    pub fn missing_all(&self, layers: &[&str]) -> Option<String> {
        if layers.iter().any(|layer| self.missing(layer).is_none()) {
            return None;
        }
        let is_known = |layer: &&&str| self.coverage.iter().any(|known| known.layer == ***layer);
        let layer = layers.iter().find(is_known).or(layers.first())?;
        self.missing(layer)
    }

    /// The readings of a metric by series; nothing if it was never told.
    pub fn metric(&self, name: &str) -> &[Series] {
        self.metrics.get(name).map_or(&[], Vec::as_slice)
    }

    /// By how much a counter of the process rose in the range; `None` if it was not told twice.
    pub fn rise(&self, name: &str) -> Option<f64> {
        self.metric(name).iter().find(|it| it.worker.is_none())?.rise()
    }
}

impl Series {
    /// The last reading.
    pub fn last(&self) -> Option<f64> {
        self.values.iter().rev().find_map(|value| *value)
    }

    /// By how much a counter rose between its first and last reading; `None` if it was not told twice.
    pub fn rise(&self) -> Option<f64> {
        let mut told = self.values.iter().flatten();
        let first = told.next()?;
        told.next_back().map(|last| (last - first).max(0.0))
    }
}
