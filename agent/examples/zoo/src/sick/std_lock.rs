//! A job on a thread of its own keeps the lock of `std` that handlers want, too.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loopd_agent::{spawn, spawn_blocking};
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["blocking_call"]);

type Prices = Arc<Mutex<Vec<u64>>>;

pub(crate) async fn run() -> anyhow::Result<()> {
    let prices: Prices = Arc::new(Mutex::new(vec![100; 1000]));
    spawn(import_now_and_then(prices.clone()));
    let mut requests = interval(Duration::from_millis(20));
    for item in 0.. {
        requests.tick().await;
        spawn(show(prices.clone(), item % 1000));
    }
    Ok(())
}

async fn show(prices: Prices, item: usize) -> u64 {
    let prices = prices.lock().unwrap_or_else(PoisonError::into_inner); // <- disease
    prices[item]
}

async fn import_now_and_then(prices: Prices) {
    let mut interval = interval(Duration::from_millis(900));
    loop {
        interval.tick().await;
        let prices = prices.clone();
        spawn_blocking(move || import(&prices));
    }
}

/// Reads the prices of a supplier, who is slow.
fn import(prices: &Prices) {
    let mut prices = prices.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::sleep(Duration::from_millis(300));
    prices.iter_mut().for_each(|price| *price += 1);
}
