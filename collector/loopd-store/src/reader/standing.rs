//! How everything of a process stands, now or at an instant, for those who follow all of it second by
//! second: in one look, and with those that were given before.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use loopd_model::{Location, LocationId, RecordKind, ResourceId, TaskId, WaitId};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row};

use super::bounds::{MAX_LOOKED, MAX_PAGE, SCALE};
use super::slow::LONGEST;
use super::task_spans::MAX_SEGMENTS;
use super::tasks::{BUSY_TIME, POLLS, UNWAKEABLE_AT, kind};
use super::timeline::IS_RUNNING;
use super::told::fields;
use super::waits::IS_OPEN;
use super::{Answer, Db, Reader, alive, resources, unsigned, waits};
use crate::segments::{self, Place, Wanted, Wants};
use crate::{
    Activity, ProcessKey, ResourceQuery, ResourceRow, ResourceState, StandingQuery, Standings,
    StoreError, TaskActivity, TaskStanding, UnixNanos, WaitQuery, WaitRow,
};

/// So many spans are added up for one question: some 0.2 s.
pub(super) const MAX_SPANS: usize = 8_000_000 / SCALE as usize;

/// So many that ended, the first that were spawned and the last before an instant, are looked at: each
/// some 20 ms.
const MAX_BEFORE: i64 = 20_000 / SCALE as i64;

/// What is read of a task, in the order of [`Look::standing`].
static COLUMNS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT t.task, t.name, t.kind, t.spawn_location, t.parent, t.spawned_at, t.ended_at, {POLLS},
            {BUSY_TIME}, coalesce(t.first_poll_at, t.started_at), t.last_poll_start, t.last_poll_at,
            t.started_at, t.polls, t.wakes, t.self_wakes, t.scheduled_time, t.last_woken_at,
            {UNWAKEABLE_AT}, t.unwakeable_at"
    )
});

/// Callbacks are no tasks, and an end alone says nothing.
const IS_TASK: &str = "t.kind IS NOT 4 AND (t.spawned_at IS NOT NULL OR t.polls > 0
    OR t.started_at IS NOT NULL OR t.name IS NOT NULL OR t.wakes > 0)";

/// What finds tasks. Each but the first has the process, an instant, how many, and the later instant of a
/// range: nothing after that counts.
struct Statements {
    /// Those of a list.
    listed: String,
    /// That are alive now, and were spawned by the later instant.
    alive: String,
    /// That ended between the instants, the last of them.
    ended: String,
    /// Those without a row that ended after the first and were spawned by the second.
    records: String,
    /// That have ended, but were alive at both: of those that ended first and last after it, and of those
    /// that were spawned last and first before it.
    ended_later: [String; 4],
}

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| {
    let columns = COLUMNS.as_str();
    let later = |index: &str, range: &str, order: &str, most: i64| {
        format!(
            "{columns}, t.fields FROM (SELECT process, task FROM
                (SELECT process, task, spawned_at, ended_at FROM task INDEXED BY {index}
                 WHERE process = ?1 AND ended_at IS NOT NULL AND {range}
                 ORDER BY {order} LIMIT {most})
                WHERE ended_at > ?2 AND (spawned_at IS NULL OR spawned_at <= ?4) LIMIT ?3) c
             CROSS JOIN task t ON t.process = c.process AND t.task = c.task WHERE {IS_TASK}"
        )
    };
    let (by_end, by_spawn) = ("task_by_end", "task_by_spawn");
    Statements {
        listed: format!(
            "{columns}, t.fields FROM json_each(?2) j
             CROSS JOIN task t ON t.process = ?1 AND t.task = j.value WHERE {IS_TASK}"
        ),
        alive: format!(
            "{columns}, t.fields FROM task t INDEXED BY task_alive
             WHERE t.process = ?1 AND t.ended_at IS NULL AND t.kind IS NOT 4
                AND (t.spawned_at IS NULL OR t.spawned_at <= ?4) AND {IS_TASK} LIMIT ?3"
        ),
        ended: format!(
            "{columns}, t.fields FROM (SELECT process, task FROM task INDEXED BY task_by_end
                WHERE process = ?1 AND ended_at IS NOT NULL AND ended_at > ?2 AND ended_at <= ?4
                ORDER BY ended_at DESC LIMIT ?3) c
             CROSS JOIN task t ON t.process = c.process AND t.task = c.task WHERE {IS_TASK}"
        ),
        records: format!(
            "{columns}, NULL FROM (SELECT * FROM task_records
                WHERE process = ?1 AND ended_at > ?2 AND spawned_at <= ?4) t
             WHERE {IS_TASK} ORDER BY t.ended_at DESC LIMIT ?3"
        ),
        ended_later: [
            later(by_end, "ended_at > ?2", "ended_at", MAX_LOOKED),
            later(by_end, "ended_at > ?2", "ended_at DESC", MAX_LOOKED),
            later(by_spawn, "spawned_at <= ?4", "spawned_at DESC", MAX_BEFORE),
            later(by_spawn, "spawned_at <= ?4", "spawned_at", MAX_BEFORE),
        ],
    }
});

