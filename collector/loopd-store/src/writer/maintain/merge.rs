//! Merges the small segments of a lane into large ones, which pack tighter and are fewer to look at.

use loopd_model::RecordKind;
use loopd_model::stored::SpanColumns;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use tracing::warn;

use super::super::apply::insert_segments;
use super::super::digest::SegmentRow;
use super::super::lane_spans::{LaneSpans, MAX_SPANS, Packer, subject};
use super::super::task_records;
use super::super::tasks::TaskDelta;
use crate::{segments, task_table};

/// A segment is left alone until it is this old, so that live views read fresh ones.
const SETTLED: i64 = 10_000_000_000;
/// A merged segment covers about this long, so that a quiet lane's is still worth skipping.
const MAX_TIME: i64 = 60_000_000_000;
/// So many segments are made in one step: each costs some 8 ms when full.
const MAX_MERGES: usize = 2;
/// So many are looked at for one; more come from the next step.
const MAX_PARTS: i64 = 512;

/// Merges some; returns how many were merged, and whether there are more.
pub(super) async fn step(db: &mut SqliteConnection, now: i64) -> Result<(u64, bool), sqlx::Error> {
    // Walks the partial index of what is unmerged, which stays short.
    let sql = "SELECT process, kind, loop, worker FROM segment WHERE merged = 0
        GROUP BY process, kind, loop, worker
        HAVING sum(iif(end_at < ?1, spans, 0)) >= ?3 OR min(start_at) < ?2
        LIMIT ?4";
    let lanes: Vec<(i64, i64, i64, i64)> = sqlx::query_as(sql)
        .bind(now.saturating_sub(SETTLED))
        .bind(now.saturating_sub(SETTLED + MAX_TIME))
        .bind(MAX_SPANS as i64)
        .bind(MAX_MERGES as i64 + 1)
        .fetch_all(&mut *db)
        .await?;
    let more = lanes.len() > MAX_MERGES;
    let mut merged = 0;
    for lane in lanes.into_iter().take(MAX_MERGES) {
        merged += merge(db, lane, now).await?;
    }
    Ok((merged, more || merged > 0))
}

/// Process, kind, loop, worker.
type Lane = (i64, i64, i64, i64);

/// What is read of one segment: its id, its bytes, and the origin of its process.
const READ: &str = "SELECT s.data, p.origin, s.id FROM json_each(?) j
    CROSS JOIN segment s ON s.id = j.value JOIN process p ON p.id = s.process";

/// Merges the oldest of one lane.
async fn merge(db: &mut SqliteConnection, lane: Lane, now: i64) -> Result<u64, sqlx::Error> {
    let mut ids = choose(db, lane, now).await?;
    let chosen = ids.len() as u64;
    let json = serde_json::to_string(&ids).unwrap_or_default();
    let parts = sqlx::query(READ).bind(&json).fetch_all(&mut *db).await?;
    let kind = u8::try_from(lane.1).ok().and_then(RecordKind::from_number);
    let (rows, damaged) = match kind {
        Some(RecordKind::Task) => merge_tasks(db, lane.0, &parts).await?,
        Some(kind) => merge_spans((lane.0, kind, lane.2, lane.3), &parts)?,
        None => (Vec::new(), ids.clone()),
    };
    for id in damaged {
        warn!(segment = id, "a stored segment is damaged, it is left as it is");
        ids.retain(|&whole| whole != id);
        set_aside(db, id).await?;
    }
    let rows = rows.into_iter().map(|row| SegmentRow { is_full: true, ..row }).collect();
    insert_segments(db, rows).await?;
    let json = serde_json::to_string(&ids).unwrap_or_default();
    let sql = "DELETE FROM segment WHERE id IN (SELECT value FROM json_each(?))";
    sqlx::query(sql).bind(&json).execute(&mut *db).await?;
    Ok(chosen)
}

/// New rows, and the ids of those that cannot be read.
type Merged = (Vec<SegmentRow>, Vec<i64>);

fn merge_spans(
    lane: (i64, RecordKind, i64, i64),
    parts: &[SqliteRow],
) -> Result<Merged, sqlx::Error> {
    let (mut whole, mut damaged, mut origin) = (Vec::new(), Vec::new(), 0);
    for part in parts {
        origin = part.try_get(1)?;
        match segments::unpack(part.try_get(0)?) {
            Ok(columns) => whole.push(columns),
            Err(_) => damaged.push(part.try_get(2)?),
        }
    }
    let (spans, subjects) = join(whole);
    Ok((Packer::new(&subjects).pack(&spans, lane, origin), damaged))
}

