//! What can go wrong between loopd and its file, told apart by what a person can do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::MAX_READ_TIME;

/// The store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The SQLite library that was linked can corrupt a file that two connections use.
    #[error("sqlite {found} has a known corruption bug, loopd needs {needed} or newer")]
    OldSqlite {
        /// What is linked.
        found: String,
        /// The first release without the bug.
        needed: &'static str,
    },
    /// There is nothing to read.
    #[error("there is no database at {}; start `loopd serve` first, or name another with --db", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Another process writes to this database.
    #[error("the database {} is in use by another `loopd serve` (it holds {}); stop that one or choose another --db", path.display(), lock.display())]
    Locked {
        /// The database.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// The file system refuses.
    #[error("cannot write to {}; check that the directory exists and is yours, or choose another --db", path.display())]
    Unwritable {
        /// The file or directory.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// The file is a database, but of another program.
    #[error("{} is a database of another program; choose another --db", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged, or no database at all.
    #[error("{} is damaged or not a database; move it away to start afresh, or try `sqlite3 {} .recover`", path.display(), path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// Something that is packed in the file is damaged, or the file was altered by another program.
    #[error("{} is damaged ({damage}), nothing of it was taken; `loopd db check --db {}` says more", path.display(), path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first thing that is wrong.
        damage: String,
    },
    /// There is a file where a new one should be, or two files that should differ are one.
    #[error("{} exists already; name another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Somebody reads a file that would have to be closed by all.
    #[error("{} is being read by another program; end that, such as a `loopd` command or `sqlite3`, and try again", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer loopd.
    #[error("{} has schema {found}, this loopd knows up to {known}; upgrade loopd, or choose another --db", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
        /// The newest version this binary knows.
        known: i64,
    },
    /// The schema could not be brought up to date.
    #[error("cannot migrate {} to schema {known}", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// The version it should have got.
        known: i64,
        /// Why not.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// The disk is full. Nothing of the attempt was stored; reading and retention still work.
    #[error("the disk is full, {attempt} was not done")]
    Full {
        /// What was attempted.
        attempt: &'static str,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// A process key that this store never gave out.
    #[error("the store has no process {process}")]
    NoSuchProcess {
        /// The key.
        process: i64,
    },
    /// Settings for so many programs by name are more than anybody means.
    #[error("{limit} programs have settings by name, which is the limit; take back some others")]
    TooManySettings {
        /// The most there may be.
        limit: u64,
    },
    /// It took too long, and was stopped so that others get their answers.
    #[error("could not {attempt} within {} s, and stopped; narrow the time range, or ask for less", limit.as_secs_f64())]
    TooSlow {
        /// What was attempted.
        attempt: &'static str,
        /// How long it may take.
        limit: Duration,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// All connections for reading were taken for as long as anybody waits for one.
    #[error(
        "could not {attempt}: too much is asked of the store at once; try again, or ask for less"
    )]
    Busy {
        /// What was attempted.
        attempt: &'static str,
        /// What was waited for.
        #[source]
        source: sqlx::Error,
    },
    /// Anything else that SQLite says.
    #[error("{attempt} failed")]
    Sqlite {
        /// What was attempted.
        attempt: &'static str,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
}

/// SQLite's result codes for a full disk, and for what was stopped: of readers only a guard stops anything.
const SQLITE_FULL: &str = "13";
const SQLITE_INTERRUPT: &str = "9";

/// A question was stopped because its time was over.
#[derive(Debug, thiserror::Error)]
#[error("stopped after {} s", .0.as_secs_f64())]
pub(crate) struct Late(Duration);

impl Late {
    /// As an error of sqlx, which has none for this.
    pub(crate) fn after(limit: Duration) -> sqlx::Error {
        sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, Self(limit)))
    }

    /// The same if this says that SQLite was stopped.
    pub(crate) fn if_stopped(error: sqlx::Error, limit: Duration) -> sqlx::Error {
        if is_code(&error, SQLITE_INTERRUPT) { Self::after(limit) } else { error }
    }
}

fn is_code(error: &sqlx::Error, wanted: &str) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == wanted)
}

/// How long a question had that was stopped; `None` if it was not.
fn time_that_was_over(error: &sqlx::Error) -> Option<Duration> {
    match error {
        sqlx::Error::Io(error) => Some(error.get_ref()?.downcast_ref::<Late>()?.0),
        error => is_code(error, SQLITE_INTERRUPT).then_some(MAX_READ_TIME),
    }
}

impl StoreError {
    /// Wraps what SQLite said about `attempt`.
    pub(crate) fn sqlite(attempt: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| {
            if let Some(limit) = time_that_was_over(&source) {
                return Self::TooSlow { attempt, limit, source };
            }
            match source {
                sqlx::Error::PoolTimedOut => Self::Busy { attempt, source },
                source if is_code(&source, SQLITE_FULL) => Self::Full { attempt, source },
                source => Self::Sqlite { attempt, source },
            }
        }
    }

    /// Wraps what rusqlite said about `attempt`.
    pub(crate) fn rusqlite(attempt: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |error| {
            let is_full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
            let source = crate::connect::protocol(error);
            if is_full { Self::Full { attempt, source } } else { Self::Sqlite { attempt, source } }
        }
    }

    /// Whether the disk was full: worth trying again once there is room.
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// Whether the store was asked for more than it answers in time, or at once: asked for less it answers.
    pub const fn is_too_slow(&self) -> bool {
        matches!(self, Self::TooSlow { .. } | Self::Busy { .. })
    }
}
