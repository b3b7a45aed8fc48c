//! Adds the processes of another database to this one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};
use sqlx::Connection as _;

use super::portable::Newest;
use super::{blocking, check_file, copy, tables};
use crate::{ProcessKey, StoreError, StoreOptions, connect, open};

/// What was added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The processes of the file, in its order.
    pub processes: Vec<ImportedProcess>,
    /// How many rows of which table were added; tables without any are not listed.
    pub rows: BTreeMap<String, u64>,
}

/// What became of one process of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedProcess {
    /// Its own id, 32 hexadecimal digits.
    pub id: String,
    /// What people call the program.
    pub app: String,
    /// Its number here.
    pub process: ProcessKey,
    /// Whether it was here before.
    pub was_known: bool,
    /// Whether it was copied: always, unless it was known and not to be replaced.
    pub is_added: bool,
}

/// Adds every process of the database `file` to the one that `options` name, which nobody may write
/// to meanwhile. Processes get new numbers. One that is there already is left out, or with
/// `replace` removed first, all but its notes: of the file's, those are added that are not there yet.
///
/// All or nothing: the file is checked from end to end before, and copied in one transaction. One of
/// an older loopd is brought up to date in a copy beside the database.
pub async fn import_file(
    file: &Path,
    options: &StoreOptions,
    replace: bool,
) -> Result<Imported, StoreError> {
    if is_same(file, &options.path) {
        return Err(StoreError::Exists { path: file.to_owned() });
    }
    // Looked at before the database is made or touched.
    open::check_for_reading(file).await?;
    let check = check_file(file).await?;
    if let Some(finding) = check.findings.first() {
        let (path, damage) = (file.to_owned(), finding.to_string());
        return Err(StoreError::Damaged { path, damage });
    }
    let (db, lock) = open::open_for_writing(options).await?;
    db.close().await.map_err(StoreError::sqlite("close the database"))?;
    let newest = Newest::of(file, &options.path).await?;
    let (file, path) = (file.to_owned(), options.path.clone());
    blocking(move || {
        let imported = import(&file, newest.path(), &path, replace);
        // Held until here: nobody else wrote.
        drop((lock, newest));
        imported
    })
    .await
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    real(one).is_some() && real(one) == real(other)
}

fn import(
    file: &Path,
    newest: &Path,
    path: &PathBuf,
    replace: bool,
) -> Result<Imported, StoreError> {
    let failed = || StoreError::rusqlite("add the processes of another database");
    let mut db = Connection::open(path).map_err(failed())?;
    let pragmas = "PRAGMA synchronous = full; PRAGMA temp_store = file;
        PRAGMA cache_size = -32768; PRAGMA trusted_schema = off";
    db.execute_batch(pragmas).map_err(failed())?;
    db.busy_timeout(connect::BUSY_TIMEOUT).map_err(failed())?;
    copy::attach(&db, newest).map_err(failed())?;
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed())?;
    if !copy::has_our_schema(&tx).map_err(failed())? {
        let damage = "its tables are not those of a database of loopd's".to_owned();
        return Err(StoreError::Damaged { path: file.to_owned(), damage });
    }
    copy::shared(&tx).map_err(failed())?;
    let mut imported = Imported::default();
    for (source, found) in processes(&tx).map_err(failed())? {
        let mut found = found;
        let known = known(&tx, source).map_err(failed())?;
        found.was_known = known.is_some();
        match known {
            Some(known) if !replace => found.process = ProcessKey(known),
            known => {
                let removed = known.map_or(Ok(()), |known| remove(&tx, known));
                removed.map_err(failed())?;
                // One that is replaced keeps its number: links to it stay right.
                let target = copy::process(&tx, source, known).map_err(failed())?;
                let keys = copy::Keys { source, target };
                copy::rows(&tx, keys, None, &mut imported.rows).map_err(failed())?;
                *imported.rows.entry("process".to_owned()).or_default() += 1;
                (found.process, found.is_added) = (ProcessKey(target), true);
            }
        }
        imported.processes.push(found);
    }
    tx.commit().map_err(failed())?;
    db.execute_batch("DETACH source").map_err(failed())?;
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed())?;
    Ok(imported)
}

