//! `loopd apps`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::Global;

/// The flags of `loopd apps`.
#[derive(Debug, Args)]
pub(crate) struct AppsArgs {}

/// Runs the command.
pub(crate) async fn run(_args: AppsArgs, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`loopd apps` is not built yet")
}
