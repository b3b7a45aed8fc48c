//! Workers that share one receiver behind a lock: whoever has it waits for a job, the others for it.

use std::sync::Arc;
use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::Mutex;
use loopd_agent::sync::mpsc::{Receiver, channel};
use tokio::time::{interval, sleep};

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy();

type Jobs = Arc<Mutex<Receiver<u64>>>;

pub(crate) async fn run() -> anyhow::Result<()> {
    let (jobs, inbox) = channel(16);
    let inbox = Jobs::new(Mutex::new(inbox));
    for _ in 0..8 {
        spawn(work(inbox.clone()));
    }
    let mut orders = interval(Duration::from_millis(120));
    for order in 0_u64.. {
        orders.tick().await;
        jobs.send(order).await?;
    }
    Ok(())
}

async fn work(inbox: Jobs) {
    loop {
        let job = inbox.lock().await.recv().await;
        let Some(job) = job else { return };
        sleep(Duration::from_millis(20 + job % 7)).await;
    }
}
