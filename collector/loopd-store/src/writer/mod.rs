//! The one writer: sessions, batches, maintenance.

mod apply;
mod bounds;
mod checkpoint;
mod crowd;
mod digest;
mod dumps;
mod findings;
mod hash;
mod head;
mod lane_spans;
mod lanes;
mod maintain;
mod notes;
mod reserve;
mod rollups;
mod roster;
mod sessions;
mod settings;
mod task_plan;
mod task_records;
pub(crate) mod tasks;
mod told;
mod transact;
mod waits;
mod words;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;

use loopd_model::Batch;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::watch;

pub(crate) use checkpoint::wal_path;
pub(crate) use dumps::MAX_DUMPS;
pub use head::{Head, HeadProcess};
pub(crate) use lanes::tile_long_polls;
pub(crate) use maintain::FINE_LEVELS;
pub use maintain::Maintained;
pub use sessions::{How, Session};

use crate::{ProcessKey, StoreError, StoreOptions, open};
use checkpoint::Checkpointer;
use digest::{Digest, Source};
use reserve::Reserve;
use roster::Roster;
use sessions::Known;

/// The only way to change the store. There is one per file.
///
/// Dropping it is safe at any time: what was committed stays, and the next one recovers the rest.
#[derive(Debug)]
pub struct Writer {
    db: SqliteConnection,
    /// A write transaction on `db` failed or was given up; nothing more may be done with it.
    is_broken: bool,
    options: StoreOptions,
    reserve: Reserve,
    checkpointer: Checkpointer,
    head: watch::Sender<Head>,
    /// Processes with a session, and those that batches came for since.
    known: HashMap<ProcessKey, Known>,
    /// Of processes that batches came of, while they live.
    rosters: BTreeMap<i64, Roster>,
    interned: apply::Interned,
    orphans: maintain::Orphans,
    turns: maintain::Turns,
    epoch: [u8; 16],
    /// Held, not used: while it is open nobody else gets a writer.
    _lock: File,
}

/// What became of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its process.
    pub process: ProcessKey,
    /// Its number.
    pub seq: u64,
    /// Every batch of the process up to this one is on disk.
    pub durable_seq: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on disk.
    Stored,
    /// It was on disk already, and is there once.
    Duplicate,
    /// It cannot be read, and nothing of it was stored; its number is still awaited.
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// A batch before it is missing; nothing of it was stored.
    Gap {
        /// The number awaited.
        expected: u64,
        /// The number that came.
        got: u64,
    },
}

