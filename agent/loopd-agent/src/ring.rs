//! One thread's buffer of records on their way to the exporter: single producer, single consumer,
//! words of 64 bits, records of any number of words.
//!
//! The producer never waits. What finds too little room is refused, in this order as the ring fills
//! up: at three quarters what is plentiful, at seven eighths what explains, last what tells of lives
//! ([`Class`]). Room that comes back ends the refusals by itself.
//!
//! A record lies in one piece: one that begins shortly before the end runs over into
//! [`MAX_RECORD`] spare words. Both sides find a record by where it begins.
#![expect(
    unsafe_code,
    reason = "leaves out bounds checks on the hot path, and takes zeroed memory as zeroed atomics"
)]

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// The longest record, in words. Longer ones are refused.
pub(crate) const MAX_RECORD: usize = 512;
/// The smallest ring, in words: small enough that a test fills it, large enough for a few records.
const LEAST_WORDS: usize = if cfg!(loom) { 8 } else { 64 };
/// Spare words after the last; models check every word, so they have few.
const SPARE_WORDS: usize = if cfg!(loom) { 8 } else { MAX_RECORD };

/// How much a record matters, and so how full the ring may be for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Polls, parks, wakes: refused when three quarters are used.
    Flood,
    /// Waits that begin, marks, states of resources: refused when seven eighths are used.
    Detail,
    /// Spawns, opens, and every end and close: refused only by a full ring.
    Lifecycle,
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Written.
    Yes,
    /// Written, and the consumer should come soon: more than half is used.
    Crowded,
    /// There was no room.
    No,
}

/// What only the producer touches, except that the consumer reads `head`. On lines of its own, also
/// apart from the neighbour line that processors prefetch.
#[repr(align(128))]
struct Producer {
    /// Where the next record begins.
    head: AtomicU64,
    /// Up to this position it may write without looking at the consumer's.
    unchecked_to: AtomicU64,
}

/// What only the consumer writes.
#[repr(align(128))]
struct Consumer {
    /// Where the next record is read.
    tail: AtomicU64,
}

/// The buffer. Positions count words since the beginning and never wrap.
pub(crate) struct Ring {
    producer: Producer,
    /// `capacity` words, a power of two, and [`SPARE_WORDS`].
    words: Box<[AtomicU64]>,
    /// The capacity less one.
    mask: usize,
    consumer: Consumer,
}

impl Ring {
    /// A ring of `words` words, rounded up to a power of two. Untouched pages cost nothing.
    pub(crate) fn new(words: usize) -> Self {
        let capacity = words.next_power_of_two().max(LEAST_WORDS);
        Self {
            producer: Producer {
                head: AtomicU64::new(0),
                unchecked_to: AtomicU64::new(capacity as u64 / 2),
            },
            words: zeroed(capacity + SPARE_WORDS),
            mask: capacity - 1,
            consumer: Consumer { tail: AtomicU64::new(0) },
        }
    }

    /// Memory that a ring of `words` words takes, in bytes.
    pub(crate) fn bytes(words: usize) -> usize {
        (words.next_power_of_two().max(LEAST_WORDS) + SPARE_WORDS) * size_of::<u64>()
    }

    /// The words of the record of `N` words at `position`.
    #[inline(always)]
    fn slots<const N: usize>(&self, position: u64) -> &[AtomicU64; N] {
        const { assert!(N <= SPARE_WORDS) };
        let index = position as usize & self.mask;
        debug_assert!(index + N <= self.words.len());
        // SAFETY: the masked position is less than the capacity, and N is at most SPARE_WORDS;
        // there are capacity + SPARE_WORDS words. An array has the layout of its elements.
        unsafe { &*self.words.as_ptr().add(index).cast() }
    }

    /// The words from `position` on that a record may take.
    fn record(&self, position: u64) -> &[AtomicU64; SPARE_WORDS] {
        self.slots(position)
    }

    /// Writes one record. Producer only.
    #[inline(always)]
    pub(crate) fn push<const N: usize>(&self, record: [u64; N], class: Class) -> Pushed {
        if self.push_quickly(record) { Pushed::Yes } else { self.push_slowly(&record, class) }
    }

    /// Writes one record if there is room enough for everybody; says whether it has. Producer only.
    #[inline(always)]
    pub(crate) fn push_quickly<const N: usize>(&self, record: [u64; N]) -> bool {
        let head = self.producer.head.load(Relaxed);
        let after = head + N as u64;
        if after > self.producer.unchecked_to.load(Relaxed) {
            return false;
        }
        for (slot, word) in self.slots::<N>(head).iter().zip(record) {
            slot.store(word, Relaxed);
        }
        self.producer.head.store(after, Release);
        true
    }

    #[cold]
    #[inline(never)]
    fn push_slowly(&self, record: &[u64], class: Class) -> Pushed {
        self.push_words(record.len(), record.iter().copied(), class)
    }

    /// Writes one record of fixed words and trailing texts, eight bytes to a word. Producer only.
    pub(crate) fn push_texts(&self, record: &[u64], texts: &[&[u8]], class: Class) -> Pushed {
        let text_words: usize = texts.iter().map(|text| text.len().div_ceil(8)).sum();
        let chunks = texts.iter().flat_map(|text| text.chunks(8)).map(|chunk| {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(bytes)
        });
        self.push_words(record.len() + text_words, record.iter().copied().chain(chunks), class)
    }

