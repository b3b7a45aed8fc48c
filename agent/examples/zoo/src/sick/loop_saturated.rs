//! One thread has more work than time, in pieces of which none is slow.

use std::hint::black_box;
use std::time::{Duration, Instant};

use loopd_agent::spawn;
use tokio::runtime::Builder;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit =
    Exhibit::sick(&["loop_saturated", "starvation"]).alone().on(one_thread);

fn one_thread() -> Builder {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    builder
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut requests = interval(Duration::from_millis(10));
    loop {
        requests.tick().await;
        spawn(answer()); // <- disease
    }
}

/// Three pieces of three milliseconds, every ten.
async fn answer() {
    for _ in 0..3 {
        let began_at = Instant::now();
        while began_at.elapsed() < Duration::from_micros(3_200) {
            black_box(());
        }
        tokio::task::yield_now().await;
    }
}
