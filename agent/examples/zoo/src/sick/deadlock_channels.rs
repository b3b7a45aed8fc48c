//! Two tasks send each other more than their channels hold, and neither receives meanwhile.

use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::sleep;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["deadlock", "channel_full"]);

pub(crate) async fn run() -> anyhow::Result<()> {
    let (to_left, left) = channel(4); // <- disease
    let (to_right, right) = channel(4); // <- disease
    spawn(exchange(to_right, left));
    spawn(exchange(to_left, right));
    std::future::pending().await
}

async fn exchange(other: Sender<u64>, mut mine: Receiver<u64>) -> anyhow::Result<()> {
    loop {
        for item in 0..8 {
            other.send(item).await?; // <- disease
            sleep(Duration::from_millis(5)).await;
        }
        while mine.try_recv().is_ok() {}
    }
}
