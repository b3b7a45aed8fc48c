//! Permits of failed uploads are forgotten, until none is left.

use std::sync::Arc;
use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::Semaphore;
use tokio::time::{interval, sleep};

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["permits_exhausted"]).lasting(25);

pub(crate) async fn run() -> anyhow::Result<()> {
    let slots = Arc::new(Semaphore::new(4)); // <- disease
    let mut uploads = interval(Duration::from_millis(60));
    for upload in 0..30 {
        uploads.tick().await;
        spawn(receive(slots.clone(), upload));
    }
    std::future::pending().await
}

async fn receive(slots: Arc<Semaphore>, upload: u64) -> anyhow::Result<()> {
    let slot = slots.acquire().await?; // <- disease
    sleep(Duration::from_millis(20)).await;
    if upload % 3 == 2 {
        // Someone will give it back once the upload has been looked at. Nobody does.
        slot.forget(); // <- disease
    }
    Ok(())
}
