//! Slow polls, with the stacks taken in them.

use std::collections::HashMap;
use std::sync::Arc;

use loopd_model::{Frame, Running, TaskId, UnixNanos};
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};

use super::timeline::LONGEST;
use super::{Reader, lane, location, unsigned};
use crate::{LaneId, ProcessKey, SampleRow, SlowPoll, SlowPolls, SlowQuery, StoreError};

/// So many slow polls are given at most, whatever is asked for.
const MAX_SLOW: u64 = 10_000;

/// What is asked for, in plain terms that SQLite can search by; `?1` to `?4` are bound by [`bind`].
fn filter(query: &SlowQuery) -> String {
    // Without statistics SQLite may prefer the primary key, which holds all polls of the process.
    let index = match (query.process, query.task) {
        (Some(_), Some(_)) => "INDEXED BY slow_poll_by_task ",
        _ => "",
    };
    let mut filter = format!("{index}WHERE s.is_slow = 1");
    if query.process.is_some() {
        filter.push_str(" AND s.process = ?1");
    }
    if query.task.is_some() {
        filter.push_str(" AND s.task = ?2");
    }
    if query.from.is_some() {
        filter.push_str(" AND +s.last_at >= ?3");
        if query.process.is_some() {
            // Starts are what is searched by; no poll that ends later starts before this.
            filter.push_str(&format!(" AND s.start_at >= ?3 - {LONGEST}"));
        }
    }
    if query.to.is_some() {
        filter.push_str(" AND s.start_at < ?4");
    }
    filter
}

/// The polls that are given in full; `?5` is their number.
const PICKED: &str = "SELECT s.process, s.loop, s.worker, s.start_at, s.length, s.last_at, s.task
    FROM slow_poll s {filter} ORDER BY s.start_at DESC LIMIT ?5";

/// What names a poll.
type PollKey = (i64, LaneId, i64);
type Stacks = HashMap<(i64, i64), Arc<[Frame]>>;

impl Reader {
    /// Slow polls with their samples and stacks, latest first.
    pub async fn slow_polls(&self, query: &SlowQuery) -> Result<SlowPolls, StoreError> {
        self.read_slow(query).await.map_err(StoreError::sqlite("read slow polls"))
    }

    async fn read_slow(&self, query: &SlowQuery) -> Result<SlowPolls, sqlx::Error> {
        let filter = filter(query);
        let totals = totals_sql(&filter);
        let totals = bind(&totals, query).fetch_one(&self.pool).await?;
        let picked = picked_sql(&filter);
        let mut samples = self.samples(&picked, query).await?;
        let sql = format!(
            "WITH picked AS ({picked})
             SELECT s.*, t.spawn_location, l.file, l.line, l.column FROM picked s
             LEFT JOIN task t ON t.process = s.process AND t.task = s.task
             LEFT JOIN location l ON l.process = t.process AND l.location = t.spawn_location
             ORDER BY s.start_at DESC"
        );
        let rows = bind_limited(&sql, query).fetch_all(&self.pool).await?;
        Ok(SlowPolls {
            total: unsigned(totals.try_get("n")?),
            total_time: unsigned(totals.try_get("t")?),
            polls: rows.iter().map(|row| slow_poll(row, &mut samples)).collect::<Result<_, _>>()?,
        })
    }

    /// The samples of the picked polls, earliest first.
    async fn samples(
        &self,
        picked: &str,
        query: &SlowQuery,
    ) -> Result<HashMap<PollKey, Vec<SampleRow>>, sqlx::Error> {
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
        for row in bind_limited(&sql, query).fetch_all(&self.pool).await? {
            let frames: String = row.try_get("frames")?;
            stacks.insert((row.try_get("process")?, row.try_get("stack")?), parse(&frames));
        }
        let mut samples: HashMap<PollKey, Vec<SampleRow>> = HashMap::new();
        let rows = bind_limited(&format!("{taken} ORDER BY a.at"), query);
        for row in rows.fetch_all(&self.pool).await? {
            let process = row.try_get("process")?;
            let key = (process, lane(&row)?, row.try_get("poll_started_at")?);
            samples.entry(key).or_default().push(sample(&row, process, &stacks)?);
        }
        Ok(samples)
    }
}

fn totals_sql(filter: &str) -> String {
    format!(
        "SELECT count(*) AS n, CAST(total(s.last_at - s.start_at) AS INTEGER) AS t
         FROM slow_poll s {filter}"
    )
}

fn picked_sql(filter: &str) -> String {
    PICKED.replace("{filter}", filter)
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) fn statements(query: &SlowQuery) -> [String; 2] {
    let filter = filter(query);
    [totals_sql(&filter), picked_sql(&filter)]
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn bind<'q>(sql: &str, query: &SlowQuery) -> Query<'q> {
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .bind(query.process.map(|process| process.0))
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
