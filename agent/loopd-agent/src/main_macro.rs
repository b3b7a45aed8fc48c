//! What `#[loopd_agent::main]` calls.

use std::future::Future;

use tokio::runtime::Builder;

use crate::agent::Agent;
use crate::config::Config;

/// The attribute's arguments.
#[derive(Clone, Copy, Debug)]
pub struct Main {
    /// `current_thread` instead of `multi_thread`.
    pub is_current_thread: bool,
    /// Threads of a multi-thread runtime; tokio's default if absent.
    pub worker_threads: Option<usize>,
    /// Whether the agent is to be the program's `tracing` subscriber.
    pub is_traced: bool,
    /// What people call the runtime.
    pub name: &'static str,
}

/// Runs the program's `main` on a recorded runtime. A `LOOPD_…` variable that cannot be read counts
/// as not set, which the dashboard and `loopd doctor` report; an agent that cannot start leaves its
/// reason in [`stats`](crate::stats), and the program runs as if it was not there.
///
/// # Panics
/// If the runtime cannot be built, as `#[tokio::main]` does.
#[track_caller]
pub fn run<F: Future>(main: Main, future: F) -> F::Output {
    let config = Config::from_env().forgiving().tracing(main.is_traced);
    let agent = config.start().unwrap_or_else(|_| Agent::disabled());
    let mut builder = match main.is_current_thread {
        true => Builder::new_current_thread(),
        false => Builder::new_multi_thread(),
    };
    builder.enable_all();
    if let Some(threads) = main.worker_threads {
        builder.worker_threads(threads);
    }
    let runtime = match agent.attach(main.name, builder).build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("failed building the Runtime: {error}"),
    };
    let output = runtime.block_on(future);
    // First the runtime, so that the ends of its tasks are recorded, then what is left is sent.
    drop(runtime);
    drop(agent);
    output
}
