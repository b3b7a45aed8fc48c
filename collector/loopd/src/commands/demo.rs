//! `loopd demo`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::Global;

/// The flags of `loopd demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {}

/// Runs the command.
pub(crate) async fn run(_args: DemoArgs, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`loopd demo` is not built yet")
}
