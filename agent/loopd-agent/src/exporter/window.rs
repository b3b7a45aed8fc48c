//! Batches that the collector has not acknowledged, oldest first, bounded in bytes.
//!
//! Batches are kept encoded: that is what they will be sent as, it takes the least memory, and its
//! size is known. Only eviction, which is rare, takes one apart again.
//!
//! A batch gets its number when it is first sent, so that batches which were emptied before they
//! were ever sent can be merged: the window stays small however long the collector is away.

use std::collections::VecDeque;

use loopd_model::{Anchor, Batch, DropCause, Loss, Nanos, RecordKind};
use loopd_wire::pb;
use prost::Message;
use prost::bytes::Bytes;

use crate::exporter::cut::cut;
use crate::exporter::tables::Dictionary;

/// Batches sent and not acknowledged: no more are sent until an acknowledgement comes.
pub(crate) const MAX_IN_FLIGHT: usize = 64;

/// A batch that only teaches holds at most this many bytes and definitions; emptied batches do not
/// merge beyond that.
const MAX_LESSON_BYTES: usize = 256 << 10;
const MAX_LESSON: usize = 4 << 10;

/// A collector that takes less than this is not believed: any single event fits into it.
const LEAST_BATCH_BYTES: usize = 1 << 10;

/// The most that a batch's number adds to its body.
const SEQ_BYTES: usize = 11;

/// One batch waiting for its acknowledgement.
#[derive(Default)]
struct Entry {
    /// 0 until it is first sent.
    seq: u64,
    /// Its number for the database before; 0 if it had none.
    seq_before: u64,
    /// The encoded batch, but for its number.
    body: Bytes,
    /// Names, places and stacks in it.
    definitions: usize,
    anchor: Anchor,
    spans: [u64; RecordKind::SLOTS],
    events: [u64; RecordKind::SLOTS],
    from: Nanos,
    /// Records taken out of it that the collector counts as lost when it gets the batch.
    given_up: [u64; RecordKind::SLOTS],
    /// How often the collector could not read it.
    refusals: u32,
    /// Holds nothing but a part of the dictionary, made by [`Window::teach`].
    is_lesson: bool,
}

/// A batch to be sent: the number goes in front of the body, which is valid protobuf.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Numbered {
    pub(crate) seq: u64,
    pub(crate) body: Bytes,
}

/// See the module.
pub(crate) struct Window {
    entries: VecDeque<Entry>,
    bytes: usize,
    max_bytes: usize,
    next_seq: u64,
    /// The first number that no batch ever had.
    top_seq: u64,
    durable_seq: u64,
    /// Index of the entry to send next on this connection.
    cursor: usize,
    /// When the last batch was sealed.
    sealed_to: Nanos,
    /// Records taken out of batches since the start.
    evicted: u64,
    /// The largest body that the collector takes.
    max_body_bytes: usize,
    /// Records that could not be sent for that; counted until [`Window::take_oversized`].
    oversized: [u64; RecordKind::SLOTS],
}

/// The collector said something that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnsentAck {
    pub(crate) seq: u64,
}

