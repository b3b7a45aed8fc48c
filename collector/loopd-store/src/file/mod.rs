//! The file as a whole: copied out of, into, checked, measured, made small.
//!
//! Nothing in here knows what the tables mean. Which rows belong to a process is told by the column
//! `process`, when they were by the names of their columns, so that a new table is taken along
//! without a word about it. All of it blocks for as long as the file is large.

mod blob;
mod check;
mod compact;
mod copy;
mod export;
mod import;
mod portable;
mod stats;
mod tables;

pub use check::{FileCheck, Finding, check_file, damaged_segments};
pub use compact::{Compacted, compact_file};
pub use export::{Exported, export_file};
pub use import::{Imported, ImportedProcess, import_file};
pub use stats::{FileStats, ProcessStats, TableStats, file_stats};

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::{StoreError, connect};

/// Opens an existing database for reading, with loopd's functions.
fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(connect::BUSY_TIMEOUT)?;
    db.execute_batch("PRAGMA temp_store = file")?;
    Ok(db)
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
