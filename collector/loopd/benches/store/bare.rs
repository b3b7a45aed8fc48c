//! The plain way: a row per poll or task, many rows to a statement, one transaction to a batch,
//! the same durability, and the one index that a timeline needs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Sqlite};

use super::load;

const ROWS_PER_STATEMENT: usize = 1_000;

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(8192)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await
        .unwrap()
}

/// Bytes of pages that hold nothing.
pub(crate) async fn free_bytes(path: &Path) -> u64 {
    let mut db = connect(path).await;
    let pages: i64 = sqlx::query_scalar("PRAGMA freelist_count").fetch_one(&mut db).await.unwrap();
    db.close().await.unwrap();
    pages as u64 * 8192
}

pub(crate) struct Polls {
    path: PathBuf,
}

impl Polls {
    pub(crate) async fn new(path: &Path) -> Self {
        let mut db = connect(path).await;
        let sql = "CREATE TABLE poll (loop INT, worker INT, start_at INT, length INT, task INT);
            CREATE INDEX poll_by_time ON poll (start_at)";
        sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
        Self { path: path.to_owned() }
    }

    /// Inserts batches; returns million polls per second.
    pub(crate) async fn insert(&self, batches: usize, seed: u64) -> f64 {
        let mut db = connect(&self.path).await;
        let mut load = load::Polls::new(seed);
        let mut spent = Duration::ZERO;
        for _ in 0..batches {
            let rows: Vec<_> = (0..super::POLLS_PER_BATCH)
                .map(|i| (i % load::WORKERS, load.span(i % load::WORKERS)))
                .collect();
            let started = Instant::now();
            let mut tx = db.begin().await.unwrap();
            for rows in rows.chunks(ROWS_PER_STATEMENT) {
                let mut sql = QueryBuilder::<Sqlite>::new("INSERT INTO poll ");
                sql.push_values(rows, |mut row, (worker, span)| {
                    row.push_bind(1i64).push_bind(*worker as i64);
                    row.push_bind(load::ORIGIN + span.start.0 as i64);
                    row.push_bind(span.length as i64).push_bind(span.task.0 as i64);
                });
                sql.build().execute(&mut *tx).await.unwrap();
            }
            tx.commit().await.unwrap();
            spent += started.elapsed();
        }
        db.close().await.unwrap();
        (batches * super::POLLS_PER_BATCH) as f64 / spent.as_secs_f64() / 1e6
    }

    pub(crate) async fn bytes_per_row(&self) -> f64 {
        let mut db = connect(&self.path).await;
        let rows: i64 =
            sqlx::query_scalar("SELECT count(*) FROM poll").fetch_one(&mut db).await.unwrap();
        db.close().await.unwrap();
        std::fs::metadata(&self.path).unwrap().len() as f64 / rows as f64
    }

    /// Sums the busy time of the last `range` into 2,000 buckets; returns milliseconds.
    pub(crate) async fn timeline(&self, range: Duration) -> f64 {
        let mut db = connect(&self.path).await;
        let end: i64 =
            sqlx::query_scalar("SELECT max(start_at) FROM poll").fetch_one(&mut db).await.unwrap();
        let range = range.as_nanos() as i64;
        let sql = "SELECT worker, (start_at - ?1) / ?2, sum(length), max(length), count(*)
            FROM poll WHERE start_at >= ?1 GROUP BY 1, 2";
        let started = Instant::now();
        let query = sqlx::query(sql).bind(end - range).bind(range / 2_000);
        query.fetch_all(&mut db).await.unwrap();
        let spent = started.elapsed();
        db.close().await.unwrap();
        spent.as_secs_f64() * 1e3
    }
}

/// Inserts a row per task, with the index by spawn time; returns thousand events (a spawn and an
/// end) per second.
pub(crate) async fn tasks(path: &Path, batches: usize, seed: u64) -> f64 {
    let mut db = connect(path).await;
    let sql = "CREATE TABLE task (task INTEGER PRIMARY KEY, location INT, parent INT,
            spawned_at INT, ended_at INT, outcome INT);
        CREATE INDEX task_by_spawn ON task (spawned_at)";
    sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
    let tasks = super::EVENTS_PER_BATCH / 2;
    let started = Instant::now();
    for batch in 0..batches {
        let ids: Vec<i64> = (0..tasks).map(|i| (batch * tasks + i) as i64).collect();
        let mut tx = db.begin().await.unwrap();
        for ids in ids.chunks(ROWS_PER_STATEMENT) {
            let mut sql = QueryBuilder::<Sqlite>::new("INSERT INTO task ");
            sql.push_values(ids, |mut row, &id| {
                row.push_bind(id).push_bind(id % 64).push_bind(id / 2);
                row.push_bind(load::ORIGIN + id * 1_000 + seed as i64);
                row.push_bind(load::ORIGIN + id * 1_000 + 500).push_bind(1i64);
            });
            sql.build().execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
    let spent = started.elapsed();
    db.close().await.unwrap();
    (batches * tasks * 2) as f64 / spent.as_secs_f64() / 1e3
}
