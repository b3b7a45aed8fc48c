//! Merges the small segments of a lane into large ones, packed as tightly as the codec can.

use loopd_model::segment::{self, Effort};
use loopd_model::{RecordKind, Span};
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

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

/// Merges the oldest of one lane.
async fn merge(
    db: &mut SqliteConnection,
    (process, kind, loop_id, worker): (i64, i64, i64, i64),
    now: i64,
) -> Result<u64, sqlx::Error> {
    let sql = "SELECT s.id, s.start_at, s.end_at, s.spans, s.data, p.origin
        FROM segment s JOIN process p ON p.id = s.process
        WHERE s.merged = 0 AND s.process = ? AND s.kind = ? AND s.loop = ? AND s.worker = ?
        ORDER BY s.start_at LIMIT ?";
    let rows = sqlx::query(sql)
        .bind(process)
        .bind(kind)
        .bind(loop_id)
        .bind(worker)
        .bind(MAX_PARTS)
        .fetch_all(&mut *db)
        .await?;
    let (mut ids, mut spans, mut origin) = (Vec::new(), Vec::<Span>::new(), 0);
    let mut first_at = None;
    for row in &rows {
        let (start_at, end_at): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
        let first_at = *first_at.get_or_insert(start_at);
        let is_full = spans.len() as i64 + row.try_get::<i64, _>(3)? > MAX_SPANS
            || end_at.saturating_sub(first_at) > MAX_TIME;
        if !ids.is_empty() && (is_full || end_at >= now.saturating_sub(SETTLED)) {
            break;
        }
        origin = row.try_get(5)?;
        ids.push(row.try_get::<i64, _>(0)?);
        // A damaged one is dropped here; its checksum says so to every reader anyway.
        let unpacked = segment::decode(row.try_get(4)?);
        spans.extend(unpacked.map(|(_, spans)| spans).unwrap_or_default());
    }
    spans.sort_by_key(|span| span.start);
    let kind = u8::try_from(kind).ok().and_then(RecordKind::from_number);
    if let Some(kind) = kind.filter(|_| !spans.is_empty()) {
        let data = segment::encode(kind, &spans, Effort::Small);
        let row = SegmentRow::new((process, origin), (loop_id, worker), &spans, data);
        insert_segments(db, vec![SegmentRow { kind, ..row }], true).await?;
    }
    let ids_json = serde_json::to_string(&ids).unwrap_or_default();
    let sql = "DELETE FROM segment WHERE id IN (SELECT value FROM json_each(?))";
    sqlx::query(sql).bind(ids_json).execute(db).await?;
    Ok(ids.len() as u64)
}
