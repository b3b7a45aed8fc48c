//! Who answers when a collector asks where every task waits: nobody, unless one who can tell has
//! registered. Of tokio's tasks only their runtime's own thread can tell, when it is not busy; an
//! interpreter keeps the frames of all that wait.

use std::sync::OnceLock;

use loopd_model::{DumpId, Frame};

/// What the collector is told if nobody answers.
pub(crate) const NOBODY: &str = "this agent cannot tell where its tasks wait";

/// Where some tasks wait, and, in the last part of an answer, how many there were, how many of these
/// were left out, and why there is not more.
pub(crate) struct Dumped {
    pub(crate) dump: DumpId,
    pub(crate) tasks: Vec<DumpedTask>,
    pub(crate) end: Option<(u64, u64, String)>,
}

/// Where a task waits.
#[derive(Debug)]
pub struct DumpedTask {
    /// The task.
    pub task: u64,
    /// The chain of what it awaits, innermost first.
    pub frames: Vec<Frame>,
    /// What the innermost awaits; empty if not known.
    pub awaits: String,
    /// The task that it awaits; 0 for none.
    pub awaits_task: u64,
    /// The resource that it awaits; 0 for none.
    pub resource: u64,
}

static HANDLER: OnceLock<fn(DumpId)> = OnceLock::new();

/// From now on `handler` answers: with an event for each task and then the one that ends the dump,
/// before long, also if it cannot. It is called on the exporter's thread, and must not block it. Only
/// the first that registers is heard.
pub(crate) fn register(handler: fn(DumpId)) {
    let _ = HANDLER.set(handler);
}

/// Has the dump taken; says whether anybody does.
pub(crate) fn ask(dump: DumpId) -> bool {
    HANDLER.get().map(|handler| handler(dump)).is_some()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    static ASKED: AtomicU64 = AtomicU64::new(0);

    // One test: what is registered stays.
    #[test]
    fn whoever_registered_first_is_asked() {
        assert!(!ask(DumpId(1)));
        register(|dump| ASKED.store(dump.0, Relaxed));
        register(|_| panic!("the second one is not heard"));
        assert!(ask(DumpId(7)));
        assert_eq!(ASKED.load(Relaxed), 7);
    }
}
