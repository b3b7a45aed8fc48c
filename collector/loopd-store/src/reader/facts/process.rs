//! What is known of the process as a whole: its loops, what was captured of it, and what was lost.

use std::collections::BTreeMap;

use loopd_analysis::findings::{Facts, Loop, Lost};
use loopd_model::{LoopId, RecordKind, UnixNanos};
use rusqlite::{Connection, OptionalExtension};

use super::Range;
use crate::reader::bounds::SCALE;
use crate::reader::{Reader, processes};
use crate::segments::{self, Place, Wanted, Wants};
use crate::settings::from_json;
use crate::{LossRow, MAX_LOOPS, StoreError};

/// The loops that opened by `?2`, of very many the last. One whose opening was lost counts if it has
/// closed by then, or has not closed at all.
const LOOPS: &str = "SELECT loop, coalesce(name, ''), coalesce(flavor, ''), coalesce(workers, 0),
        opened_at, closed_at
    FROM (SELECT * FROM loop WHERE process = ?1 ORDER BY loop DESC LIMIT ?4)
    WHERE opened_at <= ?2 OR (opened_at IS NULL AND (closed_at IS NULL OR closed_at <= ?2))
    ORDER BY loop DESC LIMIT ?3";

/// So many loops, the last, are looked through for those that had opened.
const MAX_LOOKED: i64 = 10_000;

/// The threads that became workers of a loop by `?3`.
const THREADS: &str = "SELECT DISTINCT thread_id FROM worker
    WHERE process = ?1 AND loop = ?2 AND thread_id <> 0
        AND (started_at IS NULL OR started_at <= ?3)
    ORDER BY thread_id LIMIT ?4";

/// A loop has at most so many threads that are told; few have more than the machine has processors.
const MAX_THREADS: i64 = 1_000;

/// What was captured at `?2`.
const COVERAGE: &str = "SELECT layers FROM coverage_change INDEXED BY coverage_by_time
    WHERE process = ?1 AND at <= ?2 ORDER BY at DESC, rowid DESC LIMIT 1";

/// So many changes of what is captured, the latest by `?2`, are looked through for the one that says what
/// is slow.
const SETTINGS: &str = "SELECT settings FROM coverage_change INDEXED BY coverage_by_time
    WHERE process = ?1 AND at <= ?2 ORDER BY at DESC, rowid DESC LIMIT 100";

/// What was lost before `?2`, by kind: of very many losses the latest.
const LOST_BEFORE: &str = "SELECT kind, max(to_at) FROM
        (SELECT kind, to_at FROM loss INDEXED BY loss_by_time
            WHERE process = ?1 AND to_at < ?2 AND cause <> 9 ORDER BY to_at DESC LIMIT ?3)
    GROUP BY kind ORDER BY kind";

/// So many losses before a range are looked at.
const MAX_LOSSES: i64 = 10_000 / SCALE as i64;

impl Reader {
    pub(super) async fn add_process(
        &self,
        range: Range,
        facts: &mut Facts,
    ) -> Result<(), StoreError> {
        let read = move |db: &Connection| {
            let key = (range.process.0, range.to);
            let layers = db.query_row(COVERAGE, key, |row| row.get::<_, String>(0)).optional()?;
            Ok((loops(db, range)?, layers, slow_threshold(db, range)?, lost_before(db, range)?))
        };
        let read = self.raw.ask(read).await;
        let (loops, layers, slow_threshold, lost_before) =
            read.map_err(StoreError::sqlite("read how a process was"))?;
        (facts.loops, facts.lost_before) = (loops, lost_before);
        if let Some(layers) = layers {
            facts.coverage = processes::coverage(&layers);
        }
        facts.slow_threshold = slow_threshold.unwrap_or(facts.slow_threshold);
        let touched = Some((UnixNanos(range.from), UnixNanos(range.to)));
        let losses = self.losses_between(range.process, touched).await?;
        facts.losses = losses.into_iter().map(|loss| lost(loss, range)).collect();
        // Those of one instant are in no order of their own.
        facts.losses.sort_by_key(|it| {
            let kind = it.kind.map(|kind| kind as u8);
            (std::cmp::Reverse(it.to), it.from, kind, it.cause as u8, it.count)
        });
        Ok(())
    }
}

