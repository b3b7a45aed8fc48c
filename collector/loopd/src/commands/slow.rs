//! `loopd slow`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::Global;

/// The flags of `loopd slow`.
#[derive(Debug, Args)]
pub(crate) struct SlowArgs {}

/// Runs the command.
pub(crate) async fn run(_args: SlowArgs, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`loopd slow` is not built yet")
}
