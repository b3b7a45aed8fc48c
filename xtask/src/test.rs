//! `cargo xtask test`: every check, cheapest first.

use std::thread;
use std::time::Instant;

use anyhow::Context;
use tempfile::TempDir;

use crate::run::{cargo, execute, program, require_page, root, succeeds};
use crate::{browser, console, dependencies, interop, python, tools, zoo};

/// The oldest tokio that the agent says it works with.
const MINIMUM_TOKIO: &str = "1.54.0";

/// The parts of the agent that loom and Miri can run.
const RING_CHECK: &str = "agent/ring-check/Cargo.toml";
const GUARD_CHECK: &str = "agent/guard-check/Cargo.toml";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these checks, by name
    only: Vec<String>,
}

/// A check's name and what it does.
type Check = (&'static str, fn() -> anyhow::Result<()>);

/// These run nothing whose time matters: what they do is compiled or read.
const QUIET: [&str; 4] = ["fmt", "dependencies", "clippy", "docs"];

/// What checks install that comes from the network. Each installs it itself where it is missing; beside those
/// that compile for minutes it costs next to nothing.
const INSTALLED: [Check; 4] = [
    ("interop", interop::prepare),
    ("python", python::prepare),
    ("web", tools::npm_packages),
    ("browser", browser::prepare),
];

const CHECKS: [Check; 16] = [
    ("fmt", fmt),
    ("dependencies", dependencies::check),
    ("clippy", clippy),
    ("docs", docs),
    ("rust", rust),
    ("interop", interop::check),
    ("console", console::check),
    ("python", python::check),
    ("zoo", zoo::check),
    ("tracing", tracing),
    ("doctests", doctests),
    ("loom", loom),
    ("miri", miri),
    ("stable", stable),
    ("web", web),
    ("browser", || browser::run(&browser::Args::default())),
];

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    for name in &args.only {
        let names: Vec<_> = CHECKS.iter().map(|(name, _)| *name).collect();
        anyhow::ensure!(
            names.contains(&name.as_str()),
            "no check is called {name}; there are {}",
            names.join(", ")
        );
    }
    let chosen: Vec<&Check> = CHECKS
        .iter()
        .filter(|(name, _)| args.only.is_empty() || args.only.iter().any(|only| only == name))
        .collect();
    if chosen.iter().any(|(name, _)| *name == "browser") {
        require_page();
    }
    let mut passed = 0;
    thread::scope(|scope| {
        let mut installing = Some(scope.spawn(|| install(&chosen)));
        for (name, check) in &chosen {
            if !QUIET.contains(name)
                && let Some(installing) = installing.take()
            {
                // What it had to say it has said.
                let _ = installing.join();
            }
            println!("\n=== {name}");
            let started_at = Instant::now();
            check().with_context(|| format!("check {name}"))?;
            println!("=== {name}: fine after {:.0?}", started_at.elapsed());
            passed += 1;
        }
        anyhow::Ok(())
    })?;
    println!("\nchecks: {passed} passed, 0 failed");
    Ok(())
}

/// Installs what these checks need. What fails here the check itself tries again, and complains of.
fn install(checks: &[&Check]) {
    for (name, _) in checks {
        for (_, prepare) in INSTALLED.iter().filter(|(needed_by, _)| needed_by == name) {
            if let Err(error) = prepare() {
                println!("not installed yet for {name}: {error:#}");
            }
        }
    }
}

fn fmt() -> anyhow::Result<()> {
    execute(cargo().args(["fmt", "--all", "--check"]))?;
    // Workspaces of their own.
    for manifest in ["bench/agent/Cargo.toml", "bench/console-app/Cargo.toml"] {
        execute(cargo().args(["fmt", "--manifest-path", manifest, "--check"]))?;
    }
    Ok(())
}

fn clippy() -> anyhow::Result<()> {
    const STRICT: [&str; 5] = ["--all-targets", "--locked", "--", "-D", "warnings"];
    execute(cargo().args(["clippy", "--workspace"]).args(STRICT))?;
    // What is off by default, all at a time.
    execute(cargo().args(["clippy", "--package", "loopd-agent", "--all-features"]).args(STRICT))
}

fn docs() -> anyhow::Result<()> {
    let mut doc = cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
    // RUSTDOCFLAGS replaces nothing of .cargo/config.toml: that only sets rustflags.
    execute(doc.env("RUSTDOCFLAGS", "-D warnings --cfg tokio_unstable"))
}

