//! A task for each row of a table, though a row is next to no work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loopd_agent::spawn;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["spawn_storm"]).alone();

const ROWS: u64 = 800;

pub(crate) async fn run() -> anyhow::Result<()> {
    let sum = Arc::new(AtomicU64::new(0));
    let mut tables = interval(Duration::from_millis(100));
    loop {
        tables.tick().await;
        for row in 0..ROWS {
            let sum = sum.clone();
            spawn(async move { sum.fetch_add(row, Ordering::Relaxed) }); // <- disease
        }
    }
}
