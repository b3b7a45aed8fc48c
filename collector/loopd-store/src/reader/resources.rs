//! Tracked resources.

use std::collections::BTreeMap;

use loopd_model::{CloseHow, ResourceId, TaskId};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite};

use super::bounds::page;
use super::slow::parse;
use super::{Answer, Db, Reader, instant, location, unsigned};
use crate::{
    MAX_COUNTED, Page, ProcessKey, ResourceDetail, ResourceQuery, ResourceRow, ResourceState,
    StoreError,
};

/// Holds and states of one resource that are given: more than a page shows.
const MAX_HOLDS: u64 = 100;
const MAX_STATES: u64 = 500;

const STATE: &str = "s.depth, s.capacity, s.permits, s.waiters, s.senders, s.receivers, s.locked,
    s.acquired, s.contended, s.waited_time, s.held_time, s.sent, s.received, s.lagged";
const JOINED: &str = "LEFT JOIN location l
    ON l.process = r.process AND l.location = r.open_location
    LEFT JOIN resource_state s ON s.process = r.process AND s.resource = r.resource";

impl Reader {
    /// A page of resources, latest opened first; if only closed ones are asked for, latest closed first.
    /// They are counted up to [`MAX_COUNTED`], and one more if there are more.
    pub async fn resources(&self, query: &ResourceQuery) -> Result<Page<ResourceRow>, StoreError> {
        let read = async |db: &mut Db| {
            let total: i64 = count(query).build_query_scalar().fetch_one(&mut **db).await?;
            let rows = select(query).build().fetch_all(&mut **db).await?;
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
        let rows = query.fetch_all(&mut *self.pool.acquire().await?).await?;
        rows.iter().map(|row| Ok((row.try_get("resource")?, resource(row)?))).collect()
    }
}

/// How many, up to one more than are counted.
pub(super) fn count(query: &ResourceQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT count(*) FROM (SELECT 1");
    filter(&mut sql, query);
    sql.push(" LIMIT ").push_bind(MAX_COUNTED as i64 + 1).push(")");
    sql
}

pub(super) fn select(query: &ResourceQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(format!(
        "SELECT r.*, l.file, l.line, l.column, s.at AS state_at, {STATE}
         FROM (SELECT r.process, r.resource"
    ));
    filter(&mut sql, query);
    let at = order(query);
    let (limit, offset) = page(query.limit, query.offset);
    sql.push(format!(" ORDER BY r.{at} DESC, r.resource DESC LIMIT "));
    sql.push_bind(limit).push(" OFFSET ").push_bind(offset);
    sql.push(format!(
        ") c CROSS JOIN resource r ON r.process = c.process AND r.resource = c.resource {JOINED}
         ORDER BY r.{at} DESC, r.resource DESC"
    ));
    sql
}

/// By which instant they are listed.
const fn order(query: &ResourceQuery) -> &'static str {
    match query {
        ResourceQuery { task: None, is_open: Some(false), .. } => "closed_at",
        _ => "opened_at",
    }
}

fn filter(sql: &mut QueryBuilder<Sqlite>, query: &ResourceQuery) {
    let index = match (query.task, query.is_open) {
        (Some(_), _) => "resource_by_task",
        (None, Some(true)) => "resource_open_by_time",
        (None, Some(false)) => "resource_by_close",
        (None, None) => "resource_by_open",
    };
    sql.push(format!(" FROM resource r INDEXED BY {index} WHERE r.process = "));
    sql.push_bind(query.process.0);
    // A close alone, of something opened before anybody watched, says nothing.
    sql.push(" AND r.opened_at IS NOT NULL");
    if let Some(task) = query.task {
        sql.push(" AND r.task = ").push_bind(task.0 as i64);
    }
    match query.is_open {
        Some(true) => sql.push(" AND r.closed_at IS NULL"),
        Some(false) => sql.push(" AND r.closed_at IS NOT NULL"),
        None => sql,
    };
}

pub(super) fn resource(row: &SqliteRow) -> Result<ResourceRow, sqlx::Error> {
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
