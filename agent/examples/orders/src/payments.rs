//! The payment gateway, which now and then asks for patience.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) struct Gateway {
    charges: AtomicU64,
}

impl Gateway {
    pub(crate) fn new() -> Self {
        Self { charges: AtomicU64::new(0) }
    }

    /// Charges a customer and returns the order's number.
    pub(crate) async fn charge(&self, _cents: u64) -> u64 {
        let id = self.charges.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(3)).await;
        if id % 25 == 24 {
            // The gateway is busy: wait a little before the second attempt.
            std::thread::sleep(Duration::from_millis(180));
        }
        id
    }
}
