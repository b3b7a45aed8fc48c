//! The slowest polls, however many there are: looked for where the longest are, segment by segment and
//! page by page, until nothing that is left can be longer.

use std::cmp::Reverse;
use std::collections::HashSet;

use loopd_model::{LoopId, TaskId, UnixNanos, WorkerId};
use rusqlite::{Connection, OptionalExtension};

use super::Reader;
use crate::segments::{Place, Slowest, Wanted, Wants};
use crate::{LaneId, ProcessKey, SlowestPoll, StoreError};

/// So many are given at most.
const MAX_SLOWEST: usize = 10_000;

/// Polls that are long enough have rows, which are in order of length.
const ROWS: &str = "SELECT loop, worker, start_at, length, task FROM slow_poll
    INDEXED BY slow_poll_by_any_length
    WHERE process = ?1 AND length IS NOT NULL AND start_at >= ?2 AND start_at < ?3
    ORDER BY length DESC, start_at LIMIT ?4";

/// From which length on every poll has a row, whatever the threshold was: half of the highest, and less
/// than a tile of the timeline is long.
const SURE: &str = "SELECT min(268435456, max(slow_threshold, coalesce((SELECT
        max(json_extract(c.settings, '$.slow_threshold')) FROM coverage_change c
        WHERE c.process = p.id), 0)) / 2 + 1)
    FROM process p WHERE id = ?";

const SEGMENTS: &str = "SELECT s.id, p.origin, s.loop, s.worker, s.max_length
    FROM process p CROSS JOIN segment s INDEXED BY segment_by_time ON s.process = p.id
    WHERE p.id = ?1 AND s.kind = 1 AND s.end_at >= ?2 AND s.start_at < ?3
        AND s.end_at <= ?3 + coalesce((SELECT end_at - start_at
            FROM segment INDEXED BY segment_by_length WHERE process = ?1 AND kind = 1
            ORDER BY end_at - start_at DESC LIMIT 1), 0)";

impl Reader {
    /// The `limit` slowest polls that began in a range, longest first. Polls that retention removed are
    /// known if they were slow.
    pub async fn slowest_polls(
        &self,
        process: ProcessKey,
        from: UnixNanos,
        to: UnixNanos,
        limit: usize,
    ) -> Result<Vec<SlowestPoll>, StoreError> {
        let limit = limit.min(MAX_SLOWEST);
        let read = move |db: &Connection| read(db, process.0, (from.0, to.0), limit);
        self.raw.ask(read).await.map_err(StoreError::sqlite("read the slowest polls"))
    }
}

fn read(
    db: &Connection,
    process: i64,
    (from, to): (i64, i64),
    limit: usize,
) -> rusqlite::Result<Vec<SlowestPoll>> {
    let rows = rows(db, process, (from, to), limit)?;
    let sure = db.query_row(SURE, [process], |row| row.get::<_, i64>(0)).optional()?;
    let is_sure = |poll: &SlowestPoll| sure.is_some_and(|sure| poll.length as i64 >= sure);
    if rows.len() == limit && rows.last().is_none_or(is_sure) {
        return Ok(rows);
    }
    // Fewer have rows than are asked for: the others are somewhere in segments, as these are for as
    // long as raw polls are kept.
    let mut statement = db.prepare(SEGMENTS)?;
    let segments = statement.query_map((process, from, to), |row| {
        let place = Place { id: row.get(0)?, origin: row.get(1)? };
        let loop_id = LoopId(row.get::<_, i64>(2)? as u64);
        let lane = LaneId { loop_id, worker: WorkerId(row.get::<_, i64>(3)? as u32) };
        Ok((lane, (place, row.get(4)?)))
    })?;
    let segments = segments.collect::<rusqlite::Result<Vec<_>>>()?;
    let (lanes, segments): (Vec<LaneId>, Vec<(Place, i64)>) = segments.into_iter().unzip();
    let wanted = Wanted {
        start_from: from,
        start_to: to.saturating_sub(1),
        columns: Wants { times: true, task: true, ..Wants::default() },
        ..Wanted::default()
    };
    let mut search = Slowest::new(segments, wanted);
    let known: HashSet<_> = rows.iter().map(|poll| (poll.lane, poll.start_at)).collect();
    let mut slowest = rows;
    let mut others = 0;
    while others < limit {
        let Some((segment, found)) = search.next(db, || false)? else { break };
        let (lane, start_at) = (lanes[segment], UnixNanos(found.start[0]));
        if !known.contains(&(lane, start_at)) {
            let (length, task) = (found.length[0] as u64, TaskId(found.task[0]));
            slowest.push(SlowestPoll { lane, start_at, length, task });
            others += 1;
        }
    }
    slowest.sort_by_key(|poll| (Reverse(poll.length), poll.start_at, poll.lane));
    slowest.truncate(limit);
    Ok(slowest)
}

fn rows(
    db: &Connection,
    process: i64,
    (from, to): (i64, i64),
    limit: usize,
) -> rusqlite::Result<Vec<SlowestPoll>> {
    let mut statement = db.prepare(ROWS)?;
    let rows = statement.query_map((process, from, to, limit as i64), |row| {
        let loop_id = LoopId(row.get::<_, i64>(0)? as u64);
        Ok(SlowestPoll {
            lane: LaneId { loop_id, worker: WorkerId(row.get::<_, i64>(1)? as u32) },
            start_at: UnixNanos(row.get(2)?),
            length: super::unsigned(row.get(3)?),
            task: TaskId(row.get::<_, i64>(4)? as u64),
        })
    })?;
    rows.collect()
}
