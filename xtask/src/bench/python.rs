//! What recording costs an asyncio program: a case bare and under each recorder, in turns of some
//! milliseconds (`agent/loopd-asyncio/benches/twins.py`), on every interpreter and loop. loopd sends to a
//! `loopd serve` meanwhile, whose database is asked what became of it.

pub(crate) mod collector;
pub(crate) mod interpreter;
mod table;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use serde_json::{Value, json};

use crate::bench::Args;
use crate::bench::build::answer;
use crate::bench::python::collector::Collector;
use crate::bench::python::interpreter::Interpreter;
use crate::bench::python::table::Table;
use crate::run::root;

/// The folder with the Python side.
fn benches() -> PathBuf {
    root().join("agent/loopd-asyncio/benches")
}

/// Where environments, wheels and programs are built.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// All of them; the first is what the others are compared with, under its own name.
const RECORDERS: [&str; 5] = ["bare", LOOPD, "debug", "viztracer", "yappi"];
const LOOPD: &str = "loopd";

const LOOPS: [&str; 2] = ["asyncio", UVLOOP];
const UVLOOP: &str = "uvloop";

/// Work to be watched, as in `cases.py`.
#[derive(Clone, Copy, Debug)]
struct Case {
    title: &'static str,
    name: &'static str,
    /// How much loopd may cost, over bare.
    budget: f64,
}

const fn case(title: &'static str, name: &'static str, budget: f64) -> Case {
    Case { title, name, budget }
}

const CASES: [Case; 6] = [
    case("task switch", "switch", 1.0),
    case("create_task", "spawn", 1.0),
    case("call_soon", "call_soon", 1.0),
    case("queue ping-pong", "ping_pong", 1.0),
    case("streams echo", "echo", 1.02),
    case("echo server", "echo_server", 1.02),
];

/// Of every case on uvloop, where there is no Python of asyncio to save.
const UVLOOP_BUDGET: f64 = 1.10;

/// How much of everything.
struct Size {
    rounds: usize,
    /// The others cost so much that they need not be measured in every round.
    rounds_for_peers: usize,
    pairs: usize,
    millis: usize,
}

const FULL: Size = Size { rounds: 9, rounds_for_peers: 3, pairs: 14, millis: 8 };
const QUICK: Size = Size { rounds: 1, rounds_for_peers: 1, pairs: 4, millis: 4 };

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let interpreters = interpreter::prepare()?;
    let size = if args.quick { QUICK } else { FULL };
    let mut tables = tables(&interpreters, &args.case);
    anyhow::ensure!(!tables.is_empty(), "no case has {:?} in its name", args.case);
    let mut collector = Collector::start()?;
    for round in 0..size.rounds {
        eprintln!("round {} of {}", round + 1, size.rounds);
        for table in &mut tables {
            measure(table, round, &size, &mut collector)?;
        }
    }
    for table in &tables {
        table.print(args.json);
    }
    table::print_books(&tables, args.json);
    Ok(())
}

/// Those whose name contains this.
fn tables<'a>(interpreters: &'a [Interpreter], wanted: &str) -> Vec<Table<'a>> {
    let mut tables = Vec::new();
    for case in &CASES {
        for interpreter in interpreters {
            for event_loop in LOOPS {
                tables.push(Table::new(case, interpreter, event_loop));
            }
        }
    }
    tables.retain(|table| table.name().contains(wanted));
    tables
}

/// A process for each recorder; each round begins with another one.
fn measure(
    table: &mut Table<'_>,
    round: usize,
    size: &Size,
    collector: &mut Collector,
) -> anyhow::Result<()> {
    for i in 0..RECORDERS.len() {
        let recorder = RECORDERS[(i + round) % RECORDERS.len()];
        let is_peer = !matches!(recorder, "bare" | LOOPD);
        if is_peer && round >= size.rounds_for_peers {
            continue;
        }
        let mut job = json!({
            "case": table.case.name,
            "loop": table.event_loop,
            "recorder": recorder,
            "pairs": size.pairs,
            "millis": size.millis,
        });
        if recorder == LOOPD {
            job["endpoint"] = collector.url().into();
            job["app"] = collector.next_app().into();
        }
        let answer = twins(table.interpreter, &job)
            .with_context(|| format!("{recorder}, {}", table.name()))?;
        table.push(recorder, &answer);
        if recorder == LOOPD {
            let account = collector.account();
            table.add(&answer, &account.with_context(|| format!("{}: {answer}", table.name()))?);
        }
    }
    Ok(())
}

fn twins(interpreter: &Interpreter, job: &Value) -> anyhow::Result<Value> {
    let mut command = Command::new(&interpreter.program);
    answer(command.arg("-B").arg(benches().join("main.py")).arg(job.to_string()))
}
