//! Retention of tables to which rows are only added.

use sqlx::sqlite::SqliteConnection;

use super::retain::{MAX_ROWS, chunk};

/// A table whose rows come in order of time, but for clocks that are wrong.
#[derive(Clone, Copy)]
pub(super) struct Log {
    table: &'static str,
    /// The column that says how old a row is.
    at: &'static str,
    /// The index by process and that column.
    index: &'static str,
}

pub(super) const METRICS: Log = Log { table: "metric", at: "at", index: "metric_by_series" };
pub(super) const READINGS: Log =
    Log { table: "resource_reading", at: "at", index: "resource_reading_by_age" };
pub(super) const APP_SPANS: Log =
    Log { table: "app_span", at: "closed_at", index: "app_span_by_time" };
pub(super) const MARKS: Log = Log { table: "mark", at: "at", index: "mark_by_time" };
pub(super) const HOLDS: Log = Log { table: "hold", at: "ended_at", index: "hold_by_time" };

impl Log {
    /// Removes rows of before `cutoff`, whatever lies around them.
    pub(super) async fn older_than(
        self,
        db: &mut SqliteConnection,
        cutoff: i64,
    ) -> Result<u64, sqlx::Error> {
        let Self { table, at, index } = self;
        let sql = format!(
            "DELETE FROM {table} WHERE rowid IN (SELECT x.rowid FROM process p
             CROSS JOIN {table} x INDEXED BY {index} ON x.process = p.id AND x.{at} < ?1 LIMIT ?2)"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(cutoff).bind(MAX_ROWS);
        Ok(query.execute(db).await?.rows_affected())
    }

    /// Removes the rows that came first.
    pub(super) async fn first(self, db: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
        let table = self.table;
        let sql = format!(
            "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} ORDER BY rowid LIMIT ?)"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(MAX_ROWS);
        Ok(query.execute(db).await?.rows_affected())
    }
}

/// Removes readings of the process and its loops from before `cutoff`: among those that came first,
/// or, where a clock that is ahead put its readings before them, series by series.
pub(super) async fn metrics(
    db: &mut SqliteConnection,
    now: i64,
    cutoff: i64,
) -> Result<u64, sqlx::Error> {
    const FIRST: &str = "DELETE FROM metric WHERE at < ?1 AND rowid IN
        (SELECT rowid FROM metric ORDER BY rowid LIMIT ?2)";
    const IS_AHEAD: &str = "SELECT EXISTS (SELECT 1 FROM
        (SELECT at FROM metric ORDER BY rowid LIMIT ?2) WHERE at > ?1)";
    const BY_SERIES: &str = "DELETE FROM metric WHERE rowid IN
        (SELECT x.rowid FROM process p CROSS JOIN metric_name n
         CROSS JOIN metric x INDEXED BY metric_by_series
         ON x.process = p.id AND x.name = n.id AND x.at < ?1 LIMIT ?2)";
    let removed = chunk(db, FIRST, cutoff).await?;
    if removed > 0 {
        return Ok(removed);
    }
    let query = sqlx::query_scalar(IS_AHEAD).bind(now).bind(MAX_ROWS);
    if query.fetch_one(&mut *db).await? { chunk(db, BY_SERIES, cutoff).await } else { Ok(0) }
}
