//! A bounded channel that is full for a moment after each burst, which is what its bound is for.

use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::mpsc;
use tokio::time::{interval, sleep};

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy();

pub(crate) async fn run() -> anyhow::Result<()> {
    let (rows, mut table) = mpsc::channel(8);
    spawn(async move {
        while table.recv().await.is_some() {
            sleep(Duration::from_millis(2)).await;
        }
    });
    let mut files = interval(Duration::from_millis(400));
    loop {
        files.tick().await;
        for row in 0..40_u64 {
            rows.send(row).await?;
        }
    }
}