/// One segment's spans after another's, in the order of their starts, with a number for each task.
fn join(parts: Vec<SpanColumns>) -> (LaneSpans, Vec<loopd_model::stored::Subject>) {
    let mut tasks: Vec<(u64, u64)> = parts
        .iter()
        .flat_map(|part| part.tasks.iter().map(|subject| (subject.task.0, subject.location.0)))
        .collect();
    // Of a task whose place was not known at first, the place.
    tasks.sort_unstable_by_key(|&(task, location)| (task, std::cmp::Reverse(location)));
    tasks.dedup_by_key(|&mut (task, _)| task);
    let number = |task: u64| tasks.partition_point(|&(other, _)| other < task) as u32;
    let mut joined = LaneSpans::default();
    let has_by = parts.iter().any(|part| !part.by.is_empty());
    let has_count = parts.iter().any(|part| !part.count.is_empty());
    for part in parts {
        let numbers: Vec<u32> = part.tasks.iter().map(|subject| number(subject.task.0)).collect();
        joined.slot.extend(part.slot.iter().map(|&slot| numbers[slot as usize]));
        let spans = part.start.len();
        joined.start.extend(part.start);
        joined.length.extend(part.length);
        let filled = |column: Vec<u64>, otherwise: u64| {
            if column.is_empty() { vec![otherwise; spans] } else { column }
        };
        if has_by {
            joined.by.extend(filled(part.by, 0));
        }
        if has_count {
            joined.count.extend(filled(part.count, 1));
        }
    }
    joined.sort();
    let subjects = tasks.iter().map(|&(task, location)| subject(task as i64, location as i64));
    (joined, subjects.collect())
}

async fn merge_tasks(
    db: &mut SqliteConnection,
    process: i64,
    parts: &[SqliteRow],
) -> Result<Merged, sqlx::Error> {
    let (mut tasks, mut damaged) = (Vec::new(), Vec::new());
    for part in parts {
        let id: i64 = part.try_get(2)?;
        let Ok(mut records) = task_table::read(part.try_get(0)?, u64::MAX, None) else {
            damaged.push(id);
            continue;
        };
        let sql = "SELECT task FROM task_void WHERE segment = ?";
        let void: Vec<i64> = sqlx::query_scalar(sql).bind(id).fetch_all(&mut *db).await?;
        records.leave_out(&void.into_iter().collect());
        tasks.extend((0..records.len()).map(|row| TaskDelta(records.record(row, process))));
    }
    Ok((task_records::pack(tasks), damaged))
}

/// Leaves a damaged segment to whoever can repair it, and to retention.
async fn set_aside(db: &mut SqliteConnection, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE segment SET merged = 2 WHERE id = ?").bind(id).execute(db).await?;
    Ok(())
}

/// The ids of the oldest segments of a lane that fit into one, at least one.
async fn choose(db: &mut SqliteConnection, lane: Lane, now: i64) -> Result<Vec<i64>, sqlx::Error> {
    let sql = "SELECT id, start_at, end_at, spans FROM segment
        WHERE merged = 0 AND process = ? AND kind = ? AND loop = ? AND worker = ?
        ORDER BY start_at LIMIT ?";
    let (process, kind, loop_id, worker) = lane;
    let parts: Vec<(i64, i64, i64, i64)> = sqlx::query_as(sql)
        .bind(process)
        .bind(kind)
        .bind(loop_id)
        .bind(worker)
        .bind(MAX_PARTS)
        .fetch_all(db)
        .await?;
    let first_at = parts.first().map_or(0, |part| part.1);
    let (mut ids, mut total) = (Vec::new(), 0);
    for (id, _, end_at, spans) in parts {
        total += spans;
        let is_full = total > MAX_SPANS as i64 || end_at.saturating_sub(first_at) > MAX_TIME;
        if !ids.is_empty() && (is_full || end_at >= now.saturating_sub(SETTLED)) {
            break;
        }
        ids.push(id);
    }
    Ok(ids)
}
