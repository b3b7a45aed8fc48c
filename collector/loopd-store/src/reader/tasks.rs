//! Lists of tasks, and single ones.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use loopd_model::{LoopId, Outcome, TaskId, TaskKind};
use rusqlite::Connection;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::bounds::{MAX_PAGE, SCALE};
use super::timeline::IS_RUNNING;
use super::told::fields;
use super::{Answer, Db, Reader, alive, amount, instant, location, task_terms};
use crate::writer::tasks::{ANY_TASK, RECORDS};
use crate::{
    Page, ProcessKey, StoreError, TaskCondition, TaskIdOf, TaskQuery, TaskRow, TaskSort, TaskState,
    TaskTerm, TaskText, UnixNanos,
};

/// So many tasks that ended and have rows, the latest, are looked through for a list.
const MAX_ROWS: i64 = 100_000 / SCALE as i64;
/// So many that are alive; of more the latest of each spawn location.
const MAX_ALIVE: i64 = 50_000 / SCALE as i64;
/// So many of those that have none.
const MAX_RECORDS: i64 = 100_000 / SCALE as i64;

/// So many callbacks that are alive.
const MAX_CALLBACKS: i64 = 10_000 / SCALE as i64;

/// What a list is made of, each part with what it searches by, in the order of [`listed`]: the tasks
/// that are alive, those that ended since some instant, with a row and without, and one task that
/// ended before.
static LISTED: LazyLock<[String; 6]> = LazyLock::new(|| {
    let (columns, records) = (ANY_TASK.as_str(), RECORDS.as_str());
    [
        format!(
            "WITH t AS (SELECT {columns} FROM task INDEXED BY task_alive
             WHERE ended_at IS NULL AND kind IS NOT 4 AND process = "
        ),
        format!(
            " UNION ALL SELECT {columns} FROM task INDEXED BY task_by_end
             WHERE ended_at IS NOT NULL AND process = "
        ),
        format!(" UNION ALL SELECT {records} FROM task_records WHERE process = "),
        format!(" UNION ALL SELECT {columns} FROM any_task WHERE process = "),
        // Some of those that are alive, instead of all.
        format!("WITH t AS (SELECT {columns} FROM task WHERE ended_at IS NULL AND process = "),
        format!(
            " UNION ALL SELECT * FROM (SELECT {columns} FROM task INDEXED BY callback_alive
             WHERE ended_at IS NULL AND kind = 4 AND process = "
        ),
    ]
});

const JOINED: &str = "
    JOIN process p ON p.id = t.process
    LEFT JOIN name n ON n.process = t.process AND n.name = t.name
    LEFT JOIN location l ON l.process = t.process AND l.location = t.spawn_location
    WHERE (t.spawned_at IS NOT NULL OR t.polls > 0 OR t.started_at IS NOT NULL
           OR t.name IS NOT NULL OR t.wakes > 0 OR t.fields IS NOT NULL)";

/// Which tasks are on a page, with what they may be in order of.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT t.task, count(*) OVER () AS total, {LIFETIME} AS lifetime, {POLLS} AS all_polls,
            {LISTED_BUSY_TIME} AS all_busy_time, {MAX_POLL_TIME} AS longest"
    )
});

pub(super) const LIFETIME: &str = "max(0, coalesce(t.ended_at, p.last_at)
    - coalesce(t.spawned_at, t.first_poll_at, t.ended_at, p.last_at))";
/// A blocking job is one long poll. Where polls were only counted, no length of one is known.
pub(super) const POLLS: &str =
    "CASE WHEN t.polls = 0 AND t.started_at IS NOT NULL THEN 1 ELSE t.polls END";
pub(super) const BUSY_TIME: &str = "CASE WHEN t.polls = 0 AND t.started_at IS NOT NULL
    AND t.ended_at IS NOT NULL THEN max(0, t.ended_at - t.started_at) ELSE t.busy_time END";
/// The same with a job that still runs, up to the last data.
pub(super) const LISTED_BUSY_TIME: &str = "CASE WHEN t.polls = 0 AND t.started_at IS NOT NULL
    THEN max(0, coalesce(t.ended_at, p.last_at) - t.started_at) ELSE t.busy_time END";
