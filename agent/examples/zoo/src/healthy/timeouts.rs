//! Requests that are given up in time and tried again, because the other side is often late.

use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::oneshot;
use tokio::time::{interval, sleep, timeout};

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy();

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut requests = interval(Duration::from_millis(30));
    for request in 0.. {
        requests.tick().await;
        spawn(ask(request));
    }
    Ok(())
}

async fn ask(request: u64) -> Option<u64> {
    for attempt in 0..3 {
        let (reply, answer) = oneshot::channel();
        spawn(async move {
            sleep(Duration::from_millis(10 + (request + attempt) % 5 * 15)).await;
            let _ = reply.send(request);
        });
        if let Ok(Ok(answer)) = timeout(Duration::from_millis(50), answer).await {
            return Some(answer);
        }
    }
    None
}
