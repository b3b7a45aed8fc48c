//! What ran on some workers between two instants, added up from single polls: exact, and so only for as
//! many polls as can be looked at while somebody waits.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use loopd_model::{LoopId, RecordKind, TaskId, UnixNanos, WorkerId};
use rusqlite::{Connection, OptionalExtension};

use super::Reader;
use super::kept::{polls_gone_until, task_polls_gone_until};
use super::spans::add_places;
use super::task_stretch::{MAX_SEGMENTS, SEARCH_BUDGET, SEGMENTS};
use crate::segments::{self, Found, Place, Wanted, Wants};
use crate::{
    LaneId, LaneSpans, Region, RegionAnswer, RegionLane, RegionOrder, RegionPoll, RegionQuery,
    SpanRow, Spans, StoreError,
};

/// Among so many times the rows that are wanted the best are chosen anew.
const CHOOSE_EVERY: usize = 4;

/// Polls that began and of which nobody has seen the end.
const UNFINISHED: &str = "SELECT loop, worker FROM slow_poll INDEXED BY slow_poll_unfinished
    WHERE process = ?1 AND length IS NULL AND last_at > ?2 AND start_at < ?3
        AND (?4 = 0 OR task = ?4)";

impl Reader {
    /// Adds up the polls that overlap a range; those without an end are only counted.
    pub async fn region(&self, query: RegionQuery) -> Result<RegionAnswer, StoreError> {
        let question = move |db: &Connection| {
            let mut answer = read(db, &query)?;
            if let RegionAnswer::Exact(region)
            | RegionAnswer::Damaged(region)
            | RegionAnswer::Gone(region) = &mut answer
            {
                place_rows(db, query.process.0, &mut region.rows)?;
            }
            Ok(answer)
        };
        self.raw.ask(question).await.map_err(StoreError::sqlite("read a region"))
    }

    /// Gives polls the order that is asked for, and says where their tasks were spawned.
    pub async fn order_polls(
        &self,
        query: &RegionQuery,
        polls: &mut Vec<RegionPoll>,
    ) -> Result<(), StoreError> {
        polls.sort_unstable_by(|a, b| compare(query.order, query.is_descending, a, b));
        polls.truncate(query.rows);
        let (process, mut placed) = (query.process.0, std::mem::take(polls));
        let place = move |db: &Connection| {
            place_rows(db, process, &mut placed)?;
            Ok(placed)
        };
        let placed = self.raw.ask(place).await;
        *polls = placed.map_err(StoreError::sqlite("read the places of polls"))?;
        Ok(())
    }
}

