//! `cargo xtask bench agent|python|event-loop|store|dashboard`: what things cost, in release, as ratios within one run.

mod agent;
mod build;
mod dashboard;
mod event_loop;
mod instructions;
mod plan;
mod python;
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
    /// How many polls the stores hold that `bench store` reads, as in 1M,10M,100M; or the one that
    /// `bench dashboard` looks at [default there: 100M]
    #[arg(long, value_name = "SIZES")]
    polls: Option<String>,
    /// Where `bench store` writes, a directory for temporary files if absent; where `bench dashboard`
    /// looks for its store, and leaves it [default there: target/bench]
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// Leave the stores in --dir, so that the next run only reads them
    #[arg(long, requires = "dir")]
    keep: bool,
    /// For how long `bench dashboard` has live data arrive; they stand for an hour [default: 6]
    #[arg(long)]
    minutes: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// What recording costs a tokio program, over the same program bare, and what others cost
    Agent,
    /// What recording costs an asyncio program, over the same program bare, and what others cost
    Python,
    /// What callbacks and tasks cost on loopd's `EventLoop`, bare and recorded, beside tokio's `LocalSet`,
    /// asyncio and uvloop
    EventLoop,
    /// What the collector stores in a second and in how many bytes, what reading it takes, and how
    /// well it keeps to a budget, beside bare SQLite and Perfetto traces
    Store,
    /// What the dashboard weighs in the browser: its shell, its start, tiles, frames and memory
    Dashboard,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let is_of_store = args.polls.is_some() || args.dir.is_some();
    anyhow::ensure!(
        !is_of_store || matches!(args.what, What::Store | What::Dashboard),
        "only `bench store` and `bench dashboard` take --polls and --dir"
    );
    anyhow::ensure!(!args.keep || args.what == What::Store, "only `bench store` takes --keep");
    anyhow::ensure!(
        args.minutes.is_none() || args.what == What::Dashboard,
        "only `bench dashboard` takes --minutes"
    );
    anyhow::ensure!(
        !args.instructions || args.what == What::Agent,
        "only `bench agent` counts instructions"
    );
    match args.what {
        What::Agent if args.instructions => instructions::run(args),
        What::Agent => agent::run(args),
        What::Python => python::run(args),
        What::EventLoop => event_loop::run(args),
        What::Store => store::run(args),
        What::Dashboard => dashboard::run(args),
    }
}
