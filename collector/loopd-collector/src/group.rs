//! The batches that the next commit stores.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use loopd_model::Batch;
use loopd_store::ProcessKey;
use loopd_wire::pb;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::config::{GROUP_TIME, MAX_GROUP_BATCHES, MAX_GROUP_BYTES, MAX_QUEUED_BYTES, SPAN_BYTES};
use crate::keeper::SessionId;
use crate::status::{Counters, add, sub};

/// A batch on its way to a commit.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) session: SessionId,
    pub(crate) process: ProcessKey,
    pub(crate) batch: Batch,
    room: Room,
}

/// The room that a batch takes up until it is committed or given up.
#[derive(Debug)]
pub(crate) struct Room {
    bytes: usize,
    counters: Arc<Counters>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Room {
    fn drop(&mut self) {
        sub(&self.counters.queued_bytes, self.bytes as u64);
    }
}

impl Queued {
    /// The room that a batch of so many encoded bytes takes up: spans take some when they are
    /// unpacked, however few bytes they come in. The largest batch takes all there is.
    pub(crate) fn room(batch: &pb::Batch, bytes: usize) -> usize {
        // What a segment claims is what it holds, or the batch is refused before it is unpacked.
        let spans = batch.segments.iter().map(|segment| segment.count as usize);
        let unpacked = spans.fold(0, usize::saturating_add).saturating_mul(SPAN_BYTES);
        bytes.max(unpacked).min(MAX_QUEUED_BYTES)
    }

    pub(crate) fn new(
        session: SessionId,
        process: ProcessKey,
        batch: Batch,
        bytes: usize,
        permit: OwnedSemaphorePermit,
        counters: &Arc<Counters>,
    ) -> Self {
        add(&counters.queued_bytes, bytes as u64);
        let room = Room { bytes, counters: Arc::clone(counters), _permit: permit };
        Self { session, process, batch, room }
    }
}

/// What is counted of a batch once it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    events: u64,
    spans: u64,
}

impl Size {
    fn of(batch: &Batch) -> Self {
        let spans = batch.segments.iter().map(|segment| u64::from(segment.count)).sum();
        Self { events: batch.events.len() as u64, spans }
    }

    pub(crate) fn count_in(self, counters: &Counters) {
        add(&counters.batches, 1);
        counters.events.fetch_add(self.events, Ordering::Relaxed);
        counters.spans.fetch_add(self.spans, Ordering::Relaxed);
    }
}

/// Batches of all sessions, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Group {
    batches: Vec<Queued>,
    bytes: usize,
    since: Option<Instant>,
}

/// A group taken for its commit.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Whose batch, and how large, in the order of `batches`.
    pub(crate) origins: Vec<(SessionId, ProcessKey, Size)>,
    /// For the store.
    pub(crate) batches: Vec<(ProcessKey, Batch)>,
    /// Held until the commit is over.
    pub(crate) rooms: Vec<Room>,
}

impl Group {
    pub(crate) fn push(&mut self, queued: Queued) {
        self.since.get_or_insert_with(Instant::now);
        self.bytes += queued.room.bytes;
        self.batches.push(queued);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Until when it may wait for more; absent when it is empty.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        let is_full = self.batches.len() >= MAX_GROUP_BATCHES || self.bytes >= MAX_GROUP_BYTES;
        self.since.map(|since| if is_full { since } else { since + GROUP_TIME })
    }

    pub(crate) fn take(&mut self) -> Taken {
        let group = std::mem::take(self);
        let n = group.batches.len();
        let (mut origins, mut batches) = (Vec::with_capacity(n), Vec::with_capacity(n));
        let mut rooms = Vec::with_capacity(n);
        for Queued { session, process, batch, room } in group.batches {
            origins.push((session, process, Size::of(&batch)));
            batches.push((process, batch));
            rooms.push(room);
        }
        Taken { origins, batches, rooms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(counts: &[u32], bytes: usize, expected: usize) {
        let segment = |&count: &u32| pb::Segment { count, ..pb::Segment::default() };
        let segments = counts.iter().map(segment).collect();
        let batch = pb::Batch { segments, ..pb::Batch::default() };
        assert_eq!(Queued::room(&batch, bytes), expected);
    }

    #[test]
    fn a_batch_takes_up_its_bytes_or_its_spans_whichever_is_more() {
        check(&[], 200, 200);
        check(&[1, 1], 200, 200);
        check(&[1_000, 1_000], 200, 128_000);
        check(&[1 << 20], 200, MAX_QUEUED_BYTES);
        check(&[u32::MAX, u32::MAX], 200, MAX_QUEUED_BYTES);
    }
}
