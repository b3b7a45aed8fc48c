//! Callbacks that wait for their time: by deadline, then by when they were registered.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

use tokio::time::Instant;

use super::handle::{Callback, Scheduled};

/// Cancelled timers stay where they are until there are so many, and more than half of all: as in asyncio.
const MIN_CANCELLED: usize = 100;

struct Timer {
    when: Instant,
    number: u64,
    scheduled: Rc<Callback>,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    /// The greatest is the next one due.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.when, other.number).cmp(&(self.when, self.number))
    }
}

#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Timer>,
    cancelled: usize,
    next_number: u64,
}

impl Timers {
    pub(super) fn push(&mut self, when: Instant, scheduled: Rc<Callback>) {
        let number = self.next_number;
        self.next_number += 1;
        scheduled.head().is_waiting.set(true);
        self.heap.push(Timer { when, number, scheduled });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// One of those in here was cancelled.
    pub(super) fn one_was_cancelled(&mut self) {
        self.cancelled += 1;
        if self.cancelled > MIN_CANCELLED && self.cancelled * 2 > self.heap.len() {
            self.heap.retain(|timer| !timer.scheduled.head().is_cancelled.get());
            self.cancelled = 0;
        }
    }

    /// When the next is due that was not cancelled.
    pub(super) fn next(&mut self) -> Option<Instant> {
        while let Some(timer) = self.heap.peek() {
            if !timer.scheduled.head().is_cancelled.get() {
                return Some(timer.when);
            }
            self.pop();
        }
        None
    }

    /// The next that is due at this instant, cancelled or not.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Rc<Callback>> {
        if self.next()? > now { None } else { self.pop() }
    }

    fn pop(&mut self) -> Option<Rc<Callback>> {
        let timer = self.heap.pop()?;
        let head = timer.scheduled.head();
        head.is_waiting.set(false);
        if head.is_cancelled.get() {
            self.cancelled = self.cancelled.saturating_sub(1);
        }
        Some(timer.scheduled)
    }

    pub(super) fn take(&mut self) -> Vec<Rc<Callback>> {
        self.cancelled = 0;
        std::mem::take(&mut self.heap).into_vec().into_iter().map(|timer| timer.scheduled).collect()
    }
}
