//! The collector as others see it: something to run, and a handle to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use loopd_model::DumpId;
use loopd_store::{
    Head, MAX_MUTES, NoteChange, NoteOutcome, ProcessKey, Reader, SettingsChange, SettingsScope,
    StoreError, Writer,
};
use loopd_wire::MAX_MESSAGE_BYTES;
use loopd_wire::pb::ingest_server::IngestServer;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tonic::service::Routes;

use crate::clocks::ClockReading;
use crate::config::{CollectorConfig, MAX_COMMANDS, MAX_QUEUED_BYTES};
use crate::ingest::Ingest;
use crate::judge::Judge;
use crate::keeper::{Command, Keeper};
use crate::session::Link;
use crate::status::{CollectorStatus, Counters};

/// The part that owns the store's writer. Nothing is stored unless [`Self::run`] is polled.
#[derive(Debug)]
#[must_use = "run it"]
pub struct Collector {
    keeper: Keeper,
}

/// What others do with a running collector. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct CollectorHandle {
    ingest: Ingest,
    stop: watch::Sender<bool>,
}

/// Why settings were not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The collector takes no more orders.
    #[error("loopd is stopping, nothing was changed")]
    Stopping,
    /// The store could not keep the change.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an agent was not asked where its tasks wait.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The collector takes no more orders.
    #[error("loopd is stopping, nobody was asked")]
    Stopping,
    /// There is nobody to ask.
    #[error("process {process} is not connected, so that nobody can say where its tasks wait")]
    NotConnected {
        /// The process.
        process: i64,
    },
    /// The store could not make room for the answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a finding was not muted.
#[derive(Debug, thiserror::Error)]
pub enum MuteError {
    /// The collector takes no more orders.
    #[error("loopd is stopping, nothing was muted")]
    Stopping,
    /// There are too many already.
    #[error("{limit} findings are muted already; let some be heard again first")]
    TooMany {
        /// How many there may be.
        limit: usize,
    },
    /// The store could not keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Collector {
    /// A collector that stores through `writer`.
    pub fn new(writer: Writer, config: CollectorConfig) -> (Self, CollectorHandle) {
        let (commands, received) = mpsc::channel(MAX_COMMANDS);
        let (stop, stopped) = watch::channel(false);
        let counters = Arc::new(Counters::default());
        let link = Link {
            commands,
            budget: Arc::new(Semaphore::new(MAX_QUEUED_BYTES)),
            counters: Arc::clone(&counters),
            next_id: Arc::new(AtomicU64::new(1)),
            clocks: Arc::default(),
        };
        let ingest = Ingest { link, max_sessions: config.max_sessions };
        let keeper = Keeper::new(writer, config, received, stopped, counters);
        (Self { keeper }, CollectorHandle { ingest, stop })
    }

    /// Stores what sessions send, until [`CollectorHandle::stop`]. Then commits and acks what was
    /// received, ends every session, and closes the store.
    pub async fn run(self) -> Result<(), StoreError> {
        self.keeper.run().await
    }
}

impl CollectorHandle {
    /// The gRPC service, for a router. It is for one listener or many.
    pub fn routes(&self) -> Routes {
        let server = IngestServer::new(self.ingest.clone());
        Routes::new(server.max_decoding_message_size(MAX_MESSAGE_BYTES))
    }

    /// How it is doing now.
    pub fn status(&self) -> CollectorStatus {
        self.ingest.link.counters.snapshot()
    }

    /// What the clocks of a program have shown lately, oldest first; nothing if it has not sent since the
    /// collector started.
    pub fn clocks(&self, process: ProcessKey) -> Vec<ClockReading> {
        self.ingest.link.clocks.of(process)
    }

    /// Changes what is asked of `scope`, for good, and tells the agents that are connected.
    pub async fn change_settings(
        &self,
        scope: SettingsScope,
        change: SettingsChange,
    ) -> Result<(), ChangeError> {
        let (reply, changed) = oneshot::channel();
        let command = Command::Change { scope, change, reply };
        self.ingest.link.commands.send(command).await.map_err(|_| ChangeError::Stopping)?;
        Ok(changed.await.map_err(|_| ChangeError::Stopping)??)
    }

    /// Asks the agent of a process where every task waits, and gives the number of the dump that it is
    /// to make. It is stored as it comes; the agent may be too old to answer.
    pub async fn dump_tasks(&self, process: ProcessKey) -> Result<DumpId, DumpError> {
        let (reply, asked) = oneshot::channel();
        let command = Command::Dump { process, reply };
        self.ingest.link.commands.send(command).await.map_err(|_| DumpError::Stopping)?;
        asked.await.map_err(|_| DumpError::Stopping)?
    }

    /// Mutes a finding in all runs of a program, for the reason that is given, or lets it be heard again
    /// if none is.
    pub async fn mute_finding(
        &self,
        app: String,
        rule: String,
        subject: String,
        reason: Option<String>,
    ) -> Result<(), MuteError> {
        let (reply, muted) = oneshot::channel();
        let command = Command::Mute { app, rule, subject, reason, reply };
        self.ingest.link.commands.send(command).await.map_err(|_| MuteError::Stopping)?;
        let has_room = muted.await.map_err(|_| MuteError::Stopping)??;
        if has_room { Ok(()) } else { Err(MuteError::TooMany { limit: MAX_MUTES }) }
    }

    /// Makes, changes or removes a note.
    pub async fn change_note(&self, change: NoteChange) -> Result<NoteOutcome, ChangeError> {
        let (reply, changed) = oneshot::channel();
        let command = Command::Note { change, reply };
        self.ingest.link.commands.send(command).await.map_err(|_| ChangeError::Stopping)?;
        Ok(changed.await.map_err(|_| ChangeError::Stopping)??)
    }

    /// Judges processes as their data comes, and keeps what rules find, until [`Self::stop`].
    pub async fn judge(&self, reader: Reader, head: watch::Receiver<Head>) {
        let (commands, stop) = (self.ingest.link.commands.clone(), self.stop.subscribe());
        Judge { reader, head, commands, stop, judged: HashMap::new() }.run().await;
    }

    /// Makes [`Collector::run`] finish. New sessions are refused from here on.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}
