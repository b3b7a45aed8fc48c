//! A future that wakes itself each time it is not ready, and so is polled without end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use loopd_agent::spawn;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["busy_poll"]).alone();

/// Resolves once the flag is up.
struct Raised(Arc<AtomicBool>);

impl Future for Raised {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let flag = Arc::new(AtomicBool::new(false));
    spawn(Raised(flag.clone())); // <- disease
    std::future::pending::<()>().await;
    flag.store(true, Ordering::Release);
    Ok(())
}
