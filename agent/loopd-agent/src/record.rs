//! How a record looks in a [`Ring`]: the first word's low four bits say what it is.
//!
//! Instants are ticks. Polls, parks and wakes belong to the worker named by the last
//! [`Record::Place`] before them in the same ring.

use loopd_model::{CloseHow, Outcome, RecordKind, TaskId, TaskKind};

use crate::notes::Note;
use crate::ring::{Class, Pushed, Ring};
use crate::waits::WaitRecord;

/// Longer names are cut here, at a character boundary.
pub(crate) const MAX_TEXT: usize = 256;

const SHORT_POLL: u64 = 1;
const LONG_POLL: u64 = 2;
const PARK: u64 = 3;
const WAKE: u64 = 4;
const PLACE: u64 = 5;
const SPAWNED: u64 = 6;
const NAMED: u64 = 7;
const BLOCKING_STARTED: u64 = 8;
const ENDED: u64 = 9;
const OPENED: u64 = 10;
const CLOSED: u64 = 11;
/// Of several sorts, told apart in [`WaitRecord`].
const WAIT: u64 = 12;
const NOTE: u64 = 13;
const DELAY: u64 = 14;
const STEP: u64 = 15;

const KIND_BITS: u32 = 4;
/// In the payload of a spawn, above the sort of task.
const LABEL_SHIFT: u32 = 8;
const KIND_MASK: u64 = (1 << KIND_BITS) - 1;
/// A short poll has 28 bits for its length (a tenth of a second) and 32 for its task.
const SHORT_LENGTH_BITS: u32 = 28;

/// A single bit: callbacks and tasks of an `EventLoop` have numbers from here on.
const FIRST_ROOT: u64 = TaskId::FIRST_ROOT.0;
const _: () = assert!(FIRST_ROOT.is_power_of_two());

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A finished poll.
    Poll { start: u64, length: u64, task: u64 },
    /// A finished park.
    Park { start: u64, length: u64 },
    /// A wake that led to the poll that begins at its end.
    Wake { start: u64, length: u64, task: u64, by: u64, count: u64 },
    /// A finished poll and the one wake that led to it, which came so long before: what a poll and a
    /// wake say in seven words.
    Step { start: u64, length: u64, task: u64, delay: u64, by: u64 },
    /// How long a task had been scheduled when a poll of it began, in nanoseconds, as tokio measured
    /// it. Counts as a wake.
    Delay { poll_start: u64, nanos: u64, task: u64 },
    /// What follows belongs to this worker.
    Place { at: u64, loop_id: u64, worker: u32 },
    /// A task was spawned; `location` is a number of [`crate::place`], `label` one of
    /// [`crate::labels`], 0 if it is not named yet.
    Spawned {
        at: u64,
        task: u64,
        loop_id: u64,
        location: u64,
        parent: u64,
        kind: TaskKind,
        label: u32,
    },
    /// A task was named.
    Named { at: u64, task: u64, name: String },
    /// A blocking job began.
    BlockingStarted { at: u64, task: u64 },
    /// A task ended.
    Ended { at: u64, task: u64, outcome: Outcome },
    /// A resource was opened.
    Opened { at: u64, resource: u64, location: u64, task: u64, kind: String, name: String },
    /// A resource was closed.
    Closed { at: u64, resource: u64, how: CloseHow },
    /// What the program says of itself, and other rare things.
    Note(Note),
    /// Who waits for what, or held it.
    Wait(WaitRecord),
}

/// Writes a poll if it is short and there is room enough; says whether it has. The one record that
/// must be cheap.
#[cfg(tokio_unstable)]
#[inline(always)]
pub(crate) fn push_short_poll(ring: &Ring, start: u64, length: u64, task: u64) -> bool {
    let is_short = (length >> SHORT_LENGTH_BITS) | (task >> 32) == 0;
    is_short && ring.push_quickly([SHORT_POLL | length << KIND_BITS | task << 32, start])
}

