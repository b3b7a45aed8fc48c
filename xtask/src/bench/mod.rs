//! `cargo xtask bench agent|store`: what things cost, in release, as ratios within one run.

mod agent;
mod build;
mod instructions;
mod plan;
mod rows;

use clap::ValueEnum;

use crate::run::{cargo, execute};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure
    what: What,
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    /// Few and short rounds, which only show that it works
    #[arg(long)]
    quick: bool,
    /// Count instructions under valgrind instead of measuring time
    #[arg(long)]
    instructions: bool,
    /// Only cases whose name contains this
    #[arg(long, default_value = "")]
    case: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// What recording costs a tokio program, over the same program bare, and what others cost
    Agent,
    /// What the collector stores in a second, and in how many bytes
    Store,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match args.what {
        What::Agent if args.instructions => instructions::run(args),
        What::Agent => agent::run(args),
        What::Store => store(args),
    }
}

fn store(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(!args.quick && !args.instructions, "only `bench agent` can do that");
    let mut command = cargo();
    command.args(["bench", "--quiet", "--package", "loopd-store", "--bench", "store", "--"]);
    if args.json {
        command.arg("--json");
        // Nothing but the rows on standard output.
        anyhow::ensure!(command.status()?.success(), "the benchmark failed");
        return Ok(());
    }
    execute(&mut command)
}
