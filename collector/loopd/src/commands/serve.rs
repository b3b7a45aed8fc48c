//! `loopd serve`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::Global;

/// The flags of `loopd serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {}

/// Runs the command.
pub(crate) async fn run(_args: ServeArgs, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`loopd serve` is not built yet")
}
