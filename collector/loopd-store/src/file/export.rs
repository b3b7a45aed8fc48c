//! Some processes and a range of time as a database of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::portable::{self, Newest};
use super::{blocking, copy};
use crate::{ProcessKey, StoreError, UnixNanos, connect};

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// How many rows of which table, by name; tables without any are not listed.
    pub rows: BTreeMap<String, u64>,
}

/// Makes a database at `target`, where nothing may be yet, of these processes of the database
/// `source`, with the same numbers. Of the range from `from` on and before `to` there is everything
/// that was not over before it and did not begin after it: segments and tiles on its edges are
/// copied whole. What a task did in all its life stays its total.
///
/// The source may be written to meanwhile. It is read as it was at one instant, and its log cannot be
/// cut until this is done. A file that failed half way is removed.
pub async fn export_file(
    source: &Path,
    target: &Path,
    processes: &[ProcessKey],
    from: Option<UnixNanos>,
    to: Option<UnixNanos>,
) -> Result<Exported, StoreError> {
    if target.exists() {
        return Err(StoreError::Exists { path: target.to_owned() });
    }
    let newest = Newest::of(source, target).await?;
    let made = Made { path: target.to_owned(), is_done: false };
    portable::create(target).await?;
    let (target, processes) = (target.to_owned(), processes.to_vec());
    let is_part = from.is_some() || to.is_some();
    let range = (from.map_or(0, |at| at.0), to.map_or(i64::MAX, |at| at.0));
    blocking(move || {
        let range = is_part.then_some(range);
        let exported = export(newest.path(), &target, &processes, range);
        exported.inspect(|_| made.done())
    })
    .await
}

fn export(
    source: &Path,
    target: &Path,
    processes: &[ProcessKey],
    range: Option<(i64, i64)>,
) -> Result<Exported, StoreError> {
    let failed = || StoreError::rusqlite("copy rows into a new database");
    let mut db = Connection::open(target).map_err(failed())?;
    // Nobody reads it yet, and what fails is removed: it needs no log.
    let pragmas = "PRAGMA journal_mode = off; PRAGMA synchronous = off; PRAGMA temp_store = file;
        PRAGMA cache_size = -32768";
    db.execute_batch(pragmas).map_err(failed())?;
    db.busy_timeout(connect::BUSY_TIMEOUT).map_err(failed())?;
    copy::attach(&db, source).map_err(failed())?;
    let mut rows = BTreeMap::new();
    let tx = db.transaction().map_err(failed())?;
    copy::shared(&tx).map_err(failed())?;
    for process in processes {
        let missing = || StoreError::NoSuchProcess { process: process.0 };
        if !has_process(&tx, *process).map_err(failed())? {
            return Err(missing());
        }
        let key = copy::process(&tx, process.0, Some(process.0)).map_err(failed())?;
        let keys = copy::Keys { source: process.0, target: key };
        copy::rows(&tx, keys, range, &mut rows).map_err(failed())?;
        *rows.entry("process".to_owned()).or_default() += 1;
    }
    tx.commit().map_err(failed())?;
    db.execute_batch("DETACH source; PRAGMA journal_mode = delete").map_err(failed())?;
    db.close().map_err(|(_, error)| failed()(error))?;
    let file = std::fs::File::open(target);
    let synced = file.and_then(|file| file.sync_all());
    synced.map_err(|source| StoreError::Unwritable { path: target.to_owned(), source })?;
    Ok(Exported { rows })
}

fn has_process(db: &Connection, process: ProcessKey) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM source.process WHERE id = ?1)";
    db.query_row(sql, [process.0], |row| row.get(0))
}

/// A file that goes again unless it was finished.
struct Made {
    path: PathBuf,
    is_done: bool,
}

impl Made {
    fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.is_done {
            // It may not even have been made.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
