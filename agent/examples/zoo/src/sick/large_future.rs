//! A future with a whole picture in it, copied each time that it is passed on.

use std::time::Duration;

use loopd_agent::spawn;
use tokio::runtime::Builder;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["large_future"]).on(deep_stacks);

/// Tokio's own two megabytes are soon used up by copies, in a debug build.
fn deep_stacks() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).thread_stack_size(16 << 20).enable_all();
    builder
}

async fn render(shade: u8) -> usize {
    let mut picture = [0u8; 300 * 1024];
    for line in picture.chunks_mut(1024) {
        line.fill(shade);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    picture.iter().map(|pixel| usize::from(*pixel)).sum()
}

pub(crate) async fn run() -> anyhow::Result<()> {
    for shade in (0..=u8::MAX).cycle() {
        spawn(render(shade)); // <- disease
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}