/// Writes a poll with the wake that led to it, `delay` before; `None` if that takes two records.
#[inline(always)]
pub(crate) fn push_step(
    ring: &Ring,
    (start, length): (u64, u64),
    task: u64,
    (delay, by): (u64, u64),
) -> Option<Pushed> {
    let ((task, task_rest), (by, by_rest)) = (shorten(task), shorten(by));
    let is_short = (length >> SHORT_LENGTH_BITS) | (delay >> 32) | task_rest | by_rest == 0;
    let head = STEP | length << KIND_BITS | task << 32;
    is_short.then(|| ring.push([head, start, delay | by << 32], Class::Flood))
}

/// A task's number in 32 bits, of which the highest says that it is counted from [`FIRST_ROOT`] on; and 0,
/// unless it does not fit.
#[inline(always)]
fn shorten(task: u64) -> (u64, u64) {
    let is_root = (task & FIRST_ROOT != 0) as u64;
    let number = task & !FIRST_ROOT;
    (number | (is_root << 31), number >> 31)
}

/// The reverse of [`shorten`].
#[inline(always)]
fn lengthen(short: u64) -> u64 {
    (short & !(1 << 31)) | ((short >> 31) * FIRST_ROOT)
}

/// Writes a poll.
pub(crate) fn push_poll(ring: &Ring, start: u64, length: u64, task: u64) -> Pushed {
    if length >> SHORT_LENGTH_BITS == 0 && task >> 32 == 0 {
        let head = SHORT_POLL | length << KIND_BITS | task << 32;
        return ring.push([head, start], Class::Flood);
    }
    ring.push([LONG_POLL | length << KIND_BITS, start, task], Class::Flood)
}

/// The words of [`Record::Spawned`].
#[inline(always)]
pub(crate) fn spawned(
    at: u64,
    task: u64,
    loop_id: u64,
    location: u64,
    parent: u64,
    kind: TaskKind,
    label: u32,
) -> [u64; 6] {
    let payload = task_kind_number(kind) | u64::from(label) << LABEL_SHIFT;
    [SPAWNED | payload << KIND_BITS, at, task, loop_id, location, parent]
}

/// The words of [`Record::Ended`].
#[inline(always)]
pub(crate) fn ended(at: u64, task: u64, outcome: Outcome) -> [u64; 3] {
    [ENDED | outcome_number(outcome) << KIND_BITS, at, task]
}

impl Record {
    /// What it counts as; a place is not counted.
    pub(crate) fn kind(&self) -> Option<RecordKind> {
        Some(match self {
            Self::Poll { .. } => RecordKind::Poll,
            Self::Park { .. } => RecordKind::Park,
            Self::Wake { .. } | Self::Delay { .. } => RecordKind::Wake,
            // With its wake, which is counted where it is staged.
            Self::Step { .. } => RecordKind::Poll,
            Self::Place { .. } => return None,
            Self::Spawned { .. }
            | Self::Named { .. }
            | Self::BlockingStarted { .. }
            | Self::Ended { .. } => RecordKind::Task,
            Self::Opened { .. } | Self::Closed { .. } => RecordKind::Resource,
            Self::Note(note) => note.kind(),
            Self::Wait(_) => RecordKind::Wait,
        })
    }

