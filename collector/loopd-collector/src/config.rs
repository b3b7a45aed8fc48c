//! What can be chosen about a collector, and the bounds that cannot.

use std::time::Duration;

use loopd_store::{ProcessKey, Retention};
use loopd_wire::MAX_BATCH_BYTES;

/// What can be chosen about a collector.
#[derive(Clone, Debug)]
pub struct CollectorConfig {
    /// How much the store keeps.
    pub retention: Retention,
    /// How long a process whose stream broke may take to come back before it counts as lost.
    pub grace: Duration,
    /// Streams at the same time; further ones are refused. Each may take up a few megabytes while
    /// a batch of it is decoded.
    pub max_sessions: usize,
    /// The processes that the store holds as live from an earlier run. Those that do not come back
    /// within the grace are lost.
    pub live_before: Vec<ProcessKey>,
    /// Those of `live_before` that are known to have ended: they are lost without a grace.
    pub gone_before: Vec<ProcessKey>,
    /// Whether the program with this number on the host of this name is known to have ended. Asked now and then
    /// while its stream is broken: if it has, it is lost before its grace is over.
    pub is_gone: fn(host: &str, pid: u32) -> bool,
}

impl Default for CollectorConfig {
    fn default() -> Self {
        Self {
            retention: Retention { max_age: None, max_bytes: None, max_process_bytes: None },
            grace: Duration::from_secs(15),
            max_sessions: 256,
            live_before: Vec::new(),
            gone_before: Vec::new(),
            is_gone: |_, _| false,
        }
    }
}

/// How long a stream may stay silent before its hello.
pub(crate) const HELLO_TIME: Duration = Duration::from_secs(5);

/// How often it is looked whether a program whose stream is broken has ended. When the stream breaks it may not
/// quite have yet.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Commands that wait for the keeper. When full, sessions stop reading, and HTTP/2 flow control
/// stops their agents, whose windows hold what is not acked.
pub(crate) const MAX_COMMANDS: usize = 256;

/// What a span counts for in the room of a batch: about what it takes up unpacked.
pub(crate) const SPAN_BYTES: usize = 64;

/// Room of batches between a session and their commit, over all sessions. Enough to fill the next
/// group while one is committed.
pub(crate) const MAX_QUEUED_BYTES: usize = 16 * MAX_BATCH_BYTES;

/// Batches in one commit. It bounds how long a commit takes, and so how old an ack can be.
pub(crate) const MAX_GROUP_BATCHES: usize = 64;

/// Room of the batches in one commit; the last may exceed it.
pub(crate) const MAX_GROUP_BYTES: usize = 4 * MAX_BATCH_BYTES;

/// How long the first batch of a group waits for others: an fsync costs about as much.
pub(crate) const GROUP_TIME: Duration = Duration::from_millis(20);

/// How often the store is asked for maintenance when it had none to do.
pub(crate) const MAINTAIN_EVERY: Duration = Duration::from_secs(1);

/// Maintenance rests this many times as long as its last step took, so that it takes no more than a
/// fifth of the writer's time.
pub(crate) const MAINTAIN_REST: u32 = 4;

/// But no longer than this, and then more than a fifth: after a step that was held up, as by a disk or a machine that
/// stands still, what comes meanwhile must not outgrow the budget.
pub(crate) const MAX_MAINTAIN_REST: Duration = Duration::from_secs(2);

/// The first and the longest wait before a store that failed is tried with a new session.
pub(crate) const RETRY_TIMES: (Duration, Duration) =
    (Duration::from_millis(250), Duration::from_secs(10));

/// How long a session waits for the keeper's last word.
pub(crate) const LAST_WORD_TIME: Duration = Duration::from_secs(5);
