//! Merges the small segments of a lane into large ones, packed as tightly as the codec can.

use loopd_model::segment::{self, Effort};
use loopd_model::{RecordKind, Span};
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;
use tracing::warn;

use super::super::apply::insert_segments;
use super::super::digest::SegmentRow;

/// A segment is left alone until it is this old, so that live views read fresh ones.
const SETTLED: i64 = 10_000_000_000;
/// A merged segment holds about so many spans: larger ones pack no tighter.
const MAX_SPANS: i64 = 64 * 1024;
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
        .bind(MAX_SPANS)
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

/// Merges the oldest of one lane.
async fn merge(db: &mut SqliteConnection, lane: Lane, now: i64) -> Result<u64, sqlx::Error> {
    let (process, kind, loop_id, worker) = lane;
    let mut ids = choose(db, lane, now).await?;
    let chosen = ids.len() as u64;
    let json = serde_json::to_string(&ids).unwrap_or_default();
    let sql =
        "SELECT s.data, p.origin, s.id FROM json_each(?) j CROSS JOIN segment s ON s.id = j.value
        JOIN process p ON p.id = s.process";
    let (mut spans, mut origin) = (Vec::<Span>::new(), 0);
    for row in sqlx::query(sql).bind(&json).fetch_all(&mut *db).await? {
        origin = row.try_get(1)?;
        match segment::decode(row.try_get(0)?) {
            Ok((_, unpacked)) => spans.extend(unpacked),
            Err(error) => {
                let id: i64 = row.try_get(2)?;
                warn!(segment = id, %error, "a stored segment is damaged, it is left as it is");
                ids.retain(|&whole| whole != id);
                set_aside(db, id).await?;
            }
        }
    }
    spans.sort_by_key(|span| span.start);
    let kind = u8::try_from(kind).ok().and_then(RecordKind::from_number);
    let mut rows = Vec::new();
    // One alone may be larger than a merged one is; it is packed in pieces.
    for spans in spans.chunks(MAX_SPANS as usize) {
        let Some(kind) = kind else { break };
        let data = segment::encode(kind, spans, Effort::Small);
        let row = SegmentRow::new((process, origin), (loop_id, worker), spans, data);
        rows.push(SegmentRow { kind, ..row });
    }
    insert_segments(db, rows, true).await?;
    let json = serde_json::to_string(&ids).unwrap_or_default();
    let sql = "DELETE FROM segment WHERE id IN (SELECT value FROM json_each(?))";
    sqlx::query(sql).bind(&json).execute(db).await?;
    Ok(chosen)
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
        let is_full = total > MAX_SPANS || end_at.saturating_sub(first_at) > MAX_TIME;
        if !ids.is_empty() && (is_full || end_at >= now.saturating_sub(SETTLED)) {
            break;
        }
        ids.push(id);
    }
    Ok(ids)
}
