//! A long computation on the loop that lets others go first every other millisecond.

use std::hint::black_box;
use std::time::{Duration, Instant};

use loopd_agent::spawn;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy().alone();

pub(crate) async fn run() -> anyhow::Result<()> {
    spawn(async {
        let mut requests = interval(Duration::from_millis(10));
        loop {
            requests.tick().await;
            spawn(async { black_box(1 + 1) });
        }
    });
    let mut simulations = interval(Duration::from_millis(1_000));
    loop {
        simulations.tick().await;
        spawn(simulate());
    }
}

/// A third of a second of work, in small pieces.
async fn simulate() {
    for _ in 0..150 {
        let began_at = Instant::now();
        while began_at.elapsed() < Duration::from_millis(2) {
            black_box(());
        }
        tokio::task::yield_now().await;
    }
}