    /// Writes it.
    pub(crate) fn push(&self, ring: &Ring) -> Pushed {
        let head = |kind: u64, payload: u64| kind | payload << KIND_BITS;
        match self {
            &Self::Poll { start, length, task } => push_poll(ring, start, length, task),
            &Self::Step { start, length, task, delay, by } => {
                push_step(ring, (start, length), task, (delay, by)).unwrap_or(Pushed::No)
            }
            &Self::Park { start, length } => ring.push([head(PARK, length), start], Class::Flood),
            &Self::Wake { start, length, task, by, count } => {
                ring.push([head(WAKE, count), start, length, task, by], Class::Flood)
            }
            &Self::Delay { poll_start, nanos, task } => {
                ring.push([head(DELAY, nanos), poll_start, task], Class::Flood)
            }
            &Self::Place { at, loop_id, worker } => {
                ring.push([head(PLACE, worker.into()), at, loop_id], Class::Lifecycle)
            }
            &Self::Spawned { at, task, loop_id, location, parent, kind, label } => {
                let words = spawned(at, task, loop_id, location, parent, kind, label);
                ring.push(words, Class::Lifecycle)
            }
            Self::Named { at, task, name } => {
                let name = cut(name).as_bytes();
                let head = head(NAMED, name.len() as u64);
                ring.push_texts(&[head, *at, *task], &[name], Class::Lifecycle)
            }
            &Self::BlockingStarted { at, task } => {
                ring.push([BLOCKING_STARTED, at, task], Class::Lifecycle)
            }
            &Self::Ended { at, task, outcome } => {
                ring.push(ended(at, task, outcome), Class::Lifecycle)
            }
            Self::Opened { at, resource, location, task, kind, name } => {
                let (kind, name) = (cut(kind).as_bytes(), cut(name).as_bytes());
                let head = head(OPENED, (kind.len() | name.len() << 16) as u64);
                let words = [head, *at, *resource, *location, *task];
                ring.push_texts(&words, &[kind, name], Class::Lifecycle)
            }
            &Self::Closed { at, resource, how } => {
                ring.push([head(CLOSED, how_number(how)), at, resource], Class::Lifecycle)
            }
            Self::Note(note) => note.push(ring, NOTE, KIND_BITS),
            Self::Wait(record) => record.push(ring, WAIT, KIND_BITS),
        }
    }

    /// Start, length and task of the record at `position`, if it is a short poll: two words.
    #[inline]
    pub(crate) fn read_short_poll(ring: &Ring, position: u64) -> Option<(u64, u64, u64)> {
        let head = ring.word(position, 0);
        let length = (head >> KIND_BITS) & ((1 << SHORT_LENGTH_BITS) - 1);
        (head & KIND_MASK == SHORT_POLL).then(|| (ring.word(position, 1), length, head >> 32))
    }

    /// Start, length and task of the record at `position`, and when and by whom it was woken, if it is
    /// a step: three words.
    #[inline]
    pub(crate) fn read_step(ring: &Ring, position: u64) -> Option<[u64; 5]> {
        let head = ring.word(position, 0);
        (head & KIND_MASK == STEP).then(|| {
            let length = (head >> KIND_BITS) & ((1 << SHORT_LENGTH_BITS) - 1);
            let wake = ring.word(position, 2);
            let (delay, by) = (wake & u64::from(u32::MAX), lengthen(wake >> 32));
            [ring.word(position, 1), length, lengthen(head >> 32), delay, by]
        })
    }

    /// Time, task and outcome of the record at `position`, if it is an end: three words.
    #[inline(always)]
    pub(crate) fn read_ended(ring: &Ring, position: u64) -> Option<(u64, u64, Outcome)> {
        let head = ring.word(position, 0);
        let [at, task] = [1, 2].map(|i| ring.word(position, i));
        (head & KIND_MASK == ENDED).then(|| (at, task, outcome(head >> KIND_BITS)))
    }

    /// Time, task, loop, place and parent of the record at `position`, the sort of task, and its
    /// label, if it is a spawn: six words.
    #[inline(always)]
    pub(crate) fn read_spawned(ring: &Ring, position: u64) -> Option<([u64; 5], TaskKind, u32)> {
        let head = ring.word(position, 0);
        let is_it = head & KIND_MASK == SPAWNED;
        is_it.then(|| {
            let payload = head >> KIND_BITS;
            let words = [1, 2, 3, 4, 5].map(|i| ring.word(position, i));
            (words, task_kind(payload), label(payload))
        })
    }

