//! Slow polls, with the stacks taken in them.

use std::collections::HashMap;
use std::sync::Arc;

use loopd_model::{Frame, Running, TaskId, UnixNanos};
use serde_json::Value;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, Row};

use super::bounds::MAX_LOOKED;
use super::{Answer, Db, Reader, lane, location, unsigned};
use crate::{LaneId, ProcessKey, SampleRow, SlowPoll, SlowPolls, SlowQuery, StoreError};

/// So many slow polls are given at most, whatever is asked for.
const MAX_SLOW: u64 = 10_000;

/// No poll of process `?1` that the store has by itself is longer. What is not slow is shorter than
/// the threshold.
pub(super) const LONGEST: &str = "max(
    coalesce((SELECT max(length) FROM slow_poll WHERE process = ?1 AND is_slow = 1), 0),
    coalesce((SELECT last_at - start_at FROM slow_poll INDEXED BY slow_poll_unfinished_by_length
              WHERE process = ?1 AND length IS NULL ORDER BY last_at - start_at DESC LIMIT 1), 0),
    coalesce((SELECT slow_threshold FROM process WHERE id = ?1), 0))";

/// The polls that may be asked for, from an index that has these columns, latest first. They are only
/// so many, since a single poll that is very long would make all that began before it candidates.
fn looked_at(columns: &str, query: &SlowQuery) -> String {
    let (index, task) = match query.task {
        Some(_) => ("slow_poll_by_task", " AND s.task = ?2"),
        None => ("slow_poll_by_start", ""),
    };
    let mut sql = format!(
        "SELECT {columns} FROM slow_poll s INDEXED BY {index} WHERE s.is_slow = 1
         AND s.process = ?1{task}"
    );
    if query.from.is_some() {
        // Starts are what is searched by; no poll that ends later starts before this.
        sql.push_str(&format!(" AND s.start_at >= ?3 - {LONGEST}"));
    }
    if query.to.is_some() {
        sql.push_str(" AND s.start_at < ?4");
    }
    format!("{sql} ORDER BY s.start_at DESC LIMIT {MAX_LOOKED}")
}

/// Of those the ones that overlap the range.
const fn overlaps(query: &SlowQuery) -> &'static str {
    if query.from.is_some() { "c.last_at >= ?3" } else { "true" }
}

/// What names a poll.
type PollKey = (i64, LaneId, i64);
type Stacks = HashMap<(i64, i64), Arc<[Frame]>>;

impl Reader {
    /// Slow polls with their samples and stacks, latest first.
    pub async fn slow_polls(&self, query: &SlowQuery) -> Result<SlowPolls, StoreError> {
        self.ask("read slow polls", async |db: &mut Db| read_slow(db, query).await).await
    }
}

/// In one transaction: of a program that runs, the polls are those that were added up.
async fn read_slow(db: &mut Db, query: &SlowQuery) -> Answer<SlowPolls> {
    let mut instant = db.begin().await?;
    let polls = read_slow_at(&mut instant, query).await?;
    instant.commit().await?;
    Ok(polls)
}

async fn read_slow_at(db: &mut SqliteConnection, query: &SlowQuery) -> Answer<SlowPolls> {
    let totals = totals_sql(query);
    let totals = bind(&totals, query).fetch_one(&mut *db).await?;
    let picked = picked_sql(query);
    let mut samples = samples(db, &picked, query).await?;
    let sql = format!(
        "WITH picked AS ({picked})
             SELECT s.*, t.spawn_location, l.file, l.line, l.column FROM picked s
             LEFT JOIN task t ON t.process = s.process AND t.task = s.task
             LEFT JOIN location l ON l.process = t.process AND l.location = t.spawn_location
             ORDER BY s.start_at DESC"
    );
    let rows = bind_limited(&sql, query).fetch_all(&mut *db).await?;
    Ok(SlowPolls {
        total: unsigned(totals.try_get("n")?),
        total_time: unsigned(totals.try_get("t")?),
        has_more: totals.try_get::<i64, _>("looked")? >= MAX_LOOKED,
        polls: rows.iter().map(|row| slow_poll(row, &mut samples)).collect::<Result<_, _>>()?,
    })
}

