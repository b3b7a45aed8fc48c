//! What the reader returns. Plain values: instants in wall time, lengths in nanoseconds, ids as the
//! agent gave them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use loopd_analysis::histogram::Histogram;
use loopd_analysis::rollup;
use loopd_analysis::tiles::Cell;
use loopd_model::{
    CloseHow, Coverage, DropCause, Frame, Location, LoopId, Outcome, ProcessId, RecordKind,
    ResourceId, Running, TaskId, TaskKind, UnixNanos, WorkerId,
};

mod dumps;
pub(crate) mod findings;
mod lanes;
mod notes;
mod region;
mod survivors;
mod task_life;
mod task_terms;
mod told;
mod waits;

pub use dumps::*;
pub use findings::{FindingRow, MAX_FINDINGS, MAX_MUTES};
pub use lanes::*;
pub use notes::*;
pub use region::*;
pub use survivors::*;
pub use task_life::*;
pub use task_terms::*;
pub use told::*;
pub use waits::*;

/// A process's row in this store: small, and stable for the life of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey(pub i64);

/// So many rows of one sort are counted, where counting means reading; more are "so many and more".
pub const MAX_COUNTED: u64 = if cfg!(test) { 10_000 } else { 100_000 };

/// No question of a reader's keeps a connection for longer: then it is an error that says so. SQL of users has its
/// own limits.
pub const MAX_READ_TIME: Duration = Duration::from_secs(30);

/// So many processes are listed at most, the latest.
pub const MAX_PROCESSES: usize = 1_000;

/// So many loops of one process are listed at most, those with the largest ids.
pub const MAX_LOOPS: usize = 200;

/// How a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProcessState {
    /// Its agent is connected.
    Live,
    /// The connection went without a goodbye.
    Lost,
    /// Its agent said goodbye.
    Ended,
}

impl ProcessState {
    /// The word for it in SQL, JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Lost => "lost",
            Self::Ended => "ended",
        }
    }
}

/// Processes, and whether those are all.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    /// The latest, latest started first.
    pub rows: Vec<ProcessRow>,
    /// Whether there are more.
    pub has_more: bool,
}

/// One process and its totals.
#[derive(Clone, Debug)]
pub struct ProcessRow {
    /// Its key in this store.
    pub process: ProcessKey,
    /// Its own id.
    pub id: ProcessId,
    /// What people call the program.
    pub app: String,
    /// Empty if the program did not say.
    pub app_version: String,
    /// Empty if not known.
    pub host: String,
    /// The operating system's process id.
    pub pid: u32,
    /// Free key=value pairs, sorted by key.
    pub labels: Vec<(String, String)>,
    /// Which agent records it.
    pub agent: String,
    /// The agent's version.
    pub agent_version: String,
    /// What is captured, what is not, and why.
    pub coverage: Vec<Coverage>,
    /// Polls at least this long, in nanoseconds, are slow.
    pub slow_threshold: u64,
    /// How it is doing.
    pub state: ProcessState,
    /// The instant 0 of its clock.
    pub started_at: UnixNanos,
    /// Up to when its telemetry is known.
    pub last_at: UnixNanos,
    /// When its session ended; `None` while live.
    pub ended_at: Option<UnixNanos>,
    /// Its loops, in the order in which they were opened.
    pub loops: Vec<LoopRow>,
    /// Counts over its life so far.
    pub totals: Totals,
}

/// What one process has now. It is counted each time, unlike [`Totals`], which are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tasks that have not ended, callbacks aside, as far as they were counted.
    pub tasks_alive: u64,
    /// Whether there are more than that.
    pub has_more_alive: bool,
    /// Resources not closed, as far as they were counted.
    pub open_resources: u64,
    /// Whether there are more than that.
    pub has_more_open: bool,
}

