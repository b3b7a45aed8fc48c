//! `loopd doctor`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::Global;

/// The flags of `loopd doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {}

/// Runs the command.
pub(crate) async fn run(_args: DoctorArgs, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`loopd doctor` is not built yet")
}
