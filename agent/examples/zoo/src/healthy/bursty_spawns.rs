//! Once in a while a few hundred tasks at once, all of which end soon and are waited for.

use std::time::Duration;

use loopd_agent::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy();

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut minutes = interval(Duration::from_millis(1_200));
    loop {
        minutes.tick().await;
        let mut checks = JoinSet::new();
        for host in 0..300_u64 {
            checks.spawn(check(host));
        }
        while checks.join_next().await.is_some() {}
    }
}

async fn check(host: u64) -> bool {
    sleep(Duration::from_millis(20 + host % 50)).await;
    !host.is_multiple_of(7)
}
