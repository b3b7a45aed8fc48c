//! The polls and wakes of one task: searched in raw segments, latest first, until a budget is spent;
//! and what all tasks like it did, from roll-ups.

use loopd_analysis::histogram::Histogram;
use loopd_model::{LoopId, RecordKind, TaskId, UnixNanos, WorkerId};
use rusqlite::Connection;
use sqlx::Row;

use super::{Answer, Db, Reader, amount, rollups};
use crate::segments::{self, Found, Place, Wanted, Wants};
use crate::{
    LaneId, LocationStats, PollRow, ProcessKey, RollupStep, StoreError, TaskPolls, WakeRow,
};

/// So many spans are unpacked for one question: about a tenth of a second.
pub(super) const SEARCH_BUDGET: usize = 8_000_000;
/// So many segments are looked into: likewise.
pub(super) const MAX_SEGMENTS: usize = 5_000;
/// What tasks of one place have in common is looked for so long before the last that is known.
const STATS_RANGE: i64 = 3_600_000_000_000;

pub(super) const SEGMENTS: &str = "SELECT s.id, p.origin, s.loop, s.worker, s.end_at
    FROM process p CROSS JOIN segment s INDEXED BY segment_by_time ON s.process = p.id
    WHERE p.id = ?1 AND s.kind = ?2 AND s.end_at >= ?3 AND s.start_at <= ?4
      AND ?5 BETWEEN s.min_task AND s.max_task
    ORDER BY s.end_at DESC";

/// What to search for.
#[derive(Clone, Copy, Debug)]
struct Search {
    process: i64,
    kind: RecordKind,
    from: i64,
    to: i64,
    task: TaskId,
}

/// Gives what each segment holds of a task to `each`; says whether it got through all.
fn search(
    db: &Connection,
    search: Search,
    mut each: impl FnMut(LaneId, &Found),
) -> rusqlite::Result<bool> {
    let mut statement = db.prepare(SEGMENTS)?;
    let task = search.task.0 as i64;
    let key = (search.process, search.kind as i64, search.from, search.to, task);
    let mut segments = statement.query(key)?;
    let is_wake = search.kind == RecordKind::Wake;
    let columns = Wants { times: true, task: false, by: is_wake, count: is_wake };
    let wanted = Wanted { task: Some(search.task.0), columns, ..Wanted::default() };
    let (mut unpacked, mut looked_into) = (0, 0);
    while let Some(row) = segments.next()? {
        if unpacked >= SEARCH_BUDGET || looked_into >= MAX_SEGMENTS {
            return Ok(false);
        }
        let place = Place { id: row.get(0)?, origin: row.get(1)? };
        let loop_id = LoopId(row.get::<_, i64>(2)? as u64);
        let lane = LaneId { loop_id, worker: WorkerId(row.get::<_, i64>(3)? as u32) };
        let found = segments::read(db, place, &wanted)?;
        unpacked += found.unpacked;
        looked_into += 1;
        each(lane, &found);
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
        let life =
            self.ask("read a task", async |db: &mut Db| life(db, process, task).await).await?;
        let Some((polls, Some(from), Some(to))) = life else {
            return Ok(TaskPolls { is_complete: true, ..TaskPolls::default() });
        };
        let wanted = Search { process: process.0, kind: RecordKind::Poll, from, to, task };
        let read = move |db: &Connection| {
            let mut histogram = Histogram::default();
            let mut latest = Best::new(last, |poll: &PollRow| poll.start_at.0 as u64);
            let mut longest = Best::new(slowest, |poll: &PollRow| poll.length);
            let is_through = search(db, wanted, |lane, found| {
                for (&start, &length) in found.start.iter().zip(&found.length) {
                    let length = length as u64;
                    let poll = PollRow { lane, start_at: UnixNanos(start), length };
                    histogram.add(length);
                    latest.add(poll);
                    longest.add(poll);
                }
            })?;
            let is_complete = is_through && histogram.count() == polls;
            let (last, slowest) = (latest.finish(), longest.finish());
            Ok(TaskPolls { last, slowest, histogram, is_complete })
        };
        self.raw.ask(read).await.map_err(StoreError::sqlite("read the polls of a task"))
    }

    /// The latest wakes of a task, latest first.
    pub async fn task_wakes(
        &self,
        process: ProcessKey,
        task: TaskId,
        limit: usize,
    ) -> Result<Vec<WakeRow>, StoreError> {
        let life =
            self.ask("read a task", async |db: &mut Db| life(db, process, task).await).await?;
        let Some((_, _, to)) = life else { return Ok(Vec::new()) };
        let to = to.unwrap_or(i64::MAX);
        let wanted = Search { process: process.0, kind: RecordKind::Wake, from: 0, to, task };
        let read = move |db: &Connection| {
            let mut latest = Best::new(limit, |wake: &WakeRow| wake.woken_at.0 as u64);
            search(db, wanted, |_, found| {
                for (at, (&start, &delay)) in found.start.iter().zip(&found.length).enumerate() {
                    let (by, count) = (TaskId(found.by[at]), found.count[at] as u64);
                    let woken_at = UnixNanos(start);
                    latest.add(WakeRow { woken_at, delay: delay as u64, by, count });
                }
            })?;
            Ok(latest.finish())
        };
        self.raw.ask(read).await.map_err(StoreError::sqlite("read the wakes of a task"))
    }

    /// What the tasks spawned at the same place as this one have in common.
    pub async fn location_stats(
        &self,
        process: ProcessKey,
        task: TaskId,
    ) -> Result<LocationStats, StoreError> {
        let sql = "SELECT t.spawn_location, p.last_at FROM any_task t
            JOIN process p ON p.id = t.process WHERE t.process = ? AND t.task = ?";
        let place = async |db: &mut Db| {
            let query = sqlx::query_as(sql).bind(process.0).bind(task.0 as i64);
            query.fetch_optional(&mut **db).await
        };
        let place: Option<(Option<i64>, i64)> =
            self.ask("read where a task is from", place).await?;
        let Some((Some(location), last_at)) = place else { return Ok(LocationStats::default()) };
        let range = (last_at.saturating_sub(STATS_RANGE), last_at.saturating_add(1));
        let minute = RollupStep::Minute as usize;
        let read =
            move |db: &Connection| rollups::read(db, process.0, range, minute, Some(location));
        let steps = self.raw.ask(read).await;
        let steps = steps.map_err(StoreError::sqlite("read what tasks have in common"))?;
        let mut stats = LocationStats::default();
        let mut histogram = Histogram::default();
        for cell in steps.values().flat_map(|cells| cells.values()) {
            stats.tasks = stats.tasks.saturating_add(cell.spawned);
            stats.busy_time = stats.busy_time.saturating_add(cell.busy_time);
            histogram.merge(&cell.polls);
        }
        stats.polls = histogram.count();
        stats.histogram = (stats.polls > 0).then_some(histogram);
        Ok(stats)
    }
}

/// How often a task was polled, and from when to when.
async fn life(
    db: &mut Db,
    process: ProcessKey,
    task: TaskId,
) -> Answer<Option<(u64, Option<i64>, Option<i64>)>> {
    let sql = "SELECT polls, first_poll_at, last_poll_at FROM any_task
        WHERE process = ? AND task = ?";
    let query = sqlx::query(sql).bind(process.0).bind(task.0 as i64);
    let Some(row) = query.fetch_optional(&mut **db).await? else { return Ok(None) };
    Ok(Some((amount(&row, 0)?, row.try_get(1)?, row.try_get(2)?)))
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
