//! The waits of some tasks that last: now, which is what a chain of tasks that hold each other up needs, or at
//! an earlier instant.

use loopd_model::{TaskId, UnixNanos};
use sqlx::{QueryBuilder, Sqlite};

use super::bounds::{MAX_LOOKED, MAX_PAGE};
use super::waits::{AFTER_LOSSES, IS_OPEN, JOINED, add_holders, add_later_holders, columns, wait};
use super::{Answer, Db, Reader};
use crate::{ProcessKey, StoreError, WaitRow};

impl Reader {
    /// At most `limit` waits that last of these tasks, with their holders. Those that began with a
    /// holder come first, of these and of the others the longest.
    pub async fn open_waits_of(
        &self,
        process: ProcessKey,
        tasks: &[TaskId],
        limit: u64,
    ) -> Result<Vec<WaitRow>, StoreError> {
        let tasks: Vec<i64> = tasks.iter().map(|task| task.0 as i64).collect();
        let tasks = serde_json::to_string(&tasks).unwrap_or_default();
        let read = async |db: &mut Db| {
            // A task may have waited millions of times; few waits of all tasks last.
            let mut sql = QueryBuilder::new(columns());
            sql.push(" FROM (SELECT w.* FROM json_each(").push_bind(&tasks);
            sql.push(") j CROSS JOIN wait w INDEXED BY wait_pending_by_task ON w.process = ");
            sql.push_bind(process.0).push(" AND w.task = j.value AND w.ended_at IS NULL AND ");
            sql.push(AFTER_LOSSES).push(format!(" LIMIT {MAX_LOOKED}) w {JOINED} AND {IS_OPEN}"));
            sql.push(
                " ORDER BY EXISTS (SELECT 1 FROM wait_holder h WHERE h.process = w.process
                    AND h.wait = w.wait) DESC, w.began_at, w.wait LIMIT ",
            );
            sql.push_bind(limit.min(MAX_PAGE) as i64);
            let rows = sql.build().fetch_all(&mut **db).await?;
            let mut rows = rows.iter().map(wait).collect::<Answer<Vec<_>>>()?;
            add_holders(db, process, &mut rows).await?;
            add_later_holders(db, process, &mut rows).await?;
            Ok(rows)
        };
        self.ask("list the waits of tasks", read).await
    }

    /// At most `limit` waits in which these tasks were at an instant, with their holders: those that last
    /// since, and of each task those among its latest that ended after it.
    pub async fn open_waits_at(
        &self,
        process: ProcessKey,
        tasks: &[TaskId],
        at: UnixNanos,
        limit: u64,
    ) -> Result<Vec<WaitRow>, StoreError> {
        let tasks: Vec<i64> = tasks.iter().map(|task| task.0 as i64).collect();
        let tasks = serde_json::to_string(&tasks).unwrap_or_default();
        let read = async |db: &mut Db| {
            let mut sql = waits_at(process, &tasks, at, limit);
            let rows = sql.build().fetch_all(&mut **db).await?;
            let mut rows = rows.iter().map(wait).collect::<Answer<Vec<_>>>()?;
            add_holders(db, process, &mut rows).await?;
            add_later_holders(db, process, &mut rows).await?;
            // What a holder gave back later it had then.
            let holders = rows.iter_mut().flat_map(|row| &mut row.holders);
            holders.for_each(|it| it.released_at = it.released_at.filter(|&end| end <= at));
            Ok(rows)
        };
        self.ask("list the waits of tasks at an instant", read).await
    }
}

/// A task in a `select!` or a `join!` has so many waits at once, or not many more.
const WAITS_AT_ONCE: usize = 8;

/// The waits of [`Reader::open_waits_at`], those with a holder first.
pub(super) fn waits_at(
    process: ProcessKey,
    tasks: &str,
    at: UnixNanos,
    limit: u64,
) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(columns());
    sql.push(" FROM (SELECT y.* FROM json_each(").push_bind(tasks.to_owned());
    sql.push(") j CROSS JOIN wait y ON y.process = ").push_bind(process.0);
    for (index, condition, before) in [
        ("wait_pending_by_task", "w.ended_at IS NULL", " AND y.wait IN (SELECT wait FROM ("),
        ("wait_by_task", "1", " UNION SELECT wait FROM ("),
    ] {
        sql.push(format!(
            "{before}SELECT w.wait FROM wait w INDEXED BY {index}
             WHERE {condition} AND {AFTER_LOSSES} AND w.task = j.value AND w.process = "
        ));
        sql.push_bind(process.0).push(" AND w.began_at <= ").push_bind(at.0);
        sql.push(format!(" ORDER BY w.began_at DESC LIMIT {WAITS_AT_ONCE})"));
    }
    sql.push(")");
    sql.push(format!(" LIMIT {MAX_LOOKED}) w {JOINED} AND coalesce(w.ended_at, t.ended_at, "));
    sql.push_bind(i64::MAX).push(") > ").push_bind(at.0);
    sql.push(
        " ORDER BY EXISTS (SELECT 1 FROM wait_holder h WHERE h.process = w.process
            AND h.wait = w.wait) DESC, w.began_at, w.wait LIMIT ",
    );
    sql.push_bind(limit.min(MAX_PAGE) as i64);
    sql
}
