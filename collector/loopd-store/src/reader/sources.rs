//! The source files of a program, as it knows them.

use super::{Db, Reader};
use crate::{ProcessKey, StoreError};

/// A program with more files than this is one that makes them up.
const MAX_FILES: i64 = 10_000;

impl Reader {
    /// The paths of all files that locations of a process are in, ten thousand at most.
    pub async fn source_files(&self, process: ProcessKey) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT DISTINCT file FROM location WHERE process = ? LIMIT ?";
        let read = async |db: &mut Db| {
            sqlx::query_scalar(SQL).bind(process.0).bind(MAX_FILES).fetch_all(&mut **db).await
        };
        self.ask("list source files", read).await
    }
}
