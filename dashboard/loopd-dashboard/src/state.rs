//! What the routes need from the server around them.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use loopd_model::{DumpId, UnixNanos};
use loopd_store::{
    Head, NoteChange, NoteOutcome, ProcessKey, Reader, Retention, SettingsChange, SettingsScope,
    StoreError,
};
use tokio::sync::{Semaphore, watch};

use crate::demo::Demo;
use crate::mutes::Mute;
use crate::views::clock::ClockReading;

/// Followers of `/api/v1/live` at one time. Each is a browser tab with a connection of its own;
/// one more is told to poll instead.
pub const MAX_FOLLOWERS: usize = 64;

/// Everything the routes share. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    pub(crate) reader: Reader,
    pub(crate) head: watch::Receiver<Head>,
    pub(crate) status: Arc<dyn Fn() -> ServerStatus + Send + Sync>,
    pub(crate) info: Arc<ServerInfo>,
    pub(crate) changer: Option<Changer>,
    pub(crate) dumper: Option<Dumper>,
    pub(crate) muter: Option<Muter>,
    pub(crate) noter: Option<Noter>,
    pub(crate) demo: Option<Arc<dyn Demo>>,
    pub(crate) clocks: Option<Clocks>,
    pub(crate) followers: Arc<Semaphore>,
    pub(crate) shutdown: watch::Receiver<bool>,
}

impl AppState {
    /// `status` is asked on every request for it and must not block. When `shutdown` becomes true
    /// or its sender goes away, live streams end, which a graceful shutdown waits for.
    pub fn new(
        reader: Reader,
        head: watch::Receiver<Head>,
        info: ServerInfo,
        status: impl Fn() -> ServerStatus + Send + Sync + 'static,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        Self {
            reader,
            head,
            status: Arc::new(status),
            info: Arc::new(info),
            changer: None,
            dumper: None,
            muter: None,
            noter: None,
            demo: None,
            clocks: None,
            followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)),
            shutdown,
        }
    }

    /// Lets requests change the settings of agents. `changer` is given whose and what; without it
    /// such requests are refused.
    pub fn with_changes<F>(
        mut self,
        changer: impl Fn(SettingsScope, SettingsChange) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), ChangeError>> + Send + 'static,
    {
        self.changer = Some(Arc::new(move |scope, change| Box::pin(changer(scope, change))));
        self
    }

    /// Lets requests ask agents where their tasks wait. `dumper` is given whom, and gives the number of
    /// the dump that it is to make; without it such requests are refused.
    pub fn with_dumps<F>(mut self, dumper: impl Fn(ProcessKey) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<DumpId, DumpError>> + Send + 'static,
    {
        self.dumper = Some(Arc::new(move |process| Box::pin(dumper(process))));
        self
    }

    /// Lets requests mute findings. `muter` is given the name of the program, and what to mute; without it
    /// such requests are refused.
    pub fn with_mutes<F>(
        mut self,
        muter: impl Fn(String, Mute) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), MuteError>> + Send + 'static,
    {
        self.muter = Some(Arc::new(move |app, mute| Box::pin(muter(app, mute))));
        self
    }

    /// Lets requests write, change and remove notes. Without it such requests are refused.
    pub fn with_notes<F>(mut self, noter: impl Fn(NoteChange) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<NoteOutcome, ChangeError>> + Send + 'static,
    {
        self.noter = Some(Arc::new(move |change| Box::pin(noter(change))));
        self
    }

    /// Lets requests see what clocks of programs have shown. `clocks` is given the process and must not block;
    /// without it nothing is known of them.
    pub fn with_clocks(
        mut self,
        clocks: impl Fn(ProcessKey) -> Vec<ClockReading> + Send + Sync + 'static,
    ) -> Self {
        self.clocks = Some(Arc::new(clocks));
        self
    }

    /// Lets requests start and stop an example service; without it such requests are refused.
    pub fn with_demo(mut self, demo: impl Demo + 'static) -> Self {
        self.demo = Some(Arc::new(demo));
        self
    }
}

/// What writes, changes and removes notes.
pub(crate) type Noter =
    Arc<dyn Fn(NoteChange) -> BoxFuture<'static, Result<NoteOutcome, ChangeError>> + Send + Sync>;

/// What knows the clocks of programs.
pub(crate) type Clocks = Arc<dyn Fn(ProcessKey) -> Vec<ClockReading> + Send + Sync>;

/// What mutes findings in all runs of a program.
pub(crate) type Muter =
    Arc<dyn Fn(String, Mute) -> BoxFuture<'static, Result<(), MuteError>> + Send + Sync>;

/// Why a finding was not muted.
#[derive(Debug)]
pub enum MuteError {
    /// The server is stopping.
    Stopping,
    /// There are too many already.
    TooMany {
        /// How many there may be.
        limit: usize,
    },
    /// The store could not keep it.
    Store(StoreError),
}

/// What has a program's tasks dumped.
pub(crate) type Dumper =
    Arc<dyn Fn(ProcessKey) -> BoxFuture<'static, Result<DumpId, DumpError>> + Send + Sync>;

/// Why no agent was asked where its tasks wait.
#[derive(Debug)]
pub enum DumpError {
    /// The server is stopping.
    Stopping,
    /// There is nobody to ask.
    NotConnected {
        /// The process.
        process: i64,
    },
    /// The store could not make room for the answer.
    Store(StoreError),
}

/// What changes settings.
pub(crate) type Changer = Arc<
    dyn Fn(SettingsScope, SettingsChange) -> BoxFuture<'static, Result<(), ChangeError>>
        + Send
        + Sync,
>;

/// Why settings were not changed.
#[derive(Debug)]
pub enum ChangeError {
    /// The server is stopping.
    Stopping,
    /// The store could not keep the change.
    Store(StoreError),
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").field("info", &self.info).finish_non_exhaustive()
    }
}

/// What does not change while the server runs.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// loopd's version.
    pub version: String,
    /// When the server started.
    pub started_at: UnixNanos,
    /// How much is kept.
    pub retention: Retention,
}

/// What does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerStatus {
    /// Agents connected now.
    pub sessions: u64,
    /// Sessions that ended without a goodbye.
    pub disconnected: u64,
    /// Batches refused because they could not be read.
    pub refused: u64,
    /// Why the store takes no writes; `None` if it does.
    pub unwritable: Option<String>,
    /// Since when it takes none.
    pub unwritable_since: Option<UnixNanos>,
    /// Commits since the server started.
    pub commits: u64,
    /// Bytes of batches that wait for their commit now.
    pub queued_bytes: u64,
}
