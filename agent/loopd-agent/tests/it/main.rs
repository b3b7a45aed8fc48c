//! The agent against a scripted collector. One process per test (`cargo nextest`): an agent can be
//! started once in a process.
#![expect(clippy::unwrap_used, reason = "in helpers of tests too, a surprise ends the test")]

mod blocking;
mod collector;
mod control;
mod delivery;
#[cfg(all(tokio_unstable, feature = "taskdump", target_os = "linux"))]
mod dumping;
#[cfg(target_os = "linux")]
mod fds;
#[cfg(all(target_env = "gnu", target_arch = "x86_64"))]
mod fiber;
mod guards;
mod handoff;
mod macros;
#[cfg(target_os = "linux")]
mod memory;
mod noting;
mod recording;
mod safety;
mod sockets;
mod stress;
#[cfg(not(tokio_unstable))]
mod unhooked;
mod watching;

use std::time::Duration;

use loopd_agent::{Agent, Config};

/// Longer than any flush takes, so that a failing test fails by its own condition.
const FLUSH: Duration = collector::LIMIT;

/// An agent that streams to this collector.
fn agent_for(collector: &collector::Collector) -> Agent {
    Config::from_env().app("test").endpoint(&collector.endpoint).start().unwrap()
}

fn multi_thread(workers: usize) -> tokio::runtime::Builder {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all();
    builder
}

fn current_thread() -> tokio::runtime::Builder {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all();
    builder
}

/// Spawns a task in the plainest way that is recorded in this build.
#[track_caller]
fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    if cfg!(tokio_unstable) { tokio::spawn(future) } else { loopd_agent::spawn(future) }
}
