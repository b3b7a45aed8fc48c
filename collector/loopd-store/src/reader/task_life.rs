//! What one task did, instant by instant: its polls, the wakes that led to them and its waits, the latest
//! of each up to a bound. What came before is not half told: it is cut off, and that is said.

use std::collections::HashMap;

use loopd_model::{LoopId, RecordKind, ResourceId, TaskId, WorkerId};
use rusqlite::{Connection, OptionalExtension};

use super::Reader;
use super::bounds::SCALE;
use super::task_spans::{MAX_SEGMENTS, SEARCH_BUDGET, SEGMENTS};
use super::timeline::IS_RUNNING;
use super::waits::LAST_KNOWN;
use crate::segments::{self, Place, Wanted, Wants};
use crate::{LaneId, LifePoll, LifeWait, ProcessKey, StoreError, TaskLife, UnixNanos};

/// So many polls of a task are told of, and so many wakes: some 60 MB with all that is made of them.
const MAX_SPANS: usize = 1_000_000 / SCALE as usize;
/// So many of its waits: some 20 ms.
const MAX_WAITS: i64 = 20_000 / SCALE as i64;
/// So many before these that have not ended.
const MAX_OPEN_WAITS: i64 = 100;
/// So many losses; earlier ones count as one.
const MAX_LOSSES: i64 = 1_000;

const TASK: &str =
    "SELECT t.spawned_at, t.first_poll_at, t.started_at, t.ended_at, t.polls, p.last_at
    FROM any_task t JOIN process p ON p.id = t.process WHERE t.process = ?1 AND t.task = ?2";

const WAITS: &str = "FROM wait w INDEXED BY wait_by_task
    JOIN process p ON p.id = w.process
    LEFT JOIN task t ON t.process = w.process AND t.task = w.task
    WHERE w.process = ?1 AND w.task = ?2 AND w.began_at <= ?3 ORDER BY w.began_at DESC LIMIT ?4";
const OPEN_WAITS: &str = "FROM wait w INDEXED BY wait_pending_by_task
    JOIN process p ON p.id = w.process
    LEFT JOIN task t ON t.process = w.process AND t.task = w.task
    WHERE w.process = ?1 AND w.task = ?2 AND w.ended_at IS NULL AND w.began_at <= ?3
    ORDER BY w.began_at DESC LIMIT ?4";

/// Polls, wakes, waits, or what may have been any of them.
const LOSSES: &str = "SELECT from_at, to_at FROM loss INDEXED BY loss_by_time
    WHERE process = ?1 AND to_at >= ?2 AND from_at <= ?3 AND (kind IS NULL OR kind IN (1, 3, 9))
    ORDER BY to_at DESC LIMIT ?4";

impl Reader {
    /// Gives what is known of a task's life, or of a range of it, to `then`, on a thread where that may take
    /// its time. `None` if nothing of the task was seen.
    pub async fn task_life<T: Send + 'static>(
        &self,
        process: ProcessKey,
        task: TaskId,
        range: (Option<UnixNanos>, Option<UnixNanos>),
        then: impl FnOnce(&TaskLife) -> T + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let read =
            move |db: &Connection| Ok(read(db, process.0, task, range)?.map(|life| then(&life)));
        self.raw.ask(read).await.map_err(StoreError::sqlite("read the life of a task"))
    }
}

/// What a row says of a task.
struct Row {
    spawned_at: Option<i64>,
    first_poll_at: Option<i64>,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    polls: i64,
    last_at: i64,
}

fn read(
    db: &Connection,
    process: i64,
    task: TaskId,
    range: (Option<UnixNanos>, Option<UnixNanos>),
) -> rusqlite::Result<Option<TaskLife>> {
    let id = task.0 as i64;
    let row = db.query_row(TASK, (process, id), |row| {
        Ok(Row {
            spawned_at: row.get(0)?,
            first_poll_at: row.get(1)?,
            started_at: row.get(2)?,
            ended_at: row.get(3)?,
            polls: row.get(4)?,
            last_at: row.get(5)?,
        })
    });
    let Some(row) = row.optional()? else { return Ok(None) };
    let end = row.ended_at.unwrap_or(row.last_at);
    let begin = row.spawned_at.or(row.first_poll_at).or(row.started_at).unwrap_or(end).min(end);
    let to = range.1.map_or(end, |at| at.0.clamp(begin, end));
    let asked_from = range.0.map_or(begin, |at| at.0.clamp(begin, to));

    let (mut polls, polls_from) = polls(db, process, task, (asked_from, to))?;
    let (mut wakes, wakes_from) = wakes(db, process, task, (asked_from, to))?;
    let (mut waits, waits_from) = waits(db, process, task, (asked_from, to))?;
    let mut from = asked_from.max(polls_from).max(wakes_from).max(waits_from);
    if (polls.len() as i64) < row.polls {
        // Where no polls are kept of anything, their absence says nothing.
        from = from.max(polls_kept_since(db, process)?.unwrap_or(to)).min(to);
    }
    polls.retain(|poll| poll.start_at.0 >= from || end_of(poll) > from);
    wakes.retain(|wake| wake.end() > from);
    waits.retain(|wait| wait.ended_at.0 > from);
    polls.sort_unstable_by_key(|poll| poll.start_at);
    wakes.sort_unstable_by_key(Wake::end);
    join(&mut polls, &wakes);

    let mut also_ran: Vec<(UnixNanos, UnixNanos)> = Vec::new();
    if let Some(started_at) = row.started_at.filter(|_| row.polls == 0) {
        also_ran.push((UnixNanos(started_at), UnixNanos(end)));
    }
    if let Some(start) = poll_in_progress(db, process, id)? {
        also_ran.push((UnixNanos(start), UnixNanos(end)));
    }
    let losses = losses(db, process, (from, to))?;
    Ok(Some(TaskLife {
        begin: UnixNanos(begin),
        end: UnixNanos(end),
        from: UnixNanos(from),
        to: UnixNanos(to),
        is_cut: from > asked_from,
        first_run_at: row.first_poll_at.or(row.started_at).map(UnixNanos),
        is_spawn_known: row.spawned_at.is_some(),
        polls_counted: super::unsigned(row.polls),
        wakes: wakes.iter().map(|wake| (UnixNanos(wake.start), UnixNanos(wake.end()))).collect(),
        polls,
        also_ran,
        waits,
        losses,
    }))
}

