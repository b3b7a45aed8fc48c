//! The event loop: against CPython's, what is its own, and what of it is recorded.
#![expect(clippy::unwrap_used, reason = "in helpers of tests too, a surprise ends the test")]

mod callbacks;
#[path = "../it/collector.rs"]
#[expect(dead_code, reason = "most of it is for the tests that it comes from")]
mod collector;
mod own;
mod pairs;
mod recorded;
mod table;
mod unrecorded;

use std::future::Future;
use std::sync::Once;

use loopd_agent::Config;
use loopd_agent::event_loop::Result;

/// As the module's `run`, which starts an agent where there is none; but what is recorded goes nowhere, rather
/// than to the collector of whoever runs the tests.
#[track_caller]
fn run<T, F>(future: F) -> Result<T>
where
    T: Clone + 'static,
    F: Future<Output = Result<T>> + 'static,
{
    static ONCE: Once = Once::new();
    // It is there until the process ends.
    ONCE.call_once(|| std::mem::forget(Config::from_env().endpoint("http://127.0.0.1:1").start()));
    loopd_agent::run(future)
}
