//! Who waits for what, and who held it: how such records look in a [`Ring`].
//!
//! All of them share one kind of record; the payload of its first word says which it is. Instants
//! are ticks, places are numbers of [`crate::place`].

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use loopd_model::{MAX_HOLDERS, WaitHow};

use crate::ring::{Class, Pushed, Ring};

const BEGAN: u64 = 1;
const ENDED: u64 = 2;
const HOLD_ENDED: u64 = 3;

const WHICH_MASK: u64 = 0xf;
const OP_SHIFT: u32 = 4;
const HOLDERS_SHIFT: u32 = 12;
/// Amounts are at most 32 bits wide here; a larger one is cut to that.
const AMOUNT_SHIFT: u32 = 16;
const HOLDER_WORDS: usize = 4;
/// Of the beginning of a wait, before its holders.
const BEGAN_WORDS: usize = 6;

/// Ids that a thread takes at once, so that it shares no cache line with others for each wait.
const IDS_AT_ONCE: u64 = 1 << 10;

static NEXT_IDS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static NEXT_ID: Cell<u64> = const { Cell::new(0) };
}

/// A fresh id for a wait; never 0.
pub(crate) fn next_wait() -> u64 {
    let next = NEXT_ID.get();
    let id = if next.is_multiple_of(IDS_AT_ONCE) {
        NEXT_IDS.fetch_add(1, Relaxed) * IDS_AT_ONCE
    } else {
        next
    };
    NEXT_ID.set(id + 1);
    id
}

macro_rules! ops {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// What a waiting task wants to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Op { $(#[doc = $text] $name),* }

        impl Op {
            const ALL: &[Self] = &[$(Self::$name),*];

            /// The word for it.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

ops! {
    Lock = "lock",
    Read = "read",
    Write = "write",
    Acquire = "acquire",
    Send = "send",
    Recv = "recv",
    Closed = "closed",
    Changed = "changed",
    Notified = "notified",
    Wait = "wait",
    Join = "join",
    Sleep = "sleep",
    Tick = "tick",
    Accept = "accept",
    Connect = "connect",
    Open = "open",
}

/// Somebody who has a lock, or permits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) task: u64,
    pub(crate) since: u64,
    pub(crate) location: u64,
    pub(crate) amount: u64,
}

/// The holders of one resource at one instant. A single one, as of a lock, takes no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holders {
    first: Option<Holder>,
    rest: Vec<Holder>,
}

impl Holders {
    /// Adds one; beyond [`MAX_HOLDERS`] it is left out.
    pub(crate) fn push(&mut self, holder: Holder) {
        if self.first.is_none() {
            self.first = Some(holder);
        } else if self.rest.len() + 1 < MAX_HOLDERS {
            self.rest.push(holder);
        }
    }

    /// One after the other.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Holder> {
        self.first.iter().chain(&self.rest)
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WaitRecord {
    /// An operation was not ready at once; `amount` is of permits, or 0.
    Began {
        at: u64,
        wait: u64,
        task: u64,
        resource: u64,
        op: Op,
        location: u64,
        amount: u64,
        holders: Holders,
    },
    /// It is now, or was given up.
    Ended { at: u64, wait: u64, how: WaitHow },
    /// A lock or permits were given back; `waits` began meanwhile.
    HoldEnded { at: u64, resource: u64, hold: Holder, waits: u64 },
}

impl WaitRecord {
    /// Writes it; `head` is what says in the first word that a record is one of these, and `shift`
    /// where the payload begins.
    pub(crate) fn push(&self, ring: &Ring, head: u64, shift: u32) -> Pushed {
        let head = |which: u64, amount: u64| {
            let amount = amount.min(u64::from(u32::MAX));
            head | (which | amount << AMOUNT_SHIFT) << shift
        };
        match self {
            Self::Began { at, wait, task, resource, op, location, amount, holders } => {
                let count = holders.len();
                let more = (*op as u64) << OP_SHIFT | (count as u64) << HOLDERS_SHIFT;
                let first = head(BEGAN, *amount) | more << shift;
                let began = [first, *at, *wait, *task, *resource, *location];
                match (holders.first, holders.rest.as_slice()) {
                    (None, _) => ring.push(began, Class::Detail),
                    (Some(holder), []) => push_with_one(ring, began, holder),
                    _ => push_with_many(ring, began, holders),
                }
            }
            Self::Ended { at, wait, how } => {
                let how = match how {
                    WaitHow::Ready => 0,
                    WaitHow::Cancelled => 1,
                    WaitHow::Unknown => 2,
                };
                // Without its end a wait would last for ever, which is worse than to miss it whole.
                ring.push([head(ENDED, how), *at, *wait], Class::Lifecycle)
            }
            Self::HoldEnded { at, resource, hold, waits } => {
                let Holder { task, since, location, amount } = *hold;
                let first = head(HOLD_ENDED, amount);
                let words = [first, *at, *resource, task, since, location, *waits];
                ring.push(words, Class::Detail)
            }
        }
    }