/// How many are alive now and were spawned by an instant; of those whose spawn was not seen, the ones that
/// are shown.
static ALIVE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT (SELECT count(*) FROM (SELECT 1 FROM task INDEXED BY task_alive
                WHERE process = ?1 AND ended_at IS NULL AND kind IS NOT 4 AND spawned_at <= ?3
                LIMIT ?2))
            + (SELECT count(*) FROM (SELECT process, task FROM
                (SELECT process, task, spawned_at FROM task INDEXED BY task_alive
                 WHERE process = ?1 AND ended_at IS NULL AND kind IS NOT 4 LIMIT ?2)
                WHERE spawned_at IS NULL) c
             CROSS JOIN task t ON t.process = c.process AND t.task = c.task WHERE {IS_TASK})"
    )
});

const ANY_ALIVE: &str = "SELECT task FROM task INDEXED BY task_alive
    WHERE process = ?1 AND ended_at IS NULL AND kind IS NOT 4
    ORDER BY spawn_location DESC, spawned_at DESC LIMIT ?2";

/// Whether more ended after an instant than are looked at.
const MANY_ENDED: &str = "SELECT 1 FROM task INDEXED BY task_by_end
    WHERE process = ?1 AND ended_at IS NOT NULL AND ended_at > ?2 LIMIT 1 OFFSET ?3";

/// Tasks in slow polls at an instant, and since when: polls whose end, or of which something later, is
/// known, and those of which nothing is, neither they nor their lane's next.
static RUNNING_AT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT s.task, s.start_at FROM (SELECT * FROM
            (SELECT process, loop, worker, start_at, last_at FROM slow_poll
                INDEXED BY slow_poll_by_start
             WHERE is_slow = 1 AND process = ?1 AND start_at >= ?2 - {LONGEST} AND start_at <= ?2
             ORDER BY start_at DESC LIMIT {MAX_LOOKED}) WHERE last_at > ?2) c
         CROSS JOIN slow_poll s ON s.process = c.process AND s.loop = c.loop
            AND s.worker = c.worker AND s.start_at = c.start_at
         UNION ALL SELECT s.task, s.start_at FROM
            (SELECT process, loop, worker, start_at, task, is_slow FROM slow_poll
                INDEXED BY slow_poll_unfinished
             WHERE process = ?1 AND length IS NULL LIMIT {MAX_LOOKED}) s
         WHERE s.is_slow = 1 AND s.start_at <= ?2
            AND NOT EXISTS (SELECT 1 FROM worker w WHERE w.process = s.process
                AND w.loop = s.loop AND w.worker = s.worker AND w.last_poll_at > s.start_at)"
    )
});

/// How waits stand of which that is known: when they were over, or nothing if they last.
static WAIT_ENDS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT w.wait, coalesce(w.ended_at, t.ended_at) FROM json_each(?2) j
         CROSS JOIN wait w ON w.process = ?1 AND w.wait = j.value
         LEFT JOIN task t ON t.process = w.process AND t.task = w.task
         WHERE coalesce(w.ended_at, t.ended_at) IS NOT NULL OR {IS_OPEN}"
    )
});

