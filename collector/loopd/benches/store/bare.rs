//! The plain way: a row per poll or task, many rows to a statement, one transaction to a batch,
//! the same durability, and the one index that a timeline needs.

use std::path::Path;
use std::time::{Duration, Instant};

use loopd_model::{EventKind, Span};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::cpu;
use crate::lives::{EVENTS_PER_BATCH, Life, Lives};
use crate::load::{POLLS_PER_BATCH, Polls, WORKERS};

const ROWS_PER_STATEMENT: usize = 128;

/// What inserting cost.
pub(crate) struct Inserted {
    pub(crate) rows: u64,
    pub(crate) time: Duration,
    pub(crate) cpu: Duration,
}

/// A table of polls or of tasks.
pub(crate) struct Bare(Connection);

impl Bare {
    fn open(path: &Path, schema: &str) -> Self {
        let db = Connection::open(path).unwrap();
        let settings = "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL;
            PRAGMA synchronous = FULL; PRAGMA cache_size = -32768;";
        db.execute_batch(settings).unwrap();
        db.execute_batch(schema).unwrap();
        Self(db)
    }

    pub(crate) fn polls(path: &Path) -> Self {
        let schema = "CREATE TABLE poll (loop INT, worker INT, start_at INT, length INT, task INT);
            CREATE INDEX poll_by_time ON poll (start_at)";
        Self::open(path, schema)
    }

    pub(crate) fn tasks(path: &Path) -> Self {
        let schema = "CREATE TABLE task (task INTEGER PRIMARY KEY, location INT, parent INT,
                spawned_at INT, ended_at INT, outcome INT);
            CREATE INDEX task_by_spawn ON task (spawned_at)";
        Self::open(path, schema)
    }

    /// Inserts batches of polls. Only the inserting counts.
    pub(crate) fn insert_polls(&self, load: &mut Polls, batches: usize) -> Inserted {
        let rows_of = |lanes: [Vec<Span>; WORKERS]| -> Vec<[i64; 5]> {
            let row = |worker: usize, span: &Span| {
                [1, worker as i64, span.start.0 as i64, span.length as i64, span.task.0 as i64]
            };
            let lanes = lanes.iter().enumerate();
            lanes.flat_map(|(worker, spans)| spans.iter().map(move |s| row(worker, s))).collect()
        };
        let (mut time, mut spent) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..batches {
            let rows = rows_of(load.spans(POLLS_PER_BATCH));
            let (began_at, before) = (Instant::now(), cpu::own());
            self.insert(&rows);
            time += began_at.elapsed();
            spent += cpu::own() - before;
        }
        Inserted { rows: (batches * POLLS_PER_BATCH) as u64, time, cpu: spent }
    }

    /// Inserts tasks by their spawns, and writes their ends into them.
    pub(crate) fn insert_lives(&self, life: Life, batches: usize) -> Inserted {
        let mut lives = Lives::new(life);
        let (mut time, mut spent) = (Duration::ZERO, Duration::ZERO);
        for seq in 1..=batches as u64 {
            let events = lives.batch(seq).events;
            let (began_at, before) = (Instant::now(), cpu::own());
            let tx = self.0.unchecked_transaction().unwrap();
            let mut insert =
                tx.prepare("INSERT INTO task VALUES (?, ?, ?, ?, NULL, NULL)").unwrap();
            let mut update =
                tx.prepare("UPDATE task SET ended_at = ?, outcome = 1 WHERE task = ?").unwrap();
            for event in events {
                let at = event.at.0 as i64;
                match event.kind {
                    EventKind::TaskSpawned { task, spawn_location, parent, .. } => {
                        let ids = [task.0 as i64, spawn_location.0 as i64, parent.0 as i64, at];
                        insert.execute(ids).unwrap();
                    }
                    EventKind::TaskEnded { task, .. } => {
                        update.execute([at, task.0 as i64]).unwrap();
                    }
                    _ => {}
                }
            }
            drop((insert, update));
            tx.commit().unwrap();
            time += began_at.elapsed();
            spent += cpu::own() - before;
        }
        Inserted { rows: (batches * EVENTS_PER_BATCH) as u64, time, cpu: spent }
    }

    fn insert(&self, rows: &[[i64; 5]]) {
        const { assert!(POLLS_PER_BATCH.is_multiple_of(ROWS_PER_STATEMENT)) };
        let tx = self.0.unchecked_transaction().unwrap();
        let values = vec!["(?,?,?,?,?)"; ROWS_PER_STATEMENT].join(",");
        let mut statement = tx.prepare(&format!("INSERT INTO poll VALUES {values}")).unwrap();
        for rows in rows.chunks(ROWS_PER_STATEMENT) {
            let values = rows.iter().flatten().map(|value| value as &dyn ToSql);
            statement.execute(params_from_iter(values)).unwrap();
        }
        drop(statement);
        tx.commit().unwrap();
    }

    fn number(&self, sql: &str) -> u64 {
        self.0.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64
    }

    /// How many polls there are.
    pub(crate) fn rows(&self) -> u64 {
        self.number("SELECT count(*) FROM poll")
    }

    /// Bytes for each poll, the index included.
    pub(crate) fn bytes_per_poll(&self) -> f64 {
        let bytes = self.number("PRAGMA page_count") * self.number("PRAGMA page_size");
        bytes as f64 / self.rows() as f64
    }

    /// Runs a query to its last row.
    pub(crate) fn query(&self, sql: &str) -> Duration {
        let began_at = Instant::now();
        let mut statement = self.0.prepare(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        let mut count = 0;
        while rows.next().unwrap().is_some() {
            count += 1;
        }
        assert!(count > 0, "{sql} found nothing");
        began_at.elapsed()
    }
}

/// Pages that hold something, in bytes.
pub(crate) fn used_bytes(path: &Path) -> u64 {
    let db = Connection::open(path).unwrap();
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let pages = number("PRAGMA page_count") - number("PRAGMA freelist_count");
    (pages * number("PRAGMA page_size")) as u64
}
