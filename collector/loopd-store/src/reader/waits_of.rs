//! The waits that last of some tasks, which is what a chain of tasks that hold each other up needs.

use loopd_model::TaskId;
use sqlx::QueryBuilder;

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
}
