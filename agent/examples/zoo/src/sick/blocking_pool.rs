//! Reports are made on the blocking pool, by more jobs at a time than it has threads.

use std::time::Duration;

use loopd_agent::spawn_blocking;
use tokio::runtime::Builder;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["blocking_pool_saturated"]).on(small_pool);

fn small_pool() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).max_blocking_threads(4).enable_all();
    builder
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut requests = interval(Duration::from_millis(50));
    loop {
        requests.tick().await;
        spawn_blocking(make_report); // <- disease
    }
}

/// Reads a slow disk.
fn make_report() {
    std::thread::sleep(Duration::from_millis(400));
}
