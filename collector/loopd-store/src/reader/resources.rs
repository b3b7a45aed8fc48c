//! Tracked resources.

use std::collections::BTreeMap;

use loopd_model::{CloseHow, ResourceId, TaskId};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::{Answer, Db, Reader, instant, location, unsigned};
use crate::{Page, ProcessKey, ResourceQuery, ResourceRow, StoreError};

/// A page holds at most so many rows, whatever is asked for.
const MAX_PAGE: u64 = 1_000;

impl Reader {
    /// A page of resources, latest opened first.
    pub async fn resources(&self, query: &ResourceQuery) -> Result<Page<ResourceRow>, StoreError> {
        let read = async |db: &mut Db| {
            let mut count = QueryBuilder::new("SELECT count(*) FROM resource r");
            filter(&mut count, query);
            let total: i64 = count.build_query_scalar().fetch_one(&mut **db).await?;
            let mut rows = QueryBuilder::new(
                "SELECT r.*, l.file, l.line, l.column FROM resource r LEFT JOIN location l
                 ON l.process = r.process AND l.location = r.open_location",
            );
            filter(&mut rows, query);
            rows.push(" ORDER BY r.opened_at DESC, r.process, r.resource DESC LIMIT ");
            rows.push_bind(query.limit.min(MAX_PAGE) as i64);
            rows.push(" OFFSET ").push_bind(query.offset.min(i64::MAX as u64) as i64);
            let rows = rows.build().fetch_all(&mut **db).await?;
            let rows = rows.iter().map(resource).collect::<Answer<_>>()?;
            Ok(Page { total: unsigned(total), rows })
        };
        self.ask("list resources", read).await
    }

    /// These resources of a process, by id, in one query.
    pub(super) async fn resources_by_id(
        &self,
        process: ProcessKey,
        ids: &[i64],
    ) -> Answer<BTreeMap<i64, ResourceRow>> {
        let sql = "SELECT r.*, l.file, l.line, l.column FROM json_each(?2) j
            CROSS JOIN resource r ON r.process = ?1 AND r.resource = j.value
            LEFT JOIN location l ON l.process = r.process AND l.location = r.open_location";
        let ids = serde_json::to_string(ids).unwrap_or_default();
        let rows = sqlx::query(sql).bind(process.0).bind(ids).fetch_all(&self.pool).await?;
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
    })
}
