//! Passwords are hashed where requests are handled, and everybody else waits for the mathematics.

use std::hint::black_box;
use std::time::Duration;

use loopd_agent::spawn;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["cpu_bound_poll"]).alone();

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut logins = interval(Duration::from_millis(500));
    for login in 0.. {
        logins.tick().await;
        spawn(async move { black_box(hash(login)) });
    }
    Ok(())
}

fn hash(password: u64) -> u64 {
    (0..150_000_000)
        .fold(password, |hash: u64, round| (hash ^ round).wrapping_mul(0x0100_0000_01b3)) // <- disease
}
