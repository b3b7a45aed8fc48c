//! Answers one query of a user: checked before sqlx sees it, run behind the [`sandbox`], cut at its
//! limits.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteColumn, SqliteConnection, SqliteRow};
use sqlx::{Column, ConnectOptions, Connection, Row, TypeInfo, ValueRef};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::guard::Guard;
use super::hints::{Forecast, Names};
use super::{QueryError, QueryLimits, QueryResult, Value, sandbox, spill};
use crate::{connect, schema};

/// A longer query is not typed by anybody.
pub(super) const MAX_SQL: usize = 100_000;
/// So many queries run at once; the rest wait their turn.
const CONNECTIONS: usize = 4;
/// So many rows, of up to a hundred values of 1 MB, wait to be taken from SQLite's thread.
const ROWS_IN_FLIGHT: usize = 8;
/// SQLite looks at the clock each time it has done so many steps.
const STEPS_PER_CHECK: i32 = 1_000;

/// Connections that users' queries run on.
#[derive(Clone, Debug)]
pub(crate) struct QueryPool {
    path: PathBuf,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Enclosed>>>,
}

/// A connection behind walls.
#[derive(Debug)]
struct Enclosed {
    db: SqliteConnection,
    guard: Guard,
    names: Names,
}

impl QueryPool {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
            idle: Arc::default(),
        }
    }

    /// Answers one query.
    pub(crate) async fn query(
        &self,
        sql: &str,
        limits: QueryLimits,
    ) -> Result<QueryResult, QueryError> {
        let started = Instant::now();
        check_text(sql)?;
        // Nobody closes the semaphore.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let enclosed = match idle {
            Some(enclosed) => enclosed,
            None => enclose(&self.path).await.map_err(|source| QueryError::Store { source })?,
        };
        let mut lease = Lease { enclosed: Some(enclosed), permit };
        let result = lease.run(sql, &limits).await;
        if let Some(enclosed) = lease.end().await {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(enclosed);
        }
        Ok(QueryResult { elapsed: started.elapsed(), ..result? })
    }
}

/// A connection while a query has it. However the query ends, the permit is given back only when
/// SQLite has stopped working on it: sqlx steps on a thread of its own, which notices that nobody
/// listens no sooner than the next row.
struct Lease {
    /// `None` once it has ended.
    enclosed: Option<Enclosed>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Lease {
    async fn run(&mut self, sql: &str, limits: &QueryLimits) -> Result<QueryResult, QueryError> {
        match &mut self.enclosed {
            Some(enclosed) => run(enclosed, sql, limits).await,
            None => Err(QueryError::Store { source: sqlx::Error::WorkerCrashed }),
        }
    }

    /// Gives the connection back, quiet and ready for the next query; `None` if it is broken.
    async fn end(mut self) -> Option<Enclosed> {
        let is_quiet = match &mut self.enclosed {
            Some(enclosed) => enclosed.quiet().await.is_ok(),
            None => false,
        };
        let enclosed = self.enclosed.take().filter(|_| is_quiet)?;
        enclosed.guard.stop();
        Some(enclosed)
    }
}

impl Drop for Lease {
    /// The query was given up on, as when a client hangs up.
    fn drop(&mut self) {
        let Some(mut enclosed) = self.enclosed.take() else { return };
        enclosed.guard.expire();
        let permit = self.permit.take();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                // Whether it is quiet or broken: its thread no longer works.
                let _ = enclosed.quiet().await;
                drop((enclosed, permit));
            });
        }
    }
}

impl Enclosed {
    /// Has SQLite stop whatever it still does, and waits until it has.
    async fn quiet(&mut self) -> Result<(), sqlx::Error> {
        self.guard.expire();
        // Its thread answers in order. Taking the handle's lock instead, right after another lock
        // was given back, can wait for ever.
        self.db.ping().await
    }
}

/// Opens a connection and builds the walls around it.
async fn enclose(path: &Path) -> Result<Enclosed, sqlx::Error> {
    // A sort that outgrows the cache goes to a temporary file, not to memory.
    let options = connect::read_options(path).pragma("temp_store", "file");
    // Without a limit on those files there is no SQL for users.
    let uncounted = || sqlx::Error::Configuration("temporary files cannot be counted here".into());
    let vfs = spill::vfs().ok_or_else(uncounted)?;
    // Rows may be large: few of them wait between SQLite's thread and ours.
    let mut db = options.vfs(vfs).row_buffer_size(ROWS_IN_FLIGHT).connect().await?;
    let guard = Guard::default();
    let build = |connection: &rusqlite::Connection| {
        let names = Names::read(connection)?;
        sandbox::enclose(connection, &guard)?;
        Ok(names)
    };
    let names = connect::with_rusqlite(&mut db, build).await?;
    let late = guard.clone();
    db.ping().await?;
    db.lock_handle().await?.set_progress_handler(STEPS_PER_CHECK, move || !late.must_stop());
    db.ping().await?;
    Ok(Enclosed { db, guard, names })
}

async fn run(
    enclosed: &mut Enclosed,
    sql: &str,
    limits: &QueryLimits,
) -> Result<QueryResult, QueryError> {
    let Enclosed { db, guard, names } = enclosed;
    guard.start(limits.time);
    guard.give_room(limits.spill);
    let (columns, forecast) = compile(db, guard, names, sql).await?;
    let result = fetch(db, sql, limits).await;
    let is_late = guard.is_late();
    match result {
        Ok((rows, is_truncated)) => {
            let hints = forecast.hints();
            Ok(QueryResult { columns, rows, is_truncated, hints, ..QueryResult::default() })
        }
        Err(_) if guard.is_too_large() => {
            Err(QueryError::TooLarge { limit: limits.spill, hints: forecast.hints_when_late() })
        }
        Err(_) if is_late => {
            Err(QueryError::Timeout { limit: limits.time, hints: forecast.hints_when_late() })
        }
        Err(sqlx::Error::Database(error)) => Err(refused(error.message(), sql, None)),
        Err(source) => Err(QueryError::Store { source }),
    }
}

