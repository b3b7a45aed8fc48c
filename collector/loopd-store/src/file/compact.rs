//! Makes a file as small as what it holds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use sqlx::Connection as _;

use super::blocking;
use crate::writer::wal_path;
use crate::{StoreError, StoreOptions, connect, open};

/// So long a reader is waited for.
const READERS_TIMEOUT: Duration = Duration::from_secs(3);

/// What became of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of the file and its log before.
    pub before: u64,
    /// Bytes of it after.
    pub after: u64,
}

/// Writes the database anew without its free pages, and puts the new file in the place of the old one.
/// Nobody may write to it or read it meanwhile, and it needs as much room on the disk as it has data.
///
/// However this ends, there is a whole database: the old one, or the new one.
pub async fn compact_file(options: &StoreOptions) -> Result<Compacted, StoreError> {
    open::check_for_reading(&options.path).await?;
    let (db, lock) = open::open_for_writing(options).await?;
    db.close().await.map_err(StoreError::sqlite("close the database"))?;
    let path = options.path.clone();
    blocking(move || {
        let compacted = compact(&path);
        drop(lock);
        compacted
    })
    .await
}

fn compact(path: &Path) -> Result<Compacted, StoreError> {
    let failed = || StoreError::rusqlite("write the database anew");
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Unwritable { path, source }
    };
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let before = size(path) + size(&wal_path(path));
    let new = Temporary::beside(path);
    let db = Connection::open(path).map_err(failed())?;
    db.busy_timeout(connect::BUSY_TIMEOUT).map_err(failed())?;
    db.execute("VACUUM INTO ?1", [new.0.to_string_lossy()]).map_err(failed())?;
    let file = std::fs::File::open(&new.0).map_err(unwritable(&new.0))?;
    file.sync_all().map_err(unwritable(&new.0))?;
    // Readers may finish what they are at.
    db.busy_timeout(READERS_TIMEOUT).map_err(failed())?;
    // The old file must not leave a log behind, which would be taken for the new one's.
    let busy: i64 =
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(failed())?;
    let mode: String = db
        .query_row("PRAGMA journal_mode = delete", [], |row| row.get(0))
        .map_err(|_| StoreError::InUse { path: path.to_owned() })?;
    if busy != 0 || mode != "delete" {
        return Err(StoreError::InUse { path: path.to_owned() });
    }
    db.close().map_err(|(_, error)| failed()(error))?;
    std::fs::rename(&new.0, path).map_err(unwritable(path))?;
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        // The new name, too, shall survive a power cut; not every file system can promise it.
        let _ = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
    }
    Ok(Compacted { before, after: size(path) })
}

/// A file that goes if it was not put in another's place.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(path: &Path) -> Self {
        let mut name = path.as_os_str().to_owned();
        name.push(".compact");
        let temporary = Self(name.into());
        temporary.remove();
        temporary
    }

    fn remove(&self) {
        // There is none, unless an earlier attempt was killed.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        self.remove();
    }
}