impl Window {
    /// An empty window of at most this many bytes.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            max_bytes,
            next_seq: 1,
            top_seq: 1,
            durable_seq: 0,
            cursor: 0,
            sealed_to: Nanos(0),
            evicted: 0,
            max_body_bytes: loopd_wire::MAX_BATCH_BYTES - SEQ_BYTES,
            oversized: [0; RecordKind::SLOTS],
        }
    }

    /// What the collector takes, as it said in its welcome; 0 if it did not say.
    pub(crate) fn set_max_batch_bytes(&mut self, bytes: u32) {
        let bytes = if bytes == 0 { loopd_wire::MAX_BATCH_BYTES } else { bytes as usize };
        self.max_body_bytes = bytes.max(LEAST_BATCH_BYTES) - SEQ_BYTES;
    }

    /// Adds a batch, evicting the content of older ones if need be.
    pub(crate) fn push(&mut self, batch: Batch) {
        let from = self.sealed_to;
        self.sealed_to = batch.anchor.at;
        let entry = Entry::new(batch, from);
        self.bytes += entry.body.len();
        self.entries.push_back(entry);
        self.make_room();
    }

    /// Empties the oldest batches until the rest fits: first their segments, then their events.
    fn make_room(&mut self) {
        for what in [Strip { segments: true, events: false }, Strip::CONTENT] {
            for index in 0..self.entries.len() {
                if self.bytes() <= self.max_bytes {
                    return self.merge_emptied();
                }
                let evicted = self.strip(index, what, DropCause::WindowEvicted);
                self.evicted += evicted.iter().sum::<u64>();
            }
        }
        self.merge_emptied();
    }

    /// Takes content out of a batch, leaving a loss; says how many records that were, by kind.
    fn strip(&mut self, index: usize, what: Strip, cause: DropCause) -> [u64; RecordKind::SLOTS] {
        let entry = &mut self.entries[index];
        let before = entry.body.len();
        let counts = entry.strip(what, cause);
        self.bytes = self.bytes - before + entry.body.len();
        counts
    }

    /// Makes an entry one that the collector takes. One that has a number already can not be cut.
    fn fit(&mut self, index: usize) {
        let is_too_large = |entry: &Entry| entry.body.len() > self.max_body_bytes;
        let Some(entry) = self.entries.get(index).filter(|entry| is_too_large(entry)) else {
            return;
        };
        if entry.seq == 0
            && let Some(pieces) = entry.cut(self.max_body_bytes)
        {
            self.bytes -= entry.body.len();
            self.entries.remove(index);
            for piece in pieces.into_iter().rev() {
                self.bytes += piece.body.len();
                self.entries.insert(index, piece);
            }
        }
        if self.entries[index].body.len() > self.max_body_bytes {
            let counts = self.strip(index, Strip::CONTENT, DropCause::AgentLimit);
            self.oversized.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
        }
        if self.entries[index].body.len() > self.max_body_bytes {
            self.forget_definitions(index);
        }
    }

    fn forget_definitions(&mut self, index: usize) {
        let entry = &mut self.entries[index];
        self.bytes -= entry.body.len();
        entry.rewrite(|batch| {
            batch.names.clear();
            batch.locations.clear();
            batch.stacks.clear();
        });
        self.bytes += entry.body.len();
    }

    /// Records that were too large for the collector since the last call, by kind. They are in
    /// batches as losses, and not in the agent's totals yet.
    pub(crate) fn take_oversized(&mut self) -> [u64; RecordKind::SLOTS] {
        std::mem::take(&mut self.oversized)
    }

    /// Records that were not sent on this connection, by kind, also those that are only told of as
    /// losses.
    pub(crate) fn unsent(&self) -> [u64; RecordKind::SLOTS] {
        let mut unsent = [0; RecordKind::SLOTS];
        for entry in self.entries.iter().skip(self.cursor) {
            for (kind, count) in unsent.iter_mut().enumerate() {
                *count += entry.spans[kind] + entry.events[kind] + entry.given_up[kind];
            }
        }
        unsent
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
            self.bytes -= entry.body.len() + later.body.len();
            entry.absorb(&later);
            self.bytes += entry.body.len();
        }
    }

    /// A connection begins: what is not acknowledged is sent again.
    pub(crate) fn restart(&mut self) {
        self.cursor = 0;
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
            self.bytes -= entry.body.len();
            self.entries.pop_front();
            self.cursor = self.cursor.saturating_sub(1);
        }
        self.durable_seq = self.durable_seq.max(durable_seq);
        Ok(())
    }

    /// The next batch to send on this connection, numbered.
    pub(crate) fn next(&mut self) -> Option<Numbered> {
        if self.cursor >= MAX_IN_FLIGHT {
            return None;
        }
        self.fit(self.cursor);
        let entry = self.entries.get_mut(self.cursor)?;
        if entry.seq == 0 {
            entry.seq = self.next_seq;
            self.next_seq += 1;
            self.top_seq = self.top_seq.max(self.next_seq);
        }
        self.cursor += 1;
        Some(Numbered { seq: entry.seq, body: entry.body.clone() })
    }

    /// The collector could not read this batch: its content becomes a loss, and it is sent again.
    /// Says how often it has been refused.
    pub(crate) fn refuse(&mut self, seq: u64, cause: DropCause) -> u32 {
        let Some(index) = self.entries.iter().position(|entry| entry.seq == seq) else { return 0 };
        // The second time it must be the names, places or stacks.
        let dictionary = self.entries[index].refusals > 0;
        self.entries[index].refusals += 1;
        self.strip(index, Strip::CONTENT, cause);
        if dictionary {
            self.forget_definitions(index);
        }
        self.cursor = self.cursor.min(index);
        self.entries[index].refusals
    }

    /// The collector's database is another one: puts the dictionary before everything, and numbers
    /// anew from the first number that can still be sent, since that database knows none of them. If it is
    /// the one before the last, it may have some: it says up to which number.
    pub(crate) fn teach(&mut self, dictionary: Dictionary, known_to: u64) {
        // What was never sent nobody has.
        let known_to = if known_to < self.top_seq { known_to } else { 0 };
        self.next_seq = self.first_seq().max(known_to + 1);
        self.cursor = 0;
        // Lessons meant for the database before are in this dictionary too.
        let is_known = |entry: &Entry| entry.seq_before != 0 && entry.seq_before <= known_to;
        self.entries.retain(|entry| !entry.is_lesson && !is_known(entry));
        self.bytes = self.entries.iter().map(|entry| entry.body.len()).sum();
        for entry in &mut self.entries {
            entry.seq_before = std::mem::take(&mut entry.seq);
        }
        // Lessons come before everything else, also on the clock.
        let first = self.entries.front().map(|entry| entry.anchor);
        let anchor = first.unwrap_or(Anchor { at: self.sealed_to, ..Anchor::default() });
        for lesson in dictionary.chunks(MAX_LESSON_BYTES, MAX_LESSON).into_iter().rev() {
            let batch = loopd_wire::encode_batch(Batch {
                anchor,
                names: lesson.names,
                locations: lesson.locations,
                stacks: lesson.stacks,
                ..Batch::default()
            });
            let mut entry = Entry { anchor, from: anchor.at, is_lesson: true, ..Entry::default() };
            entry.set_body(&batch);
            self.bytes += entry.body.len();
            self.entries.push_front(entry);
        }
    }

    /// Whether [`Window::next`] would give a batch.
    pub(crate) fn has_next(&self) -> bool {
        self.cursor < self.entries.len().min(MAX_IN_FLIGHT)
    }

    /// Whether everything was sent on this connection.
    pub(crate) fn is_sent(&self) -> bool {
        self.cursor >= self.entries.len()
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

    /// What is held: encoded bytes, and what is known of each batch.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.entries.len() * size_of::<Entry>()
    }

    /// Records taken out of batches to make room, since the start.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Records held, by kind.
    pub(crate) fn held(&self) -> [u64; RecordKind::SLOTS] {
        let mut held = [0; RecordKind::SLOTS];
        for entry in &self.entries {
            for (kind, count) in held.iter_mut().enumerate() {
                *count += entry.spans[kind] + entry.events[kind];
            }
        }
        held
    }
}

