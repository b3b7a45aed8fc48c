//! The real binary, from outside: its port, its files, its signals and its exit codes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../../loopd-collector/tests/ingest/agent.rs"]
#[expect(dead_code, reason = "the collector's own tests use all of it")]
mod agent;
mod awaits;
mod binary;
mod console;
mod control;
mod crash;
mod deadlocks;
mod demo;
mod demo_programs;
mod disk_full;
mod event_loops;
mod files;
mod guard;
mod kill;
mod load;
mod prompt;
mod read_commands;
mod real_agent;
mod recording;
mod serve;
mod small_disk;
mod top;

use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine, also one that stands still for seconds. The collector's judge rests
/// four times as long as a look took.
const LIMIT: Duration = Duration::from_secs(120);

/// Waits for a condition, and fails with its name if it never comes true.
fn wait_until(what: &str, limit: Duration, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !is_true() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
