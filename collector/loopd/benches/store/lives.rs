//! Tasks that are spawned and end, and nothing else.

use std::collections::VecDeque;

use loopd_model::{Anchor, Batch, Event, Nanos, UnixNanos};

use crate::load::{ended, locations, spawned};

/// Events of one batch: as many as an agent puts into one.
pub(crate) const EVENTS_PER_BATCH: usize = 4_096;
/// From one spawn to the next, in nanoseconds: 100,000 a second.
const SPAWN_INTERVAL: u64 = 10_000;

/// How long tasks live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Half of them end at once, the others in the next batch.
    AcrossBatches,
    /// One second, some fifty batches.
    OneSecond,
}

impl Life {
    pub(crate) const ALL: [Self; 2] = [Self::AcrossBatches, Self::OneSecond];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AcrossBatches => "half outlive their batch",
            Self::OneSecond => "live for 1 s",
        }
    }

    /// Of this task, in nanoseconds.
    fn length(self, task: u64) -> u64 {
        match self {
            Self::AcrossBatches if task.is_multiple_of(2) => SPAWN_INTERVAL / 2,
            // About the 2,000 tasks of a batch later.
            Self::AcrossBatches => SPAWN_INTERVAL * EVENTS_PER_BATCH as u64 / 2,
            Self::OneSecond => 1_000_000_000,
        }
    }
}

/// Spawns and ends, in order of time.
pub(crate) struct Lives {
    life: Life,
    now: u64,
    newest_task: u64,
    /// Short lives; those that end soonest come first.
    short: VecDeque<(u64, u64)>,
    long: VecDeque<(u64, u64)>,
}

impl Lives {
    pub(crate) fn new(life: Life) -> Self {
        Self { life, now: 0, newest_task: 0, short: VecDeque::new(), long: VecDeque::new() }
    }

    pub(crate) fn tasks(&self) -> u64 {
        self.newest_task
    }

    /// The time of the latest event, in nanoseconds since the process's anchor.
    pub(crate) fn end(&self) -> u64 {
        self.now
    }

    fn next(&mut self) -> Event {
        let due = |queue: &VecDeque<(u64, u64)>| queue.front().map_or(u64::MAX, |&(at, _)| at);
        let (short, long, spawn_at) =
            (due(&self.short), due(&self.long), (self.newest_task + 1) * SPAWN_INTERVAL);
        let queue = if short <= long { &mut self.short } else { &mut self.long };
        if short.min(long) <= spawn_at
            && let Some((at, task)) = queue.pop_front()
        {
            self.now = at;
            return ended(Nanos(at), task);
        }
        self.newest_task += 1;
        self.now = spawn_at;
        let length = self.life.length(self.newest_task);
        let queue = if length < SPAWN_INTERVAL { &mut self.short } else { &mut self.long };
        queue.push_back((spawn_at + length, self.newest_task));
        spawned(Nanos(spawn_at), self.newest_task, self.newest_task / 2)
    }

    /// The next batch, numbered `seq`.
    pub(crate) fn batch(&mut self, seq: u64) -> Batch {
        let events: Vec<Event> = (0..EVENTS_PER_BATCH).map(|_| self.next()).collect();
        Batch {
            seq,
            anchor: Anchor { at: Nanos(self.now), unix: UnixNanos(0) },
            locations: if seq == 1 { locations() } else { Vec::new() },
            events,
            ..Batch::default()
        }
    }
}
