//! Spans of many segments, longest first, unpacked as they are asked for: of a segment only its head
//! until nothing that is known can be longer than the longest in it, and then page by page.
//!
//! Nothing that was unpacked is kept but where to go on, so that a search takes no more room than its
//! segments have pages.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::rc::Rc;

use loopd_model::segment::SegmentError;
use loopd_model::stored::{Directory, PageColumns, Subject};
use loopd_model::{Nanos, Span, TaskId};
use rusqlite::{Connection, Error, Result, ffi};

use super::{Found, Place, Wanted, add, gone_is_none, open_blob, read_as_sent};
use crate::instant::{length, wall};

/// Task columns of so many segments are remembered.
const MAX_TASKS: usize = 128;

/// A search for the longest spans.
#[derive(Default)]
pub(crate) struct Slowest {
    waiting: BinaryHeap<Waiting>,
    wanted: Wanted,
    segments: Vec<Segment>,
    tasks: usize,
}

/// One of the segments that are searched.
struct Segment {
    place: Place,
    directory: Option<Rc<Directory>>,
    tasks: Option<Rc<(Vec<u32>, Vec<Subject>)>>,
}

/// What may be next.
struct Waiting {
    /// The longest that it can hold.
    longest: i64,
    /// When that begins, once it is known; until then it may begin before any other.
    start: Option<i64>,
    segment: usize,
    /// `None`: the whole segment, of which nothing was read.
    page: Option<PagePlace>,
}

#[derive(Clone, Copy)]
struct PagePlace {
    /// `None` in a segment that has no pages.
    number: Option<usize>,
    /// How many of its spans, longest first, were given.
    given: usize,
}

/// A span and, unless the segment says so by position, whose it is.
type Row = (Span, Option<Subject>, u32);

impl Waiting {
    fn key(&self) -> (i64, Reverse<Option<i64>>) {
        (self.longest, Reverse(self.start))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Slowest {
    /// Searches these segments, each with the length of its longest span.
    pub(crate) fn new(segments: impl IntoIterator<Item = (Place, i64)>, wanted: Wanted) -> Self {
        let mut slowest = Self { wanted, ..Self::default() };
        for (place, longest) in segments {
            let segment = slowest.segments.len();
            slowest.segments.push(Segment { place, directory: None, tasks: None });
            slowest.waiting.push(Waiting { longest, start: None, segment, page: None });
        }
        slowest
    }

    /// The longest span that was not given yet, as the only one found, and the number of its segment
    /// among those searched; `None` at the end. Interrupted once `is_late` says so.
    pub(crate) fn next(
        &mut self,
        connection: &Connection,
        is_late: impl Fn() -> bool,
    ) -> Result<Option<(usize, Found)>> {
        while let Some(Waiting { longest, start, segment, page }) = self.waiting.pop() {
            if longest < self.wanted.length {
                return Ok(None);
            }
            if is_late() {
                return Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None));
            }
            let Some(page) = page else {
                self.open(connection, segment)?;
                continue;
            };
            let origin = self.segments[segment].place.origin;
            let key = |row: &Row| (length(row.0.length), wall(origin, row.0.start));
            let rows = self.rows(connection, segment, page.number)?;
            let Some(row) = rows.get(page.given) else { continue };
            // Known by now: it was this that waited for its turn.
            let is_next = start.is_some() && key(row) == (longest, start.unwrap_or(0));
            let given = page.given + usize::from(is_next);
            if let Some(after) = rows.get(given) {
                let (longest, start) = key(after);
                let page = Some(PagePlace { given, ..page });
                self.waiting.push(Waiting { longest, start: Some(start), segment, page });
            }
            if is_next {
                let subject = match row.1 {
                    Some(subject) => subject,
                    None if self.wanted.columns.task => self.subject(connection, segment, row.2)?,
                    None => Subject::default(),
                };
                let (span, mut found) = (Span { task: subject.task, ..row.0 }, Found::default());
                add(&mut found, origin, &self.wanted, &span, subject.location);
                if found.len > 0 {
                    return Ok(Some((segment, found)));
                }
            }
        }
        Ok(None)
    }

