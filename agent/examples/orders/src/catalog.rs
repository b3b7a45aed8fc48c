//! Prices, behind one lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Shop;

const ITEMS: u32 = 20_000;

pub(crate) struct Catalog {
    prices: Mutex<HashMap<u32, u64>>,
}

impl Catalog {
    pub(crate) fn new() -> Self {
        Self { prices: Mutex::new((0..ITEMS).map(|id| (id, 100 + u64::from(id))).collect()) }
    }

    pub(crate) fn price(&self, id: u32) -> u64 {
        let prices = self.prices.lock().unwrap_or_else(PoisonError::into_inner);
        prices.get(&id).copied().unwrap_or(999)
    }

    /// Works out every price anew, which takes a while.
    fn reprice(&self) {
        let mut prices = self.prices.lock().unwrap_or_else(PoisonError::into_inner);
        for price in prices.values_mut() {
            *price = demand_curve(*price);
        }
    }
}

/// A price after many small steps of supply and demand.
fn demand_curve(price: u64) -> u64 {
    let mut estimate = price as f64;
    for step in 1..600 {
        estimate += (estimate * 0.37 + f64::from(step)).sin();
    }
    estimate.abs() as u64 % 10_000
}

/// Keeps prices fresh for as long as the shop is open.
pub(crate) async fn reprice_now_and_then(shop: Arc<Shop>) {
    let mut interval = tokio::time::interval(Duration::from_secs(4));
    loop {
        interval.tick().await;
        shop.catalog.reprice();
    }
}
