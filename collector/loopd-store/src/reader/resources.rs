//! Tracked resources.

use std::collections::BTreeMap;

use loopd_model::{CloseHow, ResourceId, TaskId};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite};

use super::slow::parse;
use super::{Answer, Db, Reader, instant, location, unsigned};
use crate::{
    Page, ProcessKey, ResourceDetail, ResourceQuery, ResourceRow, ResourceState, StoreError,
};

/// A page holds at most so many rows, whatever is asked for.
const MAX_PAGE: u64 = 1_000;
/// Holds and states of one resource that are given: more than a page shows.
const MAX_HOLDS: u64 = 100;
const MAX_STATES: u64 = 500;

const STATE: &str = "s.depth, s.capacity, s.permits, s.waiters, s.senders, s.receivers, s.locked,
    s.acquired, s.contended, s.waited_time, s.held_time, s.sent, s.received, s.lagged";
const JOINED: &str = "LEFT JOIN location l
    ON l.process = r.process AND l.location = r.open_location
    LEFT JOIN resource_state s ON s.process = r.process AND s.resource = r.resource";

impl Reader {
    /// A page of resources, latest opened first.
    pub async fn resources(&self, query: &ResourceQuery) -> Result<Page<ResourceRow>, StoreError> {
        let read = async |db: &mut Db| {
            let mut count = QueryBuilder::new("SELECT count(*) FROM resource r");
            filter(&mut count, query);
            let total: i64 = count.build_query_scalar().fetch_one(&mut **db).await?;
            let mut rows = QueryBuilder::new(format!(
                "SELECT r.*, l.file, l.line, l.column, s.at AS state_at, {STATE} FROM resource r {JOINED}"
            ));
            filter(&mut rows, query);
            rows.push(" ORDER BY r.opened_at DESC, r.process, r.resource DESC LIMIT ");
            rows.push_bind(query.limit.min(MAX_PAGE) as i64);
            rows.push(" OFFSET ").push_bind(query.offset.min(i64::MAX as u64) as i64);
            let rows = rows.build().fetch_all(&mut **db).await?;
            let rows = rows.iter().map(resource).collect::<Answer<_>>()?;
            Ok(Page { total: unsigned(total), rows, ..Page::default() })
        };
        self.ask("list resources", read).await
    }

    /// One resource, how it stood, and who held it; `None` if nothing of it was seen.
    pub async fn resource(
        &self,
        process: ProcessKey,
        id: ResourceId,
    ) -> Result<Option<ResourceDetail>, StoreError> {
        let attempt = "read a resource";
        let rows = self.resources_by_id(process, &[id.0 as i64]).await;
        let rows = rows.map_err(StoreError::sqlite(attempt))?;
        let Some(resource) = rows.into_values().next() else { return Ok(None) };
        let holds = self.holds(process, Some(id), None, MAX_HOLDS).await?;
        let read = async |db: &mut Db| {
            let sql = "SELECT k.frames FROM resource r
                JOIN stack k ON k.process = r.process AND k.stack = r.stack
                WHERE r.process = ? AND r.resource = ?";
            let query = sqlx::query_scalar(sql).bind(process.0).bind(id.0 as i64);
            let frames: Option<String> = query.fetch_optional(&mut **db).await?;
            let sql = format!(
                "SELECT s.at AS state_at, {STATE} FROM resource_reading s
                 WHERE s.process = ? AND s.resource = ? ORDER BY s.at DESC LIMIT {MAX_STATES}"
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(process.0).bind(id.0 as i64);
            let states = query.fetch_all(&mut **db).await?;
            let states = states.iter().map(state).collect::<Answer<_>>()?;
            let open_stack = frames.map(|frames| parse(&frames).to_vec()).unwrap_or_default();
            Ok(Some(ResourceDetail { resource, open_stack, holds, states }))
        };
        self.ask(attempt, read).await
    }

    /// These resources of a process, by id, in one query.
    pub(super) async fn resources_by_id(
        &self,
        process: ProcessKey,
        ids: &[i64],
    ) -> Answer<BTreeMap<i64, ResourceRow>> {
        let sql = format!(
            "SELECT r.*, l.file, l.line, l.column, s.at AS state_at, {STATE} FROM json_each(?2) j
             CROSS JOIN resource r ON r.process = ?1 AND r.resource = j.value {JOINED}"
        );
        let ids = serde_json::to_string(ids).unwrap_or_default();
        let query = sqlx::query(AssertSqlSafe(sql)).bind(process.0).bind(ids);
        let rows = query.fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((row.try_get("resource")?, resource(row)?))).collect()
    }
}

fn filter(sql: &mut QueryBuilder<Sqlite>, query: &ResourceQuery) {
    // A close alone, of something opened before anybody watched, says nothing.
    sql.push(" WHERE r.opened_at IS NOT NULL");
    if let Some(process) = query.process {
        sql.push(" AND r.process = ").push_bind(process.0);
    }
    if let Some(task) = query.task {
        sql.push(" AND r.task = ").push_bind(task.0 as i64);
    }
    match query.is_open {
        Some(true) => sql.push(" AND r.closed_at IS NULL"),
        Some(false) => sql.push(" AND r.closed_at IS NOT NULL"),
        None => sql,
    };
}

fn resource(row: &SqliteRow) -> Result<ResourceRow, sqlx::Error> {
    let text =
        |name| Ok::<_, sqlx::Error>(row.try_get::<Option<String>, _>(name)?.unwrap_or_default());
    let task: Option<i64> = row.try_get("task")?;
    Ok(ResourceRow {
        process: ProcessKey(row.try_get("process")?),
        resource: ResourceId(row.try_get::<i64, _>("resource")? as u64),
        kind: text("kind")?,
        name: text("name")?,
        location: location(row, "open_location")?,
        task: task.filter(|&task| task != 0).map(|task| TaskId(task as u64)),
        opened_at: instant(row, "opened_at")?,
        closed_at: instant(row, "closed_at")?,
        how: row.try_get::<Option<i64>, _>("how")?.map(|how| match how {
            1 => CloseHow::Closed,
            3 => CloseHow::Unclosed,
            _ => CloseHow::Dropped,
        }),
        state: state(row)?,
    })
}

fn state(row: &SqliteRow) -> Answer<ResourceState> {
    let told = |name| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(name)?.map(unsigned));
    Ok(ResourceState {
        at: instant(row, "state_at")?.unwrap_or_default(),
        depth: told("depth")?,
        capacity: told("capacity")?,
        permits: told("permits")?,
        waiters: told("waiters")?,
        senders: told("senders")?,
        receivers: told("receivers")?,
        is_locked: told("locked")?.map(|locked| locked != 0),
        acquired: told("acquired")?,
        contended: told("contended")?,
        waited_time: told("waited_time")?,
        held_time: told("held_time")?,
        sent: told("sent")?,
        received: told("received")?,
        lagged: told("lagged")?,
    })
}
