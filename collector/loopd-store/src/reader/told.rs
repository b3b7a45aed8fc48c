//! What programs said themselves, and what was captured when.

use loopd_analysis::checks::TARGET;
use loopd_model::{MarkLevel, TaskId};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::bounds::{MAX_LOOKED, SCALE};
use super::{Answer, Db, Reader, amount, location, processes};
use crate::settings::from_json;
use crate::{
    AppSpanRow, CoverageRow, MarkQuery, MarkRow, Marks, ProcessKey, StoreError, UnixNanos,
};

/// So many are given at most, whatever is asked for.
const MAX_ROWS: u64 = 1_000;
/// Of what asyncio complains of so much is given: a program that complains more often says the same.
const MAX_COMPLAINTS: u64 = 10_000 / SCALE;

impl Reader {
    /// Marks and traced events, latest first. With a level the latest hundred thousand are looked
    /// through: [`Marks::searched_from`] says if that left any out.
    pub async fn marks(&self, query: &MarkQuery) -> Result<Marks, StoreError> {
        let read = async |db: &mut Db| {
            let rows = select_marks(query).build().fetch_all(&mut **db).await?;
            let rows = rows.iter().map(mark).collect::<Answer<Vec<_>>>()?;
            let is_full = rows.len() as u64 >= query.limit.min(MAX_ROWS);
            let searched_from = match query.level {
                MarkLevel::None => None,
                _ if is_full => None,
                _ => left_out(query).build_query_scalar().fetch_optional(&mut **db).await?,
            };
            Ok(Marks { rows, searched_from: searched_from.map(UnixNanos) })
        };
        self.ask("list marks", read).await
    }

    /// What asyncio complains of: its marks of a level of warn or more, latest first, of all tasks. The
    /// latest ten thousand at most: [`Marks::searched_from`] says if that left any out.
    pub async fn complaints(&self, query: &MarkQuery) -> Result<Marks, StoreError> {
        let read = async |db: &mut Db| {
            let rows = select_complaints(query).build().fetch_all(&mut **db).await?;
            let is_cut = rows.len() as u64 > MAX_COMPLAINTS;
            let mut rows = rows.iter().map(mark).collect::<Answer<Vec<_>>>()?;
            rows.truncate(MAX_COMPLAINTS as usize);
            let searched_from = rows.last().filter(|_| is_cut).map(|mark| mark.at);
            Ok(Marks { rows, searched_from })
        };
        self.ask("list complaints", read).await
    }

    /// Spans of the program's own tracing, those that closed last first.
    pub async fn app_spans(&self, query: &MarkQuery) -> Result<Vec<AppSpanRow>, StoreError> {
        let index = if query.task.is_some() { "app_span_by_task" } else { "app_span_by_time" };
        let read = async |db: &mut Db| {
            let mut sql = QueryBuilder::new(format!(
                "SELECT m.*, l.file, l.line, l.column FROM app_span m INDEXED BY {index}
                 LEFT JOIN location l ON l.process = m.process AND l.location = m.location
                 WHERE m.process = "
            ));
            filter(&mut sql, query, "m.closed_at");
            sql.push(" ORDER BY m.closed_at DESC LIMIT ");
            sql.push_bind(query.limit.min(MAX_ROWS) as i64);
            sql.build().fetch_all(&mut **db).await?.iter().map(app_span).collect()
        };
        self.ask("list spans", read).await
    }

    /// What was captured of a process, latest first; the first is what holds now.
    pub async fn coverage(
        &self,
        process: ProcessKey,
        limit: u64,
    ) -> Result<Vec<CoverageRow>, StoreError> {
        let read = async |db: &mut Db| {
            let sql = "SELECT at, layers, settings FROM coverage_change WHERE process = ?
                ORDER BY at DESC, rowid DESC LIMIT ?";
            let rows = sqlx::query(sql).bind(process.0).bind(limit.min(MAX_ROWS) as i64);
            rows.fetch_all(&mut **db).await?.iter().map(coverage).collect()
        };
        self.ask("read what is captured", read).await
    }
}

/// The marks that are looked at: their number is bounded before the level is asked for, which no index
/// has first.
fn looked_at(sql: &mut QueryBuilder<Sqlite>, query: &MarkQuery) {
    let index = if query.task.is_some() { "mark_by_task" } else { "mark_by_time" };
    sql.push(format!(" FROM mark m INDEXED BY {index} WHERE m.process = "));
    filter(sql, query, "m.at");
    sql.push(" ORDER BY m.at DESC");
}

