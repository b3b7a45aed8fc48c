//! Opens the one writer and its readers, and says clearly why it cannot.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions, Connection};

use crate::schema::migrations;
use crate::{Reader, StoreError, StoreOptions, Writer, connect};

/// What `PRAGMA application_id` gives for loopd's files: "loop" in ASCII.
const APPLICATION_ID: i64 = 0x6c6f_6f70;

/// Opens the database, making or migrating it as needed. While the writer lives no other process
/// gets one.
pub async fn open(options: StoreOptions) -> Result<(Writer, Reader), StoreError> {
    let writer = Writer::open(&options).await?;
    let reader = Reader::open(&options.path).await?;
    Ok((writer, reader))
}

/// The writer's connection, on a database of the newest schema, and the lock that keeps others out.
pub(crate) async fn open_for_writing(
    options: &StoreOptions,
) -> Result<(SqliteConnection, File), StoreError> {
    connect::check_sqlite()?;
    let path = &options.path;
    let lock = lock(path)?;
    // The file's own errors are clearer than what SQLite makes of them.
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
    file.map_err(|source| StoreError::Unwritable { path: path.clone(), source })?;
    // Looked at before it is opened for writing, which changes it: one that is not ours, or newer
    // than this binary, stays byte for byte as it is.
    check_read_only(path).await?;
    let mut db = connect_writer(options).await?;
    migrations::run(&mut db).await.map_err(|source| StoreError::Migrate {
        path: path.clone(),
        known: migrations::NEWEST,
        source,
    })?;
    Ok((db, lock))
}

/// A connection for the writer. The lock must be held.
pub(crate) async fn connect_writer(options: &StoreOptions) -> Result<SqliteConnection, StoreError> {
    let mut db = connect::write_options(&options.path, options.durability)
        .connect()
        .await
        .map_err(|source| corrupt(&options.path, "open the database", source))?;
    connect::equip(&mut db).await.map_err(StoreError::sqlite("equip the writer"))?;
    Ok(db)
}

/// Takes the lock file beside the database; the operating system frees it however we end.
fn lock(path: &Path) -> Result<File, StoreError> {
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Unwritable { path, source }
    };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory).map_err(unwritable(directory))?;
    }
    let lock_path = lock_path(path);
    let lock = File::options().write(true).create(true).truncate(false).open(&lock_path);
    let lock = lock.map_err(unwritable(&lock_path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(StoreError::Locked { path: path.to_owned(), lock: lock_path })
        }
        Err(TryLockError::Error(source)) => Err(unwritable(&lock_path)(source)),
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Opens a database for reading and checks that it is one of ours. Returns the version of its schema.
pub(crate) async fn check_for_reading(path: &Path) -> Result<i64, StoreError> {
    connect::check_sqlite()?;
    let missing = || StoreError::Missing { path: path.to_owned() };
    if !path.exists() {
        return Err(missing());
    }
    match check_read_only(path).await? {
        // Nobody has written to it yet; then there is nothing to read.
        Found::Empty => Err(missing()),
        Found::Loopd { schema } => Ok(schema),
    }
}

/// What a file that may be opened holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Empty,
    Loopd { schema: i64 },
}

/// Whether this is a database of loopd's that this binary can read, or an empty one.
async fn check_read_only(path: &Path) -> Result<Found, StoreError> {
    let damaged = |source| corrupt(path, "read the schema", source);
    let mut db = connect::read_options(path)
        .connect()
        .await
        .map_err(|source| corrupt(path, "open the database", source))?;
    let found = read_schema(&mut db).await;
    let _ = db.close().await;
    match found.map_err(damaged)? {
        None => Ok(Found::Empty),
        Some((APPLICATION_ID, found)) if found > migrations::NEWEST => {
            let known = migrations::NEWEST;
            Err(StoreError::Newer { path: path.to_owned(), found, known })
        }
        Some((APPLICATION_ID, schema)) => Ok(Found::Loopd { schema }),
        Some(_) => Err(StoreError::Foreign { path: path.to_owned() }),
    }
}

/// The application's id and the version of its schema; `None` for an empty database.
async fn read_schema(db: &mut SqliteConnection) -> Result<Option<(i64, i64)>, sqlx::Error> {
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *db).await?;
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *db).await?;
    if tables == 0 {
        return Ok(None);
    }
    if application != APPLICATION_ID {
        return Ok(Some((application, 0)));
    }
    let sql = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
    Ok(Some((application, sqlx::query_scalar(sql).fetch_one(db).await?)))
}

/// SQLite's result codes for a damaged file and for a file that is no database.
const DAMAGED: [&str; 2] = ["11", "26"];

fn corrupt(path: &Path, attempt: &'static str, source: sqlx::Error) -> StoreError {
    let code = source.as_database_error().and_then(|error| error.code());
    // Extended codes carry the plain one in their low byte.
    let plain =
        code.and_then(|code| code.parse::<i64>().ok()).map(|code| (code & 0xff).to_string());
    if plain.is_some_and(|code| DAMAGED.contains(&code.as_str())) {
        return StoreError::Corrupt { path: path.to_owned(), source };
    }
    StoreError::sqlite(attempt)(source)
}
