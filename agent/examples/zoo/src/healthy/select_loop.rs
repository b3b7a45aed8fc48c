//! A loop of `select!`, which drops the branches that did not win, many times a second.

use std::hint::black_box;
use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::{Notify, mpsc};
use tokio::time::{interval, sleep};

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy();

pub(crate) async fn run() -> anyhow::Result<()> {
    let (send, mut messages) = mpsc::channel(32);
    let stop = Notify::new();
    spawn(async move {
        for message in 0_u64.. {
            sleep(Duration::from_millis(7)).await;
            if send.send(message).await.is_err() {
                break;
            }
        }
    });
    let mut tick = interval(Duration::from_millis(3));
    let mut sum = 0_u64;
    loop {
        tokio::select! {
            Some(message) = messages.recv() => sum = sum.wrapping_add(message),
            _ = tick.tick() => sum = black_box(sum) / 2,
            () = stop.notified() => return Ok(()),
        }
    }
}
