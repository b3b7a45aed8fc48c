//! A task for each of two hundred rooms, made when it is first needed and kept.

use std::collections::HashMap;
use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::mpsc;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy();

const ROOMS: u64 = 200;

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut rooms = HashMap::new();
    let mut messages = interval(Duration::from_millis(4));
    for message in 0_u64.. {
        messages.tick().await;
        let room = rooms.entry(message % ROOMS).or_insert_with(open);
        room.send(message).await?;
    }
    Ok(())
}

fn open() -> mpsc::Sender<u64> {
    let (door, mut visitors) = mpsc::channel(4);
    spawn(async move {
        let mut seen = 0;
        while let Some(visitor) = visitors.recv().await {
            seen += visitor;
        }
        seen
    });
    door
}
