//! What storing and reading cost: builds `loopd` and its benchmark in release, and runs that.

use crate::bench::Args;
use crate::run::cargo;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut command = cargo();
    command.args(["bench", "--quiet", "--package", "loopd", "--bench", "store"]);
    command.args(["--", "--case", &args.case]);
    for (flag, is_given) in [("--json", args.json), ("--quick", args.quick), ("--keep", args.keep)]
    {
        if is_given {
            command.arg(flag);
        }
    }
    if let Some(polls) = &args.polls {
        command.args(["--polls", polls]);
    }
    if let Some(dir) = &args.dir {
        command.arg("--dir").arg(std::path::absolute(dir)?);
    }
    // Nothing but rows on standard output.
    anyhow::ensure!(command.status()?.success(), "the benchmark failed");
    Ok(())
}