/// The samples of the picked polls, earliest first.
async fn samples(
    db: &mut SqliteConnection,
    picked: &str,
    query: &SlowQuery,
) -> Answer<HashMap<PollKey, Vec<SampleRow>>> {
    let taken = format!(
        "WITH picked AS ({picked})
             SELECT a.*, coalesce(y.text, '') AS syscall_text, coalesce(w.text, '') AS wchan_text
             FROM picked s JOIN sample a
             ON a.process = s.process AND a.loop = s.loop AND a.worker = s.worker
                AND a.poll_started_at = s.start_at
             LEFT JOIN word y ON y.id = a.syscall LEFT JOIN word w ON w.id = a.wchan"
    );
    let sql = format!(
        "SELECT k.process, k.stack, k.frames FROM stack k
             JOIN (SELECT DISTINCT process, stack FROM ({taken})) d
             ON d.process = k.process AND d.stack = k.stack"
    );
    let mut stacks = Stacks::new();
    for row in bind_limited(&sql, query).fetch_all(&mut *db).await? {
        let frames: String = row.try_get("frames")?;
        stacks.insert((row.try_get("process")?, row.try_get("stack")?), parse(&frames));
    }
    let mut samples: HashMap<PollKey, Vec<SampleRow>> = HashMap::new();
    let rows = bind_limited(&format!("{taken} ORDER BY a.at"), query);
    for row in rows.fetch_all(&mut *db).await? {
        let process = row.try_get("process")?;
        let key = (process, lane(&row)?, row.try_get("poll_started_at")?);
        samples.entry(key).or_default().push(sample(&row, process, &stacks)?);
    }
    Ok(samples)
}

fn totals_sql(query: &SlowQuery) -> String {
    let (looked_at, overlaps) = (looked_at("s.start_at, s.last_at", query), overlaps(query));
    format!(
        "SELECT count(*) AS looked, count(*) FILTER (WHERE {overlaps}) AS n,
            CAST(total(c.last_at - c.start_at) FILTER (WHERE {overlaps}) AS INTEGER) AS t
         FROM ({looked_at}) c"
    )
}

/// The polls that are given in full; `?5` is their number.
fn picked_sql(query: &SlowQuery) -> String {
    let looked_at = looked_at("s.process, s.loop, s.worker, s.start_at, s.last_at", query);
    let overlaps = overlaps(query);
    format!(
        "SELECT s.process, s.loop, s.worker, s.start_at, s.length, s.last_at, s.task
         FROM (SELECT * FROM ({looked_at}) c WHERE {overlaps} LIMIT ?5) c
         CROSS JOIN slow_poll s ON s.process = c.process AND s.loop = c.loop
            AND s.worker = c.worker AND s.start_at = c.start_at"
    )
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) fn statements(query: &SlowQuery) -> [String; 2] {
    [totals_sql(query), picked_sql(query)]
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn bind<'q>(sql: &str, query: &SlowQuery) -> Query<'q> {
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .bind(query.process.0)
        .bind(query.task.map(|task| task.0 as i64))
        .bind(query.from.map(|at| at.0))
        .bind(query.to.map(|at| at.0))
}

fn bind_limited<'q>(sql: &str, query: &SlowQuery) -> Query<'q> {
    bind(sql, query).bind(query.limit.min(MAX_SLOW) as i64)
}

fn slow_poll(
    row: &SqliteRow,
    samples: &mut HashMap<PollKey, Vec<SampleRow>>,
) -> Result<SlowPoll, sqlx::Error> {
    let process = row.try_get("process")?;
    let lane = lane(row)?;
    let start: i64 = row.try_get("start_at")?;
    let last: i64 = row.try_get("last_at")?;
    let length = row.try_get::<Option<i64>, _>("length")?.map(unsigned);
    Ok(SlowPoll {
        process: ProcessKey(process),
        lane,
        start_at: UnixNanos(start),
        length,
        length_so_far: length.unwrap_or(unsigned(last - start)),
        task: TaskId(row.try_get::<i64, _>("task")? as u64),
        spawn_location: location(row, "spawn_location")?,
        samples: samples.remove(&(process, lane, start)).unwrap_or_default(),
    })
}

fn sample(row: &SqliteRow, process: i64, stacks: &Stacks) -> Result<SampleRow, sqlx::Error> {
    let stack = stacks.get(&(process, row.try_get("stack")?));
    Ok(SampleRow {
        at: UnixNanos(row.try_get("at")?),
        running: match row.try_get::<i64, _>("running")? {
            1 => Running::OnCpu,
            2 => Running::OffCpu,
            _ => Running::Unknown,
        },
        frames: stack.cloned().unwrap_or_default(),
        syscall: row.try_get("syscall_text")?,
        wchan: row.try_get("wchan_text")?,
    })
}

/// Frames as they are stored: `[[function, file, line, address]]`.
pub(super) fn parse(frames: &str) -> Arc<[Frame]> {
    let Ok(Value::Array(frames)) = serde_json::from_str(frames) else { return Arc::default() };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let frame = |frame: &Value| Frame {
        function: text(&frame[0]),
        file: text(&frame[1]),
        line: frame[2].as_u64().and_then(|line| u32::try_from(line).ok()).unwrap_or(0),
        address: u64::from_str_radix(text(&frame[3]).trim_start_matches("0x"), 16).unwrap_or(0),
    };
    frames.iter().map(frame).collect()
}
