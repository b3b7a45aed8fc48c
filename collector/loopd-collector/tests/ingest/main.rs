//! The collector over a real port and a real database, spoken to by scripted agents.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod agent;
mod delivery;
mod dumps;
mod failure;
mod judge;
mod server;
mod sessions;
mod settings;

use std::time::Duration;

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Waits for a condition, and fails with its name if it never comes true.
async fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !is_true() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
