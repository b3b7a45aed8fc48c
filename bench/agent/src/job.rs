//! What is asked of a round, and its answer.

use serde::{Deserialize, Serialize};

/// What ends a round early.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// One round.
#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    /// Under which recorder; see `main.rs`.
    #[serde(default)]
    pub(crate) variant: String,
    pub(crate) work: Work,
    /// Worker threads; 0 is a current-thread runtime.
    #[serde(default)]
    pub(crate) workers: usize,
    /// Bursts to be measured, after those that warm up.
    #[serde(default)]
    pub(crate) bursts: usize,
    /// Milliseconds between bursts, in which recorders write out what they have.
    #[serde(default)]
    pub(crate) pause: u64,
    /// Where the stand-in of a collector listens; for a load generator, the server.
    #[serde(default)]
    pub(crate) endpoint: String,
    /// Keep to this processor, as do all threads made later.
    #[serde(default)]
    pub(crate) processor: Option<usize>,
    /// A build of this program that generates load and has no recorder in it.
    #[serde(default)]
    pub(crate) loader: String,
    /// A directory for recorders that write files.
    #[serde(default)]
    #[cfg_attr(not(feature = "hooks"), expect(dead_code, reason = "none of this build does"))]
    pub(crate) directory: String,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// Tasks that yield: an operation is a poll.
    Poll,
    /// Tasks that do nothing: an operation is a spawn, a poll, an end and a join.
    Spawn,
    /// Two tasks that send each other a message: an operation is a wake and the poll it leads to.
    Wake,
    /// One task that takes a free lock and gives it back.
    Lock,
    /// Tasks that queue for one lock: an operation is a wait, a lock and a hand-over.
    Queue,
    /// As `Lock`, with loopd's own lock.
    OwnLock,
    /// As `Queue`, with loopd's own lock.
    OwnQueue,
    /// An HTTP server under load: an operation is a request.
    Echo,
    /// As `Spawn`, and what memory has become: `bursts` is the number of tasks.
    Memory,
    /// Generates load for `Echo` and prints its progress.
    Load,
    /// Stands in for a collector.
    Sink,
    /// Stands in for a client of console-subscriber.
    Console,
}

/// What a round took.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Cost {
    pub(crate) operations: u64,
    /// Processor time of the threads that run tasks, in nanoseconds.
    pub(crate) task_nanos: f64,
    /// Processor time of all other threads of the process.
    pub(crate) agent_nanos: f64,
    pub(crate) wall_nanos: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<Memory>,
    #[serde(flatten)]
    pub(crate) records: Option<Records>,
}

/// Bytes of the process, in work [`Work::Memory`].
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) rss_before: u64,
    pub(crate) rss_after: u64,
    pub(crate) rss_peak: u64,
}

/// What became of what was recorded, for recorders that say.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Records {
    pub(crate) produced: u64,
    pub(crate) dropped: u64,
    /// Bytes that the recorder says it holds; 0 if it does not say.
    pub(crate) held: u64,
}
