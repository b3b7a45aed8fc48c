//! The segment as a store keeps it: many spans of one worker and one kind, of which any part can be
//! read without the rest.
//!
//! [`crate::segment`] is what an agent sends, made for little work. This one is made for reading: a
//! time range touches the pages that overlap it, the spans of one task are found by one group of
//! postings, and a segment without a given spawn location is skipped by its header.
//!
//! # Format, version 2
//!
//! Integers are little-endian; `varint` is LEB128 of a `u64` (at most 10 bytes); `zigzag` maps signed
//! to unsigned as in protobuf. Times are nanoseconds. Arithmetic on times and ids is modulo 2^64,
//! except that an *end* is `start + length`, at most 2^64 - 1.
//!
//! ```text
//! offset  size  field
//! 0       4     magic "LSG2"; the digit is the version
//! 4       4     length of the whole in bytes
//! 8       4     length of the head: from offset 0 through its checksum
//! 12      1     kind: 1 poll, 2 park, 3 wake
//! 13      1     bit 0: pages have the column by, otherwise all are none; bit 1: they have the
//!               column count, otherwise all are 1; the other bits are zero
//! 14      2     zero
//! 16      4     n, the number of spans, 1 to 1,048,576
//! 20      4     number of tasks, 1 to n
//! 24      4     number of locations, 1 to the number of tasks
//! 28      4     number of groups, 1 to the number of tasks
//! 32      8     start of the earliest span
//! 40      8     end of the latest span
//! 48      8     length of the longest span
//! 56      8     smallest task id
//! 64      8     greatest task id
//! 72      …     locations, page directory, group directory
//! head-4  4     CRC-32 (IEEE) of the head before it
//! …       …     the pages, in order
//! …       …     the groups, in order
//! ```
//!
//! **Locations**: the distinct spawn locations of the tasks, ascending; the first as varint, each other
//! as varint of the distance from the one before.
//!
//! **Page directory**: an entry for each page. Page `p` has the spans from `256 p` on, 256 of them or
//! what is left.
//!
//! | field | encoding |
//! |---|---|
//! | length of the page in bytes | varint |
//! | CRC-32 of the page | 4 bytes |
//! | clock: the end of the span before the page; for the first page, the start of the earliest span | zigzag varint of the distance from the latest end of the page before; from the start of the earliest span for the first |
//! | start of its earliest span | zigzag varint of the distance from the clock |
//! | end of its latest span | varint of the distance from that start |
//! | length of its longest span | varint |
//!
//! **Group directory**: an entry for each group. Groups have the tasks in ascending order of their ids, 1 to
//! 64 tasks each.
//!
//! | field | encoding |
//! |---|---|
//! | length of the group in bytes | varint |
//! | CRC-32 of the group | 4 bytes |
//! | number of tasks | 1 byte |
//! | its first task id | varint of the distance from the first of the group before; from the smallest task id for the first |
//!
//! **Page**: two to four runs of numbers, one behind the other. How a run is packed is described below.
//!
//! 1. gap: the start of each span minus the end of the span before it (the clock, for the first);
//! 2. length;
//! 3. by: the task that caused it, if the segment has that column;
//! 4. count, if the segment has that column.
//!
//! **Group**: a stream of bits, lowest bit of each byte first, filled up with zeros to a whole byte. If the
//! segment has one task, its group is empty: all spans are that task's, with the one location.
//! Otherwise the stream has, in this order:
//!
//! | bits | field |
//! |---|---|
//! | 6, 5, 5 | the parameters `a`, `b` and `c` of the codes below |
//! | 1 | whether a first position is the zigzag of the distance from that of the task before in the group (from 0 for the first) |
//! | for each task | |
//! | `gamma(a)` | its id minus that of the task before, minus 1; not there for the group's first |
//! | width | the place of its location among the locations; as many bits as the greatest place needs |
//! | `gamma(b)` | its number of spans, minus 1 |
//! | `gamma(c)` | the position in the segment of its first span |
//! | 5 | if it has more spans: the parameter `r`, at most 20 |
//! | for each task, for each span but its first | |
//! | `rice(r)` | position of the span minus that of the task's span before, minus 1 |
//!
//! The positions of all tasks together are exactly 0 to n - 1.
//!
//! `rice(k)` of `v` is `v >> k` zeros, a one, and the low `k` bits of `v`. `gamma(k)` of `v` is `q` zeros
//! and a one, where `q` is how many bits `v >> k` has; then, if `q` is 0, the low `k` bits of `v`,
//! otherwise the low `k + q - 1`. Fields of several bits have their lowest first.
//!
//! ## A run of numbers
//!
#![doc = include_str!("pack.md")]
//!
//! # What a reader must hold
//!
//! The head has at least nine bytes for each page of 256 spans, so that no blob shorter than 37 kB can claim
//! 1,048,576 spans. A full decode holds at most 36 bytes a span and 16 a task.

