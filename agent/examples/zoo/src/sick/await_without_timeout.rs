//! A task waits for an answer that never comes, and keeps what others wait for.

use std::sync::Arc;
use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::{Mutex, Notify};
use tokio::time::sleep;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["await_without_timeout"]).lasting(130);

type Printer = Arc<Mutex<()>>;

pub(crate) async fn run() -> anyhow::Result<()> {
    let printer = Printer::default();
    // The one who would say so lost the connection.
    let paper = Arc::new(Notify::new());
    spawn(refill(printer.clone(), paper.clone()));
    for _ in 0..3 {
        sleep(Duration::from_millis(300)).await;
        spawn(print(printer.clone()));
    }
    std::future::pending::<()>().await;
    paper.notify_one();
    Ok(())
}

async fn refill(printer: Printer, paper: Arc<Notify>) {
    let _printer = printer.lock().await;
    paper.notified().await; // <- disease
}

async fn print(printer: Printer) {
    let _printer = printer.lock().await;
    sleep(Duration::from_millis(10)).await;
}
