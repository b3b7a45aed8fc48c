//! Reads stored segments part by part: only the pages in which something wanted can be, only the
//! columns asked for, of one task only its own spans.

use loopd_model::segment::{self, SegmentError};
use loopd_model::stored::{self, Directory, PageColumns, SpanColumns, Subject};
use loopd_model::{LocationId, Nanos, Span, TaskId};
use rusqlite::blob::Blob;
use rusqlite::{Connection, Error, OptionalExtension, Result, ffi};

use crate::instant::{count, length, wall};

mod known;
mod slowest;

pub(crate) use known::KnownTasks;
pub(crate) use slowest::Slowest;

/// What spans must be like, in wall time, and what is wanted of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Not begun before.
    pub(crate) start_from: i64,
    /// Not begun after.
    pub(crate) start_to: i64,
    /// Not ended before.
    pub(crate) end_from: i64,
    /// At least so long.
    pub(crate) length: i64,
    /// Of this task alone.
    pub(crate) task: Option<u64>,
    pub(crate) columns: Wants,
}

/// Columns that are wanted. A span has no more than it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    /// Start and length.
    pub(crate) times: bool,
    /// The task and its spawn location.
    pub(crate) task: bool,
    pub(crate) by: bool,
    pub(crate) count: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            start_from: i64::MIN,
            start_to: i64::MAX,
            end_from: i64::MIN,
            length: 0,
            task: None,
            columns: Wants { times: true, task: true, by: true, count: true },
        }
    }
}

impl Wanted {
    fn has_bounds(&self) -> bool {
        let all = Self::default();
        self.start_from > all.start_from
            || self.start_to < all.start_to
            || self.end_from > all.end_from
            || self.length > 0
    }

    /// Whether spans from `start` to `end`, none longer than `longest`, can be wanted.
    fn may_be_in(&self, start: i64, end: i64, longest: i64) -> bool {
        end >= self.start_from
            && start <= self.start_to
            && end >= self.end_from
            && longest >= self.length
    }

    fn is(&self, start: i64, length: i64) -> bool {
        (self.start_from..=self.start_to).contains(&start)
            && start + length >= self.end_from
            && length >= self.length
    }
}

/// A segment's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) id: i64,
    /// Wall time of its process's instant 0.
    pub(crate) origin: i64,
}

/// Spans that were read, side by side, in the order of the segment. Columns not wanted are empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// How many.
    pub(crate) len: usize,
    /// In wall time.
    pub(crate) start: Vec<i64>,
    pub(crate) length: Vec<i64>,
    pub(crate) task: Vec<u64>,
    /// Spawn location of the task; 0: not known.
    pub(crate) location: Vec<u64>,
    /// 0: none.
    pub(crate) by: Vec<u64>,
    pub(crate) count: Vec<i64>,
    /// Spans that had to be unpacked.
    pub(crate) unpacked: usize,
    /// Whether the bytes are not what was written.
    pub(crate) is_damaged: bool,
}

/// Reads what is wanted of one segment; nothing if retention has removed it meanwhile.
pub(crate) fn read(connection: &Connection, place: Place, wanted: &Wanted) -> Result<Found> {
    read_with(connection, place, wanted, &KnownTasks::none())
}

/// The same for whoever reads the neighbourhood next: its tasks are kept.
pub(crate) fn read_with(
    connection: &Connection,
    place: Place,
    wanted: &Wanted,
    known: &KnownTasks,
) -> Result<Found> {
    let Some(bytes) = open_blob(connection, place)? else { return Ok(Found::default()) };
    match gone_is_none(try_read(&bytes, place, wanted, known))? {
        None => Ok(Found::default()),
        Some(Ok(found)) => Ok(found),
        Some(Err(_)) => Ok(Found { is_damaged: true, ..Found::default() }),
    }
}

fn open_blob(connection: &Connection, place: Place) -> Result<Option<Bytes<'_>>> {
    let blob = connection.blob_open("main", "segment", "data", place.id, true);
    Ok(gone_is_none(blob)?.map(|blob| Bytes { blob }))
}

/// A row that was removed, or replaced, between two looks at it is nobody's.
fn gone_is_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(Error::SqliteFailure(ffi::Error { code: ffi::ErrorCode::OperationAborted, .. }, _)) => {
            Ok(None)
        }
        // What `sqlite3_blob_open` says of a row that is not there.
        Err(Error::SqliteFailure(_, Some(said))) if said.starts_with("no such rowid") => Ok(None),
        result => result.optional(),
    }
}

/// The bytes of a segment that is not read as a whole.
struct Bytes<'c> {
    blob: Blob<'c>,
}