/// What to take out of a batch.
#[derive(Clone, Copy)]
struct Strip {
    segments: bool,
    events: bool,
}

impl Strip {
    const CONTENT: Self = Self { segments: true, events: true };
}

impl Entry {
    /// Of a batch whose records were made since `from`.
    fn new(batch: Batch, from: Nanos) -> Self {
        let mut entry = Self { from, anchor: batch.anchor, ..Self::default() };
        for segment in &batch.segments {
            entry.spans[segment.kind as usize] += u64::from(segment.count);
        }
        for event in &batch.events {
            entry.events[event.kind.record_kind() as usize] += 1;
        }
        entry.definitions = batch.names.len() + batch.locations.len() + batch.stacks.len();
        entry.body = loopd_wire::write_batch(batch).into();
        entry
    }

    /// Cuts it into several; what it gave up is told by the last. `None` if there is nothing to cut.
    fn cut(&self, max_bytes: usize) -> Option<Vec<Self>> {
        let batch = pb::Batch::decode(self.body.clone()).ok()?;
        let mut pieces = Vec::new();
        for piece in cut(batch, max_bytes) {
            // Only a batch with a number can be read.
            let piece = pb::Batch { seq: 1, ..piece };
            let (piece, _) = loopd_wire::decode_batch(piece).ok()?;
            pieces.push(Self::new(Batch { seq: 0, ..piece }, self.from));
        }
        pieces.last_mut()?.given_up = self.given_up;
        Some(pieces)
    }

