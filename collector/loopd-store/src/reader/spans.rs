//! Single polls and parks of a range, unpacked from segments, and where the tasks polled were spawned.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use loopd_model::{Location, LocationId, LoopId, RecordKind, TaskId, UnixNanos, WorkerId};
use rusqlite::Connection;

use super::Reader;
use crate::segments::{self, KnownTasks, Place, Wanted, Wants};
use crate::{LaneId, LaneSpans, ProcessKey, SpanRow, Spans, StoreError};

/// Segments that overlap a range. The search begins and ends by the index, which has ends: no segment is
/// longer than the longest, so none that ends much later than the range began in it.
const SEGMENTS: &str = "SELECT s.id, p.origin, s.loop, s.worker
    FROM process p CROSS JOIN segment s INDEXED BY segment_by_time ON s.process = p.id
    WHERE p.id = ?1 AND s.kind = ?2 AND s.end_at >= ?3 AND s.start_at < ?4
        AND s.end_at <= ?4 + coalesce((SELECT end_at - start_at
            FROM segment INDEXED BY segment_by_length WHERE process = ?1 AND kind = ?2
            ORDER BY end_at - start_at DESC LIMIT 1), 0)";

impl Reader {
    /// The single polls that overlap a range, at most `limit`.
    pub async fn polls(
        &self,
        process: ProcessKey,
        from: UnixNanos,
        to: UnixNanos,
        limit: usize,
    ) -> Result<Spans, StoreError> {
        let known = self.known.clone();
        let read = move |db: &Connection| polls(db, &known, process.0, (from.0, to.0), limit);
        self.raw.ask(read).await.map_err(StoreError::sqlite("read polls"))
    }
}

/// Polls that overlap a range, at most `limit`, with the places of their tasks.
pub(super) fn polls(
    db: &Connection,
    known: &KnownTasks,
    process: i64,
    range: (i64, i64),
    limit: usize,
) -> rusqlite::Result<Spans> {
    let mut spans = read(db, known, (process, RecordKind::Poll), range, limit)?;
    add_places(db, process, &mut spans)?;
    Ok(spans)
}

/// Parks that overlap a range, at most `limit`.
pub(super) fn parks(
    db: &Connection,
    known: &KnownTasks,
    process: i64,
    range: (i64, i64),
    limit: usize,
) -> rusqlite::Result<Spans> {
    read(db, known, (process, RecordKind::Park), range, limit)
}

fn read(
    db: &Connection,
    known: &KnownTasks,
    (process, kind): (i64, RecordKind),
    (from, to): (i64, i64),
    limit: usize,
) -> rusqlite::Result<Spans> {
    let wanted = Wanted {
        start_to: to.saturating_sub(1),
        end_from: from,
        columns: Wants { times: true, task: kind == RecordKind::Poll, ..Wants::default() },
        ..Wanted::default()
    };
    let mut lanes = BTreeMap::<LaneId, Vec<SpanRow>>::new();
    let (mut found, mut is_complete) = (0, true);
    let mut statement = db.prepare_cached(SEGMENTS)?;
    let mut segments = statement.query((process, kind as i64, from, to))?;
    while let Some(row) = segments.next()? {
        let place = Place { id: row.get(0)?, origin: row.get(1)? };
        let lane = LaneId {
            loop_id: LoopId(row.get::<_, i64>(2)? as u64),
            worker: WorkerId(row.get::<_, i64>(3)? as u32),
        };
        let spans = segments::read_with(db, place, &wanted, known)?;
        is_complete &= !spans.is_damaged;
        let room = limit - found;
        if spans.len > room {
            is_complete = false;
        }
        let rows = (0..spans.len.min(room)).map(|at| {
            let task = TaskId(spans.task.get(at).copied().unwrap_or(0));
            let location = spans.location.get(at).copied().unwrap_or(0) as i64;
            let (start_at, length) = (UnixNanos(spans.start[at]), spans.length[at] as u64);
            SpanRow { start_at, length, task, location }
        });
        let before = lanes.entry(lane).or_default();
        before.extend(rows);
        found += spans.len.min(room);
        if found == limit && !is_complete {
            break;
        }
    }
    let lanes = lanes.into_iter().map(|(lane, mut spans)| {
        spans.sort_by_key(|span| span.start_at);
        LaneSpans { lane, spans }
    });
    let lanes = lanes.filter(|lane| !lane.spans.is_empty()).collect();
    Ok(Spans { lanes, is_complete, ..Spans::default() })
}

