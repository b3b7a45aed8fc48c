//! What a task has to do with others: those spawned at the same place, and those cancelled after it.

use loopd_model::TaskId;
use sqlx::{AssertSqlSafe, Row};

use super::tasks::{columns, listed, live_tasks, searched_from, task_row};
use super::{Answer, Db, Reader, amount, location};
use crate::{
    CancelledBy, ProcessKey, SiblingFigures, Siblings, StoreError, TaskName, TaskQuery, TaskSort,
    TaskState, UnixNanos,
};

/// So many tasks that were cancelled are given.
const MAX_CANCELLED: i64 = 100;

/// So many tasks are named at once.
pub(super) const MAX_NAMED: usize = 200;

// Not over `any_task`, of which a join would look at every task.
const NAMED: &str = "SELECT t.task, n.text AS name, t.spawn_location, l.file, l.line, l.column
    FROM (SELECT t.task, t.name, t.spawn_location FROM json_each(?2) j
            CROSS JOIN task t ON t.process = ?1 AND t.task = j.value
          UNION ALL SELECT k.task, k.name, k.spawn_location FROM json_each(?2) j
            CROSS JOIN task_records k ON k.process = ?1 AND k.task = j.value) t
    LEFT JOIN name n ON n.process = ?1 AND n.name = t.name
    LEFT JOIN location l ON l.process = ?1 AND l.location = t.spawn_location";

impl Reader {
    /// What the tasks of one spawn location are like; the latest of them, as lists of tasks look at.
    pub async fn siblings(
        &self,
        process: ProcessKey,
        location: i64,
    ) -> Result<Siblings, StoreError> {
        let query = TaskQuery { process, location: Some(location), ..TaskQuery::default() };
        let some = self.raw.ask(move |db| live_tasks(db, process.0)).await;
        let some = some.map_err(StoreError::sqlite("find live tasks"))?;
        let read = async |db: &mut Db| {
            let since = searched_from(db, process).await?;
            let what = "SELECT t.ended_at IS NULL, max(0, coalesce(t.ended_at, p.last_at)
                    - coalesce(t.spawned_at, t.first_poll_at, t.ended_at, p.last_at)),
                t.busy_time, t.polls,
                iif(t.are_lengths_unknown OR t.max_poll_time = 0 AND t.busy_time > 0, NULL,
                    t.max_poll_time)";
            let mut sql = listed(what, &query, some.as_deref(), since.unwrap_or(i64::MIN));
            let mut siblings = Siblings {
                searched_from: since.map(UnixNanos),
                has_more_alive: some.is_some(),
                ..Siblings::default()
            };
            for row in sql.build().fetch_all(&mut **db).await? {
                let figures = match row.try_get(0)? {
                    true => &mut siblings.alive,
                    false => &mut siblings.ended,
                };
                figures.lifetime.push(amount(&row, 1)?);
                figures.busy_time.push(amount(&row, 2)?);
                figures.polls.push(amount(&row, 3)?);
                let longest: Option<i64> = row.try_get(4)?;
                figures.max_poll_time.extend(longest.map(super::unsigned));
            }
            sort(&mut siblings.ended);
            sort(&mut siblings.alive);
            Ok(siblings)
        };
        self.ask("compare the tasks of a place", read).await
    }

    /// Tasks that were cancelled and that this one spawned or was the last to wake.
    pub async fn cancelled_by(
        &self,
        process: ProcessKey,
        task: TaskId,
    ) -> Result<CancelledBy, StoreError> {
        let state = Some(TaskState::Ended);
        let query = TaskQuery { process, state, sort: TaskSort::Task, ..TaskQuery::default() };
        let read = async |db: &mut Db| {
            let searched_from = searched_from(db, process).await?;
            let since = searched_from.unwrap_or(i64::MIN);
            let ask = |what: &str| {
                let mut sql = listed(what, &query, Some(&[]), since);
                sql.push(" AND t.outcome = 3 AND (t.last_waker = ").push_bind(task.0 as i64);
                sql.push(" OR t.parent = ").push_bind(task.0 as i64);
                sql.push(") AND t.task <> ").push_bind(task.0 as i64);
                sql
            };
            let mut count = ask("SELECT count(*)");
            let total: i64 = count.build_query_scalar().fetch_one(&mut **db).await?;
            let mut sql = ask(&columns());
            sql.push(" ORDER BY t.ended_at DESC, t.task LIMIT ").push_bind(MAX_CANCELLED);
            let rows = sql.build().fetch_all(&mut **db).await?;
            let rows = rows.iter().map(task_row).collect::<Answer<Vec<_>>>()?;
            let total = super::unsigned(total);
            Ok(CancelledBy { rows, total, searched_from: searched_from.map(UnixNanos) })
        };
        self.ask("find cancelled tasks", read).await
    }

    /// What these tasks are called, and where they are from; those that are not stored are left out.
    pub async fn task_names(
        &self,
        process: ProcessKey,
        tasks: &[TaskId],
    ) -> Result<Vec<TaskName>, StoreError> {
        let tasks: Vec<i64> = tasks.iter().take(MAX_NAMED).map(|task| task.0 as i64).collect();
        let read = async |db: &mut Db| {
            let query = sqlx::query(AssertSqlSafe(NAMED)).bind(process.0);
            let query = query.bind(serde_json::to_string(&tasks).unwrap_or_default());
            let rows = query.fetch_all(&mut **db).await?;
            let name = |row: &sqlx::sqlite::SqliteRow| {
                Ok(TaskName {
                    task: TaskId(row.try_get::<i64, _>("task")? as u64),
                    name: row.try_get("name")?,
                    location: location(row, "spawn_location")?,
                })
            };
            rows.iter().map(name).collect()
        };
        self.ask("name tasks", read).await
    }
}

fn sort(figures: &mut SiblingFigures) {
    let SiblingFigures { lifetime, busy_time, polls, max_poll_time } = figures;
    [lifetime, busy_time, polls, max_poll_time].into_iter().for_each(|list| list.sort_unstable());
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) fn statements() -> [String; 1] {
    [NAMED.replace("?2", "'[1]'").replace("?1", "1")]
}
