//! Every open file descriptor of the program, also those opened by code that never heard of loopd.
//! Off unless asked for.
//!
//! Two ways of knowing, of which the second is optional. A thread of ours looks at `/proc/self/fd`
//! every second: whatever it finds open in two looks is reported, and reported closed once it is
//! gone, so that nothing is missed however it was opened. With the feature `fd-stacks` the calls that
//! open and close are also noted when they happen (`noted`): the exact instants, the task, and
//! the stack of the opening. What is open for less than two looks is not reported in either case.
//!
//! Left out are standard input, output and error, and the agent's own.

#[cfg(target_os = "linux")]
mod names;
#[cfg(target_os = "linux")]
#[cfg_attr(
    all(
        feature = "fd-stacks",
        target_env = "gnu",
        target_arch = "x86_64",
        not(target_feature = "crt-static")
    ),
    path = "noted/mod.rs"
)]
#[cfg_attr(
    not(all(
        feature = "fd-stacks",
        target_env = "gnu",
        target_arch = "x86_64",
        not(target_feature = "crt-static")
    )),
    path = "unnoted.rs"
)]
mod noted;
#[cfg(target_os = "linux")]
mod scan;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod watcher;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use loopd_model::{Coverage, CoverageState, Frame};

/// Openings that wait for the exporter at once. When there are as many, the others are told later;
/// closings, of which there are no more than were reported, always wait here.
#[cfg(target_os = "linux")]
const MAX_CHANGES: usize = 4 << 10;

static IS_TRACKING: AtomicBool = AtomicBool::new(false);
/// Whether the thread that looks still has something to tell.
static IS_LOOKING: AtomicBool = AtomicBool::new(false);
static CHANGES: Mutex<VecDeque<(u64, Change)>> = Mutex::new(VecDeque::new());
/// Why nothing can be tracked here; empty if it can.
static FAILURE: Mutex<String> = Mutex::new(String::new());
static MEMORY_LIMIT: AtomicUsize = AtomicUsize::new(0);
static TABLE_BYTES: AtomicUsize = AtomicUsize::new(0);
static UNTRACKED: AtomicU64 = AtomicU64::new(0);

/// What became of a file descriptor.
pub(crate) enum Change {
    /// It has been open for a while.
    Opened {
        resource: u64,
        /// For example `fd: tcp socket`.
        kind: &'static str,
        /// Its path or addresses.
        name: String,
        /// The task that opened it; 0 for none or unknown.
        task: u64,
        /// Who opened it, where that was noted.
        stack: Option<Arc<Stack>>,
    },
    /// It is closed.
    Closed { resource: u64 },
}

/// Who opened a file descriptor.
pub(crate) struct Stack {
    /// Return addresses, leaf first.
    pub(crate) addresses: Vec<u64>,
    /// What they are, leaf first.
    pub(crate) frames: Vec<Frame>,
    /// File and line of the first frame in the program's own code.
    pub(crate) place: Option<(String, u32)>,
}

/// How much memory the agent may take in all.
pub(crate) fn set_memory_limit(bytes: usize) {
    MEMORY_LIMIT.store(bytes, Relaxed);
}

/// Switches tracking; the first time on starts the thread that looks. Does nothing before the agent
/// has started. While it is off nothing is noted; what was reported and is gone by the time it is on
/// again is reported closed then.
pub(crate) fn set_tracking(is_on: bool) {
    #[cfg(target_os = "linux")]
    if is_on && let Err(reason) = watcher::ensure_running() {
        if let Ok(mut failure) = FAILURE.lock() {
            *failure = reason;
        }
        return;
    }
    IS_TRACKING.store(is_on && cfg!(target_os = "linux"), Relaxed);
    #[cfg(target_os = "linux")]
    noted::set_active(is_on);
}

/// The next agent looks with a thread of its own.
pub(crate) fn renew() {
    #[cfg(target_os = "linux")]
    watcher::renew();
}

/// The calling thread is the agent's own: what it opens is not noted.
pub(crate) fn exclude_this_thread() {
    #[cfg(target_os = "linux")]
    noted::exclude_this_thread();
}

/// Whether file descriptors are tracked now.
pub(crate) fn is_tracking() -> bool {
    IS_TRACKING.load(Relaxed)
}

/// Whether survivors are still being made out, at the end.
pub(crate) fn is_looking() -> bool {
    IS_LOOKING.load(Relaxed)
}

/// How much of this layer there is.
pub(crate) fn coverage() -> Coverage {
    let failure = FAILURE.lock().map(|failure| failure.clone()).unwrap_or_default();
    let (state, reason) = if !cfg!(target_os = "linux") {
        (CoverageState::Unavailable, "file descriptors can be tracked on Linux only".to_owned())
    } else if !failure.is_empty() {
        (CoverageState::Unavailable, failure)
    } else if !is_tracking() {
        (CoverageState::Off, "LOOPD_TRACK_FDS is off".to_owned())
    } else {
        (CoverageState::On, limits().to_owned())
    };
    Coverage { layer: "fds".to_owned(), state, reason }
}

fn limits() -> &'static str {
    #[cfg(target_os = "linux")]
    if noted::IS_POSSIBLE {
        return "";
    }
    if crate::coverage::is_embedded() {
        return "found once a second, without the task and stack that opened them";
    }
    "found once a second, without the task and stack that opened them: those need loopd-agent's feature fd-stacks, on Linux with glibc on x86_64"
}

/// Takes the oldest that is to be told, with its instant in ticks.
pub(crate) fn next_change() -> Option<(u64, Change)> {
    CHANGES.lock().ok()?.pop_front()
}

/// Memory that the tables take.
pub(crate) fn bytes() -> usize {
    TABLE_BYTES.load(Relaxed)
}

/// Open now and beyond the table; and opened without room to keep the stack of, since the start.
/// `None` while nothing is tracked.
pub(crate) fn shortcomings() -> Option<(u64, u64)> {
    #[cfg(target_os = "linux")]
    return is_tracking().then(|| (UNTRACKED.load(Relaxed), noted::without_stack()));
    #[cfg(not(target_os = "linux"))]
    None
}