/// What one process had in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tasks whose spawn was seen, callbacks aside.
    pub tasks_spawned: u64,
    /// Polls stored, also those that retention has since removed.
    pub polls: u64,
    /// Slow polls, those still running included.
    pub slow_polls: u64,
    /// Records lost, all kinds and causes; losses of unknown size count 0.
    pub lost: u64,
}

/// One event loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopRow {
    /// Its id.
    pub loop_id: LoopId,
    /// What the program calls it; empty if not known.
    pub name: String,
    /// `tokio multi_thread`; empty if not known.
    pub flavor: String,
    /// How many workers; 0 if not known.
    pub workers: u32,
    /// `None` if its opening was lost.
    pub opened_at: Option<UnixNanos>,
    /// `None` while it is open.
    pub closed_at: Option<UnixNanos>,
}

/// One lane: a worker of a loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId {
    /// The loop.
    pub loop_id: LoopId,
    /// The worker.
    pub worker: WorkerId,
}

/// How busy each lane was over a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Start of bucket 0: `from`, rounded down to a bucket.
    pub from_at: UnixNanos,
    /// End of the last bucket.
    pub to_at: UnixNanos,
    /// The length of a bucket, in nanoseconds.
    pub step: u64,
    /// The zoom level it was read at.
    pub level: u8,
    /// Earliest instant that any tile of this process covers; `None` without tiles.
    pub data_from: Option<UnixNanos>,
    /// Latest.
    pub data_to: Option<UnixNanos>,
    /// Every lane the process ever had, also those without a poll in the range.
    pub lanes: Vec<TimelineLane>,
    /// Slow polls that overlap the range, longest first, at most [`MAX_TIMELINE_SLOW`]: the longest of
    /// the latest 50,000.
    pub slow: Vec<SlowSpan>,
    /// Losses that overlap the range.
    pub losses: Vec<LossRow>,
}

/// A timeline marks no more slow polls than this; more could not be told apart on a screen.
pub const MAX_TIMELINE_SLOW: usize = 2_000;

/// One lane of a timeline.
#[derive(Clone, Debug, Default)]
pub struct TimelineLane {
    /// Which.
    pub lane: LaneId,
    /// The loop's name; empty if not known.
    pub loop_name: String,
    /// The worker's thread name; empty if not known.
    pub thread_name: String,
    /// When a thread last became this worker, else when its loop was opened; `None` if neither was told.
    pub started_at: Option<UnixNanos>,
    /// When it stopped, or else its loop was closed; `None` while it runs, or if that was not told.
    pub stopped_at: Option<UnixNanos>,
    /// The buckets that hold something, by index from `from_at`, in order.
    pub cells: Vec<(u32, Cell)>,
}

/// A slow poll, as a mark on a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowSpan {
    /// Where.
    pub lane: LaneId,
    /// When it began.
    pub start_at: UnixNanos,
    /// How long it took; while running, how long it is known to have run.
    pub length: u64,
    /// The task.
    pub task: TaskId,
    /// Whether its end has not been seen.
    pub is_running: bool,
}

/// Single polls or parks of a range, lane by lane.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    /// The lanes that have any.
    pub lanes: Vec<LaneSpans>,
    /// Where the tasks in it were spawned, by [`SpanRow::location`].
    pub places: BTreeMap<i64, Location>,
    /// False if there were more than the limit; then some are missing.
    pub is_complete: bool,
}

/// What a piece of the timeline shows, as the store was at one instant.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// Which store it is, see [`StoreStatus::epoch`].
    pub epoch: [u8; 16],
    /// The process; `None` if there is no such, and then there is nothing else.
    pub process: Option<ProcessRow>,
    /// How busy its lanes were.
    pub timeline: Timeline,
    /// Its polls and its parks; `None` if there are more than were asked for.
    pub spans: Option<(Spans, Spans)>,
}

/// Single spans of one lane, by start.
#[derive(Clone, Debug, Default)]
pub struct LaneSpans {
    /// Which lane.
    pub lane: LaneId,
    /// Its spans.
    pub spans: Vec<SpanRow>,
}

