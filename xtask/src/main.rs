//! Everything that is done to this workspace, in one place: `cargo xtask --help`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod bench;
mod browser;
mod codegen;
mod console;
mod dependencies;
mod interop;
mod programs;
mod python;
mod run;
mod test;
mod tools;
mod zoo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tests, checks and benchmarks of this workspace")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Every check there is; installs what it needs (cargo-nextest, npm and Python packages, Chromium)
    Test(test::Args),
    /// Measures, as ratios within one run
    Bench(bench::Args),
    /// Writes anew what is made from code and committed: the description of the HTTP API, tiles for the page's tests
    Codegen,
    /// Walks through the dashboard of a demo in Chromium and leaves screenshots
    Browser(browser::Args),
    /// Records programs whose diseases are known, and healthy ones, and judges what loopd finds in them
    Zoo(zoo::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Codegen => codegen::run(),
        Command::Browser(args) => browser::run(&args),
        Command::Zoo(args) => zoo::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
