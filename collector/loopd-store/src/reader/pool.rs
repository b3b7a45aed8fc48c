//! The connections that questions are asked on through sqlx. Whoever has one has it for a limited time: then SQLite
//! stops, so that no question keeps others from being answered. It also stops when nobody waits for the answer
//! any more. A connection is given to the next only once SQLite no longer works on it.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions, Connection};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Answer;
use crate::sql::{self, Guard};
use crate::{MAX_READ_TIME, connect};

/// So many questions are answered at once; the rest wait their turn.
const CONNECTIONS: usize = 4;

/// Nobody waits longer for a turn.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// SQLite looks at the clock each time it has done so many steps.
const STEPS_PER_CHECK: i32 = 10_000;

/// Connections for reading, opened when they are needed.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    path: PathBuf,
    /// How long one may be held.
    limit: Duration,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Guarded>>>,
}

#[derive(Debug)]
struct Guarded {
    db: SqliteConnection,
    guard: Guard,
}

/// A connection while a question has it.
#[derive(Debug)]
pub(crate) struct Lease {
    /// `None` once it has been given back.
    guarded: Option<Guarded>,
    idle: Arc<Mutex<Vec<Guarded>>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Pool {
    pub(super) fn new(path: &Path) -> Self {
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        Self { path: path.to_owned(), limit: MAX_READ_TIME, permits, idle: Arc::default() }
    }

    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit.min(MAX_READ_TIME);
    }

    /// How long a connection may be held.
    pub(super) const fn limit(&self) -> Duration {
        self.limit
    }

    /// A connection, whose time begins now.
    pub(super) async fn acquire(&self) -> Answer<Lease> {
        let turn = Arc::clone(&self.permits).acquire_owned();
        let turn = tokio::time::timeout(MAX_WAIT, turn).await;
        // Nobody closes the semaphore.
        let permit = turn.map_err(|_| sqlx::Error::PoolTimedOut)?.ok();
        let known = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let guarded = match known {
            Some(guarded) => guarded,
            None => open(&self.path).await?,
        };
        guarded.guard.start(self.limit);
        Ok(Lease { guarded: Some(guarded), idle: Arc::clone(&self.idle), permit })
    }
}

async fn open(path: &Path) -> Answer<Guarded> {
    let mut db = connect::read_options(path).connect().await?;
    let guard = Guard::default();
    connect::with_rusqlite(&mut db, |connection| sql::equip_with(connection, &guard)).await?;
    let seen = guard.clone();
    // Taking the handle's lock right after another lock was given back can wait for ever.
    db.ping().await?;
    db.lock_handle().await?.set_progress_handler(STEPS_PER_CHECK, move || !seen.is_late());
    db.ping().await?;
    Ok(Guarded { db, guard })
}

impl Lease {
    /// Gives the connection back.
    pub(super) async fn end(mut self) {
        let Some(guarded) = self.guarded.take() else { return };
        give_back(guarded, &self.idle).await;
    }
}

/// To those who wait for one; unless it is broken.
async fn give_back(mut guarded: Guarded, idle: &Mutex<Vec<Guarded>>) {
    guarded.guard.expire();
    // SQLite's thread answers in order: after this it does nothing.
    if guarded.db.ping().await.is_ok() {
        guarded.guard.stop();
        idle.lock().unwrap_or_else(PoisonError::into_inner).push(guarded);
    }
}

impl Drop for Lease {
    /// The question was given up on, as when a client hangs up, or had only one statement.
    fn drop(&mut self) {
        let Some(guarded) = self.guarded.take() else { return };
        guarded.guard.expire();
        let (idle, permit) = (Arc::clone(&self.idle), self.permit.take());
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                give_back(guarded, &idle).await;
                drop(permit);
            });
        }
    }
}

/// What a connection is like that was given back is nobody's to see.
const GIVEN_BACK: &str = "a connection is given back at the end";

impl Deref for Lease {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.guarded.as_ref().expect(GIVEN_BACK).db
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.guarded.as_mut().expect(GIVEN_BACK).db
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
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
        let read = async |db: &mut Lease| sqlx::query_scalar(sql).fetch_one(&mut **db).await;
        reader.ask("count for ever", read).await
    }

    #[tokio::test]
    async fn a_question_without_an_end_is_stopped_and_its_connection_answers_the_next() {
        let (_folder, _writer, reader) = store(Duration::from_millis(20)).await;
        for _ in 0..2 * CONNECTIONS {
            let error = count(&reader, ENDLESS).await.unwrap_err();
            assert!(error.is_too_slow(), "{error}");
            assert_eq!(
                error.to_string(),
                "could not count for ever within 0.02 s, and stopped; narrow the time range, or ask for less"
            );
        }
        assert_eq!(reader.pool.idle.lock().unwrap().len(), 1);
        let (_folder, _writer, patient) = store(MAX_READ_TIME).await;
        assert_eq!(count(&patient, "SELECT 7").await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_stopped() {
        let (_folder, _writer, reader) = store(MAX_READ_TIME).await;
        for _ in 0..CONNECTIONS {
            let mut asked = Box::pin(count(&reader, ENDLESS));
            // Until SQLite has begun.
            while reader.pool.permits.available_permits() == CONNECTIONS {
                let once =
                    std::future::poll_fn(|context| Poll::Ready(pin!(&mut asked).poll(context)));
                assert!(once.await.is_pending());
                tokio::task::yield_now().await;
            }
            drop(asked);
        }
        let all = reader.pool.permits.acquire_many(CONNECTIONS as u32);
        let all = tokio::time::timeout(MAX_READ_TIME * 2 / 3, all).await;
        assert!(all.is_ok(), "a connection is still held by what nobody waits for");
    }
}
