//! Single polls and wakes of a range, for what no sum tells; each look has a budget.

use loopd_model::{LoopId, RecordKind, WorkerId};
use rusqlite::Connection;

use crate::LaneId;
use crate::reader::bounds::SCALE;
use crate::segments::{self, Found, Place, Wanted};

/// Segments that overlap a range, of one lane or of all, that may have one task or any. No segment is longer
/// than the longest, so none that ends much later than the range began in it.
const SEGMENTS: &str = "SELECT s.id, p.origin, s.loop, s.worker
    FROM process p CROSS JOIN segment s INDEXED BY segment_by_time ON s.process = p.id
    WHERE p.id = ?1 AND s.kind = ?2 AND s.end_at >= ?3 AND s.start_at <= ?4
        AND s.end_at <= ?4 + coalesce((SELECT end_at - start_at
            FROM segment INDEXED BY segment_by_length WHERE process = ?1 AND kind = ?2
            ORDER BY end_at - start_at DESC LIMIT 1), 0)
        AND (?5 IS NULL OR s.loop = ?5) AND (?6 IS NULL OR s.worker = ?6)
        AND (?7 IS NULL OR ?7 BETWEEN s.min_task AND s.max_task)
    ORDER BY s.end_at, s.id";

/// So many spans are unpacked, and so many segments looked into, for one purpose: some 50 ms.
const MAX_UNPACKED: usize = 4_000_000 / SCALE as usize;
const MAX_SEGMENTS: usize = 4_000 / SCALE as usize;

/// Whether nothing is known of a process at an instant or later: sums that were kept of its last steps then
/// have what happened before that instant, and nothing else.
pub(super) fn is_latest(db: &Connection, process: i64, end: i64) -> rusqlite::Result<bool> {
    db.query_row("SELECT last_at < ?2 FROM process WHERE id = ?1", [process, end], |row| row.get(0))
}

/// Whether a process began at an instant or later.
pub(super) fn is_earliest(db: &Connection, process: i64, from: i64) -> rusqlite::Result<bool> {
    db.query_row("SELECT origin >= ?2 FROM process WHERE id = ?1", [process, from], |row| {
        row.get(0)
    })
}

/// What may still be looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    unpacked: usize,
    segments: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { unpacked: MAX_UNPACKED, segments: MAX_SEGMENTS }
    }
}

/// Gives what every segment of a range holds of what is wanted; says whether the budget sufficed.
pub(super) fn each(
    db: &Connection,
    (process, kind, lane): (i64, RecordKind, Option<LaneId>),
    wanted: &Wanted,
    budget: &mut Budget,
    mut each: impl FnMut(LaneId, &Found),
) -> rusqlite::Result<bool> {
    let mut statement = db.prepare(SEGMENTS)?;
    let mut segments = statement.query((
        process,
        kind as i64,
        wanted.end_from.max(wanted.start_from),
        // No sum with a length may be more than SQL has.
        wanted.start_to.min(i64::MAX / 2),
        lane.map(|lane| lane.loop_id.0 as i64),
        lane.map(|lane| i64::from(lane.worker.0)),
        wanted.task.map(|task| task as i64),
    ))?;
    while let Some(row) = segments.next()? {
        if budget.segments == 0 || budget.unpacked == 0 {
            return Ok(false);
        }
        let place = Place { id: row.get(0)?, origin: row.get(1)? };
        let loop_id = LoopId(row.get::<_, i64>(2)? as u64);
        let lane = LaneId { loop_id, worker: WorkerId(row.get::<_, i64>(3)? as u32) };
        let found = segments::read(db, place, wanted)?;
        budget.segments -= 1;
        budget.unpacked = budget.unpacked.saturating_sub(found.unpacked);
        each(lane, &found);
    }
    Ok(true)
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 1] = [SEGMENTS];
