//! What one commit adds to the row of a task. Adding is commutative: sums, minima, maxima, and
//! facts that are stated once.

use loopd_model::{Outcome, Span, TaskKind};

use crate::instant;
use crate::sql::packed_rows::NULL;

/// Changes of one task. [`NULL`] where nothing was said.
#[derive(Clone, Debug)]
pub(super) struct TaskDelta {
    kind: i64,
    loop_id: i64,
    spawn_location: i64,
    parent: i64,
    spawned_at: i64,
    name: i64,
    named_at: i64,
    started_at: i64,
    ended_at: i64,
    outcome: i64,
    polls: i64,
    busy_time: i64,
    max_poll_time: i64,
    slow_polls: i64,
    first_poll_at: i64,
    last_poll_at: i64,
    wakes: i64,
    self_wakes: i64,
    scheduled_time: i64,
    last_waker: i64,
    last_woken_at: i64,
    last_poll_start: i64,
    unwakeable_at: i64,
}

impl Default for TaskDelta {
    fn default() -> Self {
        Self {
            kind: NULL,
            loop_id: NULL,
            spawn_location: NULL,
            parent: NULL,
            spawned_at: NULL,
            name: NULL,
            named_at: NULL,
            started_at: NULL,
            ended_at: NULL,
            outcome: NULL,
            polls: 0,
            busy_time: 0,
            max_poll_time: 0,
            slow_polls: 0,
            first_poll_at: NULL,
            last_poll_at: NULL,
            wakes: 0,
            self_wakes: 0,
            scheduled_time: 0,
            last_waker: NULL,
            last_woken_at: NULL,
            last_poll_start: NULL,
            unwakeable_at: NULL,
        }
    }
}

/// Columns of a packed row: process, task, and the fields above in order.
pub(super) const WIDTH: usize = 25;

impl TaskDelta {
    pub(super) fn spawned(&mut self, at: i64, kind: TaskKind, loop_id: i64) {
        self.kind = match kind {
            TaskKind::Async => 0,
            TaskKind::Local => 1,
            TaskKind::BlockOn => 2,
            TaskKind::Blocking => 3,
        };
        self.loop_id = loop_id;
        self.spawned_at = at;
    }

    pub(super) fn spawned_by(&mut self, location: i64, parent: i64) {
        // 0 is "not known" and "none", for which SQL has NULL.
        self.spawn_location = if location == 0 { NULL } else { location };
        self.parent = if parent == 0 { NULL } else { parent };
    }

    pub(super) fn named(&mut self, at: i64, name: i64) {
        // NULL is smaller than every instant.
        if (at, name) > (self.named_at, self.name) {
            (self.named_at, self.name) = (at, name);
        }
    }

    pub(super) fn started(&mut self, at: i64) {
        earliest(&mut self.started_at, at);
    }

    pub(super) fn ended(&mut self, at: i64, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Unknown => 0,
            Outcome::Completed => 1,
            Outcome::Panicked => 2,
            Outcome::Cancelled => 3,
        };
        self.ended_at = self.ended_at.max(at);
        self.outcome = self.outcome.max(outcome);
    }

    pub(super) fn polled(&mut self, start: i64, length: i64, is_slow: bool) {
        self.polls += 1;
        self.busy_time = self.busy_time.saturating_add(length);
        self.max_poll_time = self.max_poll_time.max(length);
        self.slow_polls += i64::from(is_slow);
        earliest(&mut self.first_poll_at, start);
        self.last_poll_at = self.last_poll_at.max(start + length);
        self.last_poll_start = self.last_poll_start.max(start);
    }

    pub(super) fn woken(&mut self, at: i64, span: &Span, by: i64) {
        let count = instant::count(span.count);
        self.wakes = self.wakes.saturating_add(count);
        if span.by == span.task {
            self.self_wakes = self.self_wakes.saturating_add(count);
        }
        self.scheduled_time = self.scheduled_time.saturating_add(instant::length(span.length));
        if (at, by) > (self.last_woken_at, self.last_waker) {
            (self.last_woken_at, self.last_waker) = (at, by);
        }
    }

    pub(super) fn unwakeable(&mut self, at: i64) {
        self.unwakeable_at = self.unwakeable_at.max(at);
    }

    /// Whether it touches what the indices of `task` hold.
    pub(super) fn is_lifecycle(&self) -> bool {
        self.spawned_at != NULL
            || self.ended_at != NULL
            || self.named_at != NULL
            || self.started_at != NULL
    }

    pub(super) fn row(&self, process: i64, task: i64) -> [i64; WIDTH] {
        [
            process,
            task,
            self.kind,
            self.loop_id,
            self.spawn_location,
            self.parent,
            self.spawned_at,
            self.name,
            self.named_at,
            self.started_at,
            self.ended_at,
            self.outcome,
            self.polls,
            self.busy_time,
            self.max_poll_time,
            self.slow_polls,
            self.first_poll_at,
            self.last_poll_at,
            self.wakes,
            self.self_wakes,
            self.scheduled_time,
            self.last_waker,
            self.last_woken_at,
            self.last_poll_start,
            self.unwakeable_at,
        ]
    }
}

fn earliest(mine: &mut i64, other: i64) {
    if *mine == NULL || other < *mine {
        *mine = other;
    }
}
