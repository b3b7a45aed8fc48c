//! What a connection for users' queries shares with the callbacks that SQLite makes from it.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// The state of one connection, shared with its virtual tables, its progress handler and its
/// authorizer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Whether loopd itself is preparing a statement, from inside a virtual table.
    is_inside: AtomicBool,
    /// Milliseconds since the first guard, when the query has to be done; 0: never, [`OVER`]: it
    /// has to stop now.
    deadline: AtomicI64,
}

/// A deadline that has always passed.
const OVER: i64 = -1;

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Guard {
    /// Gives the query about to run this long.
    pub(crate) fn start(&self, limit: Duration) {
        let deadline = EPOCH.elapsed().saturating_add(limit).as_millis();
        self.0.deadline.store(deadline.clamp(1, 1 << 62) as i64, Ordering::Relaxed);
    }

    /// Makes the query that runs stop at the next look at the clock.
    pub(super) fn expire(&self) {
        self.0.deadline.store(OVER, Ordering::Relaxed);
    }

    /// Lifts the deadline. Only when no query runs any more.
    pub(crate) fn stop(&self) {
        self.0.deadline.store(0, Ordering::Relaxed);
    }

    /// Whether the query has used up its time.
    pub(crate) fn is_late(&self) -> bool {
        let deadline = self.0.deadline.load(Ordering::Relaxed);
        deadline != 0 && EPOCH.elapsed().as_millis() as i64 >= deadline
    }

    /// Runs `work` with the authorizer looking away.
    pub(super) fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.is_inside.store(true, Ordering::Relaxed);
        let result = work();
        self.0.is_inside.store(false, Ordering::Relaxed);
        result
    }

    /// Whether the statement being prepared is loopd's own.
    pub(super) fn is_inside(&self) -> bool {
        self.0.is_inside.load(Ordering::Relaxed)
    }
}
