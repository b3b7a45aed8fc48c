//! The lock of a cache is kept while the value is fetched, so that all others wait for the network.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::Mutex;
use tokio::time::{interval, sleep};

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["lock_across_await"]);

type Cache = Arc<Mutex<HashMap<u64, String>>>;

pub(crate) async fn run() -> anyhow::Result<()> {
    let cache = Cache::default();
    let mut requests = interval(Duration::from_millis(60));
    for request in 0.. {
        requests.tick().await;
        // Five of six are there already.
        spawn(look_up(cache.clone(), request / 6));
    }
    Ok(())
}

async fn look_up(cache: Cache, key: u64) -> String {
    let mut cache = cache.lock().await; // <- disease
    if let Some(value) = cache.get(&key) {
        return value.clone();
    }
    let value = fetch(key).await;
    cache.insert(key, value.clone());
    value
}

/// From a database far away.
async fn fetch(key: u64) -> String {
    sleep(Duration::from_millis(250)).await;
    format!("value {key}")
}
