//! Batches that the collector has not acknowledged, oldest first, bounded in bytes.
//!
//! A batch gets its number when it is first sent, so that batches which were emptied before they
//! were ever sent can be merged: the window stays small however long the collector is away.

use std::collections::VecDeque;

use loopd_model::{Anchor, Batch, DropCause, Loss, Nanos, RecordKind, UnixNanos};
use loopd_wire::pb;
use prost::Message;

use crate::exporter::stage::event_kind;
use crate::exporter::tables::Dictionary;

/// Batches sent and not acknowledged: no more are sent until an acknowledgement comes.
pub(crate) const MAX_IN_FLIGHT: usize = 64;

/// A batch that only teaches holds at most this many bytes and definitions; emptied batches do not
/// merge beyond that.
const MAX_LESSON_BYTES: usize = 256 << 10;
const MAX_LESSON: usize = 4 << 10;

/// One batch waiting for its acknowledgement.
#[derive(Default)]
struct Entry {
    /// 0 until it is first sent.
    seq: u64,
    batch: pb::Batch,
    /// Encoded size.
    bytes: usize,
    spans: [u64; 9],
    events: [u64; 9],
    from: Nanos,
    to: Nanos,
    /// How often the collector could not read it.
    refusals: u32,
}

/// See the module.
pub(crate) struct Window {
    entries: VecDeque<Entry>,
    bytes: usize,
    max_bytes: usize,
    next_seq: u64,
    durable_seq: u64,
    /// Index of the entry to send next on this connection.
    cursor: usize,
    /// When the last batch was sealed.
    sealed_to: Nanos,
    /// Records taken out of batches since the start.
    evicted: u64,
}

/// The collector said something that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnsentAck {
    pub(crate) seq: u64,
}

