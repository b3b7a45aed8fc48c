//! The polls and wakes of one task, and the polls of all tasks like it: searched in raw segments,
//! latest first, until a budget is spent.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use loopd_analysis::histogram::Histogram;
use loopd_model::{LoopId, RecordKind, Span, TaskId, UnixNanos, WorkerId, segment};
use sqlx::Row;

use super::{Answer, Db, Reader, amount};
use crate::{LaneId, LocationStats, PollRow, ProcessKey, StoreError, TaskPolls, WakeRow, instant};

/// So many spans are unpacked for one question: a tenth of a second.
const SEARCH_BUDGET: usize = 4_000_000;
/// So many for what a whole spawn location has in common.
const LOCATION_BUDGET: usize = 1_000_000;
/// So many of its tasks, the latest, speak for a location.
const MAX_LOCATION_TASKS: i64 = 50_000;

const SEGMENTS: &str = "SELECT s.loop, s.worker, p.origin, s.data
    FROM segment s JOIN process p ON p.id = s.process
    WHERE s.process = ?1 AND s.kind = ?2 AND s.end_at >= ?3 AND s.start_at <= ?4
      AND (?5 IS NULL OR ?5 BETWEEN s.min_task AND s.max_task)
    ORDER BY s.end_at DESC";

/// What to search for.
#[derive(Clone, Copy, Debug)]
struct Search {
    process: i64,
    kind: RecordKind,
    from: i64,
    to: i64,
    task: Option<i64>,
    budget: usize,
}

/// Gives every span of the segments that a search finds to `each`, in wall time; says whether it
/// got through all.
async fn search(
    db: &mut Db,
    search: Search,
    mut each: impl FnMut(LaneId, i64, &Span),
) -> Answer<bool> {
    let mut segments = sqlx::query(SEGMENTS)
        .bind(search.process)
        .bind(search.kind as i64)
        .bind(search.from)
        .bind(search.to)
        .bind(search.task)
        .fetch(&mut **db);
    let mut unpacked = 0;
    while let Some(row) = segments.try_next().await? {
        if unpacked >= search.budget {
            return Ok(false);
        }
        let loop_id = LoopId(row.try_get::<i64, _>(0)? as u64);
        let lane = LaneId { loop_id, worker: WorkerId(row.try_get::<i64, _>(1)? as u32) };
        let origin = row.try_get(2)?;
        let spans = segment::decode(row.try_get(3)?).map(|(_, spans)| spans).unwrap_or_default();
        unpacked += spans.len();
        spans.iter().for_each(|span| each(lane, instant::wall(origin, span.start), span));
    }
    Ok(true)
}

impl Reader {
    /// The polls of a task: the `last` latest, the `slowest` longest, and all of them by length.
    pub async fn task_polls(
        &self,
        process: ProcessKey,
        task: TaskId,
        last: usize,
        slowest: usize,
    ) -> Result<TaskPolls, StoreError> {
        let read = async |db: &mut Db| {
            let Some((polls, Some(from), Some(to))) = life(db, process, task).await? else {
                return Ok(TaskPolls { is_complete: true, ..TaskPolls::default() });
            };
            let mut found = TaskPolls::default();
            let mut latest = Best::new(last, |poll: &PollRow| poll.start_at.0 as u64);
            let mut longest = Best::new(slowest, |poll: &PollRow| poll.length);
            let wanted = Search {
                process: process.0,
                kind: RecordKind::Poll,
                from,
                to,
                task: Some(task.0 as i64),
                budget: SEARCH_BUDGET,
            };
            let is_through = search(db, wanted, |lane, start, span| {
                if span.task == task {
                    let length = instant::length(span.length) as u64;
                    let poll = PollRow { lane, start_at: UnixNanos(start), length };
                    found.histogram.add(length);
                    latest.add(poll);
                    longest.add(poll);
                }
            });
            let is_through = is_through.await?;
            found.is_complete = is_through && found.histogram.count() == polls;
            (found.last, found.slowest) = (latest.finish(), longest.finish());
            Ok(found)
        };
        self.ask("read the polls of a task", read).await
    }

