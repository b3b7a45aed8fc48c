//! `loopd query`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::Global;

/// The flags of `loopd query`.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {}

/// Runs the command.
pub(crate) async fn run(_args: QueryArgs, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`loopd query` is not built yet")
}
