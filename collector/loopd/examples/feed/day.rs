//! A day of a program that does next to nothing, but for one poll.

use std::time::Duration;

use serde_json::{Value, json};

use crate::session::{SECOND, Session, pack, place, poll, sealed_at, spawned};

const HOURS: u64 = 24;
const DAY: u64 = HOURS * 3_600 * SECOND;
/// Batches a day: one for every ten minutes.
const BATCHES: u64 = HOURS * 6;
/// The poll that is looked for: at some odd instant, after two thirds of the day.
const NEEDLE_AT: u64 = 57_123_456_789_000;
const NEEDLE_LENGTH: u64 = 40_000;
const NEEDLE_TASK: u64 = 2;

/// A task that ticks once a second for 2 µs, and another that is polled once, for 40 µs.
pub(crate) async fn send(url: &str) -> anyhow::Result<Value> {
    let ago = Duration::from_nanos(DAY);
    let mut session = Session::begin(url, "nightwatch", "", ago, 1).await?;
    let origin = session.origin;
    for i in 0..BATCHES {
        let (from, to) = (DAY / BATCHES * i, DAY / BATCHES * (i + 1));
        let mut batch = sealed_at(to);
        let ticks = (from / SECOND..to / SECOND).map(|second| poll(second * SECOND, 2_000, 1));
        let mut spans: Vec<_> = ticks.collect();
        if i == 0 {
            batch.locations = vec![place(1, "src/heartbeat.rs", 12), place(2, "src/reload.rs", 40)];
            batch.events = vec![spawned(0, 1, 1)];
        }
        if (from..to).contains(&NEEDLE_AT) {
            batch.events.push(spawned(NEEDLE_AT - 1_000, NEEDLE_TASK, 2));
            spans.push(poll(NEEDLE_AT, NEEDLE_LENGTH, NEEDLE_TASK));
            spans.sort_by_key(|span| span.start);
        }
        batch.segments.extend(pack(0, &spans));
        session.send(batch).await?;
    }
    session.end().await?;
    Ok(json!({
        "app": "nightwatch",
        "from": origin.0.to_string(),
        "to": (origin.0 + DAY as i64).to_string(),
        "needle_at": (origin.0 + NEEDLE_AT as i64).to_string(),
        "needle_length": NEEDLE_LENGTH,
        "needle_task": NEEDLE_TASK,
        "needle_location": "src/reload.rs:40",
    }))
}
