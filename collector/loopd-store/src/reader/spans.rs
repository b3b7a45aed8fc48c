//! Single polls and parks of a range, unpacked from segments.

use std::collections::{BTreeMap, HashMap};

use futures_util::TryStreamExt;
use loopd_model::{Location, LocationId, LoopId, RecordKind, TaskId, UnixNanos, WorkerId, segment};
use sqlx::Row;

use super::{Answer, Db, Reader};
use crate::{LaneId, LaneSpans, ProcessKey, SpanRow, Spans, StoreError, instant};

const SEGMENTS: &str = "SELECT s.loop, s.worker, p.origin, s.data
    FROM segment s JOIN process p ON p.id = s.process
    WHERE s.process = ? AND s.kind = ? AND s.end_at >= ? AND s.start_at < ?";

impl Reader {
    /// The single polls that overlap a range, at most `limit`.
    pub async fn polls(
        &self,
        process: ProcessKey,
        from: UnixNanos,
        to: UnixNanos,
        limit: usize,
    ) -> Result<Spans, StoreError> {
        let read = async |db: &mut Db| {
            let mut spans = read(db, process, RecordKind::Poll, (from, to), limit).await?;
            add_locations(db, process, &mut spans).await?;
            Ok(spans)
        };
        self.ask("read polls", read).await
    }

    /// The single parks that overlap a range, at most `limit`.
    pub async fn parks(
        &self,
        process: ProcessKey,
        from: UnixNanos,
        to: UnixNanos,
        limit: usize,
    ) -> Result<Spans, StoreError> {
        let read = async |db: &mut Db| read(db, process, RecordKind::Park, (from, to), limit).await;
        self.ask("read parks", read).await
    }
}

async fn read(
    db: &mut Db,
    process: ProcessKey,
    kind: RecordKind,
    (from, to): (UnixNanos, UnixNanos),
    limit: usize,
) -> Answer<Spans> {
    let mut lanes = BTreeMap::<LaneId, Vec<SpanRow>>::new();
    let (mut found, mut is_complete) = (0, true);
    let mut segments = sqlx::query(SEGMENTS)
        .bind(process.0)
        .bind(kind as i64)
        .bind(from.0)
        .bind(to.0)
        .fetch(&mut **db);
    'segments: while let Some(row) = segments.try_next().await? {
        let loop_id = LoopId(row.try_get::<i64, _>(0)? as u64);
        let lane = LaneId { loop_id, worker: WorkerId(row.try_get::<i64, _>(1)? as u32) };
        let origin = row.try_get(2)?;
        let Ok((_, spans)) = segment::decode(row.try_get(3)?) else {
            is_complete = false;
            continue;
        };
        for span in spans {
            let start = instant::wall(origin, span.start);
            let length = instant::length(span.length);
            if start >= to.0 || start + length < from.0 {
                continue;
            }
            if found == limit {
                is_complete = false;
                break 'segments;
            }
            found += 1;
            let (start_at, length) = (UnixNanos(start), length as u64);
            lanes.entry(lane).or_default().push(SpanRow { start_at, length, task: span.task });
        }
    }
    let lanes = lanes.into_iter().map(|(lane, mut spans)| {
        spans.sort_by_key(|span| span.start_at);
        LaneSpans { lane, spans }
    });
    Ok(Spans { lanes: lanes.collect(), is_complete, ..Spans::default() })
}

/// Adds where the tasks in it were spawned, in one query.
async fn add_locations(db: &mut Db, process: ProcessKey, spans: &mut Spans) -> Answer<()> {
    let rows = spans.lanes.iter().flat_map(|lane| &lane.spans);
    let mut tasks: Vec<i64> = rows.map(|span| span.task.0 as i64).collect();
    tasks.sort_unstable();
    tasks.dedup();
    let sql = "SELECT t.task, t.spawn_location, l.file, l.line, l.column FROM json_each(?) j
        CROSS JOIN task t ON t.process = ? AND t.task = j.value
        JOIN location l ON l.process = t.process AND l.location = t.spawn_location";
    let found: Vec<(i64, i64, String, i64, i64)> = sqlx::query_as(sql)
        .bind(serde_json::to_string(&tasks).unwrap_or_default())
        .bind(process.0)
        .fetch_all(&mut **db)
        .await?;
    let (mut locations, mut places) = (HashMap::new(), BTreeMap::new());
    for (task, location, file, line, column) in found {
        locations.insert(TaskId(task as u64), location);
        places.entry(location).or_insert_with(|| Location {
            id: LocationId(location as u64),
            file,
            line: line as u32,
            column: column as u32,
        });
    }
    (spans.locations, spans.places) = (locations, places);
    Ok(())
}
