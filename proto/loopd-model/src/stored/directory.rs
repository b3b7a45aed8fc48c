//! The head of a stored segment: what it holds, and where.

use std::ops::Range;

use super::{MAX_SPANS, PAGE_SPANS};
use crate::head::{self, Format, Head, put_part, take_part};
use crate::segment::{SegmentError, put_varint, take_varint, u32_at, u64_at, unzigzag, zigzag};
use crate::{Nanos, RecordKind, TaskId};

const FORMAT: Format = Format { magic: *b"LSG2", fixed_len: 72 };
/// The least that an entry of the page directory takes.
const PAGE_ENTRY: usize = 9;
/// The least that an entry of the group directory takes.
const GROUP_ENTRY: usize = 7;
/// The most tasks of one group.
pub(super) const GROUP_TASKS: usize = 64;

pub(super) const HAS_BY: u8 = 1;
pub(super) const HAS_COUNT: u8 = 2;

/// What can be known of a segment from its head alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Poll, park or wake.
    pub kind: RecordKind,
    /// The number of spans.
    pub count: usize,
    /// Start of the earliest.
    pub start: Nanos,
    /// End of the latest.
    pub end: Nanos,
    /// Length of the longest, in nanoseconds.
    pub max_length: u64,
    /// The smallest task id.
    pub min_task: TaskId,
    /// The greatest task id.
    pub max_task: TaskId,
    /// The number of different tasks.
    pub tasks: usize,
}

/// Some successive spans, and where their columns are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where its bytes are in the segment's.
    pub range: Range<usize>,
    /// The position of its first span.
    pub first: usize,
    /// The number of its spans.
    pub count: usize,
    /// Start of the earliest.
    pub start: Nanos,
    /// End of the latest.
    pub end: Nanos,
    /// Length of the longest, in nanoseconds.
    pub max_length: u64,
    /// The end of the span before its first.
    pub(super) clock: u64,
    pub(super) crc: u32,
}

/// Some successive tasks, and where their postings are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Where its bytes are in the segment's.
    pub range: Range<usize>,
    /// Its first task; the others are greater, and less than the next group's first.
    pub first_task: TaskId,
    /// The number of its tasks.
    pub tasks: usize,
    pub(super) crc: u32,
}

/// The head of a segment. It reads pages and groups out of bytes that the caller fetches by their
/// ranges, and checks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// What the segment holds.
    pub header: Header,
    /// The distinct spawn locations of its tasks, ascending.
    pub locations: Vec<u64>,
    /// Its pages, which are in order of position.
    pub pages: Vec<Page>,
    /// Its groups, which are in order of task.
    pub groups: Vec<Group>,
    pub(super) flags: u8,
    pub(super) len: usize,
}

/// How many of a segment's first bytes [`Directory::read`] needs, told by at least
/// [`HEAD_LEN`](super::HEAD_LEN) of them. Nothing is checked yet but that the number is not greater than
/// the segment is long.
pub fn head_len(first_bytes: &[u8]) -> Result<usize, SegmentError> {
    FORMAT.head_len(first_bytes)
}

impl Directory {
    /// Reads and checks the head. Bytes behind it are left alone.
    pub fn read(bytes: &[u8]) -> Result<Self, SegmentError> {
        let Head { fixed, mut rest, len, whole_len } = FORMAT.read(bytes)?;
        let header = header(fixed)?;
        let counted = |at, max, what| match u32_at(fixed, at) as usize {
            count if count == 0 || count > max => Err(SegmentError::Invalid(what)),
            count => Ok(count),
        };
        let locations = counted(24, header.tasks, "locations")?;
        let groups = counted(28, header.tasks, "groups")?;
        let pages = header.count.div_ceil(PAGE_SPANS);
        // Nothing may be allocated that the bytes cannot hold.
        if rest.len() < locations + pages * PAGE_ENTRY + groups * GROUP_ENTRY {
            return Err(SegmentError::Invalid("head length"));
        }
        let rest = &mut rest;
        let mut at = len;
        let directory = Self {
            header,
            locations: take_locations(rest, locations)?,
            pages: take_pages(rest, &header, &mut at)?,
            groups: take_groups(rest, groups, &header, &mut at)?,
            flags: fixed[13],
            len: whole_len,
        };
        if !rest.is_empty() || at != directory.len {
            return Err(SegmentError::Invalid("head length"));
        }
        Ok(directory)
    }

    /// The length of the whole segment, in bytes.
    #[expect(clippy::len_without_is_empty, reason = "no segment is empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Where the bytes of all groups are in the segment's.
    pub fn groups_range(&self) -> Range<usize> {
        self.groups.first().map_or(self.len, |group| group.range.start)..self.len
    }

    /// The group that has the task, if any has.
    pub fn group_of(&self, task: TaskId) -> Option<usize> {
        let is_within = self.header.min_task <= task && task <= self.header.max_task;
        let after = self.groups.partition_point(|group| group.first_task <= task);
        after.checked_sub(1).filter(|_| is_within)
    }

    /// Whether a task spawned there has a span in the segment.
    pub fn has_location(&self, location: crate::LocationId) -> bool {
        self.locations.binary_search(&location.0).is_ok()
    }
}

