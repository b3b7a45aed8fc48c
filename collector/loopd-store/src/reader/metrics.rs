//! Readings over time, and the latest of each: searched for one by one, so that only those are read that
//! are shown.

use loopd_model::{LoopId, UnixNanos, WorkerId};
use rusqlite::{Connection, OptionalExtension, Statement};

use super::Reader;
use super::bounds::SCALE;
use crate::{MetricRow, MetricSeries, ProcessKey, StoreError};

/// A series is cut into at most so many steps.
const MAX_POINTS: usize = 10_000;
/// So many readings are given at most, of as many series as that allows.
const MAX_READINGS: usize = 200_000 / SCALE as usize;
/// Of one metric so many series are looked at; a process has few workers.
const MAX_SERIES: usize = 1_000;
/// A series without a reading for longer than this before its metric's latest has ended.
const STALE: i64 = 10_000_000_000;

/// The series of one metric, in order of loop and worker, after one of them: two searches, since SQLite
/// would go through all readings of the loop for one.
const NEXT_SERIES: &str = "SELECT * FROM (SELECT loop, worker FROM metric INDEXED BY metric_by_lane
        WHERE process = ?1 AND name = ?2 AND loop = ?3 AND worker > ?4 ORDER BY worker LIMIT 1)
    UNION ALL SELECT * FROM (SELECT loop, worker FROM metric INDEXED BY metric_by_lane
        WHERE process = ?1 AND name = ?2 AND loop > ?3 ORDER BY loop, worker LIMIT 1)
    LIMIT 1";

/// The latest reading of a series before an instant.
pub(super) const LAST: &str = "SELECT at, value FROM metric INDEXED BY metric_by_lane
    WHERE process = ?1 AND name = ?2 AND loop = ?3 AND worker = ?4 AND at < ?5
    ORDER BY at DESC LIMIT 1";

/// Loop and worker.
pub(super) type Lane = (i64, i64);

impl Reader {
    /// One metric in `points` even steps from `from` to `to`.
    pub async fn metrics(
        &self,
        process: ProcessKey,
        name: &str,
        from: UnixNanos,
        to: UnixNanos,
        points: usize,
    ) -> Result<Vec<MetricSeries>, StoreError> {
        let (name, steps) = (name.to_owned(), Steps::new(from.0, to.0, points));
        let read = move |db: &Connection| read(db, process.0, &name, steps);
        self.raw.ask(read).await.map_err(StoreError::sqlite("read a metric"))
    }

    /// The latest reading of every metric of a process.
    pub async fn latest_metrics(&self, process: ProcessKey) -> Result<Vec<MetricRow>, StoreError> {
        let read = move |db: &Connection| latest(db, process.0);
        self.raw.ask(read).await.map_err(StoreError::sqlite("read the latest metrics"))
    }
}

/// A range cut into even steps.
#[derive(Clone, Copy)]
pub(super) struct Steps {
    from: i64,
    to: i64,
    points: usize,
}

impl Steps {
    pub(super) fn new(from: i64, to: i64, points: usize) -> Self {
        Self { from, to, points: points.clamp(1, MAX_POINTS) }
    }

    fn length(self) -> u128 {
        u128::from(self.to.abs_diff(self.from).max(1))
    }

    /// The step of an instant in the range.
    pub(super) fn of(self, at: i64) -> usize {
        let after = u128::from(at.abs_diff(self.from));
        ((after * self.points as u128 / self.length()) as usize).min(self.points - 1)
    }

    /// The first instant of a step.
    pub(super) fn start(self, step: usize) -> i64 {
        let after = (step as u128 * self.length()).div_ceil(self.points as u128);
        self.from.saturating_add_unsigned(u64::try_from(after).unwrap_or(u64::MAX))
    }
}

/// The series of the metric of this name.
pub(super) fn read(
    db: &Connection,
    process: i64,
    name: &str,
    steps: Steps,
) -> rusqlite::Result<Vec<MetricSeries>> {
    let sql = "SELECT id FROM metric_name WHERE name = ?";
    let known = db.query_row(sql, [name], |row| row.get(0)).optional()?;
    let Some(name) = known else { return Ok(Vec::new()) };
    series(db, process, name, steps)
}

fn series(
    db: &Connection,
    process: i64,
    name: i64,
    steps: Steps,
) -> rusqlite::Result<Vec<MetricSeries>> {
    let mut found = Vec::new();
    let mut last = db.prepare(LAST)?;
    for (loop_id, worker) in lanes(db, process, name, MAX_READINGS / steps.points)? {
        let mut values = vec![None; steps.points];
        let mut before = steps.to;
        // From the end to the beginning, past all readings of a step but its last.
        while let Some((at, value)) =
            read_last(&mut last, (process, name, loop_id, worker, before))?
        {
            if at < steps.from {
                break;
            }
            let step = steps.of(at);
            values[step] = Some(value);
            before = steps.start(step);
        }
        if values.iter().any(Option::is_some) {
            found.push(MetricSeries {
                loop_id: LoopId(loop_id as u64),
                worker: some(worker),
                values,
            });
        }
    }
    Ok(found)
}

fn latest(db: &Connection, process: i64) -> rusqlite::Result<Vec<MetricRow>> {
    const NAMES: &str =
        "SELECT n.name, n.id, (SELECT max(at) FROM metric INDEXED BY metric_by_series
            WHERE process = ?1 AND name = n.id) AS at
        FROM metric_name n WHERE at IS NOT NULL";
    let mut rows = Vec::new();
    let (mut names, mut last) = (db.prepare(NAMES)?, db.prepare(LAST)?);
    let names = names.query_map([process], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for name in names {
        let (name, id, newest): (String, i64, i64) = name?;
        for (loop_id, worker) in lanes(db, process, id, MAX_SERIES)? {
            let reading = read_last(&mut last, (process, id, loop_id, worker, i64::MAX))?;
            let Some((at, value)) = reading.filter(|&(at, _)| at >= newest - STALE) else {
                continue;
            };
            rows.push(MetricRow {
                name: name.clone(),
                loop_id: LoopId(loop_id as u64),
                worker: some(worker),
                at: UnixNanos(at),
                value,
            });
        }
    }
    Ok(rows)
}

/// The first series of a metric: one search for each, whatever readings they have.
pub(super) fn lanes(
    db: &Connection,
    process: i64,
    name: i64,
    max: usize,
) -> rusqlite::Result<Vec<Lane>> {
    let mut next = db.prepare(NEXT_SERIES)?;
    let mut lanes = Vec::new();
    let mut after: Lane = (i64::MIN, i64::MIN);
    while lanes.len() < max.clamp(1, MAX_SERIES) {
        let key = (process, name, after.0, after.1);
        let found = next.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some(lane) = found else { break };
        lanes.push(lane);
        after = lane;
    }
    Ok(lanes)
}

pub(super) fn read_last(
    last: &mut Statement<'_>,
    key: (i64, i64, i64, i64, i64),
) -> rusqlite::Result<Option<(i64, f64)>> {
    last.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// The worker, if the series belongs to one.
pub(super) fn some(worker: i64) -> Option<WorkerId> {
    u32::try_from(worker).ok().map(WorkerId)
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 2] = [NEXT_SERIES, LAST];