impl Bytes<'_> {
    fn at(&self, range: std::ops::Range<usize>) -> Result<Vec<u8>> {
        let end = range.end.min(self.blob.len());
        let start = range.start.min(end);
        let mut bytes = vec![0; end - start];
        self.blob.read_at_exact(&mut bytes, start)?;
        Ok(bytes)
    }
}

impl Bytes<'_> {
    /// The head, read alone.
    fn directory(&self) -> Result<Read<Directory>> {
        let mut first = self.at(0..FIRST_BYTES)?;
        let head_len = match stored::head_len(&first) {
            Ok(len) => len,
            Err(error) => return Ok(Err(error)),
        };
        if head_len > first.len() {
            first = self.at(0..head_len)?;
        }
        Ok(Directory::read(&first))
    }
}

type Read<T> = std::result::Result<T, SegmentError>;

/// Most heads fit into so many bytes.
const FIRST_BYTES: usize = 6 * 1024;

fn try_read(
    bytes: &Bytes<'_>,
    place: Place,
    wanted: &Wanted,
    known: &KnownTasks,
) -> Result<Read<Found>> {
    let origin = place.origin;
    let directory = match bytes.directory()? {
        Ok(directory) => directory,
        // Older loopds stored segments as agents send them.
        Err(SegmentError::Magic) => {
            return Ok(read_as_sent(&bytes.at(0..usize::MAX)?).map(|spans| {
                let mut found = Found { unpacked: spans.len(), ..Found::default() };
                for (span, subject) in spans {
                    add(&mut found, origin, wanted, &span, subject.location);
                }
                found
            }));
        }
        Err(error) => return Ok(Err(error)),
    };
    let found = Found::default();
    let mut reading = Reading { bytes, directory: &directory, place, wanted, known, found };
    let done = match wanted.task {
        Some(task) => reading.one_task(TaskId(task))?,
        None => reading.all_tasks()?,
    };
    Ok(done.map(|()| reading.found))
}

struct Reading<'r> {
    bytes: &'r Bytes<'r>,
    directory: &'r Directory,
    place: Place,
    wanted: &'r Wanted,
    known: &'r KnownTasks,
    found: Found,
}

impl Reading<'_> {
    fn is_wanted(&self, page: &stored::Page) -> bool {
        let (start, end) = (wall(self.place.origin, page.start), wall(self.place.origin, page.end));
        self.wanted.may_be_in(start, end, length(page.max_length))
    }

    fn one_task(&mut self, task: TaskId) -> Result<Read<()>> {
        let Some(group) = self.directory.group_of(task) else { return Ok(Ok(())) };
        let bytes = self.bytes.at(self.directory.groups[group].range.clone())?;
        let mut positions = Vec::new();
        let location = match self.directory.positions(group, &bytes, task, &mut positions) {
            Ok(Some(location)) => location,
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        };
        let mut columns = PageColumns::default();
        for of_page in positions.chunk_by(|a, b| page_of(*a) == page_of(*b)) {
            let place = page_of(of_page[0]);
            let Some(page) = self.directory.pages.get(place) else { continue };
            if !self.is_wanted(page) {
                continue;
            }
            let bytes = self.bytes.at(page.range.clone())?;
            if let Err(error) = self.directory.page(place, &bytes, &mut columns) {
                return Ok(Err(error));
            }
            self.found.unpacked += page.count;
            for &position in of_page {
                let at = position as usize - page.first;
                self.add(&columns, at, Subject { task, location });
            }
        }
        Ok(Ok(()))
    }

    fn all_tasks(&mut self) -> Result<Read<()>> {
        let directory = self.directory;
        let wants = self.wanted.columns;
        if !wants.times && !self.wanted.has_bounds() && !wants.by && !wants.count && !wants.task {
            self.found.len = directory.header.count;
            return Ok(Ok(()));
        }
        let pages: Vec<usize> =
            (0..directory.pages.len()).filter(|&i| self.is_wanted(&directory.pages[i])).collect();
        let (Some(&first), Some(&last)) = (pages.first(), pages.last()) else { return Ok(Ok(())) };
        let mut tasks = None;
        if wants.task {
            let unpack = || Ok(directory.tasks(&self.bytes.at(directory.groups_range())?));
            match self.known.of(self.place.id, directory, unpack)? {
                Ok(found) => tasks = Some(found),
                Err(error) => return Ok(Err(error)),
            }
        }
        // Pages lie side by side: a few that are not wanted cost less than to read piece by piece.
        let is_dense = (last - first + 1) <= 4 * pages.len();
        let from = directory.pages[first].range.start;
        let dense = if is_dense {
            self.bytes.at(from..directory.pages[last].range.end)?
        } else {
            Vec::new()
        };
        let mut columns = PageColumns::default();
        for place in pages {
            let page = &directory.pages[place];
            let (sparse, range);
            let bytes = if is_dense {
                range = page.range.start - from..page.range.end - from;
                dense.get(range).unwrap_or_default()
            } else {
                sparse = self.bytes.at(page.range.clone())?;
                &sparse
            };
            if let Err(error) = directory.page(place, bytes, &mut columns) {
                return Ok(Err(error));
            }
            self.found.unpacked += page.count;
            let subject = |at: usize| {
                tasks.as_ref().map_or_else(Subject::default, |tasks| tasks.of(page.first + at))
            };
            if self.wanted.has_bounds() {
                (0..page.count).for_each(|at| self.add(&columns, at, subject(at)));
            } else {
                self.add_page(&columns, page.count, subject);
            }
        }
        Ok(Ok(()))
    }

    /// Adds a whole page.
    fn add_page(
        &mut self,
        columns: &PageColumns,
        spans: usize,
        subject: impl Fn(usize) -> Subject,
    ) {
        let (origin, found, wants) = (self.place.origin, &mut self.found, self.wanted.columns);
        found.len += spans;
        if wants.times {
            found.start.extend(columns.start.iter().map(|&start| wall(origin, Nanos(start))));
            found.length.extend(columns.length.iter().map(|&nanos| length(nanos)));
        }
        if wants.task {
            found.task.extend((0..spans).map(|at| subject(at).task.0));
            found.location.extend((0..spans).map(|at| subject(at).location.0));
        }
        if wants.by {
            found.by.extend((0..spans).map(|at| columns.by.get(at).copied().unwrap_or(0)));
        }
        if wants.count {
            found.count.extend((0..spans).map(|at| columns.count.get(at).map_or(1, |&n| count(n))));
        }
    }

    /// Adds one span of a page, if it is wanted.
    fn add(&mut self, columns: &PageColumns, at: usize, subject: Subject) {
        let span = Span {
            start: Nanos(columns.start[at]),
            length: columns.length[at],
            task: subject.task,
            by: TaskId(columns.by.get(at).copied().unwrap_or(0)),
            count: columns.count.get(at).copied().unwrap_or(1),
        };
        add(&mut self.found, self.place.origin, self.wanted, &span, subject.location);
    }
}