fn end_of(poll: &LifePoll) -> i64 {
    poll.start_at.0.saturating_add(i64::try_from(poll.length).unwrap_or(i64::MAX))
}

/// Reads spans of a task, latest segments first. Gives the instant from which on none is missing.
fn spans(
    db: &Connection,
    process: i64,
    kind: RecordKind,
    task: TaskId,
    (from, to): (i64, i64),
    mut each: impl FnMut(LaneId, &segments::Found) -> usize,
) -> rusqlite::Result<i64> {
    let is_wake = kind == RecordKind::Wake;
    let columns = Wants { times: true, task: false, by: is_wake, count: is_wake };
    let wanted =
        Wanted { task: Some(task.0), columns, end_from: from, start_to: to, ..Wanted::default() };
    let mut statement = db.prepare(SEGMENTS)?;
    let mut rows = statement.query((process, kind as i64, from, to, task.0 as i64))?;
    let (mut unpacked, mut looked_into, mut kept) = (0, 0, 0);
    while let Some(row) = rows.next()? {
        if unpacked >= SEARCH_BUDGET || looked_into >= MAX_SEGMENTS || kept >= MAX_SPANS {
            // None that ends later is in this segment, or in those after it.
            return Ok(row.get::<_, i64>(4)?.saturating_add(1));
        }
        let place = Place { id: row.get(0)?, origin: row.get(1)? };
        let loop_id = LoopId(row.get::<_, i64>(2)? as u64);
        let lane = LaneId { loop_id, worker: WorkerId(row.get::<_, i64>(3)? as u32) };
        let found = segments::read(db, place, &wanted)?;
        unpacked += found.unpacked;
        looked_into += 1;
        kept = each(lane, &found);
    }
    Ok(i64::MIN)
}

fn polls(
    db: &Connection,
    process: i64,
    task: TaskId,
    range: (i64, i64),
) -> rusqlite::Result<(Vec<LifePoll>, i64)> {
    let mut polls = Vec::new();
    let from = spans(db, process, RecordKind::Poll, task, range, |lane, found| {
        polls.extend(found.start.iter().zip(&found.length).map(|(&start, &length)| LifePoll {
            lane,
            start_at: UnixNanos(start),
            length: super::unsigned(length),
            wake: None,
        }));
        polls.len()
    })?;
    Ok((polls, from))
}

/// One or more wakes that led to one poll.
#[derive(Clone, Copy, Debug)]
struct Wake {
    start: i64,
    delay: i64,
    by: u64,
    count: i64,
}

impl Wake {
    /// When its poll began.
    const fn end(&self) -> i64 {
        self.start.saturating_add(self.delay)
    }
}

fn wakes(
    db: &Connection,
    process: i64,
    task: TaskId,
    range: (i64, i64),
) -> rusqlite::Result<(Vec<Wake>, i64)> {
    let mut wakes = Vec::new();
    let from = spans(db, process, RecordKind::Wake, task, range, |_, found| {
        wakes.extend((0..found.len).map(|at| Wake {
            start: found.start[at],
            delay: found.length[at].max(0),
            by: found.by[at],
            count: found.count[at],
        }));
        wakes.len()
    })?;
    Ok((wakes, from))
}

/// Gives each poll the wake that led to it. Both are in order.
fn join(polls: &mut [LifePoll], wakes: &[Wake]) {
    let mut wakes = wakes.iter().peekable();
    for poll in polls {
        let start = poll.start_at.0;
        while wakes.next_if(|wake| wake.end() < start).is_some() {}
        poll.wake = wakes.next_if(|wake| wake.end() == start).map(|wake| crate::LifeWake {
            delay: super::unsigned(wake.delay),
            by: TaskId(wake.by),
            count: super::unsigned(wake.count),
        });
    }
}