impl Window {
    /// An empty window of at most this many encoded bytes.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            max_bytes,
            next_seq: 1,
            durable_seq: 0,
            cursor: 0,
            sealed_to: Nanos(0),
            evicted: 0,
        }
    }

    /// Adds a batch, evicting the content of older ones if need be.
    pub(crate) fn push(&mut self, batch: Batch) {
        let mut entry = Entry { from: self.sealed_to, to: batch.anchor.at, ..Entry::default() };
        self.sealed_to = batch.anchor.at;
        for segment in &batch.segments {
            entry.spans[segment.kind as usize] += u64::from(segment.count);
        }
        for event in &batch.events {
            entry.events[event_kind(&event.kind) as usize] += 1;
        }
        entry.batch = loopd_wire::encode_batch(batch);
        entry.bytes = entry.batch.encoded_len();
        self.bytes += entry.bytes;
        self.entries.push_back(entry);
        self.make_room();
    }

    /// Empties the oldest batches until the rest fits: first their segments, then their events.
    fn make_room(&mut self) {
        for strip in [Entry::strip_segments, Entry::strip_events] {
            for index in 0..self.entries.len() {
                if self.bytes <= self.max_bytes {
                    return self.merge_emptied();
                }
                let entry = &mut self.entries[index];
                let before = entry.bytes;
                self.evicted += strip(entry, DropCause::WindowEvicted);
                self.bytes = self.bytes - before + entry.bytes;
            }
        }
        self.merge_emptied();
    }

    /// Joins neighbours that hold nothing any more and were never sent.
    fn merge_emptied(&mut self) {
        let mut index = 0;
        while index + 1 < self.entries.len() {
            if !self.entries[index].can_absorb(&self.entries[index + 1]) {
                index += 1;
                continue;
            }
            let Some(later) = self.entries.remove(index + 1) else { return };
            let entry = &mut self.entries[index];
            self.bytes -= entry.bytes + later.bytes;
            entry.absorb(later);
            self.bytes += entry.bytes;
        }
    }

    /// A connection begins: what the collector has is gone from here, the rest is sent again.
    pub(crate) fn restart(&mut self, durable_seq: u64) -> Result<(), UnsentAck> {
        self.cursor = 0;
        self.ack(durable_seq)
    }

    /// Frees every batch up to this number.
    pub(crate) fn ack(&mut self, durable_seq: u64) -> Result<(), UnsentAck> {
        if durable_seq >= self.next_seq {
            return Err(UnsentAck { seq: durable_seq });
        }
        while let Some(entry) = self.entries.front()
            && entry.seq != 0
            && entry.seq <= durable_seq
        {
            self.bytes -= entry.bytes;
            self.entries.pop_front();
            self.cursor = self.cursor.saturating_sub(1);
        }
        self.durable_seq = self.durable_seq.max(durable_seq);
        Ok(())
    }

    /// The next batch to send on this connection, numbered.
    pub(crate) fn next(&mut self) -> Option<pb::Batch> {
        if self.cursor >= MAX_IN_FLIGHT {
            return None;
        }
        let entry = self.entries.get_mut(self.cursor)?;
        if entry.seq == 0 {
            entry.seq = self.next_seq;
            entry.batch.seq = self.next_seq;
            self.next_seq += 1;
        }
        self.cursor += 1;
        Some(entry.batch.clone())
    }

    /// The collector could not read this batch: its content becomes a loss, and it is sent again.
    pub(crate) fn refuse(&mut self, seq: u64, cause: DropCause) {
        let Some(index) = self.entries.iter().position(|entry| entry.seq == seq) else { return };
        let entry = &mut self.entries[index];
        let before = entry.bytes;
        entry.strip_segments(cause);
        entry.strip_events(cause);
        if entry.refusals > 0 {
            // Then it must be the names, places or stacks.
            entry.batch.names.clear();
            entry.batch.locations.clear();
            entry.batch.stacks.clear();
        }
        entry.refusals += 1;
        entry.bytes = entry.batch.encoded_len();
        self.bytes = self.bytes - before + entry.bytes;
        self.cursor = self.cursor.min(index);
    }

    /// The collector's database is another one: puts the dictionary before everything, and numbers
    /// anew from the first number that can still be sent, since that database knows none of them.
    pub(crate) fn teach(&mut self, dictionary: Dictionary) {
        self.next_seq = self.first_seq();
        self.cursor = 0;
        for entry in &mut self.entries {
            entry.seq = 0;
        }
        for lesson in dictionary.chunks(MAX_LESSON_BYTES, MAX_LESSON).into_iter().rev() {
            let batch = loopd_wire::encode_batch(Batch {
                anchor: lesson_anchor(&self.entries),
                names: lesson.names,
                locations: lesson.locations,
                stacks: lesson.stacks,
                ..Batch::default()
            });
            let entry = Entry { bytes: batch.encoded_len(), batch, ..Entry::default() };
            self.bytes += entry.bytes;
            self.entries.push_front(entry);
        }
    }

    /// Whether [`Window::next`] would give a batch.
    pub(crate) fn has_next(&self) -> bool {
        self.cursor < self.entries.len().min(MAX_IN_FLIGHT)
    }

    /// The lowest number that can still be sent.
    pub(crate) fn first_seq(&self) -> u64 {
        match self.entries.front() {
            Some(entry) if entry.seq != 0 => entry.seq,
            _ => self.next_seq,
        }
    }

    /// The last number known to be on the collector's disk.
    pub(crate) fn durable_seq(&self) -> u64 {
        self.durable_seq
    }

    /// Whether batches were sent on this connection and not acknowledged.
    pub(crate) fn is_waiting(&self) -> bool {
        self.cursor > 0
    }

    /// Whether everything is acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Encoded bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Records taken out of batches to make room, since the start.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Records held, by kind.
    pub(crate) fn held(&self) -> [u64; 9] {
        let mut held = [0; 9];
        for entry in &self.entries {
            for (kind, count) in held.iter_mut().enumerate() {
                *count += entry.spans[kind] + entry.events[kind];
            }
        }
        held
    }
}

