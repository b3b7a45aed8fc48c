//! Each visitor gets a channel in a table, and stays there after the visit.

use std::collections::HashMap;
use std::time::Duration;

use loopd_agent::sync::mpsc;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["resource_leak"]);

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut sessions = HashMap::new();
    let mut visits = interval(Duration::from_millis(50));
    for visitor in 0_u64.. {
        visits.tick().await;
        let (messages, mailbox) = mpsc::channel(8); // <- disease
        messages.send(format!("welcome, {visitor}")).await?;
        sessions.insert(visitor, (messages, mailbox));
    }
    Ok(())
}