fn processes(db: &Connection) -> rusqlite::Result<Vec<(i64, ImportedProcess)>> {
    let sql = "SELECT id, lower(hex(uuid)), app FROM source.process ORDER BY id";
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let (id, app, key) = (row.get(1)?, row.get(2)?, row.get(0)?);
        let (was_known, is_added) = (false, false);
        Ok((key, ImportedProcess { id, app, process: ProcessKey(key), was_known, is_added }))
    })?;
    rows.collect()
}

/// The number here of a process there.
fn known(db: &Connection, source: i64) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT (SELECT m.id FROM main.process m
        WHERE m.uuid = (SELECT uuid FROM source.process WHERE id = ?1))";
    db.query_row(sql, [source], |row| row.get(0))
}

/// Removes all of a process but its notes.
fn remove(db: &Connection, process: i64) -> rusqlite::Result<()> {
    for (part, column, owner) in tables::PARTS {
        let sql = format!(
            "DELETE FROM main.{part} WHERE {column} IN
             (SELECT id FROM main.{owner} WHERE process = ?1)"
        );
        db.execute(&sql, [process])?;
    }
    for table in tables::of_processes(db)?.iter().filter(|table| table.name != tables::NOTES) {
        let sql =
            format!("DELETE FROM main.\"{}\" WHERE {} = ?1", table.name, table.process_column());
        db.execute(&sql, [process])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::migrate::Migrator;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
    use sqlx::{ConnectOptions, Executor};

    use super::*;
    use crate::Reader;
    use crate::schema::migrations;

    /// A database as a loopd wrote it that knew the first ten steps only.
    async fn older(path: &Path) {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut db: SqliteConnection = options.connect().await.unwrap();
        let steps = migrations::migrator();
        let first = steps.iter().filter(|step| step.version <= 10).cloned().collect();
        Migrator::with_migrations(first).run(&mut db).await.unwrap();
        let rows = "INSERT INTO process VALUES
                (1, x'00', 'orders', '', '', 1, '{}', '', '', '[]', 1, 1, 0, 1, 9, NULL, 1, 0);
            INSERT INTO task (process, task, spawned_at, polls, busy_time, max_poll_time,
                slow_polls, wakes, self_wakes, scheduled_time) VALUES (1, 7, 2, 3, 0, 0, 0, 0, 0, 0);
            INSERT INTO sample VALUES (1, 1, 0, 4, 5, 7, 1, 2)";
        db.execute(sqlx::raw_sql(rows)).await.unwrap();
        db.close().await.unwrap();
    }

    #[tokio::test]
    async fn an_older_file_is_imported_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old.db"), folder.path().join("new.db"));
        older(&old).await;
        let before = std::fs::read(&old).unwrap();
        let imported = import_file(&old, &StoreOptions::new(&new), false).await.unwrap();
        assert_eq!(imported.rows["task"], 1);
        assert_eq!(std::fs::read(&old).unwrap(), before);
        let reader = Reader::open(&new).await.unwrap();
        assert_eq!(reader.processes().await.unwrap().rows[0].app, "orders");
        let names = std::fs::read_dir(folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(names.into_iter().all(|name| !name.contains("older")));
    }

    #[tokio::test]
    async fn a_newer_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (file, new) = (folder.path().join("file.db"), folder.path().join("new.db"));
        older(&file).await;
        let db = Connection::open(&file).unwrap();
        db.execute("UPDATE _sqlx_migrations SET version = 999 WHERE version = 10", []).unwrap();
        drop(db);
        let error = import_file(&file, &StoreOptions::new(&new), false).await.unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 999, .. }), "{error}");
        assert!(!new.exists());
    }
}