const OPEN_AT: &str = "SELECT resource FROM
        (SELECT resource FROM resource INDEXED BY resource_open_by_time
         WHERE process = ?1 AND closed_at IS NULL AND opened_at <= ?2
         ORDER BY opened_at DESC LIMIT ?3)
    UNION ALL SELECT resource FROM
        (SELECT resource, opened_at FROM resource INDEXED BY resource_by_close
         WHERE process = ?1 AND closed_at IS NOT NULL AND closed_at > ?2
         ORDER BY closed_at LIMIT ?4) WHERE opened_at <= ?2 LIMIT ?3";

const READING_AT: &str = "SELECT at, depth, capacity, permits, waiters, senders, receivers, locked,
        acquired, contended, waited_time, held_time, sent, received, lagged
    FROM resource_reading INDEXED BY resource_reading_by_time
    WHERE process = ?1 AND resource = ?2 AND at <= ?3 ORDER BY at DESC LIMIT 1";

/// Segments whose spans may end in a range, latest first.
const SEGMENTS: &str = "SELECT s.id, p.origin, s.end_at
    FROM process p CROSS JOIN segment s INDEXED BY segment_by_time ON s.process = p.id
    WHERE p.id = ?1 AND s.kind = ?2 AND s.end_at > ?3 AND s.start_at <= ?4
        AND s.end_at <= ?4 + coalesce((SELECT end_at - start_at
            FROM segment INDEXED BY segment_by_length WHERE process = ?1 AND kind = ?2
            ORDER BY end_at - start_at DESC LIMIT 1), 0)
    ORDER BY s.end_at DESC";

impl Reader {
    /// How the tasks of a process stand.
    pub async fn task_standings(
        &self,
        process: ProcessKey,
        query: StandingQuery,
    ) -> Result<Standings, StoreError> {
        let at = query.at;
        let read = move |db: &Connection| match query.at {
            Some(at) => standings_at(db, process.0, at.0, &query),
            None => Ok((standings(db, process.0, &query)?, true)),
        };
        let found = self.raw.ask(read).await.map_err(StoreError::sqlite("read how tasks stand"));
        let (mut standings, is_all) = found?;
        if let Some(at) = at.filter(|_| !is_all) {
            let there = self.tasks_alive_at(process, &[at]).await?.first().copied().unwrap_or(0);
            let is_alive = |task: &&TaskStanding| task.ended_at.is_none_or(|end| end > at);
            let given = standings.tasks.iter().filter(is_alive).count() as u64;
            standings.left_out = standings.left_out.max(there.saturating_sub(given));
        }
        Ok(standings)
    }

    /// The resources that are open, at most `max` of them and the latest, and those of `known`, open or
    /// not; of an earlier instant those that were open then, told as they stood.
    pub async fn resource_standings(
        &self,
        process: ProcessKey,
        known: &[ResourceId],
        at: Option<UnixNanos>,
        max: u64,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let attempt = "read how resources stand";
        let max = max.min(MAX_PAGE);
        let Some(at) = at else {
            let query =
                ResourceQuery { process, is_open: Some(true), limit: max, ..Default::default() };
            let read = async |db: &mut Db| {
                let rows = resources::select(&query).build().fetch_all(&mut **db).await?;
                rows.iter().map(resources::resource).collect::<Answer<Vec<_>>>()
            };
            let mut rows = self.ask(attempt, read).await?;
            let given: HashSet<ResourceId> = rows.iter().map(|row| row.resource).collect();
            let missing = known.iter().filter(|id| !given.contains(*id));
            let missing: Vec<i64> = missing.map(|id| id.0 as i64).collect();
            if !missing.is_empty() {
                let more = self.resources_by_id(process, &missing).await;
                rows.extend(more.map_err(StoreError::sqlite(attempt))?.into_values());
            }
            return Ok(rows);
        };
        let known: Vec<i64> = known.iter().map(|id| id.0 as i64).collect();
        let find = move |db: &Connection| {
            let mut open = db.prepare(OPEN_AT)?;
            let key = (process.0, at.0, max as i64, MAX_LOOKED);
            let ids = open.query_map(key, |row| row.get(0))?;
            let mut ids: Vec<i64> = ids.collect::<rusqlite::Result<_>>()?;
            ids.extend(known);
            ids.sort_unstable();
            ids.dedup();
            let mut reading = db.prepare(READING_AT)?;
            let mut states = HashMap::new();
            for &id in &ids {
                let state = reading.query_row((process.0, id, at.0), state).optional()?;
                states.insert(id, state.unwrap_or_default());
            }
            Ok(states)
        };
        let states = self.raw.ask(find).await.map_err(StoreError::sqlite(attempt))?;
        let ids: Vec<i64> = states.keys().copied().collect();
        let rows = self.resources_by_id(process, &ids).await;
        let rows = rows.map_err(StoreError::sqlite(attempt))?.into_iter().map(|(id, mut row)| {
            row.state = states.get(&id).copied().unwrap_or_default();
            if row.closed_at.is_some_and(|closed_at| closed_at > at) {
                (row.closed_at, row.how) = (None, None);
            }
            row
        });
        Ok(rows.collect())
    }

