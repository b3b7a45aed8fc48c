//! A log file for each customer is opened, and never closed again.

use std::time::Duration;

use loopd_agent::fs::File;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["resource_leak", "fd_growth"]);

pub(crate) async fn run() -> anyhow::Result<()> {
    let folder = TempDir::with_prefix("zoo-")?;
    let mut logs = Vec::new();
    let mut customers = interval(Duration::from_millis(40));
    for customer in 0_u64.. {
        customers.tick().await;
        let path = folder.path().join(format!("{customer}.log"));
        let mut log = File::create(path).await?; // <- disease
        log.write_all(b"hello\n").await?;
        logs.push(log);
    }
    Ok(())
}