    fn push_words(&self, len: usize, words: impl Iterator<Item = u64>, class: Class) -> Pushed {
        let head = self.producer.head.load(Relaxed);
        let pushed = self.look_for_room(head, len, class);
        if pushed != Pushed::No {
            for (slot, word) in self.record(head).iter().zip(words) {
                slot.store(word, Relaxed);
            }
            self.producer.head.store(head + len as u64, Release);
        }
        pushed
    }

    fn look_for_room(&self, head: u64, len: usize, class: Class) -> Pushed {
        if len > SPARE_WORDS {
            debug_assert!(false, "a record of {len} words");
            return Pushed::No;
        }
        let capacity = self.mask as u64 + 1;
        let tail = self.consumer.tail.load(Acquire);
        let used_after = head - tail + len as u64;
        let allowed = match class {
            Class::Flood => capacity / 4 * 3,
            Class::Detail => capacity / 8 * 7,
            Class::Lifecycle => capacity,
        };
        if used_after > allowed {
            return Pushed::No;
        }
        if used_after > capacity / 2 {
            return Pushed::Crowded;
        }
        self.producer.unchecked_to.store(tail + capacity / 2, Relaxed);
        Pushed::Yes
    }

    /// What can be read now: from the first position to before the second. Consumer only.
    pub(crate) fn readable(&self) -> (u64, u64) {
        (self.consumer.tail.load(Relaxed), self.producer.head.load(Acquire))
    }

    /// The word `offset` words into the readable record that begins at `position`. Consumer only.
    #[inline]
    pub(crate) fn word(&self, position: u64, offset: usize) -> u64 {
        let word = self.record(position).get(offset);
        debug_assert!(word.is_some(), "word {offset} of a record");
        word.map_or(0, |word| word.load(Relaxed))
    }

    /// Gives everything before `position` back to the producer. Consumer only.
    pub(crate) fn release(&self, position: u64) {
        self.consumer.tail.store(position, Release);
    }
}

#[cfg(not(loom))]
fn zeroed(words: usize) -> Box<[AtomicU64]> {
    // SAFETY: all bits zero is a valid `AtomicU64`.
    unsafe { Box::new_zeroed_slice(words).assume_init() }
}

#[cfg(loom)]
fn zeroed(words: usize) -> Box<[AtomicU64]> {
    (0..words).map(|_| AtomicU64::new(0)).collect()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_full_ring_refuses_the_plentiful_first_and_lives_last() {
        let ring = Ring::new(64);
        let taken = |words: usize, class| {
            (0..100).filter(|_| ring.push_slowly(&[7; 3][..words], class) != Pushed::No).count()
        };
        for _ in 0..2 {
            assert_eq!(taken(2, Class::Flood), 24);
            assert_eq!(taken(2, Class::Detail), 4);
            assert_eq!(taken(2, Class::Flood), 0);
            assert_eq!(taken(1, Class::Lifecycle), 8);
            assert_eq!(taken(1, Class::Detail), 0);
            let (tail, head) = ring.readable();
            assert_eq!(head - tail, 64);
            // Room that comes back ends the refusals.
            ring.release(head);
        }
        assert_eq!(ring.push([1, 2], Class::Flood), Pushed::Yes);
    }

    #[test]
    fn a_record_at_the_very_end_is_read_as_it_was_written() {
        let ring = Ring::new(64);
        for round in 0..200u64 {
            assert_eq!(ring.push([round, !round, round * 3], Class::Flood), Pushed::Yes);
            let text = [round as u8; 100];
            assert_ne!(ring.push_texts(&[round], &[&text], Class::Lifecycle), Pushed::No);
            let (tail, head) = ring.readable();
            assert_eq!([0, 1, 2].map(|i| ring.word(tail, i)), [round, !round, round * 3]);
            assert_eq!(ring.word(tail + 3, 0), round);
            assert_eq!(ring.word(tail + 3, 12).to_le_bytes(), [round as u8; 8]);
            ring.release(head);
        }
    }

    #[test]
    fn texts_travel_in_words() {
        let ring = Ring::new(64);
        ring.push_texts(&[7], &[b"hello world", b"x"], Class::Lifecycle);
        let (tail, head) = ring.readable();
        assert_eq!(head - tail, 4);
        assert_eq!(ring.word(tail, 1).to_le_bytes(), *b"hello wo");
        assert_eq!(ring.word(tail, 3).to_le_bytes(), *b"x\0\0\0\0\0\0\0");
    }

    #[test]
    fn what_is_recorded_is_drained_or_dropped_and_in_order() {
        const RECORDS: u64 = if cfg!(miri) { 500 } else { 200_000 };
        let ring = Arc::new(Ring::new(256));
        let producer = std::thread::spawn({
            let ring = ring.clone();
            move || (0..RECORDS).filter(|&i| ring.push([i, !i], Class::Flood) == Pushed::No).count()
        });
        let (mut drained, mut last) = (0u64, None);
        let mut drain = || {
            let (mut tail, head) = ring.readable();
            while tail < head {
                let value = ring.word(tail, 0);
                assert_eq!(ring.word(tail, 1), !value);
                assert!(last < Some(value));
                last = Some(value);
                tail += 2;
                drained += 1;
            }
            ring.release(tail);
        };
        while !producer.is_finished() {
            drain();
            std::thread::yield_now();
        }
        let refused = producer.join().unwrap() as u64;
        drain();
        assert_eq!(drained + refused, RECORDS);
    }
}
