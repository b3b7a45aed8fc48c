//! Some mails make their task panic, and nobody looks at how it ended.

use std::time::Duration;

use loopd_agent::spawn;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["panicked"]);

pub(crate) async fn run() -> anyhow::Result<()> {
    let addresses = ["anna@example.org", "bert@example.org", "carl"];
    let mut mails = interval(Duration::from_millis(200));
    for address in addresses.into_iter().cycle() {
        mails.tick().await;
        spawn(async move { send(address) }); // <- disease
    }
    Ok(())
}

fn send(address: &str) -> usize {
    let at = address.find('@').expect("an address has an @");
    address[at + 1..].len()
}
