//! All that a piece of the timeline shows, in one go: a page asks for several pieces at once, and each hand-over
//! between threads costs it more than most questions do.

use loopd_model::UnixNanos;
use rusqlite::Connection;

use super::timeline::Range;
use super::{Reader, processes, spans, timeline};
use crate::segments::KnownTasks;
use crate::{ProcessKey, Scene, StoreError, Timeline};

impl Reader {
    /// What there is of a process from `from` to `to`: its timeline, as of [`Reader::timeline`], and single polls and
    /// parks if there are at most `max_spans` of each.
    pub async fn scene(
        &self,
        process: ProcessKey,
        (from, to): (UnixNanos, UnixNanos),
        max_buckets: u32,
        max_spans: usize,
    ) -> Result<Scene, StoreError> {
        let range = Range::new(process, (from, to), max_buckets, 0);
        let known = self.known.clone();
        let read =
            move |db: &Connection| read(db, &known, process.0, (from.0, to.0), range, max_spans);
        self.raw.ask(read).await.map_err(StoreError::sqlite("read a piece of the timeline"))
    }
}

fn read(
    db: &Connection,
    known: &KnownTasks,
    process: i64,
    (from, to): (i64, i64),
    range: Range,
    max_spans: usize,
) -> rusqlite::Result<Scene> {
    let mut epoch = db.prepare_cached("SELECT epoch FROM meta")?;
    let epoch: Vec<u8> = epoch.query_row((), |row| row.get(0))?;
    let epoch = epoch.try_into().unwrap_or_default();
    let Some(row) = processes::one(db, process)? else {
        return Ok(Scene { epoch, ..Scene::default() });
    };
    let timeline = timeline::read(db, &range)?;
    let mut spans = None;
    if may_be_few(&timeline, max_spans) {
        let polls = spans::polls(db, known, process, (from, to), max_spans)?;
        let parks = spans::parks(db, known, process, (from, to), max_spans)?;
        spans = (polls.is_complete && parks.is_complete).then_some((polls, parks));
    }
    Ok(Scene { epoch, process: Some(row), timeline, spans })
}

/// Whether the polls, by their count in the buckets, are no more than that. Each lane may have one more that
/// began before the first bucket.
fn may_be_few(timeline: &Timeline, max: usize) -> bool {
    let cells = timeline.lanes.iter().flat_map(|lane| &lane.cells);
    cells.fold(0u64, |sum, (_, cell)| sum.saturating_add(cell.polls)) <= max as u64
}