/// One poll or park.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanRow {
    /// When it began.
    pub start_at: UnixNanos,
    /// How long it took.
    pub length: u64,
    /// The task polled; none for a park.
    pub task: TaskId,
    /// Where that task was spawned; 0 if not known.
    pub location: i64,
}

/// One poll of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollRow {
    /// Where.
    pub lane: LaneId,
    /// When it began.
    pub start_at: UnixNanos,
    /// How long it took.
    pub length: u64,
}

/// The polls of one task, as far as raw polls are still kept.
#[derive(Clone, Debug, Default)]
pub struct TaskPolls {
    /// The last, latest first.
    pub last: Vec<PollRow>,
    /// The longest, longest first.
    pub slowest: Vec<PollRow>,
    /// All of them by length.
    pub histogram: Histogram,
    /// False if the search was cut short, or retention removed some.
    pub is_complete: bool,
}

/// One of the slowest polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowestPoll {
    /// Where.
    pub lane: LaneId,
    /// When it began.
    pub start_at: UnixNanos,
    /// How long it took.
    pub length: u64,
    /// The task.
    pub task: TaskId,
}

/// How long the steps of roll-ups are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RollupStep {
    /// Kept for the last hour.
    TenSeconds = 0,
    /// Kept for as long as tiles.
    Minute = 1,
    /// Kept longest.
    Hour = 2,
}

/// What the tasks of one spawn location did in one step.
#[derive(Clone, Debug, PartialEq)]
pub struct RollupCell {
    /// When the step began.
    pub start_at: UnixNanos,
    /// The spawn location's id, for [`TaskQuery::location`]; `None` if it was not known in time.
    pub location: Option<i64>,
    /// What they did.
    pub cell: rollup::Cell,
}

/// One wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WakeRow {
    /// When the task was woken first since its last poll.
    pub woken_at: UnixNanos,
    /// From there to the poll.
    pub delay: u64,
    /// By which task; none outside any.
    pub by: TaskId,
    /// How many wakes led to that one poll.
    pub count: u64,
}

/// Whether a task still is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// In a slow poll right now.
    Running,
    /// Not ended.
    Alive,
    /// Ended.
    Ended,
}

impl TaskState {
    /// The word for it in SQL, JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Alive => "alive",
            Self::Ended => "ended",
        }
    }
}

/// One task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    /// The process.
    pub process: ProcessKey,
    /// Its id.
    pub task: TaskId,
    /// Its name, if it was given one.
    pub name: Option<String>,
    /// What sort; `None` if its spawn was not seen.
    pub kind: Option<TaskKind>,
    /// Whether it still is.
    pub state: TaskState,
    /// How it ended; `None` while alive.
    pub outcome: Option<Outcome>,
    /// Where it was spawned; `None` if not seen.
    pub location: Option<Location>,
    /// Its loop; none if its spawn was not seen.
    pub loop_id: LoopId,
    /// The task that spawned it.
    pub parent: Option<TaskId>,
    /// `None` if its spawn was not seen.
    pub spawned_at: Option<UnixNanos>,
    /// `None` while alive.
    pub ended_at: Option<UnixNanos>,
    /// From spawn (or first poll) to end (or the process's last instant).
    pub lifetime: u64,
    /// How often it was polled.
    pub polls: u64,
    /// Time spent inside finished polls.
    pub busy_time: u64,
    /// Its longest poll.
    pub max_poll_time: u64,
    /// Time between wakes and the polls they led to; `None` if no wake of it was seen.
    pub scheduled_time: Option<u64>,
    /// Wakes, coalesced ones counted singly; `None` if none was seen.
    pub wakes: Option<u64>,
    /// Wakes by itself.
    pub self_wakes: Option<u64>,
    /// The task that woke it last; `None` if that was no task, or none was seen.
    pub last_waker: Option<TaskId>,
    /// How many of its polls were slow.
    pub slow_polls: u64,
    /// What the program says of it beside its name, by key.
    pub fields: Vec<(String, String)>,
    /// It is pending, and since then nothing is left that could wake it; `None` if something is, or
    /// nobody looked.
    pub unwakeable_at: Option<UnixNanos>,
}

