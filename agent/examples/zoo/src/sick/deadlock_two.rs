//! Two tasks take the same two locks, each in its own order.

use std::sync::Arc;
use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::Mutex;
use tokio::time::sleep;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["deadlock"]);

type Account = Arc<Mutex<i64>>;

pub(crate) async fn run() -> anyhow::Result<()> {
    let (anna, bert) = (Account::default(), Account::default());
    spawn(transfer(anna.clone(), bert.clone(), 10));
    spawn(transfer(bert, anna, 20));
    std::future::pending().await
}

async fn transfer(from: Account, to: Account, amount: i64) {
    let mut from = from.lock().await; // <- disease
    *from -= amount;
    book(amount).await;
    let mut to = to.lock().await; // <- disease
    *to += amount;
}

/// Asks the ledger.
async fn book(_amount: i64) {
    sleep(Duration::from_millis(30)).await;
}
