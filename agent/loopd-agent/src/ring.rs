//! One thread's buffer of records on their way to the exporter: single producer, single consumer,
//! words of 64 bits, records of any number of words.
//!
//! The producer never waits. When less than a quarter is free it refuses what is plentiful
//! ([`Class::Flood`]: polls, parks, wakes), so that spawns, ends and resources still find room.
#![expect(
    unsafe_code,
    reason = "takes zeroed memory as zeroed atomics, so that pages stay untouched"
)]

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// Who may use the last quarter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Polls, parks, wakes.
    Flood,
    /// Everything else.
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

/// Keeps what two threads write apart, also from the neighbour line that processors prefetch.
#[repr(align(128))]
struct Apart<T>(T);

/// The buffer. Positions count words since the beginning and never wrap.
pub(crate) struct Ring {
    words: Box<[AtomicU64]>,
    /// Where the producer writes next.
    head: Apart<AtomicU64>,
    /// Where the consumer reads next.
    tail: Apart<AtomicU64>,
    /// Producer only: up to this position it may write without looking at `tail`.
    unchecked_to: AtomicU64,
}

impl Ring {
    /// A ring of `words` words, rounded up to a power of two. Untouched pages cost nothing.
    pub(crate) fn new(words: usize) -> Self {
        let len = words.next_power_of_two().max(64);
        // SAFETY: all bits zero is a valid `AtomicU64`.
        let words = unsafe { Box::<[AtomicU64]>::new_zeroed_slice(len).assume_init() };
        Self {
            words,
            head: Apart(AtomicU64::new(0)),
            tail: Apart(AtomicU64::new(0)),
            unchecked_to: AtomicU64::new(len as u64 / 2),
        }
    }

    #[inline(always)]
    fn put(&self, position: u64, word: u64) {
        let mask = self.words.len() - 1;
        self.words[position as usize & mask].store(word, Relaxed);
    }

    /// Writes one record. Producer only.
    #[inline(always)]
    pub(crate) fn push<const N: usize>(&self, record: [u64; N], class: Class) -> Pushed {
        let head = self.head.0.load(Relaxed);
        let after = head + N as u64;
        let mut pushed = Pushed::Yes;
        if after > self.unchecked_to.load(Relaxed) {
            pushed = self.look_for_room(head, N, class);
            if pushed == Pushed::No {
                return Pushed::No;
            }
        }
        for (i, word) in record.into_iter().enumerate() {
            self.put(head + i as u64, word);
        }
        self.head.0.store(after, Release);
        pushed
    }

    /// Writes one record of fixed words and trailing texts, eight bytes to a word.
    pub(crate) fn push_texts(&self, record: &[u64], texts: &[&[u8]]) -> Pushed {
        let text_words: usize = texts.iter().map(|text| text.len().div_ceil(8)).sum();
        let len = record.len() + text_words;
        let head = self.head.0.load(Relaxed);
        let pushed = self.look_for_room(head, len, Class::Lifecycle);
        if pushed == Pushed::No {
            return Pushed::No;
        }
        let chunks = texts.iter().flat_map(|text| text.chunks(8)).map(|chunk| {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(bytes)
        });
        for (i, word) in record.iter().copied().chain(chunks).enumerate() {
            self.put(head + i as u64, word);
        }
        self.head.0.store(head + len as u64, Release);
        pushed
    }

    #[cold]
    #[inline(never)]
    fn look_for_room(&self, head: u64, len: usize, class: Class) -> Pushed {
        let capacity = self.words.len() as u64;
        let tail = self.tail.0.load(Acquire);
        let used_after = head - tail + len as u64;
        let allowed = match class {
            Class::Flood => capacity - capacity / 4,
            Class::Lifecycle => capacity,
        };
        if used_after > allowed {
            return Pushed::No;
        }
        if used_after > capacity / 2 {
            return Pushed::Crowded;
        }
        self.unchecked_to.store(tail + capacity / 2, Relaxed);
        Pushed::Yes
    }

    /// What can be read now: from the first position to before the second. Consumer only.
    pub(crate) fn readable(&self) -> (u64, u64) {
        (self.tail.0.load(Relaxed), self.head.0.load(Acquire))
    }

    /// The word at a readable position.
    pub(crate) fn word(&self, position: u64) -> u64 {
        let mask = self.words.len() - 1;
        self.words[position as usize & mask].load(Relaxed)
    }

    /// Gives everything before `position` back to the producer. Consumer only.
    pub(crate) fn release(&self, position: u64) {
        self.tail.0.store(position, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_flood_leaves_a_quarter_for_the_rest() {
        let ring = Ring::new(64);
        let floods = (0..100).filter(|&i| ring.push([i, i], Class::Flood) != Pushed::No).count();
        assert_eq!(floods, 24);
        let rest = (0..100).filter(|&i| ring.push([i], Class::Lifecycle) != Pushed::No).count();
        assert_eq!(rest, 16);
        let (tail, head) = ring.readable();
        assert_eq!(head - tail, 64);
        ring.release(head);
        assert_eq!(ring.push([1, 2], Class::Flood), Pushed::Yes);
    }

    #[test]
    fn texts_travel_in_words() {
        let ring = Ring::new(64);
        ring.push_texts(&[7], &[b"hello world", b"x"]);
        let (tail, head) = ring.readable();
        assert_eq!(head - tail, 4);
        assert_eq!(ring.word(1).to_le_bytes(), *b"hello wo");
        assert_eq!(ring.word(3).to_le_bytes(), *b"x\0\0\0\0\0\0\0");
    }

    #[test]
    fn what_is_recorded_is_drained_or_dropped_and_in_order() {
        const RECORDS: u64 = 200_000;
        let ring = Arc::new(Ring::new(256));
        let producer = std::thread::spawn({
            let ring = ring.clone();
            move || (0..RECORDS).filter(|&i| ring.push([i, !i], Class::Flood) == Pushed::No).count()
        });
        let (mut drained, mut last) = (0u64, None);
        loop {
            let is_last_round = producer.is_finished();
            let (mut tail, head) = ring.readable();
            while tail < head {
                let value = ring.word(tail);
                assert_eq!(ring.word(tail + 1), !value);
                assert!(last < Some(value));
                last = Some(value);
                tail += 2;
                drained += 1;
            }
            ring.release(tail);
            if is_last_round {
                break;
            }
            std::thread::yield_now();
        }
        assert_eq!(drained + producer.join().unwrap() as u64, RECORDS);
    }
}