fn header(fixed: &[u8]) -> Result<Header, SegmentError> {
    let kind = match RecordKind::from_number(fixed[12]) {
        Some(kind @ (RecordKind::Poll | RecordKind::Park | RecordKind::Wake)) => kind,
        _ => return Err(SegmentError::Invalid("kind")),
    };
    if fixed[13] & !(HAS_BY | HAS_COUNT) != 0 || fixed[14..16] != [0, 0] {
        return Err(SegmentError::Invalid("flags"));
    }
    let header = Header {
        kind,
        count: u32_at(fixed, 16) as usize,
        start: Nanos(u64_at(fixed, 32)),
        end: Nanos(u64_at(fixed, 40)),
        max_length: u64_at(fixed, 48),
        min_task: TaskId(u64_at(fixed, 56)),
        max_task: TaskId(u64_at(fixed, 64)),
        tasks: u32_at(fixed, 20) as usize,
    };
    let is_valid = |claim, what| if claim { Ok(()) } else { Err(SegmentError::Invalid(what)) };
    is_valid((1..=MAX_SPANS).contains(&header.count), "n")?;
    is_valid((1..=header.count).contains(&header.tasks), "tasks")?;
    is_valid(header.start <= header.end, "end")?;
    is_valid(header.min_task <= header.max_task, "task")?;
    Ok(header)
}

fn take_locations(bytes: &mut &[u8], count: usize) -> Result<Vec<u64>, SegmentError> {
    let mut locations: Vec<u64> = Vec::with_capacity(count);
    for _ in 0..count {
        let distance = take_varint(bytes)?;
        let location = match locations.last() {
            None => Some(distance),
            Some(last) => last.checked_add(distance).filter(|location| location > last),
        };
        locations.push(location.ok_or(SegmentError::Invalid("location"))?);
    }
    Ok(locations)
}

fn take_pages(
    bytes: &mut &[u8],
    header: &Header,
    at: &mut usize,
) -> Result<Vec<Page>, SegmentError> {
    let mut pages = Vec::with_capacity(header.count.div_ceil(PAGE_SPANS));
    let mut before = header.start.0;
    for first in (0..header.count).step_by(PAGE_SPANS) {
        let (range, crc) = take_part(bytes, at)?;
        let clock = before.wrapping_add(unzigzag(take_varint(bytes)?) as u64);
        let start = clock.wrapping_add(unzigzag(take_varint(bytes)?) as u64);
        let end = start.checked_add(take_varint(bytes)?).ok_or(SegmentError::Invalid("page"))?;
        let max_length = take_varint(bytes)?;
        let count = PAGE_SPANS.min(header.count - first);
        let (start, end) = (Nanos(start), Nanos(end));
        pages.push(Page { range, first, count, start, end, max_length, clock, crc });
        before = end.0;
    }
    let start = pages.iter().map(|page| page.start).min();
    let end = pages.iter().map(|page| page.end).max();
    let max_length = pages.iter().map(|page| page.max_length).max();
    let total = (start, end, max_length);
    let is_first_clock = pages[0].clock == header.start.0;
    if !is_first_clock || total != (Some(header.start), Some(header.end), Some(header.max_length)) {
        return Err(SegmentError::Invalid("page"));
    }
    Ok(pages)
}

fn take_groups(
    bytes: &mut &[u8],
    count: usize,
    header: &Header,
    at: &mut usize,
) -> Result<Vec<Group>, SegmentError> {
    const BAD: SegmentError = SegmentError::Invalid("group");
    let mut groups: Vec<Group> = Vec::with_capacity(count);
    let mut total = 0;
    for _ in 0..count {
        let (range, crc) = take_part(bytes, at)?;
        let (&tasks, rest) = bytes.split_first().ok_or(BAD)?;
        *bytes = rest;
        let distance = take_varint(bytes)?;
        let first = match groups.last() {
            None => (distance == 0).then_some(header.min_task.0),
            Some(last) => last.first_task.0.checked_add(distance).filter(|_| distance > 0),
        };
        let first_task = first.map(TaskId).filter(|first| *first <= header.max_task).ok_or(BAD)?;
        let tasks = usize::from(tasks);
        if tasks == 0 || tasks > GROUP_TASKS {
            return Err(BAD);
        }
        total += tasks;
        groups.push(Group { range, first_task, tasks, crc });
    }
    if total == header.tasks { Ok(groups) } else { Err(BAD) }
}

/// What [`Directory::read`] reads. Ranges of pages and groups count from 0 in `body`, and `len` is
/// not known yet.
pub(super) fn put(directory: &Directory, body: &[u8]) -> Vec<u8> {
    let Directory { header, locations, pages, groups, flags, .. } = directory;
    let mut out =
        Vec::with_capacity(FORMAT.fixed_len + pages.len() * 16 + groups.len() * 12 + body.len());
    FORMAT.begin(&mut out);
    out.extend_from_slice(&[header.kind as u8, *flags, 0, 0]);
    for count in [header.count, header.tasks, locations.len(), groups.len()] {
        out.extend_from_slice(&(count as u32).to_le_bytes());
    }
    let Header { start, end, max_length, min_task, max_task, .. } = header;
    for field in [start.0, end.0, *max_length, min_task.0, max_task.0] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    let mut before = 0;
    for &location in locations {
        put_varint(&mut out, location - before);
        before = location;
    }
    let mut before = header.start.0;
    for page in pages {
        put_part(&mut out, &page.range, page.crc);
        put_varint(&mut out, zigzag(page.clock.wrapping_sub(before) as i64));
        put_varint(&mut out, zigzag(page.start.0.wrapping_sub(page.clock) as i64));
        put_varint(&mut out, page.end.0 - page.start.0);
        put_varint(&mut out, page.max_length);
        before = page.end.0;
    }
    let mut before = header.min_task.0;
    for group in groups {
        put_part(&mut out, &group.range, group.crc);
        out.push(group.tasks as u8);
        put_varint(&mut out, group.first_task.0 - before);
        before = group.first_task.0;
    }
    head::finish(&mut out, body);
    out
}
