//! How connections are opened, and what each kind of them knows and may do.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ffi};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};

use crate::{Durability, StoreError};

/// The first release without the WAL-reset race, which corrupts a file that one connection
/// writes while another checkpoints: exactly what loopd does.
pub(crate) const FIRST_SAFE_SQLITE: (i32, &str) = (3_051_003, "3.51.3");

/// A writer waits this long for the checkpointer, which holds the lock for milliseconds.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Refuses SQLite libraries that may lose what loopd promised to keep.
pub(crate) fn check_sqlite() -> Result<(), StoreError> {
    let (needed_number, needed) = FIRST_SAFE_SQLITE;
    if rusqlite::version_number() >= needed_number {
        return Ok(());
    }
    Err(StoreError::OldSqlite { found: rusqlite::version().to_owned(), needed })
}

/// Of every connection. sqlx would log statements, and warn of each that takes a second: on a busy machine
/// that is any of them, and tells nobody anything.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).disable_statement_logging()
}

/// For the writer and its checkpointer.
pub(crate) fn write_options(path: &Path, durability: Durability) -> SqliteConnectOptions {
    let synchronous = match durability {
        Durability::Full => SqliteSynchronous::Full,
        Durability::Relaxed => SqliteSynchronous::Normal,
    };
    options(path)
        .create_if_missing(true)
        .page_size(8192)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .foreign_keys(false)
        .busy_timeout(BUSY_TIMEOUT)
        // Checkpoints run beside the writer, not inside its commits.
        .pragma("wal_autocheckpoint", "0")
        .pragma("cache_size", "-32768")
        .pragma("temp_store", "memory")
}

/// For readers: they cannot write, whatever they are told.
pub(crate) fn read_options(path: &Path) -> SqliteConnectOptions {
    options(path)
        .read_only(true)
        .create_if_missing(false)
        .foreign_keys(false)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("query_only", "1")
        .pragma("cache_size", "-16384")
}

/// Teaches a connection of loopd's own the functions and virtual tables.
pub(crate) async fn equip(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    with_rusqlite(connection, crate::sql::equip).await
}

/// Lets rusqlite work on a connection that sqlx owns.
pub(crate) async fn with_rusqlite<T>(
    connection: &mut SqliteConnection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, sqlx::Error> {
    let mut handle = connection.lock_handle().await?;
    let raw: *mut ffi::sqlite3 = handle.as_raw_handle().as_ptr();
    #[expect(unsafe_code, reason = "sqlx has no functions, virtual tables or limits of its own")]
    // SAFETY: both crates link the same SQLite; the lock keeps sqlx's thread away until `handle`
    // is dropped, which is after `connection`; that one does not own, and so not close, the handle.
    let connection = unsafe { Connection::from_handle(raw) }.map_err(protocol)?;
    work(&connection).map_err(protocol)
}

pub(crate) fn protocol(error: rusqlite::Error) -> sqlx::Error {
    sqlx::Error::Protocol(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_statement_is_logged_however_long_it_takes() {
        let path = Path::new("loopd.db");
        for options in [write_options(path, Durability::Full), read_options(path)] {
            let text = format!("{options:?}");
            assert!(text.contains("slow_statements_level: Off"), "{text}");
            assert!(text.contains("{ statements_level: Off"), "{text}");
        }
    }
}
