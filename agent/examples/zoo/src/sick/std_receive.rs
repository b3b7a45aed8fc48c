//! A task receives from a channel of `std`, which keeps the thread until somebody sends.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use loopd_agent::spawn;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["blocking_call", "never_yields"]);

pub(crate) async fn run() -> anyhow::Result<()> {
    let (news, subscriber) = channel();
    spawn(async move { print(&subscriber) });
    for item in 0.. {
        news.send(item)?;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    Ok(())
}

fn print(news: &Receiver<u64>) -> u64 {
    let mut seen = 0;
    loop {
        let Ok(item) = news.recv() else { return seen }; // <- disease
        seen += item;
    }
}