impl Writer {
    pub(crate) async fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let (mut db, lock) = open::open_for_writing(options).await?;
        let epoch: Vec<u8> = sqlx::query_scalar("SELECT epoch FROM meta")
            .fetch_one(&mut db)
            .await
            .map_err(StoreError::sqlite("read the epoch"))?;
        let interned = apply::Interned::load(&mut db).await;
        let interned = interned.map_err(StoreError::sqlite("read the words"))?;
        Ok(Self {
            db,
            is_broken: false,
            options: options.clone(),
            reserve: Reserve::new(&options.path),
            checkpointer: Checkpointer::start(&options.path, options.durability).await?,
            head: watch::Sender::new(Head::default()),
            known: HashMap::new(),
            rosters: BTreeMap::new(),
            interned,
            orphans: maintain::Orphans::default(),
            turns: maintain::Turns::default(),
            epoch: epoch.try_into().unwrap_or_default(),
            _lock: lock,
        })
    }

    /// Stores batches, all in one transaction. On return those `Stored` survive a power cut. A
    /// batch that cannot be read fails alone; an error means that none was stored.
    pub async fn commit(
        &mut self,
        batches: Vec<(ProcessKey, Batch)>,
    ) -> Result<Vec<Committed>, StoreError> {
        let mut sources = BTreeMap::new();
        let mut rosters = BTreeMap::new();
        for (process, _) in &batches {
            sources.insert(*process, *self.know(*process).await?);
            if let Entry::Vacant(place) = rosters.entry(process.0) {
                place.insert(self.roster(process.0).await?);
            }
        }
        let work = move || digest_all(sources, batches, rosters);
        let (mut digest, committed, rosters) = match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        if !digest.processes.is_empty() {
            // If it fails, the rosters are gone, and read again for the next attempt.
            self.write(&mut digest).await?;
        }
        self.rosters.extend(rosters);
        self.move_on(&mut digest);
        Ok(committed)
    }

    async fn write(&mut self, digest: &mut Digest) -> Result<(), StoreError> {
        let mut interned = self.interned.clone();
        let has_hole = |process: &i64| {
            self.known.get(&ProcessKey(*process)).is_some_and(|known| known.has_hole)
        };
        let holes: Vec<i64> = digest.processes.keys().copied().filter(has_hole).collect();
        self.transact("store batches", async |db| {
            apply::rows(db, digest, &mut interned).await?;
            apply::books(db, digest).await?;
            for process in holes {
                sessions::count_hole(db, process).await?;
            }
            Ok(())
        })
        .await?;
        // Only now: a text stored in a transaction that failed has no id.
        self.interned = interned;
        Ok(())
    }

    /// Takes the roster of a process, which is given back after the commit.
    async fn roster(&mut self, process: i64) -> Result<Roster, StoreError> {
        if let Some(roster) = self.rosters.remove(&process) {
            return Ok(roster);
        }
        let loaded = Roster::load(self.db().await?, process).await;
        loaded.map_err(StoreError::sqlite("read which tasks are alive"))
    }

    /// What the commit has made true.
    fn move_on(&mut self, digest: &mut Digest) {
        for (process, change) in std::mem::take(&mut digest.tasks.changes) {
            if let Some(roster) = self.rosters.get_mut(&process) {
                roster.change(change);
            }
        }
        if digest.processes.is_empty() {
            return;
        }
        for (&process, delta) in &digest.processes {
            if let Some(known) = self.known.get_mut(&ProcessKey(process)) {
                known.durable_seq = delta.seq;
                known.last_at = known.last_at.max(delta.last_at);
                known.slow_threshold =
                    delta.slow_threshold.map_or(known.slow_threshold, |(_, threshold)| threshold);
                known.has_hole &= delta.totals.iter().all(Option::is_none);
            }
        }
        self.publish(digest.processes.keys().map(|&process| ProcessKey(process)));
    }

    /// Writes everything into the main file and lets go of it.
    pub async fn close(mut self) -> Result<(), StoreError> {
        self.checkpointer.stop().await;
        let closed = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(self.db().await?).await;
        closed.map_err(StoreError::sqlite("write the log into the main file"))?;
        self.db.close().await.map_err(StoreError::sqlite("close the database"))
    }
}

/// Decides what becomes of each batch, and gathers the rows of those to be stored.
fn digest_all(
    mut sources: BTreeMap<ProcessKey, Known>,
    batches: Vec<(ProcessKey, Batch)>,
    rosters: BTreeMap<i64, Roster>,
) -> (Digest, Vec<Committed>, BTreeMap<i64, Roster>) {
    let mut digest = Digest::default();
    let mut committed = Vec::with_capacity(batches.len());
    for (process, batch) in batches {
        let Some(known) = sources.get_mut(&process) else { continue };
        let seq = batch.seq;
        let expected = known.durable_seq.saturating_add(1);
        let outcome = if seq < expected {
            Outcome::Duplicate
        } else if seq > expected {
            Outcome::Gap { expected, got: seq }
        } else {
            let source = Source {
                process: process.0,
                origin: known.origin,
                slow_threshold: known.slow_threshold,
            };
            match digest.add(&source, batch) {
                Ok(()) => {
                    known.durable_seq = seq;
                    // From the next batch on: within one, polls and settings have no order.
                    let threshold = digest.processes.get(&process.0);
                    if let Some((_, threshold)) = threshold.and_then(|delta| delta.slow_threshold) {
                        known.slow_threshold = threshold;
                    }
                    Outcome::Stored
                }
                Err(reason) => Outcome::Malformed { reason },
            }
        };
        committed.push(Committed { process, seq, durable_seq: known.durable_seq, outcome });
    }
    digest.finish(&rosters);
    (digest, committed, rosters)
}