    /// Reads the record at `position`; also says how many words it took. `None`: not a record,
    /// which only a defect in this module could cause.
    #[inline]
    pub(crate) fn read(ring: &Ring, position: u64) -> Option<(Self, u64)> {
        let word = |i: usize| ring.word(position, i);
        let head = word(0);
        let payload = head >> KIND_BITS;
        Some(match head & KIND_MASK {
            SHORT_POLL => {
                let length = payload & ((1 << SHORT_LENGTH_BITS) - 1);
                (Self::Poll { start: word(1), length, task: head >> 32 }, 2)
            }
            STEP => {
                let length = payload & ((1 << SHORT_LENGTH_BITS) - 1);
                let (delay, by) = (word(2) & u64::from(u32::MAX), lengthen(word(2) >> 32));
                (Self::Step { start: word(1), length, task: lengthen(head >> 32), delay, by }, 3)
            }
            LONG_POLL => (Self::Poll { start: word(1), length: payload, task: word(2) }, 3),
            PARK => (Self::Park { start: word(1), length: payload }, 2),
            WAKE => {
                let (start, length, task, by) = (word(1), word(2), word(3), word(4));
                (Self::Wake { start, length, task, by, count: payload }, 5)
            }
            DELAY => (Self::Delay { poll_start: word(1), nanos: payload, task: word(2) }, 3),
            PLACE => (Self::Place { at: word(1), loop_id: word(2), worker: payload as u32 }, 3),
            SPAWNED => {
                let (at, task, loop_id, location, parent) =
                    (word(1), word(2), word(3), word(4), word(5));
                let (kind, label) = (task_kind(payload), label(payload));
                (Self::Spawned { at, task, loop_id, location, parent, kind, label }, 6)
            }
            NAMED => {
                let (name, words) = text(ring, position, 3, payload as usize);
                (Self::Named { at: word(1), task: word(2), name }, 3 + words as u64)
            }
            BLOCKING_STARTED => (Self::BlockingStarted { at: word(1), task: word(2) }, 3),
            ENDED => (Self::Ended { at: word(1), task: word(2), outcome: outcome(payload) }, 3),
            OPENED => {
                let (kind, kind_words) = text(ring, position, 5, payload as usize & 0xffff);
                let (name, name_words) =
                    text(ring, position, 5 + kind_words, payload as usize >> 16);
                let (at, resource, location, task) = (word(1), word(2), word(3), word(4));
                let record = Self::Opened { at, resource, location, task, kind, name };
                (record, (5 + kind_words + name_words) as u64)
            }
            CLOSED => (Self::Closed { at: word(1), resource: word(2), how: how(payload) }, 3),
            NOTE => {
                let (note, words) = Note::read(ring, position, payload)?;
                (Self::Note(note), words as u64)
            }
            WAIT => {
                let (record, words) = WaitRecord::read(ring, position, payload)?;
                (Self::Wait(record), words)
            }
            _ => return None,
        })
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

/// The text that begins `offset` words into the record at `position`, and how many words it takes.
fn text(ring: &Ring, position: u64, offset: usize, len: usize) -> (String, usize) {
    let len = len.min(MAX_TEXT);
    let words = len.div_ceil(8);
    let mut bytes: Vec<u8> =
        (0..words).flat_map(|i| ring.word(position, offset + i).to_le_bytes()).collect();
    bytes.truncate(len);
    (String::from_utf8(bytes).unwrap_or_default(), words)
}

fn task_kind_number(kind: TaskKind) -> u64 {
    match kind {
        TaskKind::Async => 0,
        TaskKind::Local => 1,
        TaskKind::BlockOn => 2,
        TaskKind::Blocking => 3,
        TaskKind::Callback => 4,
    }
}

fn label(payload: u64) -> u32 {
    (payload >> LABEL_SHIFT) as u32
}

fn task_kind(payload: u64) -> TaskKind {
    match payload & ((1 << LABEL_SHIFT) - 1) {
        1 => TaskKind::Local,
        2 => TaskKind::BlockOn,
        3 => TaskKind::Blocking,
        4 => TaskKind::Callback,
        _ => TaskKind::Async,
    }
}

fn outcome_number(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Unknown => 0,
        Outcome::Completed => 1,
        Outcome::Panicked => 2,
        Outcome::Cancelled => 3,
        Outcome::Raised => 4,
        Outcome::Destroyed => 5,
    }
}

fn outcome(number: u64) -> Outcome {
    match number {
        1 => Outcome::Completed,
        2 => Outcome::Panicked,
        3 => Outcome::Cancelled,
        4 => Outcome::Raised,
        5 => Outcome::Destroyed,
        _ => Outcome::Unknown,
    }
}

fn how_number(how: CloseHow) -> u64 {
    match how {
        CloseHow::Closed => 1,
        CloseHow::Dropped => 2,
        CloseHow::Unclosed => 3,
    }
}

fn how(number: u64) -> CloseHow {
    match number {
        1 => CloseHow::Closed,
        3 => CloseHow::Unclosed,
        _ => CloseHow::Dropped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_survives_the_ring() {
        let long = 1 << 50;
        let records = [
            Record::Poll { start: 5, length: 7, task: 9 },
            Record::Poll { start: 5, length: long, task: 9 },
            Record::Poll { start: 5, length: 7, task: 1 << 62 },
            Record::Step { start: 5, length: 7, task: 9, delay: 3, by: i32::MAX as u64 },
            Record::Step { start: 5, length: 7, task: FIRST_ROOT, delay: 3, by: 0 },
            Record::Step { start: 5, length: 7, task: 9, delay: 3, by: FIRST_ROOT | 0x7fff_ffff },
            Record::Park { start: 1, length: long },
            Record::Wake { start: 1, length: 2, task: 3, by: 4, count: 5 },
            Record::Delay { poll_start: 1, nanos: long, task: 3 },
            Record::Place { at: 1, loop_id: 2, worker: 3 },
            Record::Spawned {
                at: 1,
                task: 2,
                loop_id: 3,
                location: 4,
                parent: 5,
                kind: TaskKind::Callback,
                label: 77,
            },
            Record::Named { at: 1, task: 2, name: "checkout ✓".into() },
            Record::BlockingStarted { at: 1, task: 2 },
            Record::Ended { at: 1, task: 2, outcome: Outcome::Panicked },
            Record::Ended { at: 1, task: 2, outcome: Outcome::Destroyed },
            Record::Opened {
                at: 1,
                resource: 2,
                location: 3,
                task: 4,
                kind: "file".into(),
                name: String::new(),
            },
            Record::Closed { at: 1, resource: 2, how: CloseHow::Unclosed },
        ];
        let ring = Ring::new(256);
        for record in &records {
            assert_eq!(record.push(&ring), Pushed::Yes);
        }
        let (mut position, head) = ring.readable();
        for expected in records {
            let (record, words) = Record::read(&ring, position).unwrap();
            assert_eq!(record, expected);
            position += words;
        }
        assert_eq!(position, head);
    }

    #[test]
    fn a_step_with_a_number_that_does_not_fit_takes_two_records() {
        let ring = Ring::new(256);
        for number in [1 << 31, u32::MAX.into(), FIRST_ROOT | 1 << 31, 1 << 63, u64::MAX] {
            assert_eq!(push_step(&ring, (5, 7), number, (3, 0)), None, "{number:x}");
            assert_eq!(push_step(&ring, (5, 7), 9, (3, number)), None, "{number:x}");
        }
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let ring = Ring::new(256);
        Record::Named { at: 1, task: 2, name: "é".repeat(300) }.push(&ring);
        let (record, _) = Record::read(&ring, 0).unwrap();
        assert_eq!(record, Record::Named { at: 1, task: 2, name: "é".repeat(128) });
    }
}
