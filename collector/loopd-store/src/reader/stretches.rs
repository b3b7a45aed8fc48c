//! Waits, holds and readings that touch a stretch of time: of one task or one resource, the latest of them.

use loopd_model::{ResourceId, TaskId, UnixNanos};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::bounds::SCALE;
use super::waits::{JOINED, add_holders, add_later_holders, columns, hold, wait};
use super::{Answer, Db, Reader};
use crate::{HoldRow, ProcessKey, ReadingRow, StoreError, Stretch, WaitRow};

/// Among so many of the latest that began before a stretch those are looked for that reach into it.
const MAX_BEFORE: u64 = 1_000 / SCALE;

/// Whose waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsOf {
    /// Of this task, for whatever.
    Task(TaskId),
    /// For this resource, of whatever task.
    Resource(ResourceId),
}

impl WaitsOf {
    const fn column(self) -> &'static str {
        match self {
            Self::Task(_) => "task",
            Self::Resource(_) => "resource",
        }
    }

    const fn id(self) -> i64 {
        match self {
            Self::Task(task) => task.0 as i64,
            Self::Resource(resource) => resource.0 as i64,
        }
    }
}

impl Reader {
    /// At most `limit` waits that touch a stretch of time, with their holders.
    pub async fn waits_between(
        &self,
        process: ProcessKey,
        of: WaitsOf,
        (from, to): (UnixNanos, UnixNanos),
        limit: usize,
    ) -> Result<Stretch<WaitRow>, StoreError> {
        let read = async |db: &mut Db| {
            let mut sql = waits(process, of, (from.0, to.0), limit);
            let rows = sql.build().fetch_all(&mut **db).await?;
            let mut rows = rows.iter().map(wait).collect::<Answer<Vec<_>>>()?;
            // What its end, or the last that is known of it, is before.
            let end = |row: &WaitRow| row.began_at.0.saturating_add_unsigned(row.length);
            rows.retain(|row| row.is_open || end(row) >= from.0);
            let mut stretch = latest(rows, limit, |row| row.began_at);
            // Those that last and began before the range are all seen if those that began before it are.
            let mut sql = unseen_wait(process, of, from.0);
            let unseen: Option<i64> = sql.build_query_scalar().fetch_optional(&mut **db).await?;
            stretch.known_from = stretch.known_from.max(unseen.map(UnixNanos));
            add_holders(db, process, &mut stretch.rows).await?;
            add_later_holders(db, process, &mut stretch.rows).await?;
            Ok(stretch)
        };
        self.ask("list the waits of a stretch of time", read).await
    }

    /// At most `limit` holds of a resource that touch a stretch of time and are over.
    pub async fn holds_between(
        &self,
        process: ProcessKey,
        resource: ResourceId,
        (from, to): (UnixNanos, UnixNanos),
        limit: usize,
    ) -> Result<Stretch<HoldRow>, StoreError> {
        let read = async |db: &mut Db| {
            let mut sql = holds(process, resource, (from.0, to.0), limit);
            let rows = sql.build().fetch_all(&mut **db).await?;
            let rows = rows.iter().map(hold).collect::<Answer<Vec<_>>>()?;
            let mut stretch = latest(rows, limit, |row| row.ended_at);
            let mut sql = unseen_hold(process, resource, to.0);
            let unseen: Option<i64> = sql.build_query_scalar().fetch_optional(&mut **db).await?;
            stretch.known_from = stretch.known_from.max(unseen.map(|_| from));
            Ok(stretch)
        };
        self.ask("list the holds of a stretch of time", read).await
    }

    /// At most `limit` readings of a resource in a stretch of time, after the last before it.
    pub async fn readings_between(
        &self,
        process: ProcessKey,
        resource: ResourceId,
        (from, to): (UnixNanos, UnixNanos),
        limit: usize,
    ) -> Result<Stretch<ReadingRow>, StoreError> {
        let read = async |db: &mut Db| {
            let mut sql = readings(process, resource, (from.0, to.0), limit);
            let rows = sql.build().fetch_all(&mut **db).await?;
            let rows = rows.iter().map(reading).collect::<Answer<Vec<_>>>()?;
            Ok(latest(rows, limit, |row| row.at))
        };
        self.ask("list the readings of a resource", read).await
    }
}

