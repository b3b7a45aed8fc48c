//! Tells those who wait that there is something new.

use std::sync::Arc;

use loopd_model::UnixNanos;
use tokio::sync::watch;

use super::Writer;
use crate::{ProcessKey, ProcessState};

/// The newest data, for those who wait for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Rises with every change.
    pub version: u64,
    /// The processes with a session since this writer was opened, latest changed last.
    pub processes: Arc<[HeadProcess]>,
}

/// More processes than this are not worth watching at once; the longest unchanged go first.
const MAX_PROCESSES: usize = 1_024;

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
    /// Follows the newest data.
    pub fn head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// Tells that these processes have changed.
    pub(super) fn publish(&self, changed: impl IntoIterator<Item = ProcessKey>) {
        self.head.send_modify(|head| {
            head.version += 1;
            let mut processes = head.processes.to_vec();
            for process in changed {
                let Some(known) = self.known.get(&process) else { continue };
                let last_at = UnixNanos(known.last_at);
                processes.retain(|other| other.process != process);
                processes.push(HeadProcess { process, last_at, state: known.state });
            }
            let excess = processes.len().saturating_sub(MAX_PROCESSES);
            processes.drain(..excess);
            head.processes = processes.into();
        });
    }
}
