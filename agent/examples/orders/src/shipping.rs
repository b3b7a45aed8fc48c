//! Follows every parcel until it is delivered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use loopd_agent::sync::Notify;

#[derive(Default)]
pub(crate) struct Shipping {
    /// Resolved when the carrier reports the delivery.
    parcels: Mutex<HashMap<u64, Arc<Notify>>>,
}

impl Shipping {
    /// Starts to follow a parcel.
    pub(crate) fn track(&self, order: u64) {
        let delivered = Arc::new(Notify::new());
        let mut parcels = self.parcels.lock().unwrap_or_else(PoisonError::into_inner);
        parcels.insert(order, delivered.clone());
        tokio::spawn(async move {
            delivered.notified().await;
        });
    }
}