    fn set_body(&mut self, batch: &pb::Batch) {
        self.definitions = batch.names.len() + batch.locations.len() + batch.stacks.len();
        self.body = batch.encode_to_vec().into();
    }

    /// Takes the batch apart, changes it, and encodes it again.
    fn rewrite(&mut self, change: impl FnOnce(&mut pb::Batch)) {
        // The bytes are our own, so they can be read.
        let mut batch = pb::Batch::decode(self.body.clone()).unwrap_or_default();
        change(&mut batch);
        self.set_body(&batch);
    }

    fn is_emptied(&self) -> bool {
        self.spans.iter().chain(&self.events).all(|&count| count == 0)
    }

    fn strip(&mut self, what: Strip, cause: DropCause) -> [u64; RecordKind::SLOTS] {
        let mut counts = [0; RecordKind::SLOTS];
        for (is_taken, taken) in [(what.segments, &mut self.spans), (what.events, &mut self.events)]
        {
            if is_taken {
                let taken = std::mem::take(taken);
                counts.iter_mut().zip(taken).for_each(|(count, taken)| *count += taken);
            }
        }
        if counts == [0; RecordKind::SLOTS] {
            return counts;
        }
        if cause != DropCause::AgentLimit {
            self.given_up.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
        }
        let (from, to) = (self.from, self.anchor.at);
        self.rewrite(|batch| {
            if what.segments {
                batch.segments.clear();
            }
            if what.events {
                batch.events.clear();
            }
            for kind in RecordKind::ALL {
                let count = counts[kind as usize];
                if count > 0 {
                    add_loss(batch, loopd_wire::encode_loss(Loss { kind, cause, count, from, to }));
                }
            }
        });
        counts
    }

    fn can_absorb(&self, later: &Self) -> bool {
        let is_fit = |entry: &Self| {
            entry.seq.max(entry.seq_before) == 0 && !entry.is_lesson && entry.is_emptied()
        };
        is_fit(self)
            && is_fit(later)
            && self.body.len() + later.body.len() <= MAX_LESSON_BYTES
            && self.definitions + later.definitions <= MAX_LESSON
    }

    /// Takes over what a later, also emptied batch says.
    fn absorb(&mut self, later: &Self) {
        let later_batch = pb::Batch::decode(later.body.clone()).unwrap_or_default();
        self.anchor = later.anchor;
        self.given_up.iter_mut().zip(later.given_up).for_each(|(all, count)| *all += count);
        self.rewrite(|batch| {
            batch.names.extend(later_batch.names);
            batch.locations.extend(later_batch.locations);
            batch.stacks.extend(later_batch.stacks);
            for loss in later_batch.losses {
                add_loss(batch, loss);
            }
            if !later_batch.ledger.is_empty() {
                batch.ledger = later_batch.ledger;
            }
            batch.anchor = later_batch.anchor;
        });
    }
}