fn rust() -> anyhow::Result<()> {
    tools::nextest()?;
    execute(cargo().args(["nextest", "run", "--workspace", "--locked"]))?;
    // Off by default, since it takes the place of functions of libc.
    const FEATURES: [&str; 4] = ["--package", "loopd-agent", "--features", "fd-stacks,taskdump"];
    execute(cargo().args(["nextest", "run", "--locked"]).args(FEATURES).args(["fds", "dumping"]))
}

/// The agent with all that tokio itself can tell, which no other build of ours has.
fn tracing() -> anyhow::Result<()> {
    const FEATURES: [&str; 4] =
        ["--package", "loopd-agent", "--features", "layer,tokio-tracing,schedule-latency"];
    const TESTS: [&str; 5] = ["--lib", "--test", "tracing", "--test", "delays"];
    tools::nextest()?;
    let mut test = cargo();
    test.args(["nextest", "run", "--locked"]).args(FEATURES).args(TESTS);
    execute(&mut test)
}

fn doctests() -> anyhow::Result<()> {
    execute(cargo().args(["test", "--workspace", "--doc", "--locked", "--quiet"]))
}

/// What two threads of the agent share without a lock, in every order of steps that loom can think
/// of. By itself: with this flag in force tokio would not build as a program gets it.
fn loom() -> anyhow::Result<()> {
    let mut test = cargo();
    test.args(["test", "--quiet", "--manifest-path", RING_CHECK, "--locked", "--lib"]);
    test.env("RUSTFLAGS", "--cfg loom -D warnings");
    execute(test.env("CARGO_TARGET_DIR", root().join("target/loom")))
}

/// The same parts and the guards that own their lock, interpreted, so that no undefined behaviour
/// goes unseen.
fn miri() -> anyhow::Result<()> {
    let nightly = ["run", "nightly", "cargo", "miri"];
    if !succeeds(program("rustup").args(nightly).arg("--version")) {
        println!("skipped: there is no nightly toolchain with miri");
        return Ok(());
    }
    // Of what the second takes from the agent, the rest is tried elsewhere.
    for (check, tests) in [(RING_CHECK, ""), (GUARD_CHECK, "guards::")] {
        let mut test = program("rustup");
        test.args(nightly);
        test.args(["test", "--quiet", "--manifest-path", check, "--locked", "--lib", tests]);
        // A place travels through a ring as a number, which only this mode can follow.
        test.env("MIRIFLAGS", "-Zmiri-permissive-provenance").env("RUSTFLAGS", "");
        execute(test.env("CARGO_TARGET_DIR", root().join("target/miri")))?;
    }
    Ok(())
}

/// The agent as a program without our flags gets it, with the oldest tokio it claims to support.
fn stable() -> anyhow::Result<()> {
    tools::nextest()?;
    let copy = TempDir::with_prefix("loopd-stable-")?;
    let files = program("git").args(["ls-files"]).output().context("list the project's files")?;
    for file in String::from_utf8(files.stdout)?.lines() {
        let (from, to) = (root().join(file), copy.path().join(file));
        if from.is_file() {
            std::fs::create_dir_all(to.parent().unwrap_or(copy.path()))?;
            std::fs::copy(&from, to).with_context(|| format!("copy {file}"))?;
        }
    }
    std::fs::remove_file(copy.path().join(".cargo/config.toml"))?;
    let mut pin = cargo();
    pin.args(["update", "--quiet", "--package", "tokio", "--precise", MINIMUM_TOKIO]);
    execute(pin.current_dir(copy.path()))?;
    let mut test = cargo();
    test.args(["nextest", "run", "--package", "loopd-agent", "--package", "loopd-wire"]);
    let target = root().join("target/stable");
    // Nothing may warn here either: clippy only sees the build with hooks.
    let strict = test.env("RUSTFLAGS", "-D warnings").env("CARGO_TARGET_DIR", target);
    execute(strict.current_dir(copy.path()))
}

fn web() -> anyhow::Result<()> {
    tools::npm_packages()?;
    for script in ["check", "test"] {
        let mut npm = program("npm");
        execute(npm.args(["run", script]).current_dir(root().join("dashboard/web")))?;
    }
    Ok(())
}
