//! Heavy work that takes hundreds of milliseconds, on the threads that are there for it.

use std::hint::black_box;
use std::time::Duration;

use loopd_agent::task::spawn_blocking;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy().alone();

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut images = interval(Duration::from_millis(500));
    for image in 0.. {
        images.tick().await;
        spawn_blocking(move || black_box(scale(image))).await?;
    }
    Ok(())
}

fn scale(image: u64) -> u64 {
    let mut pixel = image;
    for _ in 0..150_000_000 {
        pixel = (pixel ^ 0xff).wrapping_mul(0x0100_0000_01b3);
    }
    pixel
}