/// Which tasks to list, in which order.
#[derive(Clone, Debug, Default)]
pub struct TaskQuery {
    /// Of this process.
    pub process: ProcessKey,
    /// Alive (running ones included) or ended; `None` for both. `Running` gives only those.
    pub state: Option<TaskState>,
    /// Part of the name, the location's file, or the whole id.
    pub text: Option<String>,
    /// Spawned at this location id of `process`.
    pub location: Option<i64>,
    /// Spawned by this task of `process`.
    pub parent: Option<TaskId>,
    /// Of this sort; `None` for every sort but callbacks, which are in the list if it is of one place.
    pub kind: Option<TaskKind>,
    /// And such that meet all of these.
    pub terms: Vec<TaskTerm>,
    /// The order.
    pub sort: TaskSort,
    /// Largest first.
    pub is_descending: bool,
    /// Skip so many.
    pub offset: u64,
    /// Give at most so many.
    pub limit: u64,
}

/// What tasks can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TaskSort {
    /// Id.
    Task,
    /// Name; unnamed last.
    Name,
    /// Spawn location.
    Location,
    /// Spawn.
    #[default]
    SpawnedAt,
    /// Lifetime.
    Lifetime,
    /// Number of polls.
    Polls,
    /// Busy time.
    BusyTime,
    /// Longest poll.
    MaxPollTime,
    /// Number of wakes.
    Wakes,
    /// Scheduled time.
    ScheduledTime,
    /// Running, alive, ended.
    State,
}

/// One page of a longer list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// How many there are in all, as far as was looked.
    pub total: u64,
    /// Those of this page.
    pub rows: Vec<T>,
    /// What ended before this was not looked at; `None` if nothing was left out.
    pub searched_from: Option<UnixNanos>,
    /// Of tasks: whether more are alive than were looked through, which are the latest of each spawn
    /// location.
    pub has_more_alive: bool,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { total: 0, rows: Vec::new(), searched_from: None, has_more_alive: false }
    }
}

/// What the tasks of one spawn location have in common, in the last hour that is known of them.
#[derive(Clone, Debug, Default)]
pub struct LocationStats {
    /// How many were spawned there.
    pub tasks: u64,
    /// Polls of tasks that were spawned there, whenever that was.
    pub polls: u64,
    /// Time spent in them.
    pub busy_time: u64,
    /// Their lengths; `None` without polls.
    pub histogram: Option<Histogram>,
}

/// One slow poll.
#[derive(Clone, Debug)]
pub struct SlowPoll {
    /// The process.
    pub process: ProcessKey,
    /// Where.
    pub lane: LaneId,
    /// When it began.
    pub start_at: UnixNanos,
    /// How long it took; `None` while its end has not been seen.
    pub length: Option<u64>,
    /// How long it is known to have run: `length`, or up to the last sample.
    pub length_so_far: u64,
    /// The task.
    pub task: TaskId,
    /// Where that was spawned; `None` if not known.
    pub spawn_location: Option<Location>,
    /// Stacks taken while it ran, earliest first.
    pub samples: Vec<SampleRow>,
}

/// One stack taken in a poll.
#[derive(Clone, Debug)]
pub struct SampleRow {
    /// When.
    pub at: UnixNanos,
    /// What the thread was doing.
    pub running: Running,
    /// The stack, leaf first; empty if it was lost.
    pub frames: Arc<[Frame]>,
    /// The system call that the thread was in; empty if in none, or not known.
    pub syscall: String,
    /// Where in the kernel it slept; empty if not asleep, or not known.
    pub wchan: String,
}

