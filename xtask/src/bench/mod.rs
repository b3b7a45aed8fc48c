//! `cargo xtask bench agent|store`: what things cost, in release, as ratios within one run.

mod agent;
mod build;
mod instructions;
mod plan;
mod rows;
mod store;

use std::path::PathBuf;

use clap::ValueEnum;

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
    /// How many polls the stores hold that `bench store` reads, as in 1M,10M,100M
    #[arg(long, value_name = "SIZES")]
    polls: Option<String>,
    /// Where `bench store` writes; a directory for temporary files if absent
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// Leave the stores in --dir, so that the next run only reads them
    #[arg(long, requires = "dir")]
    keep: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// What recording costs a tokio program, over the same program bare, and what others cost
    Agent,
    /// What the collector stores in a second and in how many bytes, what reading it takes, and how
    /// well it keeps to a budget, beside bare SQLite and Perfetto traces
    Store,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let is_of_store = args.polls.is_some() || args.dir.is_some();
    match args.what {
        What::Agent => {
            anyhow::ensure!(!is_of_store, "only `bench store` takes --polls, --dir and --keep");
            if args.instructions { instructions::run(args) } else { agent::run(args) }
        }
        What::Store => {
            anyhow::ensure!(!args.instructions, "only `bench agent` counts instructions");
            store::run(args)
        }
    }
}
