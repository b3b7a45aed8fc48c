//! The one consumer of a bounded channel waits for an answer that never comes, and all senders for it.

use std::sync::Arc;
use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::mpsc::{Receiver, channel};
use tokio::sync::Notify;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["channel_full"]);

pub(crate) async fn run() -> anyhow::Result<()> {
    let (mails, outbox) = channel(16); // <- disease
    let answer = Arc::new(Notify::new());
    spawn(send_mails(outbox, answer.clone()));
    let mut orders = interval(Duration::from_millis(50));
    for order in 0_u64.. {
        orders.tick().await;
        let mails = mails.clone();
        spawn(async move {
            mails.send(order).await // <- disease
        });
        // A limit elsewhere, so that tasks do not pile up as well.
        if order == 40 {
            std::future::pending::<()>().await;
        }
    }
    answer.notify_one();
    Ok(())
}

async fn send_mails(mut outbox: Receiver<u64>, answer: Arc<Notify>) {
    while let Some(order) = outbox.recv().await {
        if order == 3 {
            // The mail server does not answer, and nobody thought of a timeout.
            answer.notified().await;
        }
    }
}
