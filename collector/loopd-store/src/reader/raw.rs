//! Connections on which loopd reads parts of values, which sqlx cannot, and answers questions of many statements, which
//! sqlx would hand over between threads one by one: each question runs on a thread for blocking work, and ends when
//! its time is over or nobody waits for its answer any more.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::Semaphore;

use super::Answer;
use crate::error::Late;
use crate::{MAX_READ_TIME, connect, sql};

/// So many questions are answered at once; the rest wait their turn.
const CONNECTIONS: usize = 4;

/// Nobody waits longer for a turn.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// SQLite looks at the clock each time it has done so many steps.
const STEPS_PER_CHECK: i32 = 10_000;

/// So many statements of a connection are kept prepared: the timeline alone has some for each level.
const PREPARED: usize = 64;

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
        Self { path: path.to_owned(), limit: MAX_READ_TIME, permits, idle: Arc::default() }
    }

    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit.min(MAX_READ_TIME);
    }

    /// Answers one question.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let turn = Arc::clone(&self.permits).acquire_owned();
        let turn = tokio::time::timeout(MAX_WAIT, turn).await;
        // Nobody closes the semaphore.
        let permit = turn.map_err(|_| sqlx::Error::PoolTimedOut)?.ok();
        let (path, idle, limit) = (self.path.clone(), Arc::clone(&self.idle), self.limit);
        let waiting = Waiting::default();
        let asked = waiting.clone();
        let work = move || {
            let known = locked(&idle).pop();
            let guarded = match known {
                Some(guarded) => guarded,
                None => open(&path)?,
            };
            asked.begin(&guarded.guard, limit);
            // All statements of an answer see the file as it was at one instant.
            let answer = guarded.connection.execute_batch("BEGIN");
            let answer = answer.and_then(|()| question(&guarded.connection));
            asked.end(&guarded.guard);
            if guarded.connection.execute_batch("ROLLBACK").is_ok() {
                locked(&idle).push(guarded);
            }
            drop(permit);
            answer
        };
        let work = tokio::task::spawn_blocking(work);
        // Given up when this future is dropped, as when a client hangs up.
        let _given_up = GiveUp(waiting);
        let answer = match work.await {
            Ok(answer) => answer,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        answer.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => Late::after(limit),
            _ => connect::protocol(error),
        })
    }
}

/// Whether somebody waits for an answer, and what stops the question if nobody does.
#[derive(Clone, Debug, Default)]
struct Waiting(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
struct Asked {
    is_given_up: bool,
    /// Of the connection that answers, while it does.
    guard: Option<sql::Guard>,
}

impl Waiting {
    fn begin(&self, guard: &sql::Guard, limit: Duration) {
        let mut asked = locked(&self.0);
        guard.start(limit);
        if asked.is_given_up {
            guard.expire();
        }
        asked.guard = Some(guard.clone());
    }

    /// From now on the connection may be another question's.
    fn end(&self, guard: &sql::Guard) {
        locked(&self.0).guard = None;
        guard.stop();
    }
}

/// Stops a question when it is dropped.
struct GiveUp(Waiting);

impl Drop for GiveUp {
    fn drop(&mut self) {
        let mut asked = locked(&self.0.0);
        asked.is_given_up = true;
        if let Some(guard) = asked.guard.take() {
            guard.expire();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(path: &Path) -> rusqlite::Result<Guarded> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(connect::BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    let guard = sql::Guard::default();
    let seen = guard.clone();
    connection.progress_handler(STEPS_PER_CHECK, Some(move || seen.is_late()))?;
    sql::equip_with(&connection, &guard)?;
    Ok(Guarded { connection, guard })
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Poll;

    use super::super::Reader;
    use super::*;
    use crate::{StoreError, StoreOptions, Writer};

    /// Ends by its limit alone.
    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

    async fn store(limit: Duration) -> (tempfile::TempDir, Writer, Reader) {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(folder.path().join("loopd.db"));
        let (writer, reader) = crate::open(options).await.unwrap();
        (folder, writer, reader.with_time_limit(limit))
    }

    async fn count(reader: &Reader, sql: &'static str) -> Result<i64, StoreError> {
        let counted = reader.raw.ask(move |db| db.query_row(sql, (), |row| row.get(0))).await;
        counted.map_err(StoreError::sqlite("count for ever"))
    }

    #[tokio::test]
    async fn a_question_without_an_end_is_stopped_and_its_connection_answers_the_next() {
        let (_folder, _writer, reader) = store(Duration::from_millis(20)).await;
        for _ in 0..2 * CONNECTIONS {
            let error = count(&reader, ENDLESS).await.unwrap_err();
            assert!(error.is_too_slow(), "{error}");
        }
        assert_eq!(locked(&reader.raw.idle).len(), 1);
        let (_folder, _writer, patient) = store(MAX_READ_TIME).await;
        assert_eq!(count(&patient, "SELECT 7").await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_stopped() {
        let (_folder, _writer, reader) = store(MAX_READ_TIME).await;
        for _ in 0..CONNECTIONS {
            let has_begun = Arc::new(AtomicBool::new(false));
            let begun = Arc::clone(&has_begun);
            let mut asked = Box::pin(reader.raw.ask(move |db| {
                begun.store(true, Ordering::Relaxed);
                db.query_row(ENDLESS, (), |row| row.get::<_, i64>(0))
            }));
            while !has_begun.load(Ordering::Relaxed) {
                let once = poll_fn(|context| Poll::Ready(asked.as_mut().poll(context)));
                assert!(once.await.is_pending());
                tokio::task::yield_now().await;
            }
        }
        let all = reader.raw.permits.acquire_many(CONNECTIONS as u32);
        let all = tokio::time::timeout(MAX_READ_TIME * 2 / 3, all).await;
        assert!(all.is_ok(), "a connection is still held by what nobody waits for");
        drop(all);
        assert_eq!(count(&reader, "SELECT 7").await.unwrap(), 7);
    }

    #[test]
    fn what_was_given_up_before_its_turn_is_not_begun_in_earnest() {
        let guard = sql::Guard::default();
        let waiting = Waiting::default();
        drop(GiveUp(waiting.clone()));
        waiting.begin(&guard, MAX_READ_TIME);
        assert!(guard.is_late());
        waiting.end(&guard);
        assert!(!guard.is_late());
    }

    #[test]
    fn what_is_given_up_after_its_answer_stops_nobody_else() {
        let guard = sql::Guard::default();
        let waiting = Waiting::default();
        waiting.begin(&guard, MAX_READ_TIME);
        waiting.end(&guard);
        guard.start(MAX_READ_TIME);
        drop(GiveUp(waiting));
        assert!(!guard.is_late());
    }
}