    /// Reads the head of a segment: its pages wait instead of it.
    fn open(&mut self, connection: &Connection, segment: usize) -> Result<()> {
        let place = self.segments[segment].place;
        let Some(bytes) = open_blob(connection, place)? else { return Ok(()) };
        let mut wait = |longest, number| {
            let page = Some(PagePlace { number, given: 0 });
            self.waiting.push(Waiting { longest, start: None, segment, page });
        };
        match gone_is_none(bytes.directory())? {
            Some(Ok(directory)) => {
                for (number, page) in directory.pages.iter().enumerate() {
                    let (start, end) =
                        (wall(place.origin, page.start), wall(place.origin, page.end));
                    let longest = length(page.max_length);
                    if self.wanted.may_be_in(start, end, longest) {
                        wait(longest, Some(number));
                    }
                }
                self.segments[segment].directory = Some(Rc::new(directory));
            }
            // As agents send it: without pages.
            Some(Err(SegmentError::Magic)) => wait(i64::MAX, None),
            // What is damaged holds nothing.
            Some(Err(_)) | None => {}
        }
        Ok(())
    }

    /// What is wanted of a page, longest first; nothing if it is gone or damaged.
    fn rows(
        &self,
        connection: &Connection,
        segment: usize,
        page: Option<usize>,
    ) -> Result<Vec<Row>> {
        let Segment { place, directory, .. } = &self.segments[segment];
        let Some(bytes) = open_blob(connection, *place)? else { return Ok(Vec::new()) };
        let mut rows: Vec<Row> = match page.zip(directory.as_ref()) {
            Some((number, directory)) => {
                let Some(page) = directory.pages.get(number) else { return Ok(Vec::new()) };
                let bytes = gone_is_none(bytes.at(page.range.clone()))?.unwrap_or_default();
                let mut columns = PageColumns::default();
                if directory.page(number, &bytes, &mut columns).is_err() {
                    return Ok(Vec::new());
                }
                let row = |at: usize| {
                    let span = Span {
                        start: Nanos(columns.start[at]),
                        length: columns.length[at],
                        task: TaskId::NONE,
                        by: TaskId(columns.by.get(at).copied().unwrap_or(0)),
                        count: columns.count.get(at).copied().unwrap_or(1),
                    };
                    (span, None, (page.first + at) as u32)
                };
                (0..page.count).map(row).collect()
            }
            None => {
                let bytes = gone_is_none(bytes.at(0..usize::MAX))?.unwrap_or_default();
                let spans = read_as_sent(&bytes).unwrap_or_default();
                spans.into_iter().map(|(span, subject)| (span, Some(subject), 0)).collect()
            }
        };
        let origin = place.origin;
        rows.retain(|(span, ..)| self.wanted.is(wall(origin, span.start), length(span.length)));
        rows.sort_by_key(|(span, ..)| (Reverse(span.length), span.start));
        Ok(rows)
    }

    /// Whose span is at a position of a segment; nobody's if the segment is gone.
    fn subject(&mut self, connection: &Connection, segment: usize, at: u32) -> Result<Subject> {
        if self.segments[segment].tasks.is_none() {
            if self.tasks >= MAX_TASKS {
                self.segments.iter_mut().for_each(|segment| segment.tasks = None);
                self.tasks = 0;
            }
            let of = &mut self.segments[segment];
            let Some(directory) = &of.directory else { return Ok(Subject::default()) };
            let Some(bytes) = open_blob(connection, of.place)? else {
                return Ok(Subject::default());
            };
            let bytes = gone_is_none(bytes.at(directory.groups_range()))?;
            let tasks = bytes.and_then(|bytes| directory.tasks(&bytes).ok()).unwrap_or_default();
            of.tasks = Some(Rc::new(tasks));
            self.tasks += 1;
        }
        let found = self.segments[segment].tasks.as_ref().and_then(|tasks| {
            let slot = *tasks.0.get(at as usize)?;
            tasks.1.get(slot as usize).copied()
        });
        Ok(found.unwrap_or_default())
    }
}
