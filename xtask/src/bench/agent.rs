//! What recording costs: short rounds of every recorder in turn, each a process of its own.

use serde_json::Value;

use crate::bench::Args;
use crate::bench::build::Bench;
use crate::bench::plan::{AWAY, BARE, CASES, CONSOLE, Case, VARIANTS, Variant};
use crate::bench::rows::{self, Rounds, operations};

/// How much of everything.
struct Size {
    rounds: usize,
    bursts: usize,
    echo_rounds: usize,
    echo_millis: usize,
    tasks: usize,
    /// For the recorder that keeps tens of kilobytes of each.
    console_tasks: usize,
}

impl Size {
    /// Fewer where an operation takes tens of microseconds.
    fn bursts(&self, variant: &Variant) -> usize {
        if variant.name == CONSOLE { self.bursts / 5 } else { self.bursts }
    }
}

const FULL: Size = Size {
    rounds: 9,
    bursts: 50,
    echo_rounds: 13,
    echo_millis: 1_000,
    tasks: 10_000_000,
    console_tasks: 40_000,
};
const QUICK: Size = Size {
    rounds: 2,
    bursts: 20,
    echo_rounds: 3,
    echo_millis: 300,
    tasks: 200_000,
    console_tasks: 5_000,
};

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let bench = Bench::build()?;
    let size = if args.quick { QUICK } else { FULL };
    for case in CASES.iter().filter(|case| case.name.contains(&args.case)) {
        measure(&bench, case, &size, args.json)?;
    }
    if "echo".contains(&args.case) {
        echo(&bench, &size, args.json)?;
    }
    if "memory".contains(&args.case) {
        memory(&bench, &size, args.json)?;
    }
    Ok(())
}

fn measure(bench: &Bench, case: &Case, size: &Size, is_json: bool) -> anyhow::Result<()> {
    let entries = case.entries();
    let mut all: Vec<_> =
        entries.iter().map(|(variant, _)| Rounds::new(variant.name, BARE)).collect();
    for _ in 0..size.rounds {
        for ((variant, work), rounds) in entries.iter().zip(&mut all) {
            let mut job = bench.job(variant, work);
            job["workers"] = case.workers.into();
            job["bursts"] = size.bursts(variant).into();
            job["pause"] = case.pause.into();
            let answer = bench.round(variant, &job)?;
            let nanos = answer["task_nanos"].as_f64().unwrap_or(0.0);
            rounds.push(nanos / operations(&answer), &answer);
        }
    }
    rows::print(case.name, "ns", &all, is_json);
    Ok(())
}

/// An HTTP server with all its threads on one processor.
fn echo(bench: &Bench, size: &Size, is_json: bool) -> anyhow::Result<()> {
    // The builds differ in more than tokio here: a peer's features of hyper are in the server too.
    let rounds_of = |variant: &Variant| Rounds::new(variant.name, variant.flavour.bare());
    let rounds = || VARIANTS.iter().map(rounds_of).collect::<Vec<_>>();
    let (mut rates, mut costs) = (rounds(), rounds());
    let loader = bench.program(VARIANTS[0].flavour);
    for _ in 0..size.echo_rounds {
        for (i, variant) in VARIANTS.iter().enumerate() {
            let mut job = bench.job(variant, "echo");
            job["workers"] = 1.into();
            job["bursts"] = size.echo_millis.into();
            job["processor"] = 0.into();
            job["loader"] = loader.to_str().into();
            let answer = bench.round(variant, &job)?;
            let (requests, number) = (operations(&answer), |key| number(&answer, key));
            rates[i].push(requests / number("wall_nanos") * 1e9, &answer);
            costs[i].push(number("task_nanos") / requests, &answer);
        }
    }
    rows::print("axum echo, throughput", rows::RATE, &rates, is_json);
    rows::print("axum echo, processor time", "ns", &costs, is_json);
    Ok(())
}

/// Bytes after very many tasks.
fn memory(bench: &Bench, size: &Size, is_json: bool) -> anyhow::Result<()> {
    if !is_json {
        println!(
            "\n{:<28} {:>11} {:>11} {:>11} {:>11} {:>12} {:>11}",
            "memory, MiB", "tasks", "RSS before", "after", "peak", "a task, B", "says it has"
        );
    }
    for variant in VARIANTS.iter().chain([&AWAY]) {
        let tasks = if variant.name == CONSOLE { size.console_tasks } else { size.tasks };
        let mut job = bench.job(variant, "memory");
        job["bursts"] = tasks.into();
        job["pause"] = 1.into();
        print_memory(variant, &bench.round(variant, &job)?, size, is_json);
    }
    Ok(())
}

fn print_memory(variant: &Variant, answer: &Value, size: &Size, is_json: bool) {
    let memory = &answer["memory"];
    let (before, after) = (number(memory, "rss_before"), number(memory, "rss_after"));
    let per_task = (after - before) / operations(answer);
    if is_json {
        let mut row = memory.clone();
        row["bench"] = "agent".into();
        row["case"] = "memory".into();
        row["variant"] = variant.name.into();
        row["tasks"] = operations(answer).into();
        row["per_task"] = per_task.into();
        row["held"] = answer["held"].clone();
        println!("{row}");
        return;
    }
    let mebibytes = |bytes: f64| bytes / f64::from(1 << 20);
    println!(
        "  {:<26} {:>11} {:>11.1} {:>11.1} {:>11.1} {:>12.2} {:>11.1}",
        variant.name,
        operations(answer),
        mebibytes(before),
        mebibytes(after),
        mebibytes(number(memory, "rss_peak")),
        per_task,
        mebibytes(number(answer, "held")),
    );
    if variant.name == CONSOLE {
        let all = mebibytes(before + per_task * size.tasks as f64);
        println!("  {:<26} {:>11} {:>11} {all:>11.0}  (extrapolated)", "", size.tasks, "");
    }
}

fn number(answer: &Value, key: &str) -> f64 {
    answer[key].as_f64().unwrap_or(0.0)
}
