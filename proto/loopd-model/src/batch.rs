//! What one message of an agent holds, and what is said about the process that sends it.

use crate::{Event, Location, LoopId, Name, Nanos, ProcessId, Stack, UnixNanos, WorkerId};

/// One run of one program.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Its id.
    pub id: ProcessId,
    /// What people call the program.
    pub app: String,
    /// Empty if the program did not say.
    pub app_version: String,
    /// Empty if it could not be read.
    pub host: String,
    /// The operating system's process id.
    pub pid: u32,
    /// Free key=value pairs, sorted by key.
    pub labels: Vec<(String, String)>,
    /// `loopd-agent` for Rust, `loopd` for Python.
    pub agent: String,
    /// The agent's version.
    pub agent_version: String,
    /// The instant 0 of this process in wall time.
    pub anchor: Anchor,
    /// What is captured, what is not, and why.
    pub coverage: Vec<Coverage>,
    /// Polls at least this long, in nanoseconds, are slow.
    pub slow_threshold: u64,
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anchor {
    /// On the process's clock.
    pub at: Nanos,
    /// On the wall.
    pub unix: UnixNanos,
}

/// Whether one capture layer works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// `hooks`, `wrapped`, `watchdog`, `metrics`, `tracing`, `guards`, `fds`, `app_events`, or
    /// `configuration`.
    pub layer: String,
    /// Whether it works.
    pub state: CoverageState,
    /// Why not, and what would turn it on; empty when on.
    pub reason: String,
}

/// Whether a capture layer works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CoverageState {
    /// It works.
    On,
    /// Switched off by configuration.
    Off,
    /// Cannot work here.
    Unavailable,
}

/// What the collector asks of an agent; an absent field leaves things as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether to record single polls and parks.
    pub record_polls: Option<bool>,
    /// Whether to record wakes.
    pub record_wakes: Option<bool>,
    /// Whether to record who waits for what, and what state resources are in.
    pub record_waits: Option<bool>,
    /// Whether to take stacks of long polls.
    pub sample_stacks: Option<bool>,
    /// Whether to follow every open file descriptor.
    pub track_fds: Option<bool>,
    /// Whether to record the program's own spans and events.
    pub app_events: Option<bool>,
    /// From which length, in nanoseconds, a poll is slow.
    pub slow_threshold: Option<u64>,
}

/// One message of an agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// 1, 2, 3, … without holes for the life of the process.
    pub seq: u64,
    /// Both clocks when the batch was sealed.
    pub anchor: Anchor,
    /// Strings that this and later batches refer to.
    pub names: Vec<Name>,
    /// Places that this and later batches refer to.
    pub locations: Vec<Location>,
    /// Stacks that this and later batches refer to.
    pub stacks: Vec<Stack>,
    /// What happened, roughly in order; exactly in order for one thread.
    pub events: Vec<Event>,
    /// Polls, parks and wakes.
    pub segments: Vec<Segment>,
    /// What was lost since the last batch, or instead of this one.
    pub losses: Vec<Loss>,
    /// Totals since the start of the process.
    pub ledger: Vec<LedgerEntry>,
}

/// Many spans of one worker, packed by [`crate::segment::encode`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The worker's loop.
    pub loop_id: LoopId,
    /// The worker.
    pub worker: WorkerId,
    /// [`RecordKind::Poll`], [`RecordKind::Park`] or [`RecordKind::Wake`].
    pub kind: RecordKind,
    /// How many spans.
    pub count: u32,
    /// The packed spans.
    pub data: Vec<u8>,
}

/// Kinds of record, for counting what was produced, stored and lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// One poll of a task.
    Poll = 1,
    /// One sleep of a worker.
    Park = 2,
    /// One wake that led to a poll.
    Wake = 3,
    /// Spawned, named, described, counted, started, stranded, ended.
    Task = 4,
    /// Opened, changed, closed.
    Resource = 5,
    /// A stack taken while a poll ran.
    Sample = 6,
    /// A set of readings.
    Metric = 7,
    /// Loops and workers that come and go.
    Loop = 8,
    /// Waits that begin and end, holds that end.
    Wait = 9,
    /// Marks, spans and events of the program's own.
    Mark = 10,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Poll,
        Self::Park,
        Self::Wake,
        Self::Task,
        Self::Resource,
        Self::Sample,
        Self::Metric,
        Self::Loop,
        Self::Wait,
        Self::Mark,
    ];

    /// How long an array is that is indexed by kind. Slot 0 is no kind.
    pub const SLOTS: usize = Self::ALL.len() + 1;

    /// The kind with this number, if there is one.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            n @ 1..=10 => Some(Self::ALL[n as usize - 1]),
            _ => None,
        }
    }

    /// The word for it in SQL, JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Park => "park",
            Self::Wake => "wake",
            Self::Task => "task",
            Self::Resource => "resource",
            Self::Sample => "sample",
            Self::Metric => "metric",
            Self::Loop => "loop",
            Self::Wait => "wait",
            Self::Mark => "mark",
        }
    }
}

/// Why telemetry was lost. Adding a cause is a change of protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropCause {
    /// A thread recorded faster than the exporter could drain it.
    RingFull = 1,
    /// No buffer was left for another thread within the agent's memory limit.
    NoRing = 2,
    /// The collector was away for longer than the agent's memory could bridge.
    WindowEvicted = 3,
    /// A table or a queue inside the agent was full.
    AgentLimit = 4,
    /// The process ended before everything could be sent.
    ShutdownDeadline = 5,
    /// The collector could not read it.
    Malformed = 6,
    /// The collector's disk was full.
    StorageFull = 7,
    /// The store was replaced or restored while the agent ran.
    StoreRollback = 8,
    /// The process ended without a goodbye; the count is not known.
    UnknownTail = 9,
}

impl DropCause {
    /// Every cause.
    pub const ALL: [Self; 9] = [
        Self::RingFull,
        Self::NoRing,
        Self::WindowEvicted,
        Self::AgentLimit,
        Self::ShutdownDeadline,
        Self::Malformed,
        Self::StorageFull,
        Self::StoreRollback,
        Self::UnknownTail,
    ];

    /// The cause with this number, if there is one.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            n @ 1..=9 => Some(Self::ALL[n as usize - 1]),
            _ => None,
        }
    }

    /// The word for it in SQL, JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::NoRing => "no_ring",
            Self::WindowEvicted => "window_evicted",
            Self::AgentLimit => "agent_limit",
            Self::ShutdownDeadline => "shutdown_deadline",
            Self::Malformed => "malformed",
            Self::StorageFull => "storage_full",
            Self::StoreRollback => "store_rollback",
            Self::UnknownTail => "unknown_tail",
        }
    }
}

/// Telemetry that was produced and will never arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What.
    pub kind: RecordKind,
    /// Why.
    pub cause: DropCause,
    /// How many; 0 if that cannot be known.
    pub count: u64,
    /// Not before.
    pub from: Nanos,
    /// Not after.
    pub to: Nanos,
}

/// Running totals of one kind since the process started. At every batch,
/// `produced = stored + dropped by the agent + dropped by eviction or the collector`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Of what.
    pub kind: RecordKind,
    /// Recorded or dropped so far, up to and including this batch.
    pub produced: u64,
    /// Dropped by the agent, all causes but [`DropCause::WindowEvicted`].
    pub dropped: u64,
}
