//! A daemon that waits for orders nobody gives, and for a signal to stop.

use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::{Notify, mpsc};
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy();

static STOP: std::sync::LazyLock<Notify> = std::sync::LazyLock::new(Notify::new);

pub(crate) async fn run() -> anyhow::Result<()> {
    let (orders, mut inbox) = mpsc::channel::<String>(16);
    spawn(async move { while inbox.recv().await.is_some() {} });
    spawn(async {
        let mut heartbeat = interval(Duration::from_secs(1));
        loop {
            heartbeat.tick().await;
        }
    });
    STOP.notified().await;
    drop(orders);
    Ok(())
}
