//! What the reader returns to those who follow everything that a process has.

use std::collections::HashMap;
use std::sync::Arc;

use loopd_model::{Location, TaskId, TaskKind, UnixNanos};

/// Which tasks of a process are followed.
#[derive(Clone, Debug)]
pub struct StandingQuery {
    /// Those that were given before: of these it is told how they stand, whatever else there is.
    pub known: Vec<TaskId>,
    /// At most so many that are alive are given, with those that are known: of more than that the
    /// latest of each spawn location.
    pub max_alive: usize,
    /// Those that ended since are given as well.
    pub ended_from: UnixNanos,
    /// At most so many of them.
    pub max_ended: usize,
    /// As of this instant: what was spawned later is left out, and what ended later is given too, as far
    /// as it is found: of those that have ended since, 100,000 each that did so first and last are looked
    /// at, and 20,000 each that were spawned last before it and first of all. Everything else of a task
    /// is told as it is now, and `running_since` as it was.
    pub at: Option<UnixNanos>,
}

/// How the tasks of a process stand.
#[derive(Clone, Debug, Default)]
pub struct Standings {
    /// The tasks, each once.
    pub tasks: Vec<TaskStanding>,
    /// How many that are alive are not among them, as far as they were counted: at least so many, but for
    /// an instant of a large recording, where it is known to within some seconds of spawns and ends.
    pub left_out: u64,
}

/// How one task stands, callbacks aside, with the instants that lists have no room for.
#[derive(Clone, Debug)]
pub struct TaskStanding {
    /// Its id.
    pub task: TaskId,
    /// Its name, if it was given one.
    pub name: Option<String>,
    /// What sort; `None` if its spawn was not seen.
    pub kind: Option<TaskKind>,
    /// Where it was spawned; `None` if not seen.
    pub location: Option<Arc<Location>>,
    /// The task that spawned it.
    pub parent: Option<TaskId>,
    /// `None` if its spawn was not seen.
    pub spawned_at: Option<UnixNanos>,
    /// `None` while alive.
    pub ended_at: Option<UnixNanos>,
    /// Polls that have ended; a blocking job that has begun is one.
    pub polls: u64,
    /// Time spent in them.
    pub busy_time: u64,
    /// Start of its first poll that has ended, or when a blocking job left the queue.
    pub first_poll_at: Option<UnixNanos>,
    /// Start of its last poll that has ended.
    pub last_poll_start: Option<UnixNanos>,
    /// End of that.
    pub last_poll_end: Option<UnixNanos>,
    /// When the poll began, or the blocking job, that it is in now, as far as that is known: of polls
    /// only once they are slow.
    pub running_since: Option<UnixNanos>,
    /// Wakes that led to polls; 0 if none was seen.
    pub wakes: u64,
    /// Those by itself.
    pub self_wakes: u64,
    /// Time between wakes and the polls they led to.
    pub scheduled_time: u64,
    /// When it was woken last.
    pub last_woken_at: Option<UnixNanos>,
    /// It is pending, and since then nothing is left that could wake it. As of an instant, whatever came
    /// later: a poll that began after it refutes it.
    pub unwakeable_at: Option<UnixNanos>,
    /// What the program says of it beside its name, by key.
    pub fields: Vec<(String, String)>,
}

/// What tasks did in a range, added up from single polls and wakes.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// By task.
    pub tasks: HashMap<TaskId, TaskActivity>,
    /// From here on nothing is missing: the start of the range, unless it has more than is looked at.
    pub complete_from: UnixNanos,
}

/// What one task did in a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskActivity {
    /// Polls that ended in the range.
    pub polls: u64,
    /// Time spent in them.
    pub busy_time: u64,
    /// Start of the first of them.
    pub first_poll_at: Option<UnixNanos>,
    /// Start of the last of them.
    pub last_poll_start: Option<UnixNanos>,
    /// End of that.
    pub last_poll_end: Option<UnixNanos>,
    /// Start of the poll that was going on at the end of the range.
    pub running_since: Option<UnixNanos>,
    /// Wakes whose polls began in the range.
    pub wakes: u64,
    /// Those by itself.
    pub self_wakes: u64,
    /// Time between these wakes and their polls.
    pub scheduled_time: u64,
    /// When it was woken last, by the end of the range.
    pub last_woken_at: Option<UnixNanos>,
}
