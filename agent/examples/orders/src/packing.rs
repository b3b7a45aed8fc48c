//! Packs what was ordered, at two tables with one scale between them.

use std::sync::Arc;
use std::time::Duration;

use loopd_agent::sync::{Mutex, mpsc};
use tokio::time::{interval, sleep};

const TABLES: u64 = 2;
/// Parcels that wait at one table. More are packed tomorrow.
const SHELF: usize = 64;

pub(crate) struct Packing {
    tables: Vec<mpsc::Sender<u64>>,
}

/// Grams weighed so far.
#[derive(Default)]
struct Scale(u64);

impl Packing {
    pub(crate) fn open() -> Self {
        let scale = Arc::new(Mutex::new(Scale::default()));
        let table = |_| {
            let (table, orders) = mpsc::channel(SHELF);
            tokio::spawn(pack(orders, scale.clone()));
            table
        };
        let tables = (0..TABLES).map(table).collect();
        tokio::spawn(take_stock(scale));
        Self { tables }
    }

    /// Puts an order on a table.
    pub(crate) fn pack(&self, order: u64) {
        let _ = self.tables[(order % TABLES) as usize].try_send(order);
    }
}

async fn pack(mut orders: mpsc::Receiver<u64>, scale: Arc<Mutex<Scale>>) {
    while let Some(order) = orders.recv().await {
        let mut scale = scale.lock().await;
        sleep(Duration::from_millis(2)).await;
        scale.0 += 100 + order % 900;
    }
}

/// Weighs what is in stock, and keeps the scale while a second person counts.
async fn take_stock(scale: Arc<Mutex<Scale>>) {
    let mut interval = interval(Duration::from_secs(5));
    loop {
        interval.tick().await;
        let mut scale = scale.lock().await;
        sleep(Duration::from_millis(1_500)).await;
        scale.0 += 1;
    }
}