pub(super) const MAX_POLL_TIME: &str = "CASE WHEN t.polls = 0 AND t.started_at IS NOT NULL
    AND t.ended_at IS NOT NULL THEN max(0, t.ended_at - t.started_at)
    WHEN t.are_lengths_unknown OR t.max_poll_time = 0 AND t.busy_time > 0 THEN NULL
    ELSE t.max_poll_time END";
pub(super) const SLOW_POLLS: &str =
    "iif(t.are_lengths_unknown OR t.max_poll_time = 0 AND t.busy_time > 0, NULL, t.slow_polls)";
/// A poll that began later refutes it.
pub(super) const UNWAKEABLE_AT: &str = "CASE WHEN t.ended_at IS NULL
    AND t.unwakeable_at >= coalesce(t.last_poll_start, t.unwakeable_at) THEN t.unwakeable_at END";

/// A blocking job that has left the queue, which is one long poll; or, where polls are only counted, a task
/// whose last poll began and has not ended.
const IS_STARTED: &str = "((t.polls = 0 AND t.started_at IS NOT NULL)
    OR (t.last_poll_start IS NOT NULL AND t.last_poll_start > coalesce(t.last_poll_at, 0)))";

/// Looks only through the few polls without an end, whatever else the task did.
pub(super) fn is_running() -> String {
    format!(
        "(t.ended_at IS NULL AND ((p.state = 1 AND {IS_STARTED}) OR EXISTS (
            SELECT 1 FROM slow_poll s INDEXED BY slow_poll_unfinished
            WHERE s.process = t.process AND s.task = t.task AND s.is_slow = 1 AND {IS_RUNNING})))"
    )
}

impl Reader {
    /// A page of tasks; callbacks only if it is for them, or for one place. Of those that ended only the latest are looked through, some hundred
    /// thousand: [`Page::searched_from`] says if that left any out; and of those that are alive only
    /// the latest of each spawn location, if they are too many: [`Page::has_more_alive`].
    pub async fn tasks(&self, query: &TaskQuery) -> Result<Page<TaskRow>, StoreError> {
        let (process, state, kind) = (query.process.0, query.state, query.kind);
        let find = move |db: &Connection| match state {
            Some(TaskState::Ended) => Ok(Some(Vec::new())),
            Some(TaskState::Running) => may_run(db, process).map(Some),
            _ if kind == Some(TaskKind::Callback) => Ok(Some(Vec::new())),
            _ => live_tasks(db, process),
        };
        let some = self.raw.ask(find).await.map_err(StoreError::sqlite("find live tasks"))?;
        let is_any = !matches!(state, Some(TaskState::Ended | TaskState::Running))
            && kind != Some(TaskKind::Callback);
        let has_more_alive = some.is_some() && is_any;
        let read = async |db: &mut Db| {
            let searched_from = match query.state {
                Some(TaskState::Alive | TaskState::Running) => None,
                _ => searched_from(db, query.process).await?,
            };
            let since = match query.state {
                // Of those that ended none is asked for.
                Some(TaskState::Alive | TaskState::Running) => i64::MAX,
                _ => searched_from.unwrap_or(i64::MIN),
            };
            // One look at all finds which are on the page, and how many there are; the rest of what is
            // shown is read of those few alone.
            let mut page = listed(&PAGE, query, some.as_deref(), since);
            order(&mut page, query);
            let page = page.build().fetch_all(&mut **db).await?;
            let total: i64 = match page.first() {
                Some(first) => first.try_get(1)?,
                None if query.offset == 0 => 0,
                None => {
                    let mut count = listed("SELECT count(*)", query, some.as_deref(), since);
                    count.build_query_scalar().fetch_one(&mut **db).await?
                }
            };
            let ids = page.iter().map(|row| row.try_get(0)).collect::<Answer<Vec<i64>>>()?;
            let among = serde_json::to_string(&ids).unwrap_or_default();
            let mut sql = QueryBuilder::new(columns());
            sql.push(" FROM json_each(").push_bind(&among);
            sql.push(") j CROSS JOIN task t ON t.task = j.value").push(JOINED);
            sql.push(" AND t.process = ").push_bind(query.process.0);
            let mut rows = sql.build().fetch_all(&mut **db).await?;
            if rows.len() < ids.len() {
                // Some have no row of their own.
                let mut sql = listed(&columns(), query, some.as_deref(), since);
                sql.push(" AND t.task IN (SELECT value FROM json_each(")
                    .push_bind(&among)
                    .push("))");
                rows = sql.build().fetch_all(&mut **db).await?;
            }
            let mut rows = rows.iter().map(task_row).collect::<Answer<Vec<_>>>()?;
            let places: HashMap<u64, usize> =
                ids.iter().enumerate().map(|(place, &task)| (task as u64, place)).collect();
            rows.sort_by_key(|row| places.get(&row.task.0).copied());
            let searched_from = searched_from.map(UnixNanos);
            Ok(Page { total: super::unsigned(total), rows, searched_from, has_more_alive })
        };
        self.ask("list tasks", read).await
    }

