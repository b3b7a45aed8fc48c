//! What tokio's own instrumentation tells, against programs that know better. It needs the cargo
//! features `layer` and `tokio-tracing`, which every other test does without.
#![cfg(tokio_unstable)]
#![expect(clippy::unwrap_used, reason = "in helpers of tests too, a surprise ends the test")]

mod app;
#[path = "../it/collector.rs"]
#[expect(dead_code, reason = "shared with the tests that need more of it")]
mod collector;
mod counts;
mod harmless;
mod lives;
mod resources;
mod wakes;

use std::sync::{Arc, Mutex};

use loopd_agent::{Agent, Config};
use loopd_model::EventKind;

use collector::{Collector, Seen};

/// Longer than any flush takes, so that a failing test fails by its own condition.
const FLUSH: std::time::Duration = collector::LIMIT;

/// How the events get to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The agent's own subscriber.
    Only,
    /// A layer in the program's.
    Layer,
}

/// An agent that streams to this collector and hears tokio.
fn agent_for(collector: &Collector, way: Way) -> Agent {
    use tracing_subscriber::prelude::*;
    if way == Way::Layer {
        tracing_subscriber::registry().with(loopd_agent::layer()).init();
    }
    let config = Config::from_env().app("test").endpoint(&collector.endpoint);
    let agent = config.tracing(way == Way::Only).tracing_filter("tracing=info").start().unwrap();
    let coverage = loopd_agent::stats().coverage;
    let of = |layer: &str| coverage.iter().find(|known| known.layer == layer).unwrap().state;
    use loopd_agent::CoverageState::On;
    assert_eq!((of("tracing"), of("app_events")), (On, On), "{coverage:?}");
    agent
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

/// Numbers of tasks by the names that a script gives them.
#[derive(Clone, Default)]
struct Cast(Arc<Mutex<std::collections::BTreeMap<&'static str, u64>>>);

impl Cast {
    /// The running task is called so.
    fn enter(&self, name: &'static str) {
        let id = tokio::task::id().to_string().parse().unwrap();
        self.0.lock().unwrap().insert(name, id);
    }

    fn id(&self, name: &str) -> u64 {
        self.0.lock().unwrap()[name]
    }
}

/// Events of tasks: how often each was spawned and ended.
fn lives_of(seen: &Seen, id: u64) -> (usize, usize) {
    let count = |is_it: &dyn Fn(&EventKind) -> bool| {
        seen.events().filter(|event| is_it(&event.kind)).count()
    };
    let spawns = count(&|kind| matches!(kind, EventKind::TaskSpawned { task, .. } if task.0 == id));
    let ends = count(&|kind| matches!(kind, EventKind::TaskEnded { task, .. } if task.0 == id));
    (spawns, ends)
}