/// The slow polls of a range.
#[derive(Clone, Debug, Default)]
pub struct SlowPolls {
    /// How many there are, up to [`MAX_COUNTED`]: then it is the latest that count.
    pub total: u64,
    /// Sum of the lengths so far of those that were counted.
    pub total_time: u64,
    /// Whether there may be more than were counted.
    pub has_more: bool,
    /// The latest, latest first, up to the limit asked for.
    pub polls: Vec<SlowPoll>,
}

/// Which slow polls.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlowQuery {
    /// Of this process.
    pub process: ProcessKey,
    /// Of one task of it.
    pub task: Option<TaskId>,
    /// Not ended before; `None` from the beginning.
    pub from: Option<UnixNanos>,
    /// Begun before; `None` to the end.
    pub to: Option<UnixNanos>,
    /// At most so many.
    pub limit: u64,
}

/// How many tasks of one spawn location were alive over a window.
#[derive(Clone, Debug)]
pub struct TaskSite {
    /// The process.
    pub process: ProcessKey,
    /// The location's id, for [`TaskQuery::location`]; `None` if spawns were not seen.
    pub location_id: Option<i64>,
    /// The location.
    pub location: Option<Location>,
    /// Alive at the end of the window, as far as they were counted.
    pub alive: u64,
    /// Whether more are alive than that.
    pub has_more: bool,
    /// Spawned in the window.
    pub spawned: u64,
    /// Ended in the window.
    pub ended: u64,
    /// Alive at evenly spaced instants; the last is the end of the window.
    pub counts: Vec<u64>,
    /// Ages of those alive at the end, oldest first, at most [`MAX_AGES`].
    pub ages: Vec<u64>,
    /// The median of the ages of those that were counted; `None` if it is not known.
    pub median_age: Option<u64>,
    /// The oldest that are alive, at most 5.
    pub examples: Vec<TaskId>,
}

/// How many resources of one kind and open location were open over a window.
#[derive(Clone, Debug)]
pub struct ResourceSite {
    /// The process.
    pub process: ProcessKey,
    /// The kind.
    pub kind: String,
    /// Where they were opened.
    pub location: Option<Location>,
    /// Open at the end of the window, as far as they were counted.
    pub open: u64,
    /// Whether more are open than that.
    pub has_more: bool,
    /// Opened in the window.
    pub opened: u64,
    /// Closed in the window.
    pub closed: u64,
    /// Dropped without the close they require, ever, as far as they were counted.
    pub unclosed: u64,
    /// What was opened and closed before this, in the window, was too much to be counted; `None` if
    /// nothing was left out.
    pub counted_from: Option<UnixNanos>,
    /// Open at evenly spaced instants; the last is the end of the window.
    pub counts: Vec<u64>,
    /// Ages of those open at the end, oldest first, at most [`MAX_AGES`].
    pub ages: Vec<u64>,
    /// The median of the ages of those that were counted; `None` if it is not known.
    pub median_age: Option<u64>,
    /// The oldest that are open, at most 5.
    pub examples: Vec<ResourceRow>,
}

/// Of each site this many ages are given; the oldest say most.
pub const MAX_AGES: usize = 1_000;

/// One resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceRow {
    /// The process.
    pub process: ProcessKey,
    /// Its id.
    pub resource: ResourceId,
    /// `file`, `socket`, or what the program calls it; empty if its opening was lost.
    pub kind: String,
    /// A path or an address; empty if not given.
    pub name: String,
    /// Where it was opened.
    pub location: Option<Location>,
    /// By which task; `None` outside any.
    pub task: Option<TaskId>,
    /// `None` if its opening was lost.
    pub opened_at: Option<UnixNanos>,
    /// `None` while open.
    pub closed_at: Option<UnixNanos>,
    /// How it was closed; `None` while open.
    pub how: Option<CloseHow>,
    /// How things stand with it, at the latest; all absent if it never told.
    pub state: ResourceState,
}

