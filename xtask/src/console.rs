//! tokio-console, both ways, with real programs from crates.io: the client shows what loopd records, loopd
//! records what carries `console-subscriber`, and the two say the same of one program.

mod attach;
mod running;
mod side_by_side;
mod terminal;
mod watch;

use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use crate::run::{cargo, execute, target};
use crate::{programs, tools};

pub(crate) fn check() -> anyhow::Result<()> {
    programs::build(false)?;
    let tui = tools::tokio_console()?;
    let folder = TempDir::with_prefix("loopd-console-")?;
    let plain = program(&[], &folder.path().join("plain"))?;
    let both = program(&["--features", "loopd"], &folder.path().join("both"))?;
    let folder = |name: &str| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).map(|()| folder)
    };
    let watch = folder("watch")?;
    watch::check(&tui, &watch).with_context(|| log_of(&watch))?;
    let attach = folder("attach")?;
    attach::check(&plain, &both, &attach).with_context(|| log_of(&attach))?;
    let side_by_side = folder("side-by-side")?;
    side_by_side::check(&tui, &plain, &both, &side_by_side).with_context(|| log_of(&side_by_side))
}

/// What the programs complained of.
fn log_of(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    format!("what the programs printed:\n{log}")
}

/// A program that carries console-subscriber: a workspace of its own.
fn program(flags: &[&str], to: &Path) -> anyhow::Result<PathBuf> {
    const MANIFEST: &str = "bench/console-app/Cargo.toml";
    // In the folder of all other builds, so that what their build scripts and macros share is built once.
    let folder = target();
    let mut build = cargo();
    build.args(["build", "--locked", "--manifest-path", MANIFEST, "--target-dir"]).arg(&folder);
    execute(build.args(flags))?;
    // The other flavour takes its place.
    std::fs::copy(folder.join("debug/loopd-console-app"), to).context("keep the program")?;
    Ok(to.to_owned())
}
