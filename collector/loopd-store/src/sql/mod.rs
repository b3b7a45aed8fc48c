//! SQL for users: read-only, bounded, and over the documented views alone.

mod bounded;
mod format;
mod functions;
mod guard;
mod hints;
mod json_groups;
mod math;
#[cfg(test)]
mod own_functions;
pub(crate) mod packed_rows;
mod percentile;
mod query;
mod rollup_rows;
mod sandbox;
mod scan;
mod segment_spans;
mod spill;
mod task_records;
mod time_text;

use std::time::Duration;

pub(crate) use guard::Guard;
pub(crate) use query::QueryPool;

/// Teaches a connection of loopd's own everything.
pub(crate) fn equip(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    equip_with(connection, &Guard::default())
}

/// The same for a connection with limits.
pub(crate) fn equip_with(connection: &rusqlite::Connection, guard: &Guard) -> rusqlite::Result<()> {
    functions::register(connection, guard)?;
    packed_rows::register(connection)?;
    #[cfg(test)]
    crate::reader::watch(connection);
    tables(connection, guard)
}

/// The tables that views read.
fn tables(connection: &rusqlite::Connection, guard: &Guard) -> rusqlite::Result<()> {
    scan::register::<segment_spans::SegmentSpans>(connection, guard.clone())?;
    scan::register::<task_records::TaskRecords>(connection, guard.clone())?;
    scan::register::<rollup_rows::RollupRows>(connection, guard.clone())
}

/// One value of a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// A number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// How much one query may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// Rows given at most; the rest is cut off and [`QueryResult::is_truncated`] set.
    pub rows: usize,
    /// Time it may take; then it is an error.
    pub time: Duration,
    /// Bytes of values given at most; the rest is cut off.
    pub bytes: usize,
    /// Bytes of temporary files that sorting and intermediate results may take; then it is an error.
    pub spill: u64,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { rows: 10_000, time: Duration::from_secs(5), bytes: 16 << 20, spill: 1 << 30 }
    }
}

/// What a query gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryResult {
    /// The names of the columns; known also without rows.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Value>>,
    /// Whether there were more rows than the limits allow.
    pub is_truncated: bool,
    /// How long it took.
    pub elapsed: Duration,
    /// What a person may want to know of how it was answered: what was read in full, and how to ask
    /// for less. Sentences; usually none.
    pub hints: Vec<String>,
}

/// Why a query was not answered. Its text is for the person who wrote the query.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// SQLite does not accept it.
    #[error("{message}{}", if hint.is_empty() { String::new() } else { format!("; {hint}") })]
    Refused {
        /// What SQLite said.
        message: String,
        /// What to do about it; may be empty.
        hint: String,
        /// The byte of the query at which what SQLite does not accept begins; `None` where it names no
        /// place.
        offset: Option<usize>,
    },
    /// It took too long.
    #[error("the query took longer than {} s; narrow it by process and time, or give it longer: --timeout on the command line, timeout_ms in a request{}", limit.as_secs_f64(), listed(hints))]
    Timeout {
        /// The limit it ran into.
        limit: Duration,
        /// What it read in full, and how to ask for less; may be empty.
        hints: Vec<String>,
    },
    /// Sorting it, or what it must keep in between, takes more room than it may have.
    #[error("the query takes more than {} MiB of memory and temporary files; narrow it by process and time, sort or group less, or select fewer columns{}", limit >> 20, listed(hints))]
    TooLarge {
        /// The limit on temporary files, in bytes.
        limit: u64,
        /// What it read in full, and how to ask for less; may be empty.
        hints: Vec<String>,
    },
    /// The store itself failed.
    #[error("the store could not answer")]
    Store {
        /// Why.
        #[source]
        source: sqlx::Error,
    },
}

/// Hints behind a sentence.
fn listed(hints: &[String]) -> String {
    hints.iter().map(|hint| format!("; {hint}")).collect()
}
