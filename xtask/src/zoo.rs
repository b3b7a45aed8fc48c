//! The zoo: what loopd finds in programs of which is known what is wrong with them, and with healthy ones.
//!
//! Each is recorded by one real collector. A sick one counts as found if its rule is among the first two
//! findings, with a line that the program marked; a healthy one must be accused of nothing. A machine that stands
//! still makes any poll slow, so one that is judged wrongly after that runs again, by itself.

mod collector;
mod program;
mod stall;
mod verdict;

use std::collections::VecDeque;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use self::collector::Collector;
use self::program::Program;
use self::stall::Meter;
use self::verdict::{Judged, judge};
use crate::run::{cargo, execute, target};
use crate::{programs, python};

/// How long each runs. Rules want to see that something lasts.
const LENGTH: &str = "10";
/// How often a program may run until it is judged rightly, if the machine stood still each time.
const TRIES: u32 = 3;
/// A thread that had to wait for so long makes a judgement doubtful: a fifth of what is slow by default.
const STALL: Duration = Duration::from_millis(20);
/// How long the end of a program may take to send what is left: as long as it needs, on a busy machine, too.
const EXIT_TIMEOUT: &str = "30s";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    /// Only these programs
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<String>,
    /// How many run at a time; those that need a processor for themselves never share it
    #[arg(long, value_name = "N", default_value_t = 6)]
    jobs: usize,
    /// How many seconds each runs
    #[arg(long = "for", value_name = "SECONDS", default_value = LENGTH)]
    length: u64,
    /// How often a program may run until it is judged rightly, if the machine stood still each time
    #[arg(long, value_name = "N", default_value_t = TRIES)]
    tries: u32,
    /// Keep the recording and the logs in this folder
    #[arg(long, value_name = "PATH")]
    keep: Option<std::path::PathBuf>,
}

/// All of them, as a check among others.
pub(crate) fn check() -> anyhow::Result<()> {
    let length = LENGTH.parse().context("how long each runs")?;
    run(&Args { json: false, only: Vec::new(), jobs: 6, length, tries: TRIES, keep: None })
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    programs::build(false)?;
    // As programs are that somebody records: unoptimised, the agent is most of what small ones do.
    execute(cargo().args(["build", "--release", "--package", "loopd-zoo", "--locked"]))?;
    let programs = programs(&args.only)?;
    let temporary = TempDir::with_prefix("loopd-zoo-")?;
    let folder = args.keep.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder).context("make the folder of the recording")?;
    let collector = Collector::start(folder)?;
    let asked = programs.len();
    let judged = run_all(programs, &collector, args)?;
    print(&judged, args.json)?;
    ensure!(judged.len() == asked, "some programs could not be judged");
    let failed: Vec<_> =
        judged.iter().filter(|it| !it.is_right()).map(|it| it.program.name.as_str()).collect();
    ensure!(failed.is_empty(), "not judged rightly: {}", failed.join(", "));
    Ok(())
}

/// Those that are asked for, with their commands.
fn programs(only: &[String]) -> anyhow::Result<Vec<Program>> {
    let mut programs = program::of_rust(&target().join("release/zoo"))?;
    let of_python = program::of_python()?;
    for name in only {
        let mut known = programs.iter().chain(&of_python);
        ensure!(known.any(|program| program.name == *name), "no {name} in the zoo");
    }
    let is_chosen = |program: &Program| only.is_empty() || only.contains(&program.name);
    programs.retain(is_chosen);
    let mut of_python: Vec<_> = of_python.into_iter().filter(is_chosen).collect();
    if !of_python.is_empty() {
        match python::newest()? {
            Some(python) => {
                of_python.iter_mut().for_each(|program| program.run_by(&python));
                programs.extend(of_python);
            }
            None => {
                println!(
                    "{} programs of Python skipped: no CPython of 3.11 or newer",
                    of_python.len()
                );
            }
        }
    }
    Ok(programs)
}

