//! Connections on which loopd reads parts of values, which sqlx cannot: each question runs on a thread
//! for blocking work, and ends when its time is over.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::Semaphore;

use super::Answer;
use crate::error::Late;
use crate::{connect, sql};

/// So many questions are answered at once; the rest wait their turn.
const CONNECTIONS: usize = 4;

/// No question takes longer: each has bounds of its own that end it much sooner.
const MAX_TIME: Duration = Duration::from_secs(10);

/// SQLite looks at the clock each time it has done so many steps.
const STEPS_PER_CHECK: i32 = 10_000;

/// Connections for reading, opened when they are needed.
#[derive(Clone, Debug)]
pub(super) struct RawPool {
    path: PathBuf,
    /// How long a question may take.
    limit: Duration,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Guarded>>>,
}

#[derive(Debug)]
struct Guarded {
    connection: Connection,
    guard: sql::Guard,
}

impl RawPool {
    pub(super) fn new(path: &Path) -> Self {
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        Self { path: path.to_owned(), limit: MAX_TIME, permits, idle: Arc::default() }
    }

    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit.min(MAX_TIME);
    }

    /// Answers one question.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        // Nobody closes the semaphore.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let (path, idle, limit) = (self.path.clone(), Arc::clone(&self.idle), self.limit);
        let work = move || {
            let known = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let guarded = match known {
                Some(guarded) => guarded,
                None => open(&path)?,
            };
            guarded.guard.start(limit);
            // All statements of an answer see the file as it was at one instant.
            let answer = guarded.connection.execute_batch("BEGIN");
            let answer = answer.and_then(|()| question(&guarded.connection));
            guarded.guard.stop();
            if guarded.connection.execute_batch("ROLLBACK").is_ok() {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(guarded);
            }
            drop(permit);
            answer
        };
        let answer = match tokio::task::spawn_blocking(work).await {
            Ok(answer) => answer,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        answer.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => Late::after(limit),
            _ => connect::protocol(error),
        })
    }
}

fn open(path: &Path) -> rusqlite::Result<Guarded> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    let guard = sql::Guard::default();
    let seen = guard.clone();
    connection.progress_handler(STEPS_PER_CHECK, Some(move || seen.is_late()))?;
    sql::equip_with(&connection, &guard)?;
    Ok(Guarded { connection, guard })
}
