//! New files, and files of others that are brought to the newest schema without touching them.

use std::path::{Path, PathBuf};

use sqlx::{ConnectOptions, Connection as _};

use crate::schema::migrations;
use crate::{StoreError, connect, open};

/// Makes an empty database of the newest schema. It has no log beside it, so that it is one file
/// that can be moved around.
pub(super) async fn create(path: &Path) -> Result<(), StoreError> {
    connect::check_sqlite()?;
    let failed = || StoreError::sqlite("make a new database");
    let options = connect::write_options(path, crate::Durability::Relaxed);
    let options = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Delete);
    let mut db = options.connect().await.map_err(failed())?;
    migrate(path, &mut db).await?;
    db.close().await.map_err(failed())
}

async fn migrate(path: &Path, db: &mut sqlx::SqliteConnection) -> Result<(), StoreError> {
    let migrated = migrations::run(db).await;
    migrated.map_err(|source| StoreError::Migrate {
        path: path.to_owned(),
        known: migrations::NEWEST,
        source,
    })
}

/// A database of the newest schema: the file itself, or a copy of an older one. The copy is removed
/// when this is dropped.
#[derive(Debug)]
pub(super) struct Newest {
    path: PathBuf,
    is_copy: bool,
}

impl Newest {
    /// Looks at a file, and copies it next to `beside` if its schema is older.
    pub(super) async fn of(file: &Path, beside: &Path) -> Result<Self, StoreError> {
        if open::check_for_reading(file).await? == migrations::NEWEST {
            return Ok(Self { path: file.to_owned(), is_copy: false });
        }
        let mut name = beside.as_os_str().to_owned();
        name.push(format!(".older-{}", std::process::id()));
        let newest = Self { path: name.into(), is_copy: true };
        newest.remove();
        let (from, to) = (file.to_owned(), newest.path.clone());
        super::blocking(move || {
            let copied = super::read_only(&from)
                .and_then(|db| db.execute("VACUUM INTO ?1", [to.to_string_lossy()]).map(drop));
            copied.map_err(StoreError::rusqlite("copy a database of an older loopd"))
        })
        .await?;
        let failed = || StoreError::sqlite("open the copy of an older database");
        let options = connect::write_options(&newest.path, crate::Durability::Relaxed);
        let options = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Delete);
        let mut db = options.connect().await.map_err(failed())?;
        migrate(&newest.path, &mut db).await?;
        db.close().await.map_err(failed())?;
        Ok(newest)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn remove(&self) {
        // There is none before, and none after if making it failed.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for Newest {
    fn drop(&mut self) {
        if self.is_copy {
            self.remove();
        }
    }
}
