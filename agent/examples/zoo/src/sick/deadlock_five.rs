//! Five philosophers with five forks, each of whom has taken the left one.

use std::sync::Arc;
use std::time::Duration;

use loopd_agent::sync::Mutex;
use loopd_agent::task;
use tokio::time::sleep;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["deadlock"]);

type Fork = Arc<Mutex<()>>;

pub(crate) async fn run() -> anyhow::Result<()> {
    let forks: [Fork; 5] = Default::default();
    let names = ["Aristotle", "Hypatia", "Plato", "Sappho", "Socrates"];
    for (seat, name) in names.into_iter().enumerate() {
        let (left, right) = (forks[seat].clone(), forks[(seat + 1) % 5].clone());
        loopd_agent::task(name).spawn(dine(left, right));
    }
    std::future::pending().await
}

async fn dine(left: Fork, right: Fork) {
    loop {
        let left = left.lock().await; // <- disease
        sleep(Duration::from_millis(50)).await;
        let right = right.lock().await; // <- disease
        task::yield_now().await;
        drop((left, right));
    }
}