fn add_loss(batch: &mut pb::Batch, loss: pb::Loss) {
    let is_like = |known: &&mut pb::Loss| known.kind == loss.kind && known.cause == loss.cause;
    match batch.losses.iter_mut().find(is_like) {
        Some(known) => {
            known.count += loss.count;
            known.from_at = known.from_at.min(loss.from_at);
            known.to_at = known.to_at.max(loss.to_at);
        }
        None => batch.losses.push(loss),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopd_model::{
        Event, EventKind, LedgerEntry, LocationId, LoopId, Name, NameId, Outcome, ResourceId,
        Segment, TaskId, UnixNanos, WorkerId,
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

    /// What the next message says, as the collector reads it.
    fn sent(window: &mut Window) -> Option<pb::Batch> {
        let Numbered { seq, body } = window.next()?;
        Some(pb::Batch { seq, ..pb::Batch::decode(body).unwrap() })
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
        assert_eq!(sent(&mut window).map(|b| b.seq), Some(1));
        assert_eq!(sent(&mut window).map(|b| b.seq), Some(2));
        assert_eq!(sent(&mut window), None);
        window.restart();
        window.ack(1).unwrap();
        assert_eq!(window.first_seq(), 2);
        assert_eq!(sent(&mut window).map(|b| b.seq), Some(2));
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
        let limit = 3_500 + 10 * size_of::<Entry>();
        let mut window = Window::new(limit);
        for id in 1..=10 {
            window.push(batch(id, 7));
        }
        assert!(window.bytes() <= limit);
        let (mut names, mut evicted, mut polls, mut seqs) = (0, 0, 0, vec![]);
        while let Some(batch) = sent(&mut window) {
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
        let first = sent(&mut window).unwrap();
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
        sent(&mut window);
        sent(&mut window);
        window.refuse(1, DropCause::Malformed);
        let again = sent(&mut window).unwrap();
        assert_eq!((again.seq, again.events.len(), again.segments.len()), (1, 0, 0));
        assert_eq!(again.losses.iter().map(|loss| loss.count).sum::<u64>(), 4);
        assert_eq!(again.names.len(), 1);
        assert_eq!(sent(&mut window).map(|b| b.seq), Some(2));
        window.refuse(1, DropCause::Malformed);
        assert_eq!(sent(&mut window).unwrap().names.len(), 0);
    }

    #[test]
    fn another_database_is_taught_the_dictionary_before_anything_else() {
        let mut window = Window::new(1 << 20);
        window.push(batch(1, 1));
        sent(&mut window);
        window.ack(1).unwrap();
        window.push(batch(2, 1));
        sent(&mut window);
        let name = |id| Name { id: NameId(id), text: String::new() };
        let names = (1..=5_000).map(name).collect();
        window.teach(Dictionary { names, ..Dictionary::default() }, 0);
        let batches: Vec<_> = std::iter::from_fn(|| sent(&mut window)).collect();
        assert_eq!(batches.iter().map(|batch| batch.seq).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(batches.iter().map(|batch| batch.names.len()).sum::<usize>(), 5_001);
        assert_eq!(batches[2].events.len(), 1);
    }

    #[test]
    fn a_database_that_comes_back_gets_nothing_twice() {
        let mut window = Window::new(1 << 20);
        for at in 1..=4 {
            window.push(batch(at, 1));
        }
        for _ in 1..=3 {
            sent(&mut window);
        }
        window.ack(1).unwrap();
        // The one meanwhile acknowledges nothing; the first has stored 2 and 3, but could not say so.
        window.teach(Dictionary::default(), 0);
        window.restart();
        sent(&mut window);
        window.teach(Dictionary::default(), 3);
        window.ack(3).unwrap();
        let left: Vec<_> = std::iter::from_fn(|| sent(&mut window)).collect();
        let left: Vec<_> = left.iter().map(|batch| (batch.seq, batch.anchor.unwrap().at)).collect();
        assert_eq!(left, [(4, 400)], "the number, and what was made fourth");
    }

    #[test]
    fn a_database_cannot_know_what_was_never_sent() {
        let mut window = Window::new(1 << 20);
        window.push(batch(1, 1));
        sent(&mut window);
        window.teach(Dictionary::default(), u64::MAX);
        assert!(window.ack(u64::MAX).is_err());
        window.restart();
        assert_eq!(sent(&mut window).map(|batch| batch.seq), Some(1));
    }

    #[test]
    fn lessons_for_a_database_that_is_gone_are_not_kept() {
        let mut window = Window::new(2_000);
        window.push(batch(1, 1));
        let name = |id| Name { id: NameId(id), text: String::new() };
        let names: Vec<_> = (1..=5_000).map(name).collect();
        let mut sizes = Vec::new();
        for round in 1..=20 {
            window.teach(Dictionary { names: names.clone(), ..Dictionary::default() }, 0);
            // Also those that were sent, and those next to batches that were emptied.
            let sent = sent(&mut window).unwrap();
            assert_eq!((sent.seq, sent.losses.len()), (1, 0));
            window.push(batch(1 + round, 1));
            sizes.push((window.entries.len(), window.bytes() / 1_000));
        }
        assert!(sizes[2..].iter().all(|size| *size <= (6, sizes[2].1 + 3)), "{sizes:?}");
    }

    #[test]
    fn what_is_too_large_for_the_collector_is_cut_before_it_has_a_number() {
        let mut window = Window::new(1 << 20);
        let mut batch = Batch { segments: Vec::new(), ..large(1) };
        // Longer alone than the collector takes.
        let opened = EventKind::ResourceOpened {
            resource: ResourceId(1),
            kind: String::new(),
            name: "x".repeat(400),
            open_location: LocationId::NONE,
            task: TaskId::NONE,
            stack: loopd_model::StackId::NONE,
        };
        batch.events.insert(50, Event { at: Nanos(0), kind: opened });
        window.push(batch);
        window.max_body_bytes = 300 - SEQ_BYTES;
        let sent: Vec<_> = std::iter::from_fn(|| sent(&mut window)).collect();
        assert!(sent.iter().all(|batch| batch.encoded_len() <= 300));
        let oversized = window.take_oversized();
        assert_eq!((oversized[RecordKind::Resource as usize], oversized.iter().sum()), (1, 1u64));
        let seqs: Vec<_> = sent.iter().map(|batch| batch.seq).collect();
        assert_eq!(seqs, (1..=sent.len() as u64).collect::<Vec<_>>());
        assert_eq!(sent.iter().map(|batch| batch.events.len()).sum::<usize>(), 100);
        assert_eq!(sent.iter().map(|batch| batch.losses.len()).sum::<usize>(), 1);
        window.ack(sent.len() as u64).unwrap();
        assert_eq!(window.bytes(), 0);
    }

    #[test]
    fn what_is_too_large_and_has_a_number_is_a_loss() {
        let mut window = Window::new(1 << 20);
        window.push(large(1));
        sent(&mut window);
        window.max_body_bytes = 500 - SEQ_BYTES;
        window.restart();
        let again = sent(&mut window).unwrap();
        assert_eq!((again.seq, again.events.len(), again.segments.len()), (1, 0, 0));
        assert_eq!(again.losses.len(), 2);
        let limit = |loss: &pb::Loss| loss.cause() == pb::loss::Cause::AgentLimit;
        assert!(again.losses.iter().all(limit));
        let oversized = window.take_oversized();
        assert_eq!((oversized[RecordKind::Poll as usize], oversized.iter().sum()), (3, 103u64));
        assert_eq!(window.take_oversized(), [0; RecordKind::SLOTS]);
    }

    #[test]
    fn what_was_not_sent_counts_also_if_only_as_losses() {
        let mut window = Window::new(2_500);
        for id in 1..=5 {
            window.push(batch(id, 7));
        }
        let unsent = window.unsent();
        assert_eq!((unsent[RecordKind::Poll as usize], unsent[RecordKind::Task as usize]), (35, 5));
        while window.next().is_some() {}
        assert_eq!(window.unsent(), [0; RecordKind::SLOTS]);
    }

    /// As [`batch`], with a hundred events.
    fn large(id: u64) -> Batch {
        let batch = batch(id, 3);
        let events = std::iter::repeat_n(batch.events[0].clone(), 100).collect();
        Batch { events, ..batch }
    }
}
