//! Six hosts are asked one after the other whether they are there, though none needs another.

use std::time::Duration;

use loopd_agent::process::Command;
use loopd_agent::spawn;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["serial_awaits"]);

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut rounds = interval(Duration::from_millis(1_500));
    loop {
        rounds.tick().await;
        spawn(are_there(6));
    }
}

async fn are_there(hosts: u32) -> std::io::Result<u32> {
    let mut there = 0;
    for _ in 0..hosts {
        // Stands for a ping.
        let mut ping = Command::new("sleep").arg("0.1").spawn()?;
        there += u32::from(ping.wait().await?.success()); // <- disease
    }
    Ok(there)
}
