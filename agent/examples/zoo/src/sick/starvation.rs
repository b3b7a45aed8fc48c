//! Small requests wait behind imports, each of which keeps the only thread for a while.

use std::hint::black_box;
use std::time::{Duration, Instant};

use loopd_agent::spawn;
use tokio::runtime::Builder;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit =
    Exhibit::sick(&["starvation", "loop_saturated"]).alone().on(one_thread);

fn one_thread() -> Builder {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    builder
}

pub(crate) async fn run() -> anyhow::Result<()> {
    spawn(imports());
    let mut requests = interval(Duration::from_millis(10));
    loop {
        requests.tick().await;
        spawn(async { black_box(1 + 1) });
    }
}

async fn imports() {
    let mut files = interval(Duration::from_millis(350));
    loop {
        files.tick().await;
        for _ in 0..6 {
            spawn(async { import() }); // <- disease
        }
    }
}

/// Not quite slow by itself.
fn import() {
    let began_at = Instant::now();
    while began_at.elapsed() < Duration::from_millis(55) {
        black_box(());
    }
}