fn loops(db: &Connection, range: Range) -> rusqlite::Result<Vec<Loop>> {
    let mut statement = db.prepare(LOOPS)?;
    let key = (range.process.0, range.to, MAX_LOOPS as i64, MAX_LOOKED);
    let known = |at: Option<i64>| at.filter(|&at| at <= range.to).map(UnixNanos);
    let found = statement.query_map(key, |row| {
        Ok(Loop {
            id: LoopId(row.get::<_, i64>(0)? as u64),
            name: row.get(1)?,
            flavor: row.get(2)?,
            workers: row.get::<_, i64>(3)? as u32,
            threads: Vec::new(),
            opened_at: known(row.get(4)?),
            closed_at: known(row.get(5)?),
            active: None,
        })
    })?;
    let loops: BTreeMap<_, _> =
        found.map(|it| it.map(|it| ((it.opened_at, it.id), it))).collect::<Result<_, _>>()?;
    let mut loops: Vec<Loop> = loops.into_values().collect();
    let mut threads = db.prepare(THREADS)?;
    for it in &mut loops {
        let key = (range.process.0, it.id.0 as i64, range.to, MAX_THREADS);
        let found = threads.query_map(key, |row| Ok(row.get::<_, i64>(0)? as u64))?;
        it.threads = found.collect::<Result<_, _>>()?;
    }
    for place in 0..loops.len() {
        let others = loops.iter().enumerate().filter(|(other, _)| *other != place);
        let shares = |thread: &u64| others.clone().any(|(_, it)| it.threads.contains(thread));
        // Of a loop that has its threads to itself nobody asks.
        if loops[place].threads.iter().any(shares) {
            loops[place].active = active(db, range, loops[place].id)?;
        }
    }
    Ok(loops)
}

/// When the first poll on a loop began, and when the last did, of those that had ended.
fn active(
    db: &Connection,
    range: Range,
    loop_id: LoopId,
) -> rusqlite::Result<Option<(UnixNanos, UnixNanos)>> {
    let columns = Wants { times: true, ..Wants::default() };
    let (mut first, mut last) = (None, None);
    for (order, of_segment) in [("ASC", false), ("DESC", true)] {
        let mut statement = db.prepare(&segments_sql(order))?;
        let key = (range.process.0, range.to, loop_id.0 as i64, MAX_SEGMENTS);
        let mut rows = statement.query(key)?;
        while let Some(row) = rows.next()? {
            let place = Place { id: row.get(0)?, origin: row.get(1)? };
            let wanted = Wanted { start_to: range.to, columns, ..Wanted::default() };
            let found = segments::read(db, place, &wanted)?;
            let starts = found.start.iter().zip(&found.length);
            let ended = starts.filter(|(start, length)| **start + **length <= range.to);
            let starts = ended.map(|(&start, _)| UnixNanos(start));
            let instant = if of_segment { starts.max() } else { starts.min() };
            if instant.is_some() {
                if of_segment {
                    last = instant
                } else {
                    first = instant
                }
                break;
            }
        }
    }
    Ok(first.zip(last))
}

/// So many segments of polls are looked through for those of one loop.
const MAX_SEGMENTS: i64 = 2_000 / SCALE as i64;

/// Segments of polls of the loop `?3` that began by `?2`, of the first or the last of all.
fn segments_sql(order: &str) -> String {
    format!(
        "SELECT s.id, p.origin FROM (SELECT id, loop, end_at
            FROM segment INDEXED BY segment_by_time WHERE process = ?1 AND kind = 1
                AND start_at <= ?2 ORDER BY end_at {order} LIMIT ?4) s
         JOIN process p ON p.id = ?1 WHERE s.loop = ?3 ORDER BY s.end_at {order}"
    )
}

/// What the agent said last of what is slow.
fn slow_threshold(db: &Connection, range: Range) -> rusqlite::Result<Option<u64>> {
    let mut statement = db.prepare(SETTINGS)?;
    let mut rows = statement.query((range.process.0, range.to))?;
    while let Some(row) = rows.next()? {
        let said = from_json(row.get_ref(0)?.as_str().unwrap_or_default()).slow_threshold;
        if said.is_some() {
            return Ok(said);
        }
    }
    Ok(None)
}

fn lost_before(
    db: &Connection,
    range: Range,
) -> rusqlite::Result<Vec<(Option<RecordKind>, UnixNanos)>> {
    let mut statement = db.prepare(LOST_BEFORE)?;
    let key = (range.process.0, range.from, MAX_LOSSES);
    let rows = statement.query_map(key, |row| {
        let kind = row.get::<_, Option<u8>>(0)?.and_then(RecordKind::from_number);
        Ok((kind, UnixNanos(row.get(1)?)))
    })?;
    rows.collect()
}

/// What was lost up to the end of the range and beyond is told up to there.
fn lost(loss: LossRow, range: Range) -> Lost {
    let LossRow { kind, cause, count, from_at, to_at } = loss;
    Lost { kind, cause, count, from: from_at, to: UnixNanos(to_at.0.min(range.to)) }
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 3] = [COVERAGE, SETTINGS, LOST_BEFORE];