    /// The waits of a process that last, at most `max` of them and the longest, without their holders.
    pub async fn wait_standings(
        &self,
        process: ProcessKey,
        max: u64,
    ) -> Result<Vec<WaitRow>, StoreError> {
        let limit = max.min(MAX_PAGE);
        let query = WaitQuery { process, is_pending: true, limit, ..WaitQuery::default() };
        let read = async |db: &mut Db| {
            let rows = waits::select(&query).build().fetch_all(&mut **db).await?;
            rows.iter().map(waits::wait).collect()
        };
        self.ask("list the waits that last", read).await
    }

    /// When these waits were over, `None` while they last. Those of which nobody knows are left out.
    pub async fn wait_ends(
        &self,
        process: ProcessKey,
        waits: &[WaitId],
    ) -> Result<HashMap<WaitId, Option<UnixNanos>>, StoreError> {
        let ids = json(waits.iter().map(|wait| wait.0));
        let read = move |db: &Connection| {
            let mut ends = db.prepare(&WAIT_ENDS)?;
            let ends = ends.query_map((process.0, ids), |row| {
                let ended_at = row.get::<_, Option<i64>>(1)?.map(UnixNanos);
                Ok((WaitId(row.get::<_, i64>(0)? as u64), ended_at))
            })?;
            ends.collect()
        };
        self.raw.ask(read).await.map_err(StoreError::sqlite("read the ends of waits"))
    }

    /// What the tasks of a process did after `from` and by `to`. Of more than [some 8 million
    /// spans](Activity::complete_from) the latest count.
    pub async fn activity(
        &self,
        process: ProcessKey,
        from: UnixNanos,
        to: UnixNanos,
    ) -> Result<Activity, StoreError> {
        let read = move |db: &Connection| activity(db, process.0, (from.0, to.0));
        self.raw.ask(read).await.map_err(StoreError::sqlite("add up what tasks did"))
    }
}

fn json(ids: impl Iterator<Item = u64>) -> String {
    let ids: Vec<i64> = ids.map(|id| id as i64).collect();
    serde_json::to_string(&ids).unwrap_or_default()
}

