//! The one writer: sessions, batches, maintenance.

use std::sync::Arc;

use loopd_model::{Batch, LedgerEntry, Process, UnixNanos};
use tokio::sync::watch;

use crate::{ProcessKey, ProcessState, Retention, StoreError, StoreOptions};

/// The only way to change the store. There is one per file.
#[derive(Debug)]
pub struct Writer {
    head: watch::Sender<Head>,
}

/// What an agent needs to know to go on where it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The process's key in this store.
    pub process: ProcessKey,
    /// Every batch up to this one is on disk; 0: none.
    pub durable_seq: u64,
    /// 16 random bytes made with the file.
    pub store_epoch: [u8; 16],
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

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// With a goodbye and the final totals.
    Goodbye {
        /// The totals.
        ledger: Vec<LedgerEntry>,
    },
    /// Without: what came after the last batch is lost, and how much cannot be known.
    Lost,
}

/// What one step of maintenance did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Tile rows folded into a coarser level.
    pub folded_tiles: u64,
    /// Segments merged into fewer.
    pub merged_segments: u64,
    /// Rows that retention removed.
    pub removed_rows: u64,
    /// Whether another call would find more to do now.
    pub more: bool,
}

/// The newest data, for those who wait for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Rises with every change.
    pub version: u64,
    /// Every process with a session since this writer was opened.
    pub processes: Arc<[HeadProcess]>,
}

/// The newest of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadProcess {
    /// The process.
    pub process: ProcessKey,
    /// Up to when its telemetry is known.
    pub last_at: UnixNanos,
    /// How it is doing.
    pub state: ProcessState,
}

impl Writer {
    pub(crate) async fn open(_options: &StoreOptions) -> Result<Self, StoreError> {
        Ok(Self { head: watch::Sender::new(Head::default()) })
    }

    /// Begins or resumes the session of a process whose agent can still send from `first_seq` on.
    /// A hole below that is noted as a loss.
    pub async fn begin_session(
        &mut self,
        _process: &Process,
        first_seq: u64,
    ) -> Result<Session, StoreError> {
        let durable_seq = first_seq.saturating_sub(1);
        Ok(Session { process: ProcessKey(1), durable_seq, store_epoch: [0; 16] })
    }

    /// Stores batches, all in one transaction. On return those `Stored` survive a power cut. A
    /// batch that cannot be read fails alone; an error means that none was stored.
    pub async fn commit(
        &mut self,
        batches: Vec<(ProcessKey, Batch)>,
    ) -> Result<Vec<Committed>, StoreError> {
        let stored = |(process, batch): (ProcessKey, Batch)| Committed {
            process,
            seq: batch.seq,
            durable_seq: batch.seq,
            outcome: Outcome::Stored,
        };
        Ok(batches.into_iter().map(stored).collect())
    }

    /// Ends a session; `at` is when the collector noticed. A later [`Self::begin_session`] takes it
    /// up again.
    pub async fn end_session(
        &mut self,
        _process: ProcessKey,
        _how: How,
        _at: UnixNanos,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    /// One small step of folding tiles, merging segments, or removing what is too old or too much.
    /// Call it between commits, and again at once while there is more.
    pub async fn maintain(
        &mut self,
        _now: UnixNanos,
        _retention: &Retention,
    ) -> Result<Maintained, StoreError> {
        Ok(Maintained::default())
    }

    /// Follows the newest data.
    pub fn head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// Writes everything into the main file and lets go of it.
    pub async fn close(self) -> Result<(), StoreError> {
        Ok(())
    }
}
