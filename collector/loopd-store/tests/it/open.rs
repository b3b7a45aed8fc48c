//! Each reason why a file cannot be opened is told apart, and says what to do.

use std::path::Path;

use crate::support::*;
use loopd_store::{Reader, StoreError, StoreOptions};
use sqlx::{ConnectOptions, Executor};

async fn open_error(path: &Path) -> StoreError {
    loopd_store::open(StoreOptions::new(path)).await.unwrap_err()
}

async fn execute(path: &Path, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut db = options.connect().await.unwrap();
    db.execute(sql).await.unwrap();
    sqlx::Connection::close(db).await.unwrap();
}

#[tokio::test]
async fn missing_directories_are_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/loopd.db");
    let (writer, _) = loopd_store::open(StoreOptions::new(&path)).await.unwrap();
    writer.close().await.unwrap();
    assert!(path.exists());
}

#[tokio::test]
async fn a_reader_of_nothing_says_what_to_start() {
    let directory = tempfile::tempdir().unwrap();
    let error = Reader::open(directory.path().join("none.db")).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }));
    assert!(error.to_string().contains("start `loopd serve` first"));
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_both_versions_and_left_alone() {
    let store = Store::new().await;
    let path = store.path();
    let known = store.reader.status().await.unwrap().schema;
    let Store { writer, directory, .. } = store;
    writer.close().await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum,
        execution_time) VALUES (99, 'future', 1, x'00', 0)";
    execute(&path, newer).await;
    let before = std::fs::read(&path).unwrap();
    let error = open_error(&path).await;
    let text = error.to_string();
    assert!(text.contains("schema 99") && text.contains(&format!("up to {known}")), "{text}");
    assert!(matches!(Reader::open(&path).await, Err(StoreError::Newer { found: 99, .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    drop(directory);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("loopd.db");
    std::fs::write(&path, "this is not a database, but long enough to be taken for one".repeat(99))
        .unwrap();
    assert!(matches!(open_error(&path).await, StoreError::Corrupt { .. }));
    assert!(matches!(Reader::open(&path).await, Err(StoreError::Corrupt { .. })));
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("loopd.db");
    execute(&path, "CREATE TABLE bookmarks (url TEXT)").await;
    assert!(matches!(open_error(&path).await, StoreError::Foreign { .. }));
    assert!(matches!(Reader::open(&path).await, Err(StoreError::Foreign { .. })));
}

#[tokio::test]
async fn a_path_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    // A file where a directory should be: refused to root, too.
    std::fs::write(directory.path().join("file"), "").unwrap();
    let error = open_error(&directory.path().join("file/loopd.db")).await;
    assert!(matches!(error, StoreError::Unwritable { .. }), "{error}");
    let error = open_error(directory.path()).await;
    assert!(matches!(error, StoreError::Unwritable { .. }), "{error}");
}

#[tokio::test]
async fn the_lock_ends_with_the_writer() {
    let store = Store::new().await;
    let path = store.path();
    assert!(matches!(open_error(&path).await, StoreError::Locked { .. }));
    let Store { writer, directory, .. } = store;
    drop(writer);
    let (writer, _) = loopd_store::open(StoreOptions::new(&path)).await.unwrap();
    writer.close().await.unwrap();
    drop(directory);
}

#[tokio::test]
async fn a_reader_works_beside_a_writer_and_on_a_closed_file() {
    let mut store = Store::new().await;
    let reader = Reader::open(store.path()).await.unwrap();
    assert_eq!(reader.processes().await.unwrap().rows.len(), 1);
    store.writer.begin_session(&process(2), 1).await.unwrap();
    assert_eq!(reader.processes().await.unwrap().rows.len(), 2);
    let path = store.path();
    let Store { writer, directory, .. } = store;
    writer.close().await.unwrap();
    let reader = Reader::open(path).await.unwrap();
    assert_eq!(reader.processes().await.unwrap().rows.len(), 2);
    drop(directory);
}