fn waits(
    db: &Connection,
    process: i64,
    task: TaskId,
    (from, to): (i64, i64),
) -> rusqlite::Result<(Vec<LifeWait>, i64)> {
    let mut names = Names { db, process, resources: HashMap::new(), words: HashMap::new() };
    let mut waits = Vec::new();
    let mut all_from = i64::MIN;
    let mut before = to;
    // The latest; and of those before, what may still last.
    for (index, most) in [(WAITS, MAX_WAITS), (OPEN_WAITS, MAX_OPEN_WAITS)] {
        let sql = format!(
            "SELECT w.began_at, {LAST_KNOWN}, w.resource, w.op, w.ended_at IS NULL {index}"
        );
        let mut statement = db.prepare(&sql)?;
        let mut rows = statement.query((process, task.0 as i64, before, most))?;
        let mut looked_at = 0;
        while let Some(row) = rows.next()? {
            looked_at += 1;
            before = row.get::<_, i64>(0)?.saturating_sub(1);
            let wait = names.wait(row)?;
            if wait.ended_at.0 >= from {
                waits.push(wait);
            }
        }
        if looked_at < most {
            break;
        }
        if all_from == i64::MIN {
            all_from = before;
        }
    }
    Ok((waits, all_from))
}
/// What resources and operations are called, each looked up once.
struct Names<'db> {
    db: &'db Connection,
    process: i64,
    resources: HashMap<i64, (String, String)>,
    words: HashMap<i64, String>,
}

impl Names<'_> {
    fn wait(&mut self, row: &rusqlite::Row<'_>) -> rusqlite::Result<LifeWait> {
        let began_at: i64 = row.get(0)?;
        let ended_at = row.get::<_, i64>(1)?.max(began_at);
        let resource = row.get::<_, Option<i64>>(2)?.filter(|&id| id != 0);
        let (kind, name) = match resource {
            Some(resource) => self.resource(resource)?,
            None => Default::default(),
        };
        Ok(LifeWait {
            began_at: UnixNanos(began_at),
            ended_at: UnixNanos(ended_at),
            resource: resource.map(|id| ResourceId(id as u64)),
            kind,
            name,
            op: self.word(row.get(3)?)?,
            is_open: row.get(4)?,
        })
    }

    fn resource(&mut self, resource: i64) -> rusqlite::Result<(String, String)> {
        if let Some(known) = self.resources.get(&resource) {
            return Ok(known.clone());
        }
        const SQL: &str = "SELECT coalesce(kind, ''), coalesce(name, '') FROM resource
            WHERE process = ? AND resource = ?";
        let mut statement = self.db.prepare(SQL)?;
        let found =
            statement.query_row((self.process, resource), |row| Ok((row.get(0)?, row.get(1)?)));
        let found = found.optional()?.unwrap_or_default();
        self.resources.insert(resource, found.clone());
        Ok(found)
    }

    fn word(&mut self, word: Option<i64>) -> rusqlite::Result<String> {
        let Some(word) = word else { return Ok(String::new()) };
        if let Some(known) = self.words.get(&word) {
            return Ok(known.clone());
        }
        let mut statement = self.db.prepare("SELECT text FROM word WHERE id = ?")?;
        let found = statement.query_row([word], |row| row.get(0)).optional()?;
        let found: String = found.unwrap_or_default();
        self.words.insert(word, found.clone());
        Ok(found)
    }
}

/// Since when polls are kept, of whatever task.
fn polls_kept_since(db: &Connection, process: i64) -> rusqlite::Result<Option<i64>> {
    const SQL: &str = "SELECT start_at FROM segment INDEXED BY segment_by_time
        WHERE process = ? AND kind = 1 ORDER BY end_at LIMIT 1";
    db.query_row(SQL, [process], |row| row.get(0)).optional()
}

/// When the poll began that the task is in now, if it is in a long one.
fn poll_in_progress(db: &Connection, process: i64, task: i64) -> rusqlite::Result<Option<i64>> {
    let sql = format!(
        "SELECT s.start_at FROM slow_poll s INDEXED BY slow_poll_unfinished
         WHERE s.process = ?1 AND s.task = ?2 AND s.is_slow = 1 AND {IS_RUNNING}
         ORDER BY s.start_at DESC LIMIT 1"
    );
    db.query_row(&sql, (process, task), |row| row.get(0)).optional()
}

fn losses(
    db: &Connection,
    process: i64,
    (from, to): (i64, i64),
) -> rusqlite::Result<Vec<(UnixNanos, UnixNanos)>> {
    let mut statement = db.prepare(LOSSES)?;
    let rows = statement.query_map((process, from, to, MAX_LOSSES), |row| {
        Ok((UnixNanos(row.get(0)?), UnixNanos(row.get(1)?)))
    })?;
    let mut losses = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    if losses.len() as i64 == MAX_LOSSES {
        losses.extend(losses.last().map(|&(_, to)| (UnixNanos(from), to)));
    }
    Ok(losses)
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) fn statements() -> [String; 3] {
    let waits = |from: &str| format!("SELECT w.began_at, {LAST_KNOWN} {from}");
    [LOSSES.to_owned(), waits(WAITS), waits(OPEN_WAITS)]
}
