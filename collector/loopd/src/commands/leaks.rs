//! `loopd leaks`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::Global;

/// The flags of `loopd leaks`.
#[derive(Debug, Args)]
pub(crate) struct LeaksArgs {}

/// Runs the command.
pub(crate) async fn run(_args: LeaksArgs, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`loopd leaks` is not built yet")
}
