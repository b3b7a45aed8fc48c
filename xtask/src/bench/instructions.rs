//! What recording costs in instructions, which are the same on a busy machine: callgrind counts two
//! rounds of different length, and the difference is the work alone. The main thread runs the tasks;
//! other threads, which write the records out, are counted apart.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde_json::json;

use crate::bench::Args;
use crate::bench::build::{Bench, answer};
use crate::bench::plan::{CASES, Case, FLOOR, Variant};
use crate::bench::rows::operations;
use crate::run::succeeds;

/// Bursts of the two rounds.
const LENGTHS: [usize; 2] = [1, 5];

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(
        succeeds(Command::new("valgrind").arg("--version")),
        "no valgrind: install it, for example with `apt-get install valgrind`"
    );
    let bench = Bench::build()?;
    let cases = CASES.iter().filter(|case| case.workers == 0);
    for case in cases.filter(|case| case.name.contains(&args.case)) {
        if !args.json {
            println!(
                "\n{:<28} {:>13} {:>10} {:>8} {:>14} {:>9}",
                case.name, "instructions", "over bare", "× floor", "other threads", "dropped"
            );
        }
        count(&bench, case, args.json)?;
    }
    Ok(())
}

fn count(bench: &Bench, case: &Case, is_json: bool) -> anyhow::Result<()> {
    let (mut bare, mut floor) = (None, None);
    for (variant, work) in case.entries() {
        let short = round(bench, variant, work, LENGTHS[0])?;
        let long = round(bench, variant, work, LENGTHS[1])?;
        let done = long.operations - short.operations;
        let tasks = (long.tasks - short.tasks) / done;
        let others = (long.others - short.others) / done;
        let over = tasks - *bare.get_or_insert(tasks);
        if variant.name == FLOOR {
            floor = Some(over);
        }
        let to_floor = floor.map(|floor| over / floor);
        if is_json {
            let row = json!({
                "bench": "agent",
                "case": case.name,
                "variant": variant.name,
                "unit": "instructions",
                "median": tasks,
                "over_bare": over,
                "to_floor": to_floor,
                "other_threads": others,
                "dropped_share": long.dropped,
            });
            println!("{row}");
            continue;
        }
        println!(
            "  {:<26} {tasks:>13.1} {over:>+10.1} {:>8} {others:>14.1} {:>9}",
            variant.name,
            to_floor.map_or_else(String::new, |to_floor| format!("{to_floor:.2}")),
            long.dropped.map_or_else(|| "-".to_owned(), |share| format!("{:.3} %", share * 100.0)),
        );
    }
    Ok(())
}

/// Instructions of one round.
struct Count {
    operations: f64,
    tasks: f64,
    others: f64,
    dropped: Option<f64>,
}

fn round(bench: &Bench, variant: &Variant, work: &str, bursts: usize) -> anyhow::Result<Count> {
    let mut job = bench.job(variant, work);
    job["bursts"] = bursts.into();
    // Valgrind runs one thread at a time, and slowly.
    job["pause"] = 100.into();
    let folder = tempfile::TempDir::new_in(bench.scratch())?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet", "--separate-threads=yes", "--fair-sched=yes"]);
    command.arg(format!("--callgrind-out-file={}", folder.path().join("out").display()));
    command.arg(bench.program(variant.flavour)).arg(job.to_string());
    let answer = answer(&mut command).with_context(|| format!("count {job}"))?;
    let (tasks, others) = totals(folder.path())?;
    let share = |produced: f64| answer["dropped"].as_f64().map(|dropped| dropped / produced);
    let dropped = answer["produced"].as_f64().and_then(share);
    Ok(Count { operations: operations(&answer), tasks, others, dropped })
}

/// Instructions of the main thread and of all others; each thread has a file, by its number.
fn totals(folder: &Path) -> anyhow::Result<(f64, f64)> {
    let (mut main, mut others) = (0.0, 0.0);
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
        let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
        let Some(total) = total else { continue };
        let total: f64 = total.trim().parse().context("read callgrind's totals")?;
        let is_main = path.to_str().is_some_and(|path| path.ends_with("-01"));
        *if is_main { &mut main } else { &mut others } += total;
    }
    anyhow::ensure!(main > 0.0, "callgrind counted nothing");
    Ok((main, others))
}
