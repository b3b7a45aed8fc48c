//! What the reader returns of one task's life, and of those like it.

use loopd_model::{Location, ResourceId, TaskId, UnixNanos};

use crate::{LaneId, TaskRow};

/// What is known of a task's life between two instants.
#[derive(Clone, Debug)]
pub struct TaskLife {
    /// When its life began; if its spawn was not seen, the first that is known of it.
    pub begin: UnixNanos,
    /// When it ended, or the last that is known of the process.
    pub end: UnixNanos,
    /// From here on everything that is stored was looked at.
    pub from: UnixNanos,
    /// Up to here.
    pub to: UnixNanos,
    /// Whether that is less than was asked for: more than is looked at, or no longer stored.
    pub is_cut: bool,
    /// When it first ran.
    pub first_run_at: Option<UnixNanos>,
    /// Whether its spawn was seen.
    pub is_spawn_known: bool,
    /// How many polls were counted in all of its life.
    pub polls_counted: u64,
    /// Its polls in order.
    pub polls: Vec<LifePoll>,
    /// From each first wake to the poll it led to, in order of the latter.
    pub wakes: Vec<(UnixNanos, UnixNanos)>,
    /// When it ran beside that: a blocking job, or a poll that has not ended.
    pub also_ran: Vec<(UnixNanos, UnixNanos)>,
    /// Its waits, latest first.
    pub waits: Vec<LifeWait>,
    /// When records of it may have been lost.
    pub losses: Vec<(UnixNanos, UnixNanos)>,
}

/// One poll, with what led to it.
#[derive(Clone, Copy, Debug)]
pub struct LifePoll {
    /// Where.
    pub lane: LaneId,
    /// When it began.
    pub start_at: UnixNanos,
    /// How long it took.
    pub length: u64,
    /// The wake that led to it; `None` if none was recorded.
    pub wake: Option<LifeWake>,
}

/// The wakes that led to a poll.
#[derive(Clone, Copy, Debug)]
pub struct LifeWake {
    /// From the first of them to the poll.
    pub delay: u64,
    /// The task that woke it; none outside any.
    pub by: TaskId,
    /// How many they were.
    pub count: u64,
}

/// One wait.
#[derive(Clone, Debug)]
pub struct LifeWait {
    /// When it began.
    pub began_at: UnixNanos,
    /// When it ended, or the last that is known of it.
    pub ended_at: UnixNanos,
    /// What was waited for; `None` if that is not known.
    pub resource: Option<ResourceId>,
    /// Of what kind that is; empty if not known.
    pub kind: String,
    /// What it is called; empty if it has no name.
    pub name: String,
    /// What was being done: `lock`, `recv`.
    pub op: String,
    /// Whether its end was not seen.
    pub is_open: bool,
}

/// The tasks of one spawn location, as far as they were looked at.
#[derive(Clone, Debug, Default)]
pub struct Siblings {
    /// Those that have ended.
    pub ended: SiblingFigures,
    /// Those that are alive: so far.
    pub alive: SiblingFigures,
    /// Those that ended before this were not looked at.
    pub searched_from: Option<UnixNanos>,
    /// Whether more are alive.
    pub has_more_alive: bool,
}

/// What tasks have in common: each list in ascending order, one figure a task.
#[derive(Clone, Debug, Default)]
pub struct SiblingFigures {
    /// From spawn to end, or to the last that is known.
    pub lifetime: Vec<u64>,
    /// Time in polls.
    pub busy_time: Vec<u64>,
    /// How often they were polled.
    pub polls: Vec<u64>,
    /// The longest poll of each.
    pub max_poll_time: Vec<u64>,
}

/// Tasks that were cancelled, and were children of a task or last woken by it.
#[derive(Clone, Debug, Default)]
pub struct CancelledBy {
    /// The latest of them.
    pub rows: Vec<TaskRow>,
    /// How many there are, of those that were looked at.
    pub total: u64,
    /// Those that ended before this were not looked at.
    pub searched_from: Option<UnixNanos>,
}

/// A task as others refer to it.
#[derive(Clone, Debug)]
pub struct TaskName {
    /// Which.
    pub task: TaskId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Where it was spawned.
    pub location: Option<Location>,
}