/// As of now.
fn standings(db: &Connection, process: i64, query: &StandingQuery) -> rusqlite::Result<Standings> {
    const NOW: i64 = i64::MAX;
    let statements = &*STATEMENTS;
    let mut look = Look::new(db, process, None)?;
    let max_alive = query.max_alive as i64;
    let there: i64 = db.query_row(&ALIVE, (process, MAX_LOOKED, NOW), |row| row.get(0))?;
    if there <= max_alive {
        look.find(&statements.alive, (NOW, NOW), query.max_alive)?;
    } else {
        // Those that are known stay, and leave their places to others when they end.
        look.list(query.known.iter().map(|task| task.0 as i64))?;
        // Of the others those in long polls, the latest of each place, and whatever there is.
        let running: Vec<i64> = look.running.keys().copied().collect();
        look.fill(running, query.max_alive)?;
        look.fill(alive::some_tasks(db, process, max_alive)?.unwrap_or_default(), query.max_alive)?;
        let any = db
            .prepare(ANY_ALIVE)?
            .query_map((process, max_alive), |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        look.fill(any, query.max_alive)?;
    }
    let range = (query.ended_from.0, NOW);
    look.find(&statements.ended, range, query.max_ended)?;
    look.find(&statements.records, range, query.max_ended)?;
    let missing: Vec<i64> = query.known.iter().map(|task| task.0 as i64).collect();
    look.list(missing)?;
    let left_out = unsigned(there).saturating_sub(look.still_alive);
    Ok(Standings { tasks: look.found, left_out })
}

/// As of an instant; and whether all that were alive then were looked at.
fn standings_at(
    db: &Connection,
    process: i64,
    at: i64,
    query: &StandingQuery,
) -> rusqlite::Result<(Standings, bool)> {
    let statements = &*STATEMENTS;
    let mut look = Look::new(db, process, Some(at))?;
    // Those that are known stay, and leave their places to others when they end.
    look.list(query.known.iter().map(|task| task.0 as i64))?;
    let running: Vec<i64> = look.running.keys().copied().collect();
    look.fill(running, query.max_alive)?;
    look.max_alive = query.max_alive;
    look.find(&statements.ended, (query.ended_from.0, at), query.max_ended)?;
    look.find(&statements.alive, (at, at), query.max_alive)?;
    for ended_later in &statements.ended_later {
        look.find(ended_later, (at, at), query.max_alive)?;
    }
    let both = query.max_alive.saturating_add(query.max_ended);
    look.find(&statements.records, (query.ended_from.0, at), both)?;
    let there: i64 = db.query_row(&ALIVE, (process, MAX_LOOKED, at), |row| row.get(0))?;
    let left_out = unsigned(there).saturating_sub(look.still_alive) + look.no_room;
    let is_all = !db.prepare(MANY_ENDED)?.exists((process, at, MAX_LOOKED))?;
    Ok((Standings { tasks: look.found, left_out }, is_all))
}

/// One look at a process.
struct Look<'db> {
    db: &'db Connection,
    process: i64,
    at: Option<i64>,
    /// Tasks in slow polls, and since when: now, those without an end.
    running: HashMap<i64, i64>,
    locations: HashMap<i64, Option<Arc<Location>>>,
    given: HashSet<i64>,
    found: Vec<TaskStanding>,
    /// How many of those were alive then.
    alive: usize,
    /// No more than so many are.
    max_alive: usize,
    /// How many were met that had no room.
    no_room: u64,
    /// How many were met that are alive now.
    still_alive: u64,
}

impl<'db> Look<'db> {
    fn new(db: &'db Connection, process: i64, at: Option<i64>) -> rusqlite::Result<Self> {
        let sql = if at.is_some() { RUNNING_AT.clone() } else { running() };
        let mut statement = db.prepare(&sql)?;
        let key = [Some(process), at].into_iter().flatten();
        let mut rows = statement.query(rusqlite::params_from_iter(key))?;
        let mut running = HashMap::<i64, i64>::new();
        while let Some(row) = rows.next()? {
            let since: i64 = row.get(1)?;
            let latest = running.entry(row.get(0)?).or_insert(since);
            *latest = since.max(*latest);
        }
        Ok(Self {
            db,
            process,
            at,
            running,
            locations: HashMap::new(),
            given: HashSet::new(),
            found: Vec::new(),
            alive: 0,
            max_alive: usize::MAX,
            no_room: 0,
            still_alive: 0,
        })
    }

    /// Whether it had not ended then.
    fn was_alive(&self, ended_at: Option<i64>) -> bool {
        ended_at.is_none_or(|end| self.at.is_some_and(|at| end > at))
    }

    /// Adds as many of these as there is room for.
    fn fill(&mut self, tasks: Vec<i64>, max_alive: usize) -> rusqlite::Result<()> {
        let room = max_alive.saturating_sub(self.alive);
        let tasks = tasks.into_iter().filter(|task| !self.given.contains(task));
        let tasks: Vec<i64> = tasks.take(room).collect();
        self.list(tasks)
    }

    /// Adds these, those that were not given yet.
    fn list(&mut self, tasks: impl IntoIterator<Item = i64>) -> rusqlite::Result<()> {
        let tasks = tasks.into_iter().filter(|task| !self.given.contains(task));
        let tasks = json(tasks.map(|task| task as u64));
        self.add(&STATEMENTS.listed, [self.process.into(), tasks.into()])
    }

