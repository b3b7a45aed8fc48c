//! Spans of many segments, longest first, unpacked as they are asked for: of a segment only its head
//! until nothing that is known can be longer than the longest in it, and then page by page.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::rc::Rc;

use loopd_model::segment::SegmentError;
use loopd_model::stored::{Directory, PageColumns, Subject};
use loopd_model::{Nanos, Span, TaskId};
use rusqlite::{Connection, Error, Result};

use super::{Found, Place, Wanted, add, gone_is_none, open_blob, read_as_sent};
use crate::instant::{length, wall};

/// So many spans wait for their turn at most, some 200 MB. More would take a question for hundreds of
/// thousands of the longest.
const MAX_WAITING: usize = 2_000_000;
/// Task columns of so many segments are remembered.
const MAX_TASKS: usize = 128;

/// A search for the longest spans.
#[derive(Default)]
pub(crate) struct Slowest {
    waiting: BinaryHeap<Waiting>,
    spans: usize,
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

/// What may be next: the longest that it can hold, and where it is.
struct Waiting {
    longest: i64,
    segment: usize,
    what: What,
}

enum What {
    Segment,
    Page(usize),
    /// A span, and its position if its task has to be looked up.
    Span(Span, Subject, Option<u32>),
}

impl Waiting {
    /// Of what is equally long spans come last, since what is still packed may hold an earlier one; and
    /// of spans the earliest comes first.
    fn key(&self) -> (i64, Reverse<Option<u64>>) {
        let start = match &self.what {
            What::Span(span, ..) => Some(span.start.0),
            What::Segment | What::Page(_) => None,
        };
        (self.longest, Reverse(start))
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
            slowest.waiting.push(Waiting { longest, segment, what: What::Segment });
        }
        slowest
    }

    /// The longest span that was not given yet, as the only one found, and the number of its segment
    /// among those searched; `None` at the end.
    pub(crate) fn next(&mut self, connection: &Connection) -> Result<Option<(usize, Found)>> {
        while let Some(Waiting { longest, segment, what }) = self.waiting.pop() {
            if longest < self.wanted.length {
                return Ok(None);
            }
            match what {
                What::Segment => self.open(connection, segment)?,
                What::Page(page) => self.unpack(connection, segment, page)?,
                What::Span(span, subject, position) => {
                    self.spans -= 1;
                    let subject = match position.filter(|_| self.wanted.columns.task) {
                        Some(at) => self.subject(connection, segment, at)?,
                        None => subject,
                    };
                    let (origin, mut found) =
                        (self.segments[segment].place.origin, Found::default());
                    let span = Span { task: subject.task, ..span };
                    add(&mut found, origin, &self.wanted, &span, subject.location);
                    if found.len > 0 {
                        return Ok(Some((segment, found)));
                    }
                }
            }
        }
        Ok(None)
    }

    fn wait(
        &mut self,
        segment: usize,
        span: Span,
        subject: Subject,
        position: Option<u32>,
    ) -> Result<()> {
        if self.spans >= MAX_WAITING {
            let sentence = "too many polls are about as long; ask for fewer, or say how long they must be at least";
            return Err(Error::ModuleError(sentence.into()));
        }
        self.spans += 1;
        let (longest, what) = (length(span.length), What::Span(span, subject, position));
        self.waiting.push(Waiting { longest, segment, what });
        Ok(())
    }

    fn open(&mut self, connection: &Connection, segment: usize) -> Result<()> {
        let place = self.segments[segment].place;
        let Some(bytes) = open_blob(connection, place)? else { return Ok(()) };
        match gone_is_none(bytes.directory())? {
            Some(Ok(directory)) => {
                for (number, page) in directory.pages.iter().enumerate() {
                    let (start, end) =
                        (wall(place.origin, page.start), wall(place.origin, page.end));
                    let longest = length(page.max_length);
                    if self.wanted.may_be_in(start, end, longest) {
                        self.waiting.push(Waiting { longest, segment, what: What::Page(number) });
                    }
                }
                self.segments[segment].directory = Some(Rc::new(directory));
                Ok(())
            }
            Some(Err(SegmentError::Magic)) => {
                let Some(bytes) = gone_is_none(bytes.at(0..usize::MAX))? else { return Ok(()) };
                for (span, subject) in read_as_sent(&bytes).unwrap_or_default() {
                    self.wait(segment, span, subject, None)?;
                }
                Ok(())
            }
            // What is damaged holds nothing.
            Some(Err(_)) | None => Ok(()),
        }
    }

    fn unpack(&mut self, connection: &Connection, segment: usize, page: usize) -> Result<()> {
        let place = self.segments[segment].place;
        let Some(directory) = self.segments[segment].directory.clone() else { return Ok(()) };
        let Some(of) = directory.pages.get(page) else { return Ok(()) };
        let Some(bytes) = open_blob(connection, place)? else { return Ok(()) };
        let Some(bytes) = gone_is_none(bytes.at(of.range.clone()))? else { return Ok(()) };
        let mut columns = PageColumns::default();
        if directory.page(page, &bytes, &mut columns).is_err() {
            return Ok(());
        }
        for at in 0..of.count {
            let span = Span {
                start: Nanos(columns.start[at]),
                length: columns.length[at],
                task: TaskId::NONE,
                by: TaskId(columns.by.get(at).copied().unwrap_or(0)),
                count: columns.count.get(at).copied().unwrap_or(1),
            };
            let (start, nanos) = (wall(place.origin, span.start), length(span.length));
            if self.wanted.is(start, nanos) {
                self.wait(segment, span, Subject::default(), Some((of.first + at) as u32))?;
            }
        }
        Ok(())
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
