//! Every order is made safe on disk before the handler goes on, and the worker with it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use loopd_agent::spawn;
use tempfile::TempDir;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["blocking_call"]).alone();

/// How long the orders of a batch take to save, a page each: more on a faster disk.
const BATCH: Duration = Duration::from_millis(250);

pub(crate) async fn run() -> anyhow::Result<()> {
    // Not where files are only in memory, as those in /tmp may be.
    let program = std::env::current_exe()?;
    let folder = program.parent().context("the program is in no folder")?;
    let folder = Arc::new(TempDir::with_prefix_in("zoo-", folder)?);
    let mut batches = interval(Duration::from_millis(800));
    loop {
        batches.tick().await;
        let folder = folder.clone();
        spawn(async move { save(&folder.path().join("journal")) });
    }
}

fn save(path: &Path) -> std::io::Result<()> {
    let mut journal = File::options().append(true).create(true).open(path)?;
    let started_at = Instant::now();
    while started_at.elapsed() < BATCH {
        journal.write_all(&[7; 4096])?; // <- disease
        journal.sync_data()?; // <- disease
    }
    Ok(())
}
