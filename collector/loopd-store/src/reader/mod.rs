//! Reads: one method per question, none of them a query per row.

mod alive;
mod asked;
#[cfg(test)]
mod beyond;
mod books;
mod bounds;
mod check;
mod disk;
mod dumps;
mod facts;
mod findings;
#[cfg(test)]
mod grown;
#[cfg(test)]
mod growth;
mod kept;
mod lives;
mod metric_bands;
mod metrics;
mod notes;
#[cfg(test)]
mod plans;
mod pool;
mod processes;
mod raw;
mod region;
mod resources;
mod rollups;
mod scene;
mod settings;
mod sites;
mod slow;
mod slowest;
mod sources;
mod spans;
mod stream;
mod stretches;
mod survivors;
mod task_kin;
mod task_life;
mod task_spans;
mod task_stretch;
mod task_terms;
mod tasks;
mod timeline;
mod told;
mod waits;
mod waits_of;
#[cfg(test)]
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use loopd_model::{Location, LocationId, LoopId, UnixNanos, WorkerId};
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Row};

pub(crate) use notes::{COLUMNS as NOTE_COLUMNS, note as read_note};
pub(crate) use settings::of_process;
pub use stream::RowStream;
pub use stretches::WaitsOf;
#[cfg(test)]
pub(crate) use watch::begin as watch;

use crate::error::Late;
use crate::segments::KnownTasks;
use crate::sql::QueryPool;
use crate::{LaneId, QueryError, QueryLimits, QueryResult, StoreError, open};

/// Reads the store, also while a writer in this or another process writes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    path: PathBuf,
    pool: pool::Pool,
    queries: QueryPool,
    raw: raw::RawPool,
    known: KnownTasks,
}

type Db = pool::Lease;
/// Inside of a question; [`Reader::ask`] turns the error into one that says which.
type Answer<T> = Result<T, sqlx::Error>;

impl Reader {
    /// Opens an existing database for reading only.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        open::check_for_reading(&path).await?;
        let (pool, queries) = (pool::Pool::new(&path), QueryPool::new(&path));
        let raw = raw::RawPool::new(&path);
        Ok(Self { path, pool, queries, raw, known: KnownTasks::default() })
    }

    /// Answers one SQL query over the documented views.
    pub async fn query(&self, sql: &str, limits: QueryLimits) -> Result<QueryResult, QueryError> {
        self.queries.query(sql, limits).await
    }

    /// The same reader, but no question takes longer than this; nor longer than [`crate::MAX_READ_TIME`].
    #[must_use]
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.pool.set_limit(limit);
        self.raw.set_limit(limit);
        self
    }

    /// Takes a connection to ask `what` on, and says so if it fails.
    async fn ask<T>(
        &self,
        what: &'static str,
        question: impl AsyncFnOnce(&mut Db) -> Answer<T>,
    ) -> Result<T, StoreError> {
        let asked = async {
            let mut db = self.pool.acquire().await?;
            let answer = question(&mut db).await;
            db.end().await;
            answer.map_err(|error| Late::if_stopped(error, self.pool.limit()))
        };
        asked.await.map_err(StoreError::sqlite(what))
    }
}

/// Reads `loop` and `worker`.
fn lane(row: &SqliteRow) -> Answer<LaneId> {
    let loop_id = LoopId(row.try_get::<i64, _>("loop")? as u64);
    Ok(LaneId { loop_id, worker: WorkerId(row.try_get::<i64, _>("worker")? as u32) })
}

/// Reads `file`, `line` and `column`, which are NULL together, and the id from a column of its own.
fn location(row: &SqliteRow, id: &str) -> Answer<Option<Location>> {
    let Some(file) = row.try_get::<Option<String>, _>("file")? else { return Ok(None) };
    Ok(Some(Location {
        id: LocationId(row.try_get::<i64, _>(id)? as u64),
        file,
        line: row.try_get::<i64, _>("line")? as u32,
        column: row.try_get::<i64, _>("column")? as u32,
    }))
}

/// Reads an instant that may be NULL.
fn instant(row: &SqliteRow, column: impl ColumnIndex<SqliteRow>) -> Answer<Option<UnixNanos>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(UnixNanos))
}

/// Reads a count or a length.
fn amount(row: &SqliteRow, column: impl ColumnIndex<SqliteRow>) -> Answer<u64> {
    row.try_get(column).map(unsigned)
}

/// A count or a length, which SQL keeps as a signed number. Not for ids, which use every bit.
fn unsigned(value: i64) -> u64 {
    value.max(0) as u64
}
