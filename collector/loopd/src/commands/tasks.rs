//! `loopd tasks`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::Global;

/// The flags of `loopd tasks`.
#[derive(Debug, Args)]
pub(crate) struct TasksArgs {}

/// Runs the command.
pub(crate) async fn run(_args: TasksArgs, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`loopd tasks` is not built yet")
}