    /// Adds what a statement finds in a range.
    fn find(&mut self, sql: &str, (from, to): (i64, i64), max: usize) -> rusqlite::Result<()> {
        self.add(sql, [self.process.into(), from.into(), (max as i64).into(), to.into()])
    }

    /// Adds the tasks of a statement that are not there yet.
    fn add<const N: usize>(&mut self, sql: &str, key: [Value; N]) -> rusqlite::Result<()> {
        let mut statement = self.db.prepare(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(key))?;
        let mut names = self.db.prepare("SELECT text FROM name WHERE process = ? AND name = ?")?;
        while let Some(row) = rows.next()? {
            let task: i64 = row.get(0)?;
            if !self.given.insert(task) {
                continue;
            }
            let ended_at: Option<i64> = row.get(6)?;
            self.still_alive += u64::from(ended_at.is_none());
            if self.was_alive(ended_at) {
                if self.alive >= self.max_alive {
                    self.no_room += 1;
                    continue;
                }
                self.alive += 1;
            }
            let name: Option<i64> = row.get(1)?;
            let name = name.map(|name| names.query_row((self.process, name), |row| row.get(0)));
            let name = name.map(OptionalExtension::optional).transpose()?.flatten();
            let standing = self.standing(row, task, name)?;
            self.found.push(standing);
        }
        Ok(())
    }

    fn standing(
        &mut self,
        row: &Row<'_>,
        task: i64,
        name: Option<String>,
    ) -> rusqlite::Result<TaskStanding> {
        let instant = |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(UnixNanos));
        let amount = |at| Ok::<_, rusqlite::Error>(unsigned(row.get(at)?));
        let ended_at = instant(6)?;
        let (started_at, own_polls) = (instant(12)?, amount(13)?);
        // A blocking job is one long poll.
        let is_job = own_polls == 0 && started_at.is_some();
        let (last_poll_start, last_poll_end) = match ended_at {
            _ if !is_job => (instant(10)?, instant(11)?),
            Some(ended_at) => (started_at, Some(ended_at)),
            None => (None, None),
        };
        let running = self.running.get(&task).copied().map(UnixNanos);
        let running = running.or(started_at.filter(|_| is_job));
        let running = running.filter(|_| self.was_alive(ended_at.map(|end| end.0)));
        Ok(TaskStanding {
            task: TaskId(task as u64),
            name,
            kind: row.get::<_, Option<i64>>(2)?.map(kind),
            location: self.location(row.get(3)?)?,
            parent: row.get::<_, Option<i64>>(4)?.filter(|&id| id != 0).map(|id| TaskId(id as u64)),
            spawned_at: instant(5)?,
            ended_at,
            polls: amount(7)?,
            busy_time: amount(8)?,
            first_poll_at: instant(9)?,
            last_poll_start,
            last_poll_end,
            running_since: running,
            wakes: amount(14)?,
            self_wakes: amount(15)?,
            scheduled_time: amount(16)?,
            last_woken_at: instant(17)?,
            // What refutes it may have come later.
            unwakeable_at: instant(if self.at.is_some() { 19 } else { 18 })?,
            fields: row.get::<_, Option<String>>(20)?.map(|it| fields(&it)).unwrap_or_default(),
        })
    }

    fn location(&mut self, id: Option<i64>) -> rusqlite::Result<Option<Arc<Location>>> {
        const SQL: &str = "SELECT file, line, column FROM location
            WHERE process = ? AND location = ?";
        let Some(id) = id else { return Ok(None) };
        if let Some(known) = self.locations.get(&id) {
            return Ok(known.clone());
        }
        let location = self.db.query_row(SQL, (self.process, id), |row| {
            Ok(Arc::new(Location {
                id: LocationId(id as u64),
                file: row.get(0)?,
                line: row.get::<_, i64>(1)? as u32,
                column: row.get::<_, i64>(2)? as u32,
            }))
        });
        let location = location.optional()?;
        self.locations.insert(id, location.clone());
        Ok(location)
    }
}

fn running() -> String {
    format!(
        "SELECT s.task, max(s.start_at) FROM slow_poll s INDEXED BY slow_poll_unfinished
         WHERE s.process = ?1 AND s.is_slow = 1 AND {IS_RUNNING} GROUP BY s.task LIMIT {MAX_LOOKED}"
    )
}

