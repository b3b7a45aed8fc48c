//! A task spins until the service is ready, and its worker does nothing else any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loopd_agent::spawn;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["never_yields"]).alone();

pub(crate) async fn run() -> anyhow::Result<()> {
    let is_ready = Arc::new(AtomicBool::new(false));
    spawn(warm_up(is_ready.clone()));
    // Whoever sets it has not been written yet.
    std::future::pending::<()>().await;
    is_ready.store(true, Ordering::Release);
    Ok(())
}

async fn warm_up(is_ready: Arc<AtomicBool>) {
    loop {
        let is_ready = is_ready.load(Ordering::Acquire); // <- disease
        if is_ready {
            return;
        }
        std::hint::spin_loop(); // <- disease
    }
}