/// What sqlx must not even be shown: a NUL makes it spin for ever.
fn check_text(sql: &str) -> Result<(), QueryError> {
    let refuse = |message: &str, hint: &str| {
        Err(QueryError::Refused {
            message: message.to_owned(),
            hint: hint.to_owned(),
            offset: None,
        })
    };
    if sql.contains('\0') {
        return refuse("the query contains a NUL character", "remove it");
    }
    if sql.len() > MAX_SQL {
        return refuse("the query is longer than 100 kB", "shorten it");
    }
    Ok(())
}

/// Has SQLite compile the query behind the walls. Returns the names of its columns, and what it is
/// about to do.
async fn compile(
    db: &mut SqliteConnection,
    guard: &Guard,
    names: &Names,
    sql: &str,
) -> Result<(Vec<String>, Forecast), QueryError> {
    let compile = |connection: &rusqlite::Connection| {
        let columns = connection.prepare(sql).map(|statement| {
            let names = statement.column_names();
            names.into_iter().map(str::to_owned).collect::<Vec<_>>()
        });
        Ok(columns.map(|columns| (columns, Forecast::of(connection, guard, names, sql))))
    };
    let compiled = connect::with_rusqlite(db, compile).await;
    match compiled.map_err(|source| QueryError::Store { source })? {
        Ok((columns, _)) if columns.is_empty() => {
            Err(refused("the query is empty or gives no rows", sql, None))
        }
        Ok(compiled) => Ok(compiled),
        Err(error) => Err(refused(&message_of(&error), sql, offset_of(&error))),
    }
}

fn message_of(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::MultipleStatement => "more than one statement".to_owned(),
        other => other.to_string(),
    }
}

fn offset_of(error: &rusqlite::Error) -> Option<usize> {
    match error {
        rusqlite::Error::SqlInputError { offset, .. } => usize::try_from(*offset).ok(),
        _ => None,
    }
}

/// Adds to SQLite's message what to do about it.
fn refused(message: &str, sql: &str, offset: Option<usize>) -> QueryError {
    let schema = schema::schema();
    let views = || schema.views.iter().map(|view| view.name).collect::<Vec<_>>().join(", ");
    let is_missing_view = message.strip_prefix("no such table: ").is_some_and(|missing| {
        let missing = missing.strip_prefix("main.").unwrap_or(missing);
        schema.views.iter().any(|view| view.name.eq_ignore_ascii_case(missing))
    });
    let hint = if is_missing_view {
        "an older loopd wrote this file; open it once with `loopd serve --db FILE`, which brings it up to date"
            .to_owned()
    } else if message.contains("no such column") {
        format!("the columns are: {}", columns_named(sql))
    } else if message.contains("no such table") || message.contains("prohibited") {
        format!("the views to query are {}", views())
    } else if message.contains("not authorized") {
        format!("only SELECT from {} is allowed, with the functions that `schema` lists", views())
    } else if message.contains("more than one statement") {
        "send one SELECT at a time".to_owned()
    } else if message.contains("empty") {
        "send one SELECT".to_owned()
    } else {
        String::new()
    };
    QueryError::Refused { message: message.to_owned(), hint, offset }
}

/// The columns of the views that a query names.
fn columns_named(sql: &str) -> String {
    let words: Vec<&str> = sql.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let is_named =
        |view: &&schema::SchemaView| words.iter().any(|word| word.eq_ignore_ascii_case(view.name));
    let views = schema::schema().views.iter().filter(is_named).map(|view| {
        let names: Vec<&str> = view.columns.iter().map(|column| column.name).collect();
        format!("{} ({})", view.name, names.join(", "))
    });
    views.collect::<Vec<_>>().join("; ")
}

/// Fetches rows up to the limits; says whether there were more.
async fn fetch(
    db: &mut SqliteConnection,
    sql: &str,
    limits: &QueryLimits,
) -> Result<(Vec<Vec<Value>>, bool), sqlx::Error> {
    let query = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).persistent(false);
    let mut found = query.fetch(db);
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.try_next().await? {
        let row = values(&row)?;
        bytes += row.iter().map(size_of_value).sum::<usize>();
        if rows.len() >= limits.rows || bytes > limits.bytes {
            return Ok((rows, true));
        }
        rows.push(row);
    }
    Ok((rows, false))
}

fn size_of_value(value: &Value) -> usize {
    let beyond = match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        _ => 0,
    };
    size_of::<Value>() + beyond
}

fn values(row: &SqliteRow) -> Result<Vec<Value>, sqlx::Error> {
    let value = |column: &SqliteColumn| {
        let place = column.ordinal();
        let raw = row.try_get_raw(place)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        Ok(match raw.type_info().name() {
            "INTEGER" => Value::Integer(row.try_get_unchecked(place)?),
            "REAL" => Value::Real(row.try_get_unchecked(place)?),
            "BLOB" => Value::Blob(row.try_get_unchecked(place)?),
            // Text that is not UTF-8 exists only where an agent's bytes were cast.
            _ => {
                let bytes: Vec<u8> = row.try_get_unchecked(place)?;
                Value::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
        })
    };
    row.columns().iter().map(value).collect()
}