fn state(row: &Row<'_>) -> rusqlite::Result<ResourceState> {
    let told = |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(unsigned));
    Ok(ResourceState {
        at: UnixNanos(row.get(0)?),
        depth: told(1)?,
        capacity: told(2)?,
        permits: told(3)?,
        waiters: told(4)?,
        senders: told(5)?,
        receivers: told(6)?,
        is_locked: told(7)?.map(|locked| locked != 0),
        acquired: told(8)?,
        contended: told(9)?,
        waited_time: told(10)?,
        held_time: told(11)?,
        sent: told(12)?,
        received: told(13)?,
        lagged: told(14)?,
    })
}

fn activity(db: &Connection, process: i64, (from, to): (i64, i64)) -> rusqlite::Result<Activity> {
    let mut tasks = HashMap::<TaskId, TaskActivity>::new();
    let mut complete_from = from;
    for kind in [RecordKind::Poll, RecordKind::Wake] {
        let is_wake = kind == RecordKind::Wake;
        let columns = Wants { times: true, task: true, by: is_wake, count: is_wake };
        // What is going on at the end of the range belongs to it as well.
        let wanted = Wanted { start_to: to, end_from: from, columns, ..Wanted::default() };
        let mut statement = db.prepare(SEGMENTS)?;
        let mut rows = statement.query((process, kind as i64, from, to))?;
        let (mut unpacked, mut looked_into) = (0, 0);
        while let Some(row) = rows.next()? {
            if unpacked >= MAX_SPANS || looked_into >= MAX_SEGMENTS {
                complete_from = complete_from.max(row.get::<_, i64>(2)?.saturating_add(1));
                break;
            }
            let found =
                segments::read(db, Place { id: row.get(0)?, origin: row.get(1)? }, &wanted)?;
            unpacked += found.unpacked;
            looked_into += 1;
            for at in 0..found.len {
                let (start, length) = (found.start[at], found.length[at].max(0));
                let task = TaskId(found.task[at]);
                let end = start.saturating_add(length);
                if task.is_none() || end <= from {
                    continue;
                }
                let of_task = tasks.entry(task).or_default();
                if is_wake {
                    let count = unsigned(found.count[at]);
                    of_task.wake(start, (end <= to).then_some((length, count)), found.by[at], task);
                } else {
                    of_task.poll(start, length, end <= to);
                }
            }
        }
    }
    Ok(Activity { tasks, complete_from: UnixNanos(complete_from) })
}

impl TaskActivity {
    fn poll(&mut self, start: i64, length: i64, has_ended: bool) {
        let start_at = UnixNanos(start);
        if !has_ended {
            self.running_since = self.running_since.max(Some(start_at));
            return;
        }
        self.polls += 1;
        self.busy_time = self.busy_time.saturating_add(unsigned(length));
        self.first_poll_at = Some(self.first_poll_at.map_or(start_at, |at| at.min(start_at)));
        if self.last_poll_start <= Some(start_at) {
            self.last_poll_start = Some(start_at);
            self.last_poll_end = Some(UnixNanos(start.saturating_add(length)));
        }
    }

    /// A wake, with its delay and how many it stands for, if its poll has begun.
    fn wake(&mut self, at: i64, done: Option<(i64, u64)>, by: u64, task: TaskId) {
        self.last_woken_at = self.last_woken_at.max(Some(UnixNanos(at)));
        let Some((delay, count)) = done else { return };
        self.wakes = self.wakes.saturating_add(count);
        self.scheduled_time = self.scheduled_time.saturating_add(unsigned(delay));
        if by == task.0 {
            self.self_wakes = self.self_wakes.saturating_add(count);
        }
    }
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) fn statements() -> Vec<String> {
    let Statements { listed, alive, ended, records, ended_later } = &*STATEMENTS;
    let mut all: Vec<String> = [listed, alive, ended, records].map(String::clone).into();
    all.extend(ended_later.iter().cloned());
    all.extend([&*ALIVE, &*RUNNING_AT, &*WAIT_ENDS].map(String::clone));
    all.extend([ANY_ALIVE, MANY_ENDED, OPEN_AT, READING_AT, SEGMENTS].map(str::to_owned));
    all.push(running());
    all
}