fn page_of(position: u32) -> usize {
    position as usize / stored::PAGE_SPANS
}

fn add(found: &mut Found, origin: i64, wanted: &Wanted, span: &Span, location: LocationId) {
    let (start, length) = (wall(origin, span.start), length(span.length));
    if !wanted.is(start, length) || wanted.task.is_some_and(|task| task != span.task.0) {
        return;
    }
    found.len += 1;
    if wanted.columns.times {
        found.start.push(start);
        found.length.push(length);
    }
    if wanted.columns.task {
        found.task.push(span.task.0);
        found.location.push(location.0);
    }
    if wanted.columns.by {
        found.by.push(span.by.0);
    }
    if wanted.columns.count {
        found.count.push(count(span.count));
    }
}

fn read_as_sent(bytes: &[u8]) -> Read<Vec<(Span, Subject)>> {
    let (_, spans) = segment::decode(bytes)?;
    let subject = |span: &Span| Subject { task: span.task, location: LocationId::NONE };
    Ok(spans.into_iter().map(|span| (span, subject(&span))).collect())
}

/// Every span of a segment of either format, as it was packed.
pub(crate) fn unpack(bytes: &[u8]) -> Read<SpanColumns> {
    match stored::decode(bytes) {
        Ok((_, columns)) => Ok(columns),
        Err(SegmentError::Magic) => {
            let (_, spans) = segment::decode(bytes)?;
            Ok(side_by_side(&spans))
        }
        Err(error) => Err(error),
    }
}

fn side_by_side(spans: &[Span]) -> SpanColumns {
    let mut tasks: Vec<u64> = spans.iter().map(|span| span.task.0).collect();
    tasks.sort_unstable();
    tasks.dedup();
    let slot = |span: &Span| tasks.partition_point(|&task| task < span.task.0) as u32;
    SpanColumns {
        start: spans.iter().map(|span| span.start.0).collect(),
        length: spans.iter().map(|span| span.length).collect(),
        slot: spans.iter().map(slot).collect(),
        by: spans.iter().map(|span| span.by.0).collect(),
        count: spans.iter().map(|span| span.count).collect(),
        tasks: tasks
            .into_iter()
            .map(|task| Subject { task: TaskId(task), location: LocationId::NONE })
            .collect(),
    }
}