    /// The latest wakes of a task, latest first.
    pub async fn task_wakes(
        &self,
        process: ProcessKey,
        task: TaskId,
        limit: usize,
    ) -> Result<Vec<WakeRow>, StoreError> {
        let read = async |db: &mut Db| {
            let mut latest = Best::new(limit, |wake: &WakeRow| wake.woken_at.0 as u64);
            let Some((_, _, to)) = life(db, process, task).await? else { return Ok(Vec::new()) };
            let wanted = Search {
                process: process.0,
                kind: RecordKind::Wake,
                from: 0,
                to: to.unwrap_or(i64::MAX),
                task: Some(task.0 as i64),
                budget: SEARCH_BUDGET,
            };
            let each = |_, start, span: &Span| {
                if span.task == task {
                    let (woken_at, delay) = (UnixNanos(start), instant::length(span.length) as u64);
                    latest.add(WakeRow { woken_at, delay, by: span.by, count: span.count });
                }
            };
            search(db, wanted, each).await?;
            Ok(latest.finish())
        };
        self.ask("read the wakes of a task", read).await
    }

    /// What the tasks spawned at the same place as this one have in common.
    pub async fn location_stats(
        &self,
        process: ProcessKey,
        task: TaskId,
    ) -> Result<LocationStats, StoreError> {
        let read = async |db: &mut Db| {
            let sql = "SELECT count(*), CAST(total(polls) AS INTEGER),
                    CAST(total(busy_time) AS INTEGER) FROM task
                WHERE process = ?1 AND spawn_location =
                    (SELECT spawn_location FROM task WHERE process = ?1 AND task = ?2)";
            let query = sqlx::query(sql).bind(process.0).bind(task.0 as i64);
            let row = query.fetch_one(&mut **db).await?;
            Ok(LocationStats {
                tasks: amount(&row, 0)?,
                polls: amount(&row, 1)?,
                busy_time: amount(&row, 2)?,
                histogram: location_histogram(db, process, task).await?,
            })
        };
        self.ask("read what tasks have in common", read).await
    }
}

/// How often a task was polled, and from when to when.
async fn life(
    db: &mut Db,
    process: ProcessKey,
    task: TaskId,
) -> Answer<Option<(u64, Option<i64>, Option<i64>)>> {
    let sql = "SELECT polls, first_poll_at, last_poll_at FROM task WHERE process = ? AND task = ?";
    let query = sqlx::query(sql).bind(process.0).bind(task.0 as i64);
    let Some(row) = query.fetch_optional(&mut **db).await? else { return Ok(None) };
    Ok(Some((amount(&row, 0)?, row.try_get(1)?, row.try_get(2)?)))
}

async fn location_histogram(
    db: &mut Db,
    process: ProcessKey,
    task: TaskId,
) -> Answer<Option<Histogram>> {
    let sql = "SELECT task FROM task WHERE process = ?1 AND spawned_at IS NOT NULL
          AND spawn_location = (SELECT spawn_location FROM task WHERE process = ?1 AND task = ?2)
        ORDER BY spawned_at DESC LIMIT ?3";
    let tasks: Vec<i64> = sqlx::query_scalar(sql)
        .bind(process.0)
        .bind(task.0 as i64)
        .bind(MAX_LOCATION_TASKS)
        .fetch_all(&mut **db)
        .await?;
    let tasks: HashSet<u64> = tasks.into_iter().map(|task| task as u64).collect();
    let mut histogram = Histogram::default();
    let wanted = Search {
        process: process.0,
        kind: RecordKind::Poll,
        from: 0,
        to: i64::MAX,
        task: None,
        budget: LOCATION_BUDGET,
    };
    let each = |_, _, span: &Span| {
        if tasks.contains(&span.task.0) {
            histogram.add(instant::length(span.length) as u64);
        }
    };
    if !tasks.is_empty() {
        search(db, wanted, each).await?;
    }
    Ok((histogram.count() > 0).then_some(histogram))
}

/// The few rows with the largest keys of many.
struct Best<T> {
    rows: Vec<T>,
    limit: usize,
    key: fn(&T) -> u64,
}

impl<T> Best<T> {
    fn new(limit: usize, key: fn(&T) -> u64) -> Self {
        Self { rows: Vec::new(), limit, key }
    }

    fn add(&mut self, row: T) {
        self.rows.push(row);
        // Sorting seldom, and few, keeps this linear.
        if self.rows.len() >= 4 * self.limit.max(256) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let key = self.key;
        self.rows.sort_by_key(|row| std::cmp::Reverse(key(row)));
        self.rows.truncate(self.limit);
    }

    fn finish(mut self) -> Vec<T> {
        self.cut();
        self.rows
    }
}
