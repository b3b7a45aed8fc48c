//! The `loopd` binary: flags, wiring, exit codes. Every command is a file in `commands/`.

mod cli;
mod commands;
mod demo_catalogue;
mod demo_service;
mod exit;
mod paths;
mod server;
mod units;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&anyhow::Error::new(error).context("start threads")),
    };
    let code = match runtime.block_on(cli.run()) {
        Ok(code) => code,
        Err(error) => exit::report(&error),
    };
    // Whatever still runs was told to stop and did not, or nobody waits for it.
    runtime.shutdown_background();
    code
}
