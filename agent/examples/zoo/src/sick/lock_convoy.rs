//! Many tasks want one lock for a moment, very often, and queue up in front of it.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use loopd_agent::spawn;
use loopd_agent::sync::Mutex;
use tokio::time::sleep;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["lock_convoy"]).alone();

type Counters = Arc<Mutex<HashMap<u64, u64>>>;

pub(crate) async fn run() -> anyhow::Result<()> {
    let counters = Counters::default(); // <- disease
    for _ in 0..40 {
        spawn(work(counters.clone()));
    }
    std::future::pending().await
}

async fn work(counters: Counters) {
    loop {
        let mut counters = counters.lock().await; // <- disease
        count(&mut counters);
        drop(counters);
        sleep(Duration::from_millis(1)).await;
    }
}

/// A fifth of a millisecond, of which the lock is needed for the end.
fn count(counters: &mut HashMap<u64, u64>) {
    let began_at = Instant::now();
    while began_at.elapsed() < Duration::from_micros(200) {
        black_box(());
    }
    *counters.entry(7).or_default() += 1;
}
