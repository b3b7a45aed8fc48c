//! The watchdog: a thread that sees, from one atomic per worker, a poll still running past half the
//! slow threshold, and takes that worker's stack while it blocks, again at doubling ages. A second
//! thread names what the first has taken.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod detail;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod dog;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod due;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod naming;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod signal;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod symbols;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod syscalls;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod thread;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod unwind;

use std::hash::BuildHasher;
use std::sync::Arc;

use loopd_model::{Coverage, CoverageState, Frame, Running};

/// For whoever else names by the library that names stacks.
#[cfg(all(
    tokio_unstable,
    feature = "taskdump",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub(crate) use self::symbols::while_listed;
/// For the stacks of those who open file descriptors.
#[cfg(all(feature = "fd-stacks", target_os = "linux", target_arch = "x86_64"))]
pub(crate) use self::{
    symbols::{Symbols, is_plumbing},
    unwind::{Copied, RawStack, Registers, Unwind},
};
use crate::clock::Origin;
use crate::lane::RunningPoll;
use crate::recorder::Recorder;
use crate::status::Status;

/// Takes the stack of the thread with this id in its own way, leaf first; empty if it could not.
/// Called by the watchdog's thread, which waits for it.
pub type Sampler = fn(tid: i32) -> Vec<Frame>;

/// What stands for the address of a frame that has none.
pub(crate) fn key(frame: &Frame) -> u64 {
    foldhash::fast::FixedState::default().hash_one(frame)
}

/// A stack taken in the middle of a poll.
pub(crate) struct Sample {
    /// When, in ticks.
    pub(crate) at: u64,
    /// The poll.
    pub(crate) poll: RunningPoll,
    /// Return addresses, leaf first: what makes two stacks the same.
    pub(crate) addresses: Vec<u64>,
    /// What they are, leaf first. Shared with the thread that named them, which keeps them for
    /// longer: were they freed on another thread, they would keep its heap from shrinking.
    pub(crate) frames: Arc<[Frame]>,
    /// Whether the thread was computing.
    pub(crate) running: Running,
    /// The system call it was in; empty if in none, or not known.
    pub(crate) syscall: String,
    /// Where in the kernel it slept; empty if it did not, or not known.
    pub(crate) wchan: String,
}

/// Starts the watchdog if it can work here, and says whether it does. Whether it is switched on is
/// another question.
pub(crate) fn start(
    recorder: &'static Recorder,
    status: &'static Status,
    origin: Origin,
    sampler: Option<Sampler>,
) -> Coverage {
    try_start(recorder, status, origin, sampler)
        .unwrap_or_else(|reason| coverage(CoverageState::Unavailable, reason))
}

fn coverage(state: CoverageState, reason: String) -> Coverage {
    Coverage { layer: "watchdog".to_owned(), state, reason }
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn try_start(
    recorder: &'static Recorder,
    status: &'static Status,
    origin: Origin,
    sampler: Option<Sampler>,
) -> Result<Coverage, String> {
    if sampler.is_none() {
        signal::install()?;
    }
    let dog = dog::Dog::new(recorder, status, origin, sampler);
    crate::agent::spawn_thread("loopd-watch", move || dog.run())
        .map_err(|error| error.to_string())?;
    let limits = if sampler.is_some() { String::new() } else { detail::limits() };
    Ok(coverage(CoverageState::On, limits))
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn try_start(
    _: &'static Recorder,
    _: &'static Status,
    _: Origin,
    _: Option<Sampler>,
) -> Result<Coverage, String> {
    Err("stacks can be taken on Linux on x86_64 and aarch64 only, so far".to_owned())
}
