//! What the reader returns of one task, one resource or one metric over a stretch of time.

use loopd_model::{LoopId, TaskId, UnixNanos, WorkerId};

use crate::{LaneId, PollRow, WakeRow};

/// Rows that touch a stretch of time, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Of what was before this, or reached beyond the stretch, some was left out; `None` if nothing was.
    pub known_from: Option<UnixNanos>,
}

impl<T> Default for Stretch<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), known_from: None }
    }
}

/// What one task did in a stretch of time that is cut into even steps.
#[derive(Clone, Debug, Default)]
pub struct TaskStretch {
    /// Nanoseconds that it was polled, by step.
    pub running: Vec<u64>,
    /// Nanoseconds from wakes to the polls that they led to, by step.
    pub ready: Vec<u64>,
    /// How many polls and wakes touch the stretch.
    pub spans: u64,
    /// Single polls, oldest first; empty if there are more spans than was asked for.
    pub polls: Vec<PollRow>,
    /// Single wakes, likewise.
    pub wakes: Vec<WakeRow>,
    /// Whether `polls` and `wakes` have all that was found.
    pub is_exact: bool,
    /// Of what ended before this some is not kept, cannot be read or was not looked at; `None` if all was.
    pub known_from: Option<UnixNanos>,
}

/// A task that was woken, and the poll to which that led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WokenRow {
    /// Who was woken.
    pub task: TaskId,
    /// When.
    pub woken_at: UnixNanos,
    /// From there to its poll.
    pub delay: u64,
    /// Where it was polled.
    pub lane: LaneId,
}

/// How things stood with a resource at one instant; `None`: not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadingRow {
    /// When.
    pub at: UnixNanos,
    /// Values in it.
    pub depth: Option<u64>,
    /// Room for values, or permits in all.
    pub capacity: Option<u64>,
    /// Permits that are free.
    pub permits: Option<u64>,
    /// Tasks that wait for it.
    pub waiters: Option<u64>,
    /// Whether it is locked.
    pub locked: Option<bool>,
}

/// Metrics over a stretch of time that is cut into even steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricBands {
    /// The series of each, in the order in which they were asked for.
    pub metrics: Vec<Vec<MetricBand>>,
    /// How many steps: no more than was asked for.
    pub steps: usize,
}

/// One series of a metric over a stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricBand {
    /// The loop; none for the process.
    pub loop_id: LoopId,
    /// The worker; `None` where it belongs to none.
    pub worker: Option<WorkerId>,
    /// The last reading before the stretch.
    pub before: Option<(UnixNanos, f64)>,
    /// Steps with readings, in order of time.
    pub steps: Vec<MetricStep>,
    /// Whether a step had more readings than were looked at: then its least and its most are of the latest.
    pub is_sampled: bool,
}

/// The readings in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricStep {
    /// Which step.
    pub step: u32,
    /// When the last of them was taken.
    pub at: UnixNanos,
    /// What it was.
    pub last: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}
