//! The slowest polls, however many there are: looked for where the longest are, segment by segment and
//! page by page, until nothing that is left can be longer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use loopd_model::{LoopId, TaskId, UnixNanos, WorkerId};
use rusqlite::Connection;

use super::Reader;
use crate::segments::{self, Place, Wanted, Wants};
use crate::{LaneId, ProcessKey, SlowestPoll, StoreError};

/// So many are given at most.
const MAX_SLOWEST: usize = 10_000;

/// Polls that are long enough have rows, which are in order of length.
const ROWS: &str = "SELECT loop, worker, start_at, length, task FROM slow_poll
    INDEXED BY slow_poll_by_any_length
    WHERE process = ?1 AND length IS NOT NULL AND start_at >= ?2 AND start_at < ?3
    ORDER BY length DESC LIMIT ?4";

/// Longest first.
const SEGMENTS: &str = "SELECT s.id, p.origin, s.loop, s.worker, s.max_length
    FROM process p CROSS JOIN segment s INDEXED BY segment_by_length ON s.process = p.id
    WHERE p.id = ?1 AND s.kind = 1 AND s.end_at >= ?2 AND s.start_at < ?3
    ORDER BY s.max_length DESC";

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
    if rows.len() == limit {
        return Ok(rows);
    }
    // Fewer have rows than are asked for: the others are somewhere in segments, and all of those are
    // there, too, as long as raw polls are kept.
    let mut slowest = BinaryHeap::new();
    let add = |slowest: &mut BinaryHeap<_>, poll: SlowestPoll| {
        let key = (poll.length, Reverse(poll.start_at), poll.lane);
        slowest.push((Reverse(key), poll.task));
        if slowest.len() > limit {
            slowest.pop();
        }
    };
    let known: std::collections::HashSet<_> =
        rows.iter().map(|poll| (poll.lane, poll.start_at)).collect();
    rows.into_iter().for_each(|poll| add(&mut slowest, poll));
    let mut statement = db.prepare(SEGMENTS)?;
    let mut segments = statement.query((process, from, to))?;
    while let Some(row) = segments.next()? {
        let longest: i64 = row.get(4)?;
        let least = slowest.peek().filter(|_| slowest.len() == limit);
        let least = least.map_or(0, |(Reverse((length, ..)), _)| *length);
        if (longest as u64) < least || limit == 0 {
            break;
        }
        let place = Place { id: row.get(0)?, origin: row.get(1)? };
        let loop_id = LoopId(row.get::<_, i64>(2)? as u64);
        let lane = LaneId { loop_id, worker: WorkerId(row.get::<_, i64>(3)? as u32) };
        let wanted = Wanted {
            start_from: from,
            start_to: to.saturating_sub(1),
            length: least as i64,
            columns: Wants { times: true, task: true, ..Wants::default() },
            ..Wanted::default()
        };
        let found = segments::read(db, place, &wanted)?;
        for at in 0..found.len {
            let (start_at, length) = (UnixNanos(found.start[at]), found.length[at] as u64);
            if !known.contains(&(lane, start_at)) {
                let task = TaskId(found.task[at]);
                add(&mut slowest, SlowestPoll { lane, start_at, length, task });
            }
        }
    }
    let sorted = slowest.into_sorted_vec().into_iter();
    let poll = |(Reverse((length, Reverse(start_at), lane)), task)| SlowestPoll {
        lane,
        start_at,
        length,
        task,
    };
    Ok(sorted.map(poll).collect())
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