/// Lessons come before everything else, also on the clock.
fn lesson_anchor(entries: &VecDeque<Entry>) -> Anchor {
    let first = entries.front().and_then(|entry| entry.batch.anchor);
    let anchor = first.unwrap_or_default();
    Anchor { at: Nanos(anchor.at), unix: UnixNanos(anchor.unix_nanos) }
}

impl Entry {
    fn is_emptied(&self) -> bool {
        self.batch.segments.is_empty() && self.batch.events.is_empty()
    }

    fn can_absorb(&self, later: &Self) -> bool {
        let is_fit = |entry: &Self| entry.seq == 0 && entry.is_emptied();
        let definitions = |entry: &Self| {
            let batch = &entry.batch;
            batch.names.len() + batch.locations.len() + batch.stacks.len()
        };
        is_fit(self)
            && is_fit(later)
            && self.bytes + later.bytes <= MAX_LESSON_BYTES
            && definitions(self) + definitions(later) <= MAX_LESSON
    }

    fn strip_segments(&mut self, cause: DropCause) -> u64 {
        self.batch.segments.clear();
        let counts = std::mem::take(&mut self.spans);
        self.lose(counts, cause)
    }

    fn strip_events(&mut self, cause: DropCause) -> u64 {
        self.batch.events.clear();
        let counts = std::mem::take(&mut self.events);
        self.lose(counts, cause)
    }

    fn lose(&mut self, counts: [u64; 9], cause: DropCause) -> u64 {
        for kind in RecordKind::ALL {
            let count = counts[kind as usize];
            if count > 0 {
                let loss = Loss { kind, cause, count, from: self.from, to: self.to };
                self.add_loss(loopd_wire::encode_loss(loss));
            }
        }
        self.bytes = self.batch.encoded_len();
        counts.iter().sum()
    }

    fn add_loss(&mut self, loss: pb::Loss) {
        let known = self
            .batch
            .losses
            .iter_mut()
            .find(|known| known.kind == loss.kind && known.cause == loss.cause);
        match known {
            Some(known) => {
                known.count += loss.count;
                known.from_at = known.from_at.min(loss.from_at);
                known.to_at = known.to_at.max(loss.to_at);
            }
            None => self.batch.losses.push(loss),
        }
    }

