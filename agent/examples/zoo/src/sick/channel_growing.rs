//! More is written to the audit log than its writer can take, and the channel has no bound.

use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{interval, sleep};

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["channel_growing"]);

pub(crate) async fn run() -> anyhow::Result<()> {
    let (audit, lines) = unbounded_channel(); // <- disease
    spawn(write(lines));
    let mut requests = interval(Duration::from_millis(5));
    for request in 0_u64.. {
        requests.tick().await;
        audit.send(format!("request {request}"))?;
    }
    Ok(())
}

async fn write(mut lines: UnboundedReceiver<String>) {
    while lines.recv().await.is_some() {
        sleep(Duration::from_millis(20)).await;
    }
}