/// The `limit` latest rows of what may be one more, oldest first.
fn latest<T>(mut rows: Vec<T>, limit: usize, at: impl Fn(&T) -> UnixNanos) -> Stretch<T> {
    rows.sort_by_key(|row| std::cmp::Reverse(at(row)));
    let known_from = rows.get(limit).map(&at);
    rows.truncate(limit);
    rows.reverse();
    Stretch { rows, known_from }
}

/// Those that began in the range, those that began not long before, and those that last.
pub(super) fn waits(
    process: ProcessKey,
    of: WaitsOf,
    (from, to): (i64, i64),
    limit: usize,
) -> QueryBuilder<Sqlite> {
    let column = of.column();
    let mut sql = QueryBuilder::new(columns());
    sql.push(" FROM (");
    let (all, pending) = (format!("wait_by_{column}"), format!("wait_pending_by_{column}"));
    let (most, few) = (limit as i64 + 1, MAX_BEFORE as i64);
    for (glue, index, state, order, least, before, most) in [
        ("", &all, "", "DESC", from, to, most),
        (" UNION ", &all, "", "DESC", i64::MIN, from, few),
        (" UNION ", &pending, "AND w.ended_at IS NULL ", "ASC", i64::MIN, to, few),
    ] {
        sql.push(format!(
            "{glue}SELECT wait FROM (SELECT w.wait FROM wait w INDEXED BY {index} WHERE w.{column} = "
        ));
        sql.push_bind(of.id()).push(" AND w.process = ").push_bind(process.0);
        sql.push(format!(" {state}AND w.began_at >= ")).push_bind(least);
        sql.push(" AND w.began_at < ").push_bind(before);
        sql.push(format!(" ORDER BY w.began_at {order} LIMIT ")).push_bind(most).push(")");
    }
    // Crossed, because SQLite would rather go through all waits of the process.
    sql.push(") k CROSS JOIN wait w ON w.wait = k.wait AND w.process = ").push_bind(process.0);
    sql.push(JOINED).push(" AND (w.ended_at IS NULL OR w.ended_at >= ");
    sql.push_bind(from).push(") ORDER BY w.began_at DESC LIMIT ").push_bind(most);
    sql
}

/// When the latest of those began that began before the range and were not looked at.
pub(super) fn unseen_wait(process: ProcessKey, of: WaitsOf, from: i64) -> QueryBuilder<Sqlite> {
    let column = of.column();
    let mut sql = QueryBuilder::new(format!(
        "SELECT w.began_at FROM wait w INDEXED BY wait_by_{column} WHERE w.{column} = "
    ));
    sql.push_bind(of.id()).push(" AND w.process = ").push_bind(process.0);
    sql.push(" AND w.began_at < ").push_bind(from);
    sql.push(" ORDER BY w.began_at DESC LIMIT 1 OFFSET ").push_bind(MAX_BEFORE as i64);
    sql
}

/// When the first of those ended that ended after the range and were not looked at.
pub(super) fn unseen_hold(
    process: ProcessKey,
    resource: ResourceId,
    to: i64,
) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(
        "SELECT x.ended_at FROM hold x INDEXED BY hold_by_resource WHERE x.process = ",
    );
    sql.push_bind(process.0).push(" AND x.resource = ").push_bind(resource.0 as i64);
    sql.push(" AND x.ended_at >= ").push_bind(to);
    sql.push(" ORDER BY x.ended_at LIMIT 1 OFFSET ").push_bind(MAX_BEFORE as i64);
    sql
}

/// Those that ended in the range, and those among the first to end after it that had begun by then.
pub(super) fn holds(
    process: ProcessKey,
    resource: ResourceId,
    (from, to): (i64, i64),
    limit: usize,
) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(
        "SELECT h.*, n.text AS task_name, l.file, l.line, l.column FROM (SELECT * FROM (",
    );
    let most = limit as i64 + 1;
    for (glue, order, least, before, most) in [
        ("", "DESC", from, to, most),
        (" UNION ALL SELECT * FROM (", "ASC", to, i64::MAX, MAX_BEFORE as i64),
    ] {
        sql.push(format!(
            "{glue}SELECT x.* FROM hold x INDEXED BY hold_by_resource WHERE x.process = "
        ));
        sql.push_bind(process.0).push(" AND x.resource = ").push_bind(resource.0 as i64);
        sql.push(" AND x.ended_at >= ").push_bind(least).push(" AND x.ended_at < ");
        sql.push_bind(before).push(format!(" ORDER BY x.ended_at {order} LIMIT "));
        sql.push_bind(most).push(")");
    }
    sql.push(
        ") h LEFT JOIN task t ON t.process = h.process AND t.task = h.task
         LEFT JOIN name n ON n.process = t.process AND n.name = t.name
         LEFT JOIN location l ON l.process = h.process AND l.location = h.location
         WHERE h.since < ",
    );
    sql.push_bind(to);
    sql
}