/// Runs them, first several at a time, then those that need a processor for themselves; beside them all,
/// those that take long and do nothing. At last some again, one by one.
fn run_all(
    programs: Vec<Program>,
    collector: &Collector,
    args: &Args,
) -> anyhow::Result<Vec<Judged>> {
    let judged = Mutex::new(Vec::new());
    let run = |program: Program| {
        let outcome = run_one(program, collector, args.length, 1);
        // Only a thread that panicked would leave it poisoned, and that panic goes on.
        judged.lock().map(|mut judged| judged.push(outcome)).unwrap_or_default();
    };
    let (patient, others): (Vec<_>, Vec<_>) =
        programs.into_iter().partition(|program| program.min_seconds > args.length);
    let (alone, together): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|program| program.is_alone);
    std::thread::scope(|scope| {
        for program in patient {
            scope.spawn(|| run(program));
        }
        for (programs, jobs) in [(together, args.jobs.max(1)), (alone, 1)] {
            let programs = Mutex::new(VecDeque::from(programs));
            let take = || programs.lock().ok()?.pop_front();
            std::thread::scope(|scope| {
                for _ in 0..jobs {
                    scope.spawn(|| {
                        while let Some(program) = take() {
                            run(program);
                        }
                    });
                }
            });
        }
    });
    let judged = judged.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let judged = judged.into_iter().map(|it| run_again(it?, collector, args));
    let (judged, failed): (Vec<_>, Vec<_>) = judged.partition(Result::is_ok);
    for error in failed.iter().filter_map(|it| it.as_ref().err()) {
        println!("WRONG  {error:#}");
    }
    ensure!(failed.is_empty() || !judged.is_empty(), "no program could be judged");
    let mut judged: Vec<_> = judged.into_iter().flatten().collect();
    judged.sort_by(|a, b| a.order().cmp(&b.order()));
    Ok(judged)
}

/// Runs what was judged wrongly while the machine stood still again, by itself, until it is judged rightly or has
/// run often enough.
fn run_again(mut judged: Judged, collector: &Collector, args: &Args) -> anyhow::Result<Judged> {
    while !judged.is_right() && judged.stall >= STALL && judged.tries < args.tries {
        // With JSON there is nothing else on the standard output.
        if !args.json {
            println!("again, since the machine stood still for {:.0?}:", judged.stall);
            println!("{}", judged.as_text());
        }
        judged = run_one(judged.program, collector, args.length, judged.tries + 1)?;
    }
    Ok(judged)
}

/// Runs it to its end, waits until that is stored, and asks what was found. Each try is an app of its own.
fn run_one(
    program: Program,
    collector: &Collector,
    length: u64,
    tries: u32,
) -> anyhow::Result<Judged> {
    let name = match tries {
        1 => program.name.clone(),
        more => format!("{} {more}", program.name),
    };
    let length = length.max(program.min_seconds);
    let mut command = program.command(length);
    without_our_settings(&mut command);
    command.env("LOOPD_ENDPOINT", &collector.url).env("LOOPD_APP", &name);
    command.env("LOOPD_EXIT_TIMEOUT", EXIT_TIMEOUT);
    let meter = Meter::start();
    collector.run_to_its_end(&name, command, length).with_context(|| format!("run {name}"))?;
    let findings = collector.findings(&name).with_context(|| format!("ask what is in {name}"))?;
    Ok(judge(program, findings, (tries, meter.longest())))
}

/// What whoever calls us has set for programs of their own. Backtraces of panics would block, too.
fn without_our_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let is_ours = |name: &str| name.starts_with("LOOPD_") || name == "RUST_BACKTRACE";
        if name.to_str().is_some_and(is_ours) {
            command.env_remove(name);
        }
    }
}

fn print(judged: &[Judged], as_json: bool) -> anyhow::Result<()> {
    if judged.is_empty() {
        bail!("no program was run");
    }
    for it in judged {
        println!("{}", if as_json { it.as_json() } else { it.as_text() });
    }
    let summary = verdict::Summary::of(judged);
    println!("{}", if as_json { summary.as_json() } else { summary.as_text() });
    Ok(())
}
