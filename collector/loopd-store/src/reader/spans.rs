//! Single polls and parks of a range, unpacked from segments.

use std::collections::{BTreeMap, HashMap};

use loopd_model::{Location, LocationId, LoopId, RecordKind, TaskId, UnixNanos, WorkerId};
use rusqlite::Connection;

use super::{Answer, Db, Reader};
use crate::segments::{self, Place, Wanted, Wants};
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
        let failed = || StoreError::sqlite("read polls");
        let mut spans =
            self.spans(process, RecordKind::Poll, (from, to), limit).await.map_err(failed())?;
        let add = async |db: &mut Db| add_places(db, process, &mut spans).await;
        self.ask("read the places of polls", add).await?;
        Ok(spans)
    }

    /// The single parks that overlap a range, at most `limit`.
    pub async fn parks(
        &self,
        process: ProcessKey,
        from: UnixNanos,
        to: UnixNanos,
        limit: usize,
    ) -> Result<Spans, StoreError> {
        let parks = self.spans(process, RecordKind::Park, (from, to), limit).await;
        parks.map_err(StoreError::sqlite("read parks"))
    }

    async fn spans(
        &self,
        process: ProcessKey,
        kind: RecordKind,
        (from, to): (UnixNanos, UnixNanos),
        limit: usize,
    ) -> Answer<Spans> {
        let wanted = Wanted {
            start_to: to.0.saturating_sub(1),
            end_from: from.0,
            columns: Wants { times: true, task: kind == RecordKind::Poll, ..Wants::default() },
            ..Wanted::default()
        };
        let range = (from.0, to.0);
        self.raw.ask(move |db| read(db, (process.0, kind), range, &wanted, limit)).await
    }
}

fn read(
    db: &Connection,
    (process, kind): (i64, RecordKind),
    (from, to): (i64, i64),
    wanted: &Wanted,
    limit: usize,
) -> rusqlite::Result<Spans> {
    let mut lanes = BTreeMap::<LaneId, Vec<SpanRow>>::new();
    let mut locations = HashMap::new();
    let (mut found, mut is_complete) = (0, true);
    let mut statement = db.prepare(SEGMENTS)?;
    let mut segments = statement.query((process, kind as i64, from, to))?;
    while let Some(row) = segments.next()? {
        let place = Place { id: row.get(0)?, origin: row.get(1)? };
        let lane = LaneId {
            loop_id: LoopId(row.get::<_, i64>(2)? as u64),
            worker: WorkerId(row.get::<_, i64>(3)? as u32),
        };
        let spans = segments::read(db, place, wanted)?;
        is_complete &= !spans.is_damaged;
        let room = limit - found;
        if spans.len > room {
            is_complete = false;
        }
        let rows = (0..spans.len.min(room)).map(|at| {
            let task = TaskId(spans.task.get(at).copied().unwrap_or(0));
            if let Some(&location) = spans.location.get(at).filter(|&&location| location != 0) {
                locations.insert(task, location as i64);
            }
            let (start_at, length) = (UnixNanos(spans.start[at]), spans.length[at] as u64);
            SpanRow { start_at, length, task }
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
    Ok(Spans { lanes, locations, is_complete, ..Spans::default() })
}

/// So many tasks whose segment does not say where they are from are looked up; of more it stays open.
const MAX_UNPLACED: usize = 1_000;

/// Adds the places of the locations in it, and those of tasks whose segment does not say: their spawn
/// was told later.
pub(super) async fn add_places(db: &mut Db, process: ProcessKey, spans: &mut Spans) -> Answer<()> {
    let rows = spans.lanes.iter().flat_map(|lane| &lane.spans);
    let is_unplaced = |task: &TaskId| !task.is_none() && !spans.locations.contains_key(task);
    let mut tasks: Vec<i64> =
        rows.map(|span| span.task).filter(is_unplaced).map(|task| task.0 as i64).collect();
    tasks.sort_unstable();
    tasks.dedup();
    tasks.truncate(MAX_UNPLACED);
    let sql = "SELECT t.task, t.spawn_location FROM json_each(?1) j
        CROSS JOIN task t ON t.process = ?2 AND t.task = j.value
        UNION ALL SELECT t.task, t.spawn_location FROM json_each(?1) j
        CROSS JOIN task_records t ON t.process = ?2 AND t.task = j.value";
    let found: Vec<(i64, Option<i64>)> = sqlx::query_as(sql)
        .bind(serde_json::to_string(&tasks).unwrap_or_default())
        .bind(process.0)
        .fetch_all(&mut **db)
        .await?;
    let placed = found.into_iter().filter_map(|(task, at)| Some((TaskId(task as u64), at?)));
    spans.locations.extend(placed);
    let mut wanted: Vec<i64> = spans.locations.values().copied().collect();
    wanted.sort_unstable();
    wanted.dedup();
    spans.places = places(db, process, &wanted).await?;
    Ok(())
}

/// These locations of a process.
pub(super) async fn places(
    db: &mut Db,
    process: ProcessKey,
    wanted: &[i64],
) -> Answer<BTreeMap<i64, Location>> {
    let sql = "SELECT l.location, l.file, l.line, l.column FROM json_each(?) j
        CROSS JOIN location l ON l.process = ? AND l.location = j.value";
    let found: Vec<(i64, String, i64, i64)> = sqlx::query_as(sql)
        .bind(serde_json::to_string(wanted).unwrap_or_default())
        .bind(process.0)
        .fetch_all(&mut **db)
        .await?;
    let place = |(at, file, line, column): (i64, String, i64, i64)| {
        let (line, column) = (line as u32, column as u32);
        (at, Location { id: LocationId(at as u64), file, line, column })
    };
    Ok(found.into_iter().map(place).collect())
}
