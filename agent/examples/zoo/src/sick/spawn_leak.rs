//! Each parcel is followed by a task, until a delivery that nobody ever reports.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use loopd_agent::spawn;
use tokio::sync::Notify;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["task_leak"]);

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut parcels = HashMap::new();
    let mut orders = interval(Duration::from_millis(50));
    for order in 0_u64.. {
        orders.tick().await;
        let delivered = Arc::new(Notify::new());
        parcels.insert(order, delivered.clone());
        spawn(async move { delivered.notified().await }); // <- disease
    }
    Ok(())
}