/// So many tasks whose segment does not say where they are from are looked up; of more it stays open.
const MAX_UNPLACED: usize = 1_000;

/// Adds the places of the locations in it, and those of tasks whose segment does not say: their spawn
/// was told later.
pub(super) fn add_places(db: &Connection, process: i64, spans: &mut Spans) -> rusqlite::Result<()> {
    const SQL: &str = "SELECT t.task, t.spawn_location FROM json_each(?1) j
        CROSS JOIN task t ON t.process = ?2 AND t.task = j.value
        UNION ALL SELECT t.task, t.spawn_location FROM json_each(?1) j
        CROSS JOIN task_records t ON t.process = ?2 AND t.task = j.value";
    let rows = || spans.lanes.iter().flat_map(|lane| &lane.spans);
    let mut unplaced: Vec<TaskId> = rows()
        .filter(|span| span.location == 0 && !span.task.is_none())
        .map(|it| it.task)
        .collect();
    unplaced.sort_unstable();
    unplaced.dedup();
    if !unplaced.is_empty() {
        // Another segment may say.
        let is_wanted =
            |span: &&SpanRow| span.location != 0 && unplaced.binary_search(&span.task).is_ok();
        let told = rows().filter(is_wanted).map(|span| (span.task, span.location));
        let mut known: HashMap<TaskId, i64> = told.collect();
        let tasks = unplaced.iter().filter(|task| !known.contains_key(task));
        let tasks: Vec<i64> = tasks.take(MAX_UNPLACED).map(|task| task.0 as i64).collect();
        let tasks = serde_json::to_string(&tasks).unwrap_or_default();
        let mut statement = db.prepare_cached(SQL)?;
        let mut found = statement.query((tasks, process))?;
        while let Some(row) = found.next()? {
            if let Some(location) = row.get(1)? {
                known.insert(TaskId(row.get::<_, i64>(0)? as u64), location);
            }
        }
        let rows = spans.lanes.iter_mut().flat_map(|lane| &mut lane.spans);
        for span in rows.filter(|span| span.location == 0) {
            span.location = known.get(&span.task).copied().unwrap_or(0);
        }
    }
    let rows = spans.lanes.iter().flat_map(|lane| &lane.spans);
    let wanted: BTreeSet<i64> = rows.map(|span| span.location).filter(|at| *at != 0).collect();
    spans.places = places(db, process, &wanted.into_iter().collect::<Vec<_>>())?;
    Ok(())
}

/// These locations of a process.
pub(super) fn places(
    db: &Connection,
    process: i64,
    wanted: &[i64],
) -> rusqlite::Result<BTreeMap<i64, Location>> {
    const SQL: &str = "SELECT l.location, l.file, l.line, l.column FROM json_each(?) j
        CROSS JOIN location l ON l.process = ? AND l.location = j.value";
    let wanted = serde_json::to_string(wanted).unwrap_or_default();
    let mut statement = db.prepare_cached(SQL)?;
    let found = statement.query_map((wanted, process), |row| {
        let id: i64 = row.get(0)?;
        let (file, line, column) = (row.get(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?);
        let (line, column) = (line as u32, column as u32);
        Ok((id, Location { id: LocationId(id as u64), file, line, column }))
    })?;
    found.collect()
}
