//! What a collector can say about itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use loopd_model::UnixNanos;

/// How a collector is doing. Counts are since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectorStatus {
    /// Streams open now, those that have not said hello included.
    pub sessions: u64,
    /// Streams that ended, however.
    pub ended_sessions: u64,
    /// Those of them that ended with a goodbye.
    pub goodbyes: u64,
    /// Batches committed.
    pub batches: u64,
    /// Events in them; polls, parks and wakes are not events.
    pub events: u64,
    /// Polls, parks and wakes in them.
    pub spans: u64,
    /// Batches that were on disk already.
    pub duplicates: u64,
    /// Batches that could not be read.
    pub refused: u64,
    /// Batches that came after a refused one, and are awaited again.
    pub set_aside: u64,
    /// Streams ended because a batch was missing.
    pub gaps: u64,
    /// Things in messages that only a newer loopd knows; they were left out.
    pub unknown: u64,
    /// Texts that were cut because they were too long.
    pub cut_texts: u64,
    /// Room taken up by batches that wait for their commit now: their encoded bytes, or 64 bytes
    /// for each of their spans, whichever is more.
    pub queued_bytes: u64,
    /// Commits so far.
    pub commits: u64,
    /// Why the store takes no writes now; absent when the last write worked.
    pub failure: Option<WriteFailure>,
}

/// A write that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteFailure {
    /// What the store said.
    pub reason: String,
    /// Since when no write has worked.
    pub since: UnixNanos,
}

/// The numbers behind [`CollectorStatus`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sessions: AtomicU64,
    pub(crate) ended_sessions: AtomicU64,
    pub(crate) goodbyes: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) spans: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) set_aside: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) unknown: AtomicU64,
    pub(crate) cut_texts: AtomicU64,
    pub(crate) queued_bytes: AtomicU64,
    pub(crate) commits: AtomicU64,
    failure: Mutex<Option<WriteFailure>>,
}

impl Counters {
    pub(crate) fn set_failure(&self, failure: Option<WriteFailure>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    pub(crate) fn snapshot(&self) -> CollectorStatus {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        CollectorStatus {
            sessions: get(&self.sessions),
            ended_sessions: get(&self.ended_sessions),
            goodbyes: get(&self.goodbyes),
            batches: get(&self.batches),
            events: get(&self.events),
            spans: get(&self.spans),
            duplicates: get(&self.duplicates),
            refused: get(&self.refused),
            set_aside: get(&self.set_aside),
            gaps: get(&self.gaps),
            unknown: get(&self.unknown),
            cut_texts: get(&self.cut_texts),
            queued_bytes: get(&self.queued_bytes),
            commits: get(&self.commits),
            failure,
        }
    }
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

pub(crate) fn sub(counter: &AtomicU64, n: u64) {
    counter.fetch_sub(n, Ordering::Relaxed);
}