    /// Takes over what a later, also emptied batch says.
    fn absorb(&mut self, later: Self) {
        self.batch.names.extend(later.batch.names);
        self.batch.locations.extend(later.batch.locations);
        self.batch.stacks.extend(later.batch.stacks);
        for loss in later.batch.losses {
            self.add_loss(loss);
        }
        self.batch.ledger = later.batch.ledger;
        self.batch.anchor = later.batch.anchor;
        self.to = later.to;
        self.bytes = self.batch.encoded_len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopd_model::{
        Event, EventKind, LedgerEntry, LoopId, Name, NameId, Outcome, Segment, TaskId, WorkerId,
    };

    /// A batch with a segment of `polls` polls in 1,000 bytes, one event and one name.
    fn batch(id: u64, polls: u32) -> Batch {
        let task = TaskId(1);
        Batch {
            anchor: Anchor { at: Nanos(id * 100), unix: UnixNanos(0) },
            names: vec![Name { id: NameId(id), text: format!("name {id}") }],
            events: vec![Event {
                at: Nanos(0),
                kind: EventKind::TaskEnded { task, outcome: Outcome::Completed },
            }],
            segments: vec![Segment {
                loop_id: LoopId(1),
                worker: WorkerId(0),
                kind: RecordKind::Poll,
                count: polls,
                data: vec![0; 1_000],
            }],
            ledger: vec![LedgerEntry { kind: RecordKind::Poll, produced: id * 10, dropped: 0 }],
            ..Batch::default()
        }
    }

    fn evicted_polls(batch: &pb::Batch) -> u64 {
        let of = |loss: &&pb::Loss| loss.cause() == pb::loss::Cause::WindowEvicted;
        batch.losses.iter().filter(of).map(|loss| loss.count).sum()
    }

    #[test]
    fn numbers_are_given_at_the_first_sending_and_kept() {
        let mut window = Window::new(1 << 20);
        window.push(batch(1, 1));
        window.push(batch(2, 1));
        assert_eq!(window.first_seq(), 1);
        assert_eq!(window.next().map(|b| b.seq), Some(1));
        assert_eq!(window.next().map(|b| b.seq), Some(2));
        assert_eq!(window.next(), None);
        window.restart(1).unwrap();
        assert_eq!(window.first_seq(), 2);
        assert_eq!(window.next().map(|b| b.seq), Some(2));
        window.ack(2).unwrap();
        assert!(window.is_empty() && window.bytes() == 0);
        assert_eq!(window.first_seq(), 3);
    }

    #[test]
    fn an_ack_for_what_was_never_sent_frees_nothing() {
        let mut window = Window::new(1 << 20);
        window.push(batch(1, 1));
        assert_eq!(window.ack(1), Err(UnsentAck { seq: 1 }));
        assert!(!window.is_empty());
    }

    #[test]
    fn eviction_counts_what_it_takes_and_keeps_the_dictionary() {
        let mut window = Window::new(3_500);
        for id in 1..=10 {
            window.push(batch(id, 7));
        }
        assert!(window.bytes() <= 3_500);
        let (mut names, mut evicted, mut polls, mut seqs) = (0, 0, 0, vec![]);
        while let Some(batch) = window.next() {
            names += batch.names.len();
            evicted += evicted_polls(&batch);
            polls += batch.segments.iter().map(|s| u64::from(s.count)).sum::<u64>();
            seqs.push(batch.seq);
        }
        assert_eq!(names, 10);
        assert_eq!(evicted + polls, 70);
        assert_eq!(window.evicted(), evicted);
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn emptied_batches_merge_only_if_never_sent() {
        let mut window = Window::new(10);
        for id in 1..=50 {
            window.push(batch(id, 1));
        }
        assert_eq!(window.entries.len(), 1);
        let first = window.next().unwrap();
        assert_eq!(evicted_polls(&first), 100); // 50 polls and 50 events
        assert_eq!(first.ledger[0].produced, 500);
        window.push(batch(51, 1));
        assert_eq!(window.entries.len(), 2);
    }

    #[test]
    fn a_refused_batch_becomes_a_loss_under_its_number() {
        let mut window = Window::new(1 << 20);
        window.push(batch(1, 3));
        window.push(batch(2, 3));
        window.next();
        window.next();
        window.refuse(1, DropCause::Malformed);
        let again = window.next().unwrap();
        assert_eq!((again.seq, again.events.len(), again.segments.len()), (1, 0, 0));
        assert_eq!(again.losses.iter().map(|loss| loss.count).sum::<u64>(), 4);
        assert_eq!(again.names.len(), 1);
        assert_eq!(window.next().map(|b| b.seq), Some(2));
        window.refuse(1, DropCause::Malformed);
        assert_eq!(window.next().unwrap().names.len(), 0);
    }

    #[test]
    fn another_database_is_taught_the_dictionary_before_anything_else() {
        let mut window = Window::new(1 << 20);
        window.push(batch(1, 1));
        window.next();
        window.ack(1).unwrap();
        window.push(batch(2, 1));
        window.next();
        let name = |id| Name { id: NameId(id), text: String::new() };
        let names = (1..=5_000).map(name).collect();
        window.teach(Dictionary { names, ..Dictionary::default() });
        let sent: Vec<_> = std::iter::from_fn(|| window.next()).collect();
        assert_eq!(sent.iter().map(|batch| batch.seq).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(sent.iter().map(|batch| batch.names.len()).sum::<usize>(), 5_001);
        assert_eq!(sent[2].events.len(), 1);
    }
}