pub(super) fn select_marks(query: &MarkQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(
        "SELECT m.*, l.file, l.line, l.column FROM (SELECT id FROM
         (SELECT m.rowid AS id, m.level",
    );
    looked_at(&mut sql, query);
    sql.push(format!(" LIMIT {MAX_LOOKED})"));
    if query.level != MarkLevel::None {
        sql.push(" WHERE level = 0 OR level >= ").push_bind(query.level as i64);
    }
    sql.push(" LIMIT ").push_bind(query.limit.min(MAX_ROWS) as i64);
    sql.push(
        ") c CROSS JOIN mark m ON m.rowid = c.id
         LEFT JOIN location l ON l.process = m.process AND l.location = m.location
         ORDER BY m.at DESC",
    );
    sql
}

/// The words of the index, or it is not used. One more than are given tells whether there are more.
pub(super) fn select_complaints(query: &MarkQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(format!(
        "SELECT m.*, l.file, l.line, l.column FROM mark m INDEXED BY mark_by_check
         LEFT JOIN location l ON l.process = m.process AND l.location = m.location
         WHERE m.target = '{TARGET}' AND m.level >= 4 AND m.process = "
    ));
    filter(&mut sql, &MarkQuery { task: None, ..*query }, "m.at");
    sql.push(" ORDER BY m.at DESC LIMIT ").push_bind(MAX_COMPLAINTS as i64 + 1);
    sql
}

/// The earliest instant at which every mark was looked at, if not all were.
fn left_out(query: &MarkQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT m.at + 1");
    looked_at(&mut sql, query);
    sql.push(format!(" LIMIT 1 OFFSET {MAX_LOOKED}"));
    sql
}

fn filter(sql: &mut QueryBuilder<Sqlite>, query: &MarkQuery, at: &str) {
    sql.push_bind(query.process.0);
    if let Some(task) = query.task {
        // In these words, or the index of those that have a task is not used.
        sql.push(" AND m.task <> 0 AND m.task = ").push_bind(task.0 as i64);
    }
    if let Some(from) = query.from {
        sql.push(format!(" AND {at} >= ")).push_bind(from.0);
    }
    if let Some(to) = query.to {
        sql.push(format!(" AND {at} < ")).push_bind(to.0);
    }
}

fn mark(row: &SqliteRow) -> Answer<MarkRow> {
    Ok(MarkRow {
        at: UnixNanos(row.try_get("at")?),
        task: task(row)?,
        level: match row.try_get("level")? {
            1 => MarkLevel::Trace,
            2 => MarkLevel::Debug,
            3 => MarkLevel::Info,
            4 => MarkLevel::Warn,
            5 => MarkLevel::Error,
            _ => MarkLevel::None,
        },
        target: row.try_get("target")?,
        message: row.try_get("message")?,
        fields: fields(row.try_get("fields")?),
        location: location(row, "location")?,
    })
}

fn app_span(row: &SqliteRow) -> Answer<AppSpanRow> {
    let parent: i64 = row.try_get("parent")?;
    Ok(AppSpanRow {
        span: row.try_get::<i64, _>("span")? as u64,
        parent: (parent != 0).then_some(parent as u64),
        task: task(row)?,
        name: row.try_get("name")?,
        target: row.try_get("target")?,
        opened_at: UnixNanos(row.try_get("opened_at")?),
        closed_at: UnixNanos(row.try_get("closed_at")?),
        busy_time: amount(row, "busy_time")?,
        fields: fields(row.try_get("fields")?),
        location: location(row, "location")?,
    })
}

fn coverage(row: &SqliteRow) -> Answer<CoverageRow> {
    Ok(CoverageRow {
        at: UnixNanos(row.try_get("at")?),
        coverage: processes::coverage(row.try_get("layers")?),
        settings: from_json(row.try_get("settings")?),
    })
}

fn task(row: &SqliteRow) -> Answer<Option<TaskId>> {
    let task: i64 = row.try_get("task")?;
    Ok((task != 0).then_some(TaskId(task as u64)))
}

/// The writer made this JSON; what is not as it made it is left out.
pub(super) fn fields(json: &str) -> Vec<(String, String)> {
    let fields: std::collections::BTreeMap<String, String> =
        serde_json::from_str(json).unwrap_or_default();
    fields.into_iter().collect()
}