    /// One task; `None` if nothing of it was seen.
    pub async fn task(
        &self,
        process: ProcessKey,
        task: TaskId,
    ) -> Result<Option<TaskRow>, StoreError> {
        let read = async |db: &mut Db| {
            let mut sql = QueryBuilder::<Sqlite>::new(columns());
            sql.push(" FROM any_task t").push(JOINED);
            sql.push(" AND t.process = ").push_bind(process.0);
            sql.push(" AND t.task = ").push_bind(task.0 as i64);
            let row = sql.build().fetch_optional(&mut **db).await?;
            row.as_ref().map(task_row).transpose()
        };
        self.ask("read a task", read).await
    }

    /// How many tasks a task has spawned.
    pub async fn task_children(
        &self,
        process: ProcessKey,
        task: TaskId,
    ) -> Result<u64, StoreError> {
        let sql = "SELECT children FROM any_task WHERE process = ? AND task = ?";
        let read = async |db: &mut Db| {
            let count = sqlx::query_scalar(sql).bind(process.0).bind(task.0 as i64);
            Ok(super::unsigned(count.fetch_optional(&mut **db).await?.unwrap_or(0)))
        };
        self.ask("count children", read).await
    }
}

/// The tasks in polls without an end and those that have started, of which those that run are some.
fn may_run(db: &Connection, process: i64) -> rusqlite::Result<Vec<i64>> {
    let mut tasks = HashSet::new();
    for sql in may_run_sql() {
        let mut statement = db.prepare(&sql)?;
        let found = statement.query_map((process, MAX_ALIVE), |row| row.get(0))?;
        for task in found {
            tasks.insert(task?);
        }
    }
    Ok(tasks.into_iter().collect())
}

pub(super) fn may_run_sql() -> [String; 2] {
    [
        "SELECT DISTINCT task FROM slow_poll INDEXED BY slow_poll_unfinished
         WHERE process = ? AND length IS NULL LIMIT ?"
            .into(),
        format!(
            "SELECT t.task FROM (SELECT process, task FROM task INDEXED BY task_alive
                WHERE process = ? AND ended_at IS NULL AND kind IS NOT 4 LIMIT ?) c
             CROSS JOIN task t ON t.process = c.process AND t.task = c.task WHERE {IS_STARTED}"
        ),
    ]
}

/// The live tasks that a list looks through; `None` for all.
pub(super) fn live_tasks(db: &Connection, process: i64) -> rusqlite::Result<Option<Vec<i64>>> {
    alive::some_tasks(db, process, MAX_ALIVE)
}

/// Before which instant tasks that ended are too many to be looked through; `None` if they are not.
pub(super) async fn searched_from(db: &mut Db, process: ProcessKey) -> Answer<Option<i64>> {
    let sql = "SELECT ended_at FROM task INDEXED BY task_by_end
        WHERE process = ? AND ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT 1 OFFSET ?";
    let row: Option<i64> =
        sqlx::query_scalar(sql).bind(process.0).bind(MAX_ROWS).fetch_optional(&mut **db).await?;
    // Of the segment that would be too much, nothing that ended later than its last is in any other
    // that is left out.
    let sql =
        "SELECT end_at FROM (SELECT end_at, sum(spans) OVER (ORDER BY end_at DESC, id) AS records,
            row_number() OVER (ORDER BY end_at DESC, id) AS place
        FROM (SELECT id, end_at, spans FROM segment WHERE process = ?1 AND kind = 4
              ORDER BY end_at DESC, id LIMIT ?2))
        WHERE records > ?3 AND place > 1 LIMIT 1";
    let record: Option<i64> = sqlx::query_scalar(sql)
        .bind(process.0)
        .bind(MAX_PIECES)
        .bind(MAX_RECORDS)
        .fetch_optional(&mut **db)
        .await?;
    Ok(row.max(record.map(|at| at.saturating_add(1))))
}