fn read(db: &Connection, query: &RegionQuery) -> rusqlite::Result<RegionAnswer> {
    let sql = "SELECT slow_threshold FROM process WHERE id = ?";
    let slow: Option<i64> = db.query_row(sql, [query.process.0], |row| row.get(0)).optional()?;
    let mut sum = Sum::new(query, slow.unwrap_or(i64::MAX));
    let wanted = Wanted {
        start_to: query.to.0.saturating_sub(1),
        end_from: query.from.0,
        task: query.task.map(|task| task.0),
        columns: Wants { times: true, task: true, ..Wants::default() },
        ..Wanted::default()
    };
    let mut statement = db.prepare(SEGMENTS)?;
    let kind = RecordKind::Poll as i64;
    let task = query.task.map_or(0, |task| task.0) as i64;
    let mut rows = statement.query((query.process.0, kind, query.from.0, query.to.0, task))?;
    let (mut unpacked, mut looked_into, mut is_damaged) = (0, 0, false);
    while let Some(row) = rows.next()? {
        let lane = lane(row.get(2)?, row.get(3)?);
        if !query.has(lane) {
            continue;
        }
        // Of all tasks every poll that is unpacked is wanted.
        let is_spent = unpacked >= SEARCH_BUDGET || looked_into >= MAX_SEGMENTS;
        if query.task.is_some() && is_spent {
            return Ok(RegionAnswer::TooMany);
        }
        let place = Place { id: row.get(0)?, origin: row.get(1)? };
        let found = segments::read(db, place, &wanted)?;
        unpacked += found.unpacked;
        looked_into += 1;
        is_damaged |= found.is_damaged;
        sum.add(lane, &found);
        if sum.lengths.len() > query.limit {
            return Ok(RegionAnswer::TooMany);
        }
    }
    let mut statement = db.prepare(UNFINISHED)?;
    let lanes = statement
        .query_map((query.process.0, query.from.0, query.to.0, task), |row| {
            Ok(lane(row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let unfinished = lanes.into_iter().filter(|lane| query.has(*lane)).count() as u64;
    let region = sum.finish(unfinished);
    if is_gone(db, query)? {
        return Ok(RegionAnswer::Gone(region));
    }
    Ok(if is_damaged { RegionAnswer::Damaged(region) } else { RegionAnswer::Exact(region) })
}

/// Whether polls of the range may be gone.
fn is_gone(db: &Connection, query: &RegionQuery) -> rusqlite::Result<bool> {
    let (process, range) = (query.process.0, (query.from.0, query.to.0));
    let until = match query.task {
        Some(task) => task_polls_gone_until(db, process, task, range)?,
        None => polls_gone_until(db, process, range.0)?,
    };
    Ok(until.is_some())
}

fn lane(loop_id: i64, worker: i64) -> LaneId {
    LaneId { loop_id: LoopId(loop_id as u64), worker: WorkerId(worker as u32) }
}

/// What was seen so far.
struct Sum<'q> {
    query: &'q RegionQuery,
    slow: i64,
    lanes: BTreeMap<LaneId, RegionLane>,
    lengths: Vec<u64>,
    tasks: Vec<u64>,
    first_start_at: i64,
    matching: u64,
    rows: Vec<RegionPoll>,
}

impl<'q> Sum<'q> {
    fn new(query: &'q RegionQuery, slow: i64) -> Self {
        Self {
            query,
            slow,
            lanes: BTreeMap::new(),
            lengths: Vec::new(),
            tasks: Vec::new(),
            first_start_at: i64::MAX,
            matching: 0,
            rows: Vec::new(),
        }
    }

    fn add(&mut self, lane: LaneId, found: &Found) {
        let (from, to) = (self.query.from.0, self.query.to.0);
        let empty = RegionLane { lane, ..RegionLane::default() };
        let of_lane = self.lanes.entry(lane).or_insert(empty);
        for at in 0..found.len {
            let (start, length, task) = (found.start[at], found.length[at], found.task[at]);
            let end = start.saturating_add(length);
            // What ended as the range began was over by then.
            if start >= to || (end <= from && start < from) {
                continue;
            }
            let time = length as u64;
            of_lane.polls += 1;
            of_lane.time = of_lane.time.saturating_add(time);
            let inside = end.min(to).saturating_sub(start.max(from)).max(0) as u64;
            of_lane.busy_time = of_lane.busy_time.saturating_add(inside);
            of_lane.max = of_lane.max.max(time);
            of_lane.slow += u64::from(length >= self.slow);
            self.lengths.push(time);
            self.tasks.push(task);
            self.first_start_at = self.first_start_at.min(start);
            if (self.query.min_length..self.query.max_length).contains(&time) {
                self.matching += 1;
                self.rows.push(RegionPoll {
                    lane,
                    start_at: UnixNanos(start),
                    length: time,
                    task: TaskId(task),
                    is_slow: length >= self.slow,
                    location: found.location.get(at).map(|&id| id as i64).filter(|id| *id != 0),
                    place: None,
                });
            }
        }
        if self.rows.len() > self.query.rows.max(1).saturating_mul(CHOOSE_EVERY) {
            self.choose();
        }
    }

    /// Keeps the rows that would be given if there were no more.
    fn choose(&mut self) {
        let (order, is_descending) = (self.query.order, self.query.is_descending);
        self.rows.sort_unstable_by(|a, b| compare(order, is_descending, a, b));
        self.rows.truncate(self.query.rows);
    }

    fn finish(mut self, unfinished: u64) -> Region {
        self.choose();
        self.lengths.sort_unstable();
        self.tasks.sort_unstable();
        self.tasks.dedup();
        // Task 0 is none.
        let tasks = self.tasks.iter().filter(|&&task| task != 0).count() as u64;
        Region {
            lanes: self.lanes.into_values().filter(|lane| lane.polls > 0).collect(),
            tasks,
            first_start_at: (!self.lengths.is_empty()).then_some(UnixNanos(self.first_start_at)),
            lengths: self.lengths,
            unfinished,
            matching: self.matching,
            rows: self.rows,
        }
    }
}

/// In which order two polls are given. Those that are equal by what is asked for are by time.
fn compare(order: RegionOrder, is_descending: bool, a: &RegionPoll, b: &RegionPoll) -> Ordering {
    let key = match order {
        RegionOrder::Start => Ordering::Equal,
        RegionOrder::Length => a.length.cmp(&b.length),
        RegionOrder::Lane => a.lane.cmp(&b.lane),
        RegionOrder::Task => a.task.cmp(&b.task),
    };
    let by_time = || a.start_at.cmp(&b.start_at).then(a.lane.cmp(&b.lane));
    let key = if order == RegionOrder::Start { by_time() } else { key };
    (if is_descending { key.reverse() } else { key }).then_with(by_time)
}

/// Says of each poll where its task was spawned.
fn place_rows(db: &Connection, process: i64, rows: &mut [RegionPoll]) -> rusqlite::Result<()> {
    let span = |row: &RegionPoll| SpanRow {
        start_at: row.start_at,
        length: row.length,
        task: row.task,
        location: row.location.unwrap_or(0),
    };
    let lane = LaneSpans { spans: rows.iter().map(span).collect(), ..LaneSpans::default() };
    let mut spans = Spans { lanes: vec![lane], ..Spans::default() };
    add_places(db, process, &mut spans)?;
    let placed = spans.lanes.iter().flat_map(|lane| &lane.spans);
    for (row, span) in rows.iter_mut().zip(placed) {
        row.place = spans.places.get(&span.location).cloned();
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    use crate::ProcessKey;

    const PROCESS: &str =
        "INSERT INTO process (id, uuid, app, app_version, host, pid, labels, agent,
            agent_version, coverage, slow_threshold, origin, durable_seq, state, last_at)
        VALUES (1, x'01', '', '', '', 1, '{}', '', '', '[]', 100, 0, 1, 3, 1000)";

    /// So many segments of tasks 5 to 9 that cannot be read; each ends a nanosecond after the one before.
    pub(in crate::reader) async fn store(segments: usize) -> (tempfile::TempDir, Reader) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("loopd.db");
        let (writer, reader) = crate::open(crate::StoreOptions::new(&path)).await.unwrap();
        writer.close().await.unwrap();
        let db = Connection::open(path).unwrap();
        db.execute(PROCESS, []).unwrap();
        for at in 0..segments as i64 {
            let sql = "INSERT INTO segment (process, kind, loop, worker, start_at, end_at, spans,
                    max_length, min_task, max_task, merged, data)
                VALUES (1, 1, 1, 0, ?1, ?1 + 1, 1, 1, 5, 9, 1, x'00')";
            db.execute(sql, [at]).unwrap();
        }
        (directory, reader)
    }

    fn of(task: Option<u64>) -> RegionQuery {
        RegionQuery {
            process: ProcessKey(1),
            from: UnixNanos(0),
            to: UnixNanos(1_000),
            lanes: None,
            task: task.map(TaskId),
            limit: 10,
            min_length: 0,
            max_length: u64::MAX,
            order: RegionOrder::Start,
            is_descending: false,
            rows: 10,
        }
    }

    #[tokio::test]
    async fn polls_that_cannot_be_read_are_not_taken_for_too_many() {
        let (_directory, reader) = store(3).await;
        for task in [None, Some(7)] {
            let answer = reader.region(of(task)).await.unwrap();
            assert!(matches!(answer, RegionAnswer::Damaged(_)), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn segments_of_other_tasks_are_passed_by_and_those_of_one_are_bounded() {
        let (_directory, reader) = store(MAX_SEGMENTS + 1).await;
        let answer = reader.region(of(Some(10))).await.unwrap();
        assert!(matches!(answer, RegionAnswer::Exact(_)), "{answer:?}");
        let answer = reader.region(of(Some(7))).await.unwrap();
        assert!(matches!(answer, RegionAnswer::TooMany), "{answer:?}");
    }
}
