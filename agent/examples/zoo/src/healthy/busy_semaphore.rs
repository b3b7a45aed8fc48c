//! A semaphore whose permits are nearly always in use, and come back soon.

use std::sync::Arc;
use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::Semaphore;
use tokio::time::sleep;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy();

pub(crate) async fn run() -> anyhow::Result<()> {
    let downloads = Arc::new(Semaphore::new(4));
    for worker in 0..6 {
        spawn(download_for_ever(downloads.clone(), worker));
    }
    std::future::pending().await
}

async fn download_for_ever(downloads: Arc<Semaphore>, worker: u64) -> anyhow::Result<()> {
    loop {
        let permit = downloads.acquire().await?;
        sleep(Duration::from_millis(4 + worker)).await;
        drop(permit);
        sleep(Duration::from_millis(3)).await;
    }
}
