//! `cargo xtask bench agent|store`: the benches beside the crates, in release.

use clap::ValueEnum;

use crate::run::{cargo, execute};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure
    what: What,
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// What recording costs a tokio program, over the same program bare
    Agent,
    /// What the collector stores in a second, and in how many bytes
    Store,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (package, bench) = match args.what {
        What::Agent => ("loopd-agent", "agent"),
        What::Store => ("loopd-store", "store"),
    };
    let mut command = cargo();
    command.args(["bench", "--quiet", "--package", package, "--bench", bench, "--"]);
    if args.json {
        command.arg("--json");
        // Nothing but the rows on standard output.
        anyhow::ensure!(command.status()?.success(), "the benchmark failed");
        return Ok(());
    }
    execute(&mut command)
}