/// Segments of tasks that are looked at, at most, to find out which are too many.
const MAX_PIECES: i64 = 10_000 / SCALE as i64;

/// What is read of the tasks that a query may list.
pub(super) fn listed(
    what: &str,
    query: &TaskQuery,
    some: Option<&[i64]>,
    since: i64,
) -> QueryBuilder<Sqlite> {
    let id = wanted_id(query);
    let mut sql = QueryBuilder::new("");
    let [alive, ended, records, one, some_alive, callbacks] = &*LISTED;
    match some {
        None => sql.push(alive).push_bind(query.process.0),
        Some(tasks) => sql
            .push(some_alive)
            .push_bind(query.process.0)
            .push(" AND task IN (SELECT value FROM json_each(")
            .push_bind(serde_json::to_string(tasks).unwrap_or_default())
            .push("))"),
    };
    // Of those that are running and those that have ended the other parts have all.
    if has_callbacks(query) && matches!(query.state, None | Some(TaskState::Alive)) {
        sql.push(callbacks).push_bind(query.process.0);
        sql.push(" LIMIT ").push_bind(MAX_CALLBACKS).push(")");
    }
    for ended in [ended, records] {
        sql.push(ended).push_bind(query.process.0).push(" AND ended_at >= ").push_bind(since);
    }
    sql.push(one).push_bind(query.process.0);
    sql.push(" AND task = ").push_bind(id.map(|task| task as i64));
    sql.push(" AND ended_at < ").push_bind(since).push(") ");
    sql.push(what).push(" FROM t").push(JOINED);
    filter(&mut sql, query);
    sql
}

/// Whether callbacks are listed with the tasks.
fn has_callbacks(query: &TaskQuery) -> bool {
    match query.kind {
        None => query.location.is_some() || query.terms.iter().any(wants_callbacks),
        Some(kind) => kind == TaskKind::Callback,
    }
}

fn wants_callbacks(term: &TaskTerm) -> bool {
    !term.is_negated && term.any.contains(&TaskCondition::Kind(TaskKind::Callback))
}

/// The task whose id is asked for: it may have ended before all that is looked through.
fn wanted_id(query: &TaskQuery) -> Option<u64> {
    let id = |term: &TaskTerm| match term.any.as_slice() {
        [TaskCondition::Id(TaskIdOf::Task, id)] if !term.is_negated => Some(*id),
        [TaskCondition::Text(TaskText::Any, text, _)] if !term.is_negated => text.parse().ok(),
        _ => None,
    };
    let text = query.text.as_deref().and_then(|text| text.parse::<u64>().ok());
    text.or_else(|| query.terms.iter().find_map(id))
}

pub(super) fn columns() -> String {
    format!(
        "SELECT t.process, t.task, n.text, t.kind, t.ended_at, t.outcome, t.spawn_location, l.file,
            l.line, l.column, coalesce(t.loop, 0), t.parent, t.spawned_at, {SLOW_POLLS}, t.wakes,
            t.self_wakes, t.scheduled_time, nullif(t.last_waker, 0),
            {LIFETIME} AS lifetime, {POLLS} AS all_polls,
            {LISTED_BUSY_TIME} AS all_busy_time, {MAX_POLL_TIME} AS longest, {}, t.fields, {UNWAKEABLE_AT} AS unwakeable_at",
        is_running()
    )
}

fn filter(sql: &mut QueryBuilder<Sqlite>, query: &TaskQuery) {
    match query.state {
        Some(TaskState::Alive) => {
            sql.push(" AND t.ended_at IS NULL");
        }
        Some(TaskState::Ended) => {
            sql.push(" AND t.ended_at IS NOT NULL");
        }
        Some(TaskState::Running) => {
            sql.push(" AND ").push(is_running());
        }
        None => {}
    }
    if let Some(location) = query.location {
        sql.push(" AND t.spawn_location = ").push_bind(location);
    }
    if let Some(parent) = query.parent {
        sql.push(" AND t.parent = ").push_bind(parent.0 as i64);
    }
    if !has_callbacks(query) {
        sql.push(" AND t.kind IS NOT 4");
    }
    if let Some(kind) = query.kind {
        sql.push(" AND t.kind = ").push_bind(kind as i64);
    }
    if let Some(text) = query.text.as_deref().filter(|text| !text.is_empty()) {
        // Not LIKE: nobody who types a name means `_` and `%` as wildcards.
        let text = text.to_ascii_lowercase();
        sql.push(" AND (instr(lower(n.text), ").push_bind(text.clone());
        sql.push(") OR instr(lower(l.file || ':' || l.line), ").push_bind(text.clone());
        sql.push(") OR t.task = ").push_bind(text.parse::<u64>().ok().map(|task| task as i64));
        sql.push(")");
    }
    task_terms::push(sql, &query.terms);
}