    /// Reads the one at `position`, whose first word has this payload; also says how many words it
    /// took.
    pub(crate) fn read(ring: &Ring, position: u64, payload: u64) -> Option<(Self, u64)> {
        let word = |i: usize| ring.word(position, i);
        let amount = payload >> AMOUNT_SHIFT;
        Some(match payload & WHICH_MASK {
            BEGAN => {
                let op = *Op::ALL.get((payload >> OP_SHIFT) as usize & 0xff)?;
                let count = (payload >> HOLDERS_SHIFT) as usize & 0xf;
                let count = count.min(MAX_HOLDERS);
                let mut holders = Holders::default();
                for first in (0..count).map(|i| BEGAN_WORDS + i * HOLDER_WORDS) {
                    let (task, since) = (word(first), word(first + 1));
                    let (location, amount) = (word(first + 2), word(first + 3));
                    holders.push(Holder { task, since, location, amount });
                }
                let (at, wait, task) = (word(1), word(2), word(3));
                let (resource, location) = (word(4), word(5));
                let began = Self::Began { at, wait, task, resource, op, location, amount, holders };
                (began, (BEGAN_WORDS + count * HOLDER_WORDS) as u64)
            }
            ENDED => {
                let how = match amount {
                    0 => WaitHow::Ready,
                    1 => WaitHow::Cancelled,
                    _ => WaitHow::Unknown,
                };
                (Self::Ended { at: word(1), wait: word(2), how }, 3)
            }
            HOLD_ENDED => {
                let (task, since, location) = (word(3), word(4), word(5));
                let hold = Holder { task, since, location, amount };
                (Self::HoldEnded { at: word(1), resource: word(2), hold, waits: word(6) }, 7)
            }
            _ => return None,
        })
    }
}

fn push_with_one(ring: &Ring, began: [u64; BEGAN_WORDS], holder: Holder) -> Pushed {
    let [first, at, wait, task, resource, location] = began;
    let Holder { task: holder_task, since, location: held_at, amount } = holder;
    let words = [first, at, wait, task, resource, location, holder_task, since, held_at, amount];
    ring.push(words, Class::Detail)
}

fn push_with_many(ring: &Ring, began: [u64; BEGAN_WORDS], holders: &Holders) -> Pushed {
    let mut words = [0; BEGAN_WORDS + MAX_HOLDERS * HOLDER_WORDS];
    words[..BEGAN_WORDS].copy_from_slice(&began);
    let slots = words[BEGAN_WORDS..].chunks_exact_mut(HOLDER_WORDS);
    for (slot, holder) in slots.zip(holders.iter()) {
        let Holder { task, since, location, amount } = *holder;
        slot.copy_from_slice(&[task, since, location, amount]);
    }
    let len = BEGAN_WORDS + holders.len() * HOLDER_WORDS;
    ring.push_texts(&words[..len], &[], Class::Detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_survives_the_ring() {
        let holder = |i| Holder { task: i, since: i << 50, location: i + 2, amount: i + 3 };
        let mut all = Holders::default();
        (1..=20).for_each(|i| all.push(holder(i)));
        assert_eq!(all.len(), MAX_HOLDERS);
        let mut one = Holders::default();
        one.push(holder(9));
        let began = |op, holders| WaitRecord::Began {
            at: 1,
            wait: 2,
            task: 3,
            resource: 4,
            op,
            location: 5,
            amount: 6,
            holders,
        };
        let mut records: Vec<_> = Op::ALL.iter().map(|&op| began(op, Holders::default())).collect();
        records.extend([
            began(Op::Lock, one),
            began(Op::Lock, all),
            WaitRecord::Ended { at: 1, wait: 2, how: WaitHow::Cancelled },
            WaitRecord::Ended { at: 1, wait: 2, how: WaitHow::Ready },
            WaitRecord::HoldEnded { at: 1, resource: 2, hold: holder(3), waits: 4 },
        ]);
        let ring = Ring::new(1 << 10);
        for record in &records {
            assert_eq!(record.push(&ring, 12, 4), Pushed::Yes);
        }
        let (mut position, head) = ring.readable();
        for expected in records {
            assert_eq!(ring.word(position, 0) & 0xf, 12);
            let payload = ring.word(position, 0) >> 4;
            let (record, words) = WaitRecord::read(&ring, position, payload).unwrap();
            assert_eq!(record, expected);
            position += words;
        }
        assert_eq!(position, head);
    }

    #[test]
    fn ids_are_unique_across_threads() {
        let some = || (0..3_000).map(|_| next_wait()).collect::<Vec<_>>();
        let other = std::thread::spawn(some);
        let mut ids = some();
        ids.extend(other.join().unwrap());
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), ids[0] > 0), (6_000, true));
    }
}
