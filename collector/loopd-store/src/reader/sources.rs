//! The source files of a program, as it knows them.

use rusqlite::Connection;

use super::Reader;
use crate::{ProcessKey, StoreError};

/// A program with more files than this is one that makes them up.
const MAX_FILES: i64 = 10_000;

impl Reader {
    /// The paths of all files that locations of a process are in, ten thousand at most.
    pub async fn source_files(&self, process: ProcessKey) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT DISTINCT file FROM location WHERE process = ? LIMIT ?";
        let read = move |db: &Connection| {
            let mut statement = db.prepare_cached(SQL)?;
            statement.query_map((process.0, MAX_FILES), |row| row.get(0))?.collect()
        };
        self.raw.ask(read).await.map_err(StoreError::sqlite("list source files"))
    }
}
