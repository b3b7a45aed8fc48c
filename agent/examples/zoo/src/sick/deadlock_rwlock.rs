//! Two tasks read the same table, and each waits for the other to stop reading before it writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::RwLock;
use tokio::time::sleep;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["deadlock"]);

type Stock = Arc<RwLock<HashMap<u64, u64>>>;

pub(crate) async fn run() -> anyhow::Result<()> {
    let stock = Stock::default();
    for item in 0..2 {
        spawn(order_more(stock.clone(), item));
    }
    std::future::pending().await
}

async fn order_more(stock: Stock, item: u64) {
    let read = stock.read().await; // <- disease
    let missing = 10 - read.get(&item).copied().unwrap_or_default();
    sleep(Duration::from_millis(30)).await;
    // The guard of the reader is still there.
    let mut write = stock.write().await; // <- disease
    write.insert(item, missing);
    drop(read);
}
