//! Everything is told to stop, finishes what it has, and is waited for.

use std::time::Duration;

use loopd_agent::Tracked;
use loopd_agent::sync::{mpsc, watch};
use loopd_agent::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy();

pub(crate) async fn run() -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut inboxes = Vec::new();
    for _ in 0..10 {
        let (inbox, jobs) = mpsc::channel(8);
        tasks.spawn(work(jobs, stopped.clone()));
        inboxes.push(inbox);
    }
    let (opened_at, mut requests) = (Instant::now(), interval(Duration::from_millis(20)));
    for (request, inbox) in inboxes.iter().cycle().enumerate() {
        requests.tick().await;
        if opened_at.elapsed() > Duration::from_secs(3) {
            break;
        }
        inbox.send(request).await?;
    }
    stop.send(true)?;
    while tasks.join_next().await.is_some() {}
    Ok(())
}

async fn work(mut jobs: mpsc::Receiver<usize>, mut stopped: watch::Receiver<bool>) {
    let journal = Tracked::must_close("journal", "", ());
    loop {
        tokio::select! {
            Some(_) = jobs.recv() => sleep(Duration::from_millis(5)).await,
            _ = stopped.changed() => break,
        }
    }
    while jobs.try_recv().is_ok() {}
    journal.close();
}
