//! Orders are charged one by one, and some are asked for patience with the thread's own sleep.

use std::time::Duration;

use loopd_agent::spawn;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["blocking_call"]);

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut orders = interval(Duration::from_millis(20));
    for order in 0.. {
        orders.tick().await;
        spawn(charge(order));
    }
    Ok(())
}

async fn charge(order: u64) {
    tokio::time::sleep(Duration::from_millis(3)).await;
    if order % 16 == 15 {
        // The gateway is busy: wait a little before the second attempt.
        std::thread::sleep(Duration::from_millis(200)); // <- disease
    }
}