pub(super) fn readings(
    process: ProcessKey,
    resource: ResourceId,
    (from, to): (i64, i64),
    limit: usize,
) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("");
    for (glue, least, before, most) in [
        ("SELECT * FROM (", from, to, limit as i64 + 1),
        (" UNION ALL SELECT * FROM (", i64::MIN, from, 1),
    ] {
        sql.push(format!(
            "{glue}SELECT s.at, s.depth, s.capacity, s.permits, s.waiters, s.locked
             FROM resource_reading s INDEXED BY resource_reading_by_time WHERE s.process = "
        ));
        sql.push_bind(process.0).push(" AND s.resource = ").push_bind(resource.0 as i64);
        sql.push(" AND s.at >= ").push_bind(least).push(" AND s.at < ").push_bind(before);
        sql.push(" ORDER BY s.at DESC LIMIT ").push_bind(most).push(")");
    }
    sql
}

fn reading(row: &SqliteRow) -> Answer<ReadingRow> {
    let amount = |column: &str| {
        let value: Option<i64> = row.try_get(column)?;
        Answer::Ok(value.map(|value| value.max(0) as u64))
    };
    Ok(ReadingRow {
        at: UnixNanos(row.try_get("at")?),
        depth: amount("depth")?,
        capacity: amount("capacity")?,
        permits: amount("permits")?,
        waiters: amount("waiters")?,
        locked: amount("locked")?.map(|locked| locked != 0),
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    const FROM: i64 = 1_000_000;
    const RANGE: (UnixNanos, UnixNanos) = (UnixNanos(FROM), UnixNanos(2 * FROM));
    const RESOURCE: ResourceId = ResourceId(5);

    async fn store() -> (tempfile::TempDir, Reader, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("loopd.db");
        let (writer, reader) = crate::open(crate::StoreOptions::new(&path)).await.unwrap();
        writer.close().await.unwrap();
        let db = Connection::open(path).unwrap();
        (directory, reader, db)
    }

    #[tokio::test]
    async fn waits_that_were_not_looked_at_are_said_to_be_there() {
        let (_directory, reader, db) = store().await;
        let add = |wait: i64, began_at: i64, ended_at: i64| {
            let sql = "INSERT INTO wait (process, wait, task, resource, began_at, ended_at)
                VALUES (1, ?1, 7, 5, ?2, ?3)";
            db.execute(sql, [wait, began_at, ended_at]).unwrap();
        };
        let known_from = async || {
            let of = WaitsOf::Resource(RESOURCE);
            let stretch = reader.waits_between(ProcessKey(1), of, RANGE, 10).await.unwrap();
            stretch.known_from
        };
        for i in 1..=MAX_BEFORE as i64 {
            add(i, 100 + i, 200 + i);
        }
        assert_eq!(known_from().await, None);
        // It reaches through the range, behind all that are looked at.
        add(0, 50, 3 * FROM);
        assert_eq!(known_from().await, Some(UnixNanos(50)));
    }

    #[tokio::test]
    async fn holds_that_were_not_looked_at_are_said_to_be_there() {
        let (_directory, reader, db) = store().await;
        let add = |since: i64, ended_at: i64| {
            let sql = "INSERT INTO hold (process, resource, task, since, ended_at, location, amount, waits)
                VALUES (1, 5, 7, ?1, ?2, 0, 1, 1)";
            db.execute(sql, [since, ended_at]).unwrap();
        };
        let known_from = async || {
            let stretch = reader.holds_between(ProcessKey(1), RESOURCE, RANGE, 10).await.unwrap();
            stretch.known_from
        };
        for i in 1..=MAX_BEFORE as i64 {
            add(3 * FROM + i, 3 * FROM + i + 1);
        }
        assert_eq!(known_from().await, None);
        add(FROM + 1, 9 * FROM);
        assert_eq!(known_from().await, Some(UnixNanos(FROM)));
    }
}
