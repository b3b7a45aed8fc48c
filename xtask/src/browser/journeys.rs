//! Journeys whose end is known: the browser's side starts a collector of its own, records to it what it
//! looks for, and kills it when that is the point.

use std::path::Path;

use crate::run::{execute, program};

/// `binaries` is where cargo puts what it builds.
pub(super) fn run(binaries: &Path, screenshots: &Path, chromium: &str) -> anyhow::Result<()> {
    let mut journeys = program("node");
    journeys.arg("dashboard/web/e2e/journeys/main.mjs").arg(binaries).arg(screenshots);
    execute(journeys.env("CHROMIUM", chromium))
}