/// Which resources to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceQuery {
    /// Of this process.
    pub process: ProcessKey,
    /// Opened by this task of it.
    pub task: Option<TaskId>,
    /// Open (true), closed (false) or both (`None`).
    pub is_open: Option<bool>,
    /// Skip so many.
    pub offset: u64,
    /// At most so many.
    pub limit: u64,
}

/// Readings of one metric of one loop and worker.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSeries {
    /// The loop; none for the process.
    pub loop_id: LoopId,
    /// The worker; `None` where it belongs to none.
    pub worker: Option<WorkerId>,
    /// The last reading of each step; `None` for steps without one.
    pub values: Vec<Option<f64>>,
}

/// The latest reading of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricRow {
    /// Which.
    pub name: String,
    /// The loop; none for the process.
    pub loop_id: LoopId,
    /// The worker; `None` where it belongs to none.
    pub worker: Option<WorkerId>,
    /// When.
    pub at: UnixNanos,
    /// The value.
    pub value: f64,
}

/// Telemetry that will never arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossRow {
    /// Of what; `None` where it could be anything.
    pub kind: Option<RecordKind>,
    /// Why.
    pub cause: DropCause,
    /// How many; 0 if that cannot be known.
    pub count: u64,
    /// Not before.
    pub from_at: UnixNanos,
    /// Not after.
    pub to_at: UnixNanos,
}

/// What was lost of one kind for one reason, as far as losses are still kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CauseRow {
    /// Of what.
    pub kind: RecordKind,
    /// Why.
    pub cause: DropCause,
    /// How many records.
    pub count: u64,
}

/// The books of one kind of record. Up to the last batch stored,
/// `produced = stored + dropped + lost`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Of what.
    pub kind: RecordKind,
    /// What the agent says it recorded or dropped.
    pub produced: u64,
    /// What this store holds, or held before retention removed it.
    pub stored: u64,
    /// What the agent says it dropped.
    pub dropped: u64,
    /// What was lost between the two.
    pub lost: u64,
}

/// The store as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStatus {
    /// The file.
    pub path: PathBuf,
    /// Its size with its write-ahead log.
    pub bytes: u64,
    /// 16 random bytes made with the file.
    pub epoch: [u8; 16],
    /// The version of its schema.
    pub schema: i64,
    /// Start of the oldest raw segment kept; `None` when there is none.
    pub oldest_at: Option<UnixNanos>,
    /// Batches stored since the file was made.
    pub batches: u64,
    /// Records stored since the file was made, polls, parks and wakes not counted.
    pub events: u64,
    /// Polls stored since the file was made.
    pub polls: u64,
}

/// What takes the room in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Bytes of the file itself.
    pub file_bytes: u64,
    /// Bytes of the log beside it.
    pub wal_bytes: u64,
    /// Bytes of pages that hold something.
    pub used_bytes: u64,
    /// Bytes of pages that hold nothing; they are used before the file grows.
    pub free_bytes: u64,
    /// What is told apart by process, the largest first. Rows of all other tables are what is left of
    /// `used_bytes`.
    pub processes: Vec<ProcessUse>,
    /// Bytes of the latest single polls, parks and wakes.
    pub recent_span_bytes: u64,
    /// The time that they are of, in nanoseconds; 0 if there are none.
    pub recent_time: u64,
}

/// What one process takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessUse {
    /// Which.
    pub process: ProcessKey,
    /// What people call the program.
    pub app: String,
    /// Bytes of single polls, parks and wakes.
    pub span_bytes: u64,
    /// Bytes of packed tasks.
    pub task_bytes: u64,
    /// Bytes of tiles of the timeline.
    pub tile_bytes: u64,
    /// Bytes of roll-ups by place.
    pub rollup_bytes: u64,
}

/// Of a budget single polls, parks and wakes may take so much, in percent, and more while others need less.
pub const SPAN_SHARE: u64 = 50;
