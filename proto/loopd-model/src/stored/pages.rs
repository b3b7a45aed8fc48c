//! Pages: when the spans were, how long, and what caused them.

use super::directory::{HAS_BY, HAS_COUNT};
use super::{Columns, Directory, PAGE_SPANS, Page};
use crate::head::check_part;
use crate::segment::SegmentError;
use crate::{Nanos, pack};

/// The columns of one page, to be used again for the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageColumns {
    /// When each span began: nanoseconds since the process's anchor.
    pub start: Vec<u64>,
    /// How long each took, in nanoseconds.
    pub length: Vec<u64>,
    /// The task that caused each, a [`TaskId`](crate::TaskId). Empty if the segment has no such
    /// column: none did.
    pub by: Vec<u64>,
    /// How many events each stands for. Empty if the segment has no such column: 1 for all.
    pub count: Vec<u64>,
}

impl PageColumns {
    /// Forgets the spans, and keeps the memory.
    pub fn clear(&mut self) {
        let Self { start, length, by, count } = self;
        [start, length, by, count].into_iter().for_each(Vec::clear);
    }

    /// Makes room for all of a segment.
    pub(super) fn reserve(&mut self, directory: &Directory) {
        let spans = directory.header.count;
        self.start.reserve_exact(spans);
        self.length.reserve_exact(spans);
        if directory.flags & HAS_BY != 0 {
            self.by.reserve_exact(spans);
        }
        if directory.flags & HAS_COUNT != 0 {
            self.count.reserve_exact(spans);
        }
    }
}

impl Directory {
    /// Reads one page out of the bytes of its range. What was in `out` is replaced.
    pub fn page(
        &self,
        page: usize,
        bytes: &[u8],
        out: &mut PageColumns,
    ) -> Result<(), SegmentError> {
        out.clear();
        self.append_page(page, bytes, out)
    }

    /// Reads one page as [`Directory::page`] does, and puts its spans behind those in `out`.
    pub fn append_page(
        &self,
        page: usize,
        bytes: &[u8],
        out: &mut PageColumns,
    ) -> Result<(), SegmentError> {
        let page = self.pages.get(page).ok_or(SegmentError::Invalid("page"))?;
        check_part(bytes, &page.range, page.crc)?;
        let (begin, mut rest) = (out.start.len(), bytes);
        if out.length.len() != begin {
            return Err(SegmentError::Invalid("page"));
        }
        pack::take(&mut rest, page.count, &mut out.start)?;
        pack::take(&mut rest, page.count, &mut out.length)?;
        if self.flags & HAS_BY != 0 {
            pack::take(&mut rest, page.count, &mut out.by)?;
        }
        if self.flags & HAS_COUNT != 0 {
            pack::take(&mut rest, page.count, &mut out.count)?;
        }
        let is_whole = rest.is_empty();
        let lengths = &out.length[begin..];
        let extent = starts(page.clock, &mut out.start[begin..], lengths);
        let is_as_told = extent == (page.start.0, page.end.0, page.max_length);
        if is_whole && is_as_told { Ok(()) } else { Err(SegmentError::Invalid("page")) }
    }
}

/// Turns gaps into starts. Tells the earliest start, the latest end and the greatest length.
fn starts(mut clock: u64, gaps: &mut [u64], lengths: &[u64]) -> (u64, u64, u64) {
    let (mut earliest, mut latest, mut longest) = (u64::MAX, 0, 0);
    for (gap, &length) in gaps.iter_mut().zip(lengths) {
        let start = clock.wrapping_add(*gap);
        clock = start.saturating_add(length);
        *gap = start;
        earliest = earliest.min(start);
        latest = latest.max(clock);
        longest = longest.max(length);
    }
    (earliest, latest, longest)
}

/// Appends the pages to `body`.
pub(super) fn put(columns: &Columns<'_>, flags: u8, start: u64, body: &mut Vec<u8>) -> Vec<Page> {
    let mut pages = Vec::with_capacity(columns.start.len().div_ceil(PAGE_SPANS));
    let mut clock = start;
    let mut gaps = [0; PAGE_SPANS];
    for first in (0..columns.start.len()).step_by(PAGE_SPANS) {
        let spans = first..columns.start.len().min(first + PAGE_SPANS);
        let (starts, lengths) = (&columns.start[spans.clone()], &columns.length[spans.clone()]);
        let (begin, before) = (body.len(), clock);
        let (mut earliest, mut latest, mut longest) = (u64::MAX, 0, 0);
        for ((gap, &start), &length) in gaps.iter_mut().zip(starts).zip(lengths) {
            *gap = start.wrapping_sub(clock);
            clock = start.saturating_add(length);
            earliest = earliest.min(start);
            latest = latest.max(clock);
            longest = longest.max(length);
        }
        pack::put(body, &gaps[..starts.len()]);
        pack::put(body, lengths);
        if flags & HAS_BY != 0 {
            pack::put(body, &columns.by[spans.clone()]);
        }
        if flags & HAS_COUNT != 0 {
            pack::put(body, &columns.count[spans]);
        }
        pages.push(Page {
            range: begin..body.len(),
            first,
            count: starts.len(),
            start: Nanos(earliest),
            end: Nanos(latest),
            max_length: longest,
            clock: before,
            crc: crc32fast::hash(&body[begin..]),
        });
    }
    pages
}