mod directory;
mod encode;
mod groups;
mod pages;
mod postings;

pub use crate::head::HEAD_LEN;
pub use directory::{Directory, Group, Header, Page, head_len};
pub use encode::encode;
pub use pages::PageColumns;

use crate::segment::SegmentError;
use crate::{LocationId, RecordKind, TaskId};

/// No segment holds more: it bounds what a reader must allocate.
pub const MAX_SPANS: usize = crate::segment::MAX_SPANS;

/// The number of spans of every page but the last.
pub const PAGE_SPANS: usize = 256;

/// A task and where it was spawned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The task.
    pub task: TaskId,
    /// The place in source code that spawned it.
    pub location: LocationId,
}

/// Spans to be packed, by column. Each column has a value for every span, in the same order.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// Poll, park or wake.
    pub kind: RecordKind,
    /// When each began: nanoseconds since the process's anchor.
    pub start: &'a [u64],
    /// How long each took, in nanoseconds.
    pub length: &'a [u64],
    /// The task each is about, as its place in `tasks`.
    pub slot: &'a [u32],
    /// The tasks, in any order. Those without a span are left out; of several with one id, the
    /// first says the location.
    pub tasks: &'a [Subject],
    /// The task that caused each, a [`TaskId`]. Empty: none did for all.
    pub by: &'a [u64],
    /// How many events each stands for. Empty: 1 for all.
    pub count: &'a [u64],
}

/// Spans unpacked, by column: what [`decode`] gives. Their order is that in which they were packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanColumns {
    /// When each began: nanoseconds since the process's anchor.
    pub start: Vec<u64>,
    /// How long each took, in nanoseconds.
    pub length: Vec<u64>,
    /// The task each is about, as its place in `tasks`.
    pub slot: Vec<u32>,
    /// The tasks, in ascending order of their ids; every one has a span.
    pub tasks: Vec<Subject>,
    /// The task that caused each, a [`TaskId`]. Empty if none did for all.
    pub by: Vec<u64>,
    /// How many events each stands for. Empty if 1 for all.
    pub count: Vec<u64>,
}

impl SpanColumns {
    /// The same, to be packed again.
    pub fn columns(&self, kind: RecordKind) -> Columns<'_> {
        Columns {
            kind,
            start: &self.start,
            length: &self.length,
            slot: &self.slot,
            tasks: &self.tasks,
            by: &self.by,
            count: &self.count,
        }
    }
}

/// Unpacks every span of a whole segment. Anything but the exact bytes that [`encode`] wrote is an
/// error.
pub fn decode(bytes: &[u8]) -> Result<(Header, SpanColumns), SegmentError> {
    let directory = Directory::read(bytes)?;
    if directory.len() != bytes.len() {
        return Err(SegmentError::Length { expected: directory.len(), actual: bytes.len() });
    }
    let mut columns = PageColumns::default();
    columns.reserve(&directory);
    for (place, page) in directory.pages.iter().enumerate() {
        directory.append_page(place, &bytes[page.range.clone()], &mut columns)?;
    }
    let (slot, tasks) = directory.tasks(&bytes[directory.groups_range()])?;
    let PageColumns { start, length, by, count } = columns;
    Ok((directory.header, SpanColumns { start, length, slot, tasks, by, count }))
}

#[cfg(test)]
mod tests;
