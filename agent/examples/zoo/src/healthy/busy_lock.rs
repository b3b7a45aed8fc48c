//! A lock that is taken hundreds of times a second, for a moment each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::RwLock;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy();

type Table = Arc<RwLock<HashMap<u64, u64>>>;

pub(crate) async fn run() -> anyhow::Result<()> {
    let table = Table::default();
    for reader in 0..8 {
        spawn(read(table.clone(), reader));
    }
    let mut changes = interval(Duration::from_millis(50));
    for change in 0.. {
        changes.tick().await;
        table.write().await.insert(change % 100, change);
    }
    Ok(())
}

async fn read(table: Table, reader: u64) {
    let mut requests = interval(Duration::from_millis(10 + reader));
    for request in 0_u64.. {
        requests.tick().await;
        let _ = table.read().await.get(&(request % 100));
    }
}
