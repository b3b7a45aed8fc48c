//! Two versions of one program, of which the second is worse at one place.

use std::time::Duration;

use serde_json::{Value, json};

use crate::session::{SECOND, Session, pack, place, poll, sealed_at, spawned};

const LENGTH: u64 = 60 * SECOND;
/// Between two polls of a place.
const INTERVAL: u64 = 20_000_000;
/// How long a poll takes in general, and at the place that got worse.
const USUAL: u64 = 200_000;
const WORSE: u64 = 3_000_000;
/// The file of each place. The second gets worse.
const FILES: [&str; 3] = ["src/cart.rs", "src/price.rs", "src/stock.rs"];
const LINE: u32 = 20;

/// A minute of it: the first version an hour ago, the second half an hour later.
pub(crate) async fn send(url: &str, version: u64) -> anyhow::Result<Value> {
    let ago = Duration::from_secs(if version == 1 { 3_600 } else { 1_800 });
    let mut session = Session::begin(url, "shop", &format!("{version}.0"), ago, 1).await?;
    let mut batch = sealed_at(LENGTH);
    for (id, file) in (1..).zip(FILES) {
        batch.locations.push(place(id, file, LINE));
        batch.events.push(spawned(0, id, id));
    }
    let mut spans = Vec::new();
    for round in 0..LENGTH / INTERVAL {
        for task in 1..=FILES.len() as u64 {
            let is_worse = version > 1 && task == 2;
            let length = if is_worse { WORSE } else { USUAL };
            // One place after the other, with room for the longest.
            let start = round * INTERVAL + (task - 1) * 2 * WORSE;
            spans.push(poll(start, length, task));
        }
    }
    batch.segments.extend(pack(0, &spans));
    session.send(batch).await?;
    session.end().await?;
    Ok(json!({ "app": "shop", "version": format!("{version}.0"), "worse": "src/price.rs:20" }))
}
