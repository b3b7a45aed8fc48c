//! What the reader returns of waits, holds and the state of resources.

use loopd_model::{Frame, Location, ResourceId, TaskId, UnixNanos, WaitId};

use crate::{ProcessKey, ResourceRow};

/// So many waits are counted: nobody reads to the end of more, and counting takes time.
pub const MAX_COUNTED_WAITS: u64 = 10_000;

/// Of the waits that last at an instant so many are given, the longest.
pub const MAX_WAITS_AT: usize = 1_000;

/// Which waits to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitQuery {
    /// Of this process.
    pub process: ProcessKey,
    /// Only those that last, longest first; otherwise all of them, latest first. In a process that
    /// is gone those last in which its tasks were caught.
    pub is_pending: bool,
    /// Of this task.
    pub task: Option<TaskId>,
    /// For this resource.
    pub resource: Option<ResourceId>,
    /// Skip so many.
    pub offset: u64,
    /// At most so many.
    pub limit: u64,
}

/// How a wait stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitState {
    /// It lasts.
    Pending,
    /// Its task or its process ended first, its end was lost, or nobody knows how it ended.
    Unfinished,
    /// The operation was done.
    Ready,
    /// The operation was dropped before.
    Cancelled,
}

impl WaitState {
    /// The word for it in SQL, JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Unfinished => "unfinished",
            Self::Ready => "ready",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One wait of a task for a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitRow {
    /// The process.
    pub process: ProcessKey,
    /// Its id.
    pub wait: WaitId,
    /// Who waits; `None` outside any task.
    pub task: Option<TaskId>,
    /// That task's name, if it has one.
    pub task_name: Option<String>,
    /// For what; `None` if not known.
    pub resource: Option<ResourceId>,
    /// The kind of that resource; empty if its opening was not seen.
    pub resource_kind: String,
    /// Its name; empty if it has none.
    pub resource_name: String,
    /// Where it was opened; `None` if not known.
    pub resource_location: Option<Location>,
    /// To do what: `lock`, `send` …; empty if not known.
    pub op: String,
    /// Where in the program.
    pub location: Option<Location>,
    /// Permits wanted; 0 where nothing is counted.
    pub amount: u64,
    /// When it began.
    pub began_at: UnixNanos,
    /// When it ended; `None` while it lasts.
    pub ended_at: Option<UnixNanos>,
    /// How long it took, or is known to have lasted.
    pub length: u64,
    /// How it stands.
    pub state: WaitState,
    /// Whether nobody has seen its end, none was lost since, and its task was alive to the last.
    pub is_open: bool,
    /// Who held the resource when it began; and who is known to have taken it since, last.
    pub holders: Vec<HolderRow>,
}

/// A task that held what another one waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct HolderRow {
    /// Who; `None` outside any task.
    pub task: Option<TaskId>,
    /// That task's name, if it has one.
    pub task_name: Option<String>,
    /// Since when.
    pub since_at: UnixNanos,
    /// Where it took it.
    pub location: Option<Location>,
    /// Permits; 0 where nothing is counted.
    pub amount: u64,
    /// When it gave it back; `None` if it has not, as far as known.
    pub released_at: Option<UnixNanos>,
    /// Whether it took it only after the wait began. Inferred: its own wait for it ended last.
    pub is_later: bool,
}

/// One hold of a lock or of permits that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct HoldRow {
    /// What was held; `None` if not known.
    pub resource: Option<ResourceId>,
    /// By whom; `None` outside any task.
    pub task: Option<TaskId>,
    /// That task's name, if it has one.
    pub task_name: Option<String>,
    /// Since when.
    pub since_at: UnixNanos,
    /// Until when.
    pub ended_at: UnixNanos,
    /// Where it was taken.
    pub location: Option<Location>,
    /// Permits; 0 where nothing is counted.
    pub amount: u64,
    /// Waits that began meanwhile.
    pub waits: u64,
}

/// How things stand with a resource; `None` for what it never told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceState {
    /// When the latest of these was told.
    pub at: UnixNanos,
    /// Values in a queue.
    pub depth: Option<u64>,
    /// Values or permits that there can be.
    pub capacity: Option<u64>,
    /// Permits that are free.
    pub permits: Option<u64>,
    /// Waits that last.
    pub waiters: Option<u64>,
    /// Handles that can send.
    pub senders: Option<u64>,
    /// Handles that can receive.
    pub receivers: Option<u64>,
    /// Whether somebody has it.
    pub is_locked: Option<bool>,
    /// How often it was taken, in all; this and the rest are running totals.
    pub acquired: Option<u64>,
    /// How often somebody waited.
    pub contended: Option<u64>,
    /// Time of all waits.
    pub waited_time: Option<u64>,
    /// Time of all holds.
    pub held_time: Option<u64>,
    /// Values sent.
    pub sent: Option<u64>,
    /// Values received.
    pub received: Option<u64>,
    /// Values that a receiver missed.
    pub lagged: Option<u64>,
}

/// Everything about one resource but its waits.
#[derive(Clone, Debug)]
pub struct ResourceDetail {
    /// The resource.
    pub resource: ResourceRow,
    /// The stack that opened it, leaf first; empty if it was not taken.
    pub open_stack: Vec<Frame>,
    /// Its latest holds that are over, latest first.
    pub holds: Vec<HoldRow>,
    /// How things stood with it, latest first.
    pub states: Vec<ResourceState>,
}