pub(super) fn order(sql: &mut QueryBuilder<Sqlite>, query: &TaskQuery) {
    let direction = if query.is_descending { "DESC" } else { "ASC" };
    let key = match query.sort {
        TaskSort::Task => "t.task",
        TaskSort::Name => "n.text IS NULL, n.text",
        TaskSort::Location => "l.file IS NULL, l.file {}, l.line",
        TaskSort::SpawnedAt => "t.spawned_at",
        TaskSort::Lifetime => "lifetime",
        TaskSort::Polls => "all_polls",
        TaskSort::BusyTime => "all_busy_time",
        TaskSort::MaxPollTime => "longest",
        TaskSort::Wakes => "t.wakes",
        TaskSort::ScheduledTime => "t.scheduled_time",
        TaskSort::State => "t.ended_at IS NOT NULL",
    };
    sql.push(format!(" ORDER BY {} {direction}, t.process, t.task", key.replace("{}", direction)));
    sql.push(" LIMIT ").push_bind(query.limit.min(MAX_PAGE) as i64);
    sql.push(" OFFSET ").push_bind(query.offset.min(i64::MAX as u64) as i64);
}

pub(super) fn task_row(row: &SqliteRow) -> Answer<TaskRow> {
    let ended_at = instant(row, 4)?;
    let wakes = amount(row, 14)?;
    // Without a single wake there is nothing to say of them: the task was not wrapped.
    let seen = |value| (wakes > 0).then_some(value);
    let task = |column| -> Answer<Option<TaskId>> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(|task| TaskId(task as u64)))
    };
    let known = |column| -> Answer<Option<u64>> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(super::unsigned))
    };
    let is_running: bool = row.try_get(22)?;
    Ok(TaskRow {
        process: ProcessKey(row.try_get(0)?),
        task: TaskId(row.try_get::<i64, _>(1)? as u64),
        name: row.try_get(2)?,
        kind: row.try_get::<Option<i64>, _>(3)?.map(kind),
        state: match ended_at {
            Some(_) => TaskState::Ended,
            None if is_running => TaskState::Running,
            None => TaskState::Alive,
        },
        outcome: ended_at.map(|_| row.try_get::<Option<i64>, _>(5)).transpose()?.map(outcome),
        location: location(row, "spawn_location")?,
        loop_id: LoopId(row.try_get::<i64, _>(10)? as u64),
        parent: task(11)?,
        spawned_at: instant(row, 12)?,
        ended_at,
        lifetime: amount(row, 18)?,
        polls: amount(row, 19)?,
        busy_time: amount(row, 20)?,
        max_poll_time: known(21)?,
        scheduled_time: seen(amount(row, 16)?),
        wakes: seen(wakes),
        self_wakes: seen(amount(row, 15)?),
        last_waker: task(17)?,
        slow_polls: known(13)?,
        fields: row.try_get::<Option<&str>, _>(23)?.map(fields).unwrap_or_default(),
        unwakeable_at: instant(row, 24)?,
    })
}

pub(super) fn kind(number: i64) -> TaskKind {
    match number {
        1 => TaskKind::Local,
        2 => TaskKind::BlockOn,
        3 => TaskKind::Blocking,
        4 => TaskKind::Callback,
        _ => TaskKind::Async,
    }
}

fn outcome(number: Option<i64>) -> Outcome {
    match number {
        Some(1) => Outcome::Completed,
        Some(2) => Outcome::Panicked,
        Some(3) => Outcome::Cancelled,
        Some(4) => Outcome::Raised,
        Some(5) => Outcome::Destroyed,
        _ => Outcome::Unknown,
    }
}
