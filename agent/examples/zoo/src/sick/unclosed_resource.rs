//! A transaction is opened for each order, and forgotten where the order is refused.

use std::time::Duration;

use loopd_agent::{Tracked, spawn};
use tokio::time::{interval, sleep};

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["unclosed_resource"]);

/// Has to be committed or rolled back.
struct Transaction;

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut orders = interval(Duration::from_millis(100));
    for order in 0.. {
        orders.tick().await;
        spawn(book(order));
    }
    Ok(())
}

async fn book(order: u64) -> Option<u64> {
    let transaction = Tracked::must_close("transaction", "book", Transaction); // <- disease
    sleep(Duration::from_millis(5)).await;
    if order.is_multiple_of(3) {
        return None;
    }
    let Transaction = transaction.close();
    Some(order)
}
