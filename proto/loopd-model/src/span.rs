//! The one shape that polls, parks and wakes share.

use crate::{Nanos, TaskId};

/// A stretch of time on a worker. What its fields mean depends on the segment's kind:
///
/// | kind | `start` … `start + length` | `task` | `by` | `count` |
/// |---|---|---|---|---|
/// | poll | the poll | the task polled | none | 1 |
/// | park | the worker asleep | none | none | 1 |
/// | wake | from the wake to the poll it led to | the task woken | the task that woke it; none outside any task | wakes that led to this one poll |
///
/// A wake belongs to the worker that ran the poll. `by == task` is a self-wake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub start: Nanos,
    /// How long it took, in nanoseconds.
    pub length: u64,
    /// The task it is about.
    pub task: TaskId,
    /// The task that caused it.
    pub by: TaskId,
    /// How many events it stands for.
    pub count: u64,
}

impl Span {
    /// The first instant after it.
    pub const fn end(&self) -> Nanos {
        self.start.after(self.length)
    }
}
