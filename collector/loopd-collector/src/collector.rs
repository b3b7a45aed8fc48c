//! The collector as others see it: something to run, and a handle to it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use loopd_store::{SettingsChange, SettingsScope, StoreError, Writer};
use loopd_wire::MAX_MESSAGE_BYTES;
use loopd_wire::pb::ingest_server::IngestServer;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tonic::service::Routes;

use crate::config::{CollectorConfig, MAX_COMMANDS, MAX_QUEUED_BYTES};
use crate::ingest::Ingest;
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

    /// Makes [`Collector::run`] finish. New sessions are refused from here on.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}
