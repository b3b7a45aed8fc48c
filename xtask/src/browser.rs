//! The dashboard in a real browser: a demo runs, and scripts walk through every page. A run of its program
//! that is over has been recorded before, in which nothing changes any more while it is looked at. What the
//! demo has none of, a deadlock, a program of the zoo has recorded; an example of the agent records names
//! that are attacks.

mod journeys;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::run::{self, execute, program, target};
use crate::{programs, tools};

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Takes a picture of every page, light and dark and at several widths, and leaves all of them
    /// here; without it only those of the checks are taken, in target/screenshots
    #[arg(long)]
    screenshots: Option<PathBuf>,
    /// Use the release build
    #[arg(long)]
    release: bool,
}

/// Installs what it needs.
pub(crate) fn prepare() -> anyhow::Result<()> {
    tools::npm_packages()?;
    tools::chromium().map(drop)
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    run::require_page();
    programs::build(args.release)?;
    let chromium = tools::chromium()?;
    tools::npm_packages()?;
    let screenshots = args.screenshots.clone().unwrap_or_else(|| target().join("screenshots"));
    std::fs::create_dir_all(&screenshots).context("make the folder for screenshots")?;

    let demo = Demo::start(args.release)?;
    let walk = |name: &str, of: &[&OsStr]| {
        let mut walk = program("node");
        walk.arg(format!("dashboard/web/e2e/{name}.mjs")).args(of).env("CHROMIUM", &chromium);
        execute(&mut walk)
    };
    let (url, screenshots) = (OsStr::new(&demo.url), screenshots.as_os_str());
    let loopd = binaries(args.release).join("loopd");
    // They are over before the journey begins, which is to open at the demo.
    std::thread::scope(|scope| {
        let past = scope.spawn(|| walk("past", &[loopd.as_os_str(), url]));
        let outcome = ["deadlock_two", "connection_pool"].iter().try_for_each(|animal| {
            let mut zoo = Command::new(binaries(args.release).join("zoo"));
            execute(zoo.args([animal, "--for", "4s"]).env("LOOPD_ENDPOINT", &demo.url))
        });
        past.join().unwrap_or_else(|_| bail!("a recording panicked")).and(outcome)
    })?;
    walk("journey", &[url, screenshots])?;
    if args.screenshots.is_some() {
        walk("pictures", &[url, screenshots])?;
    }
    // These have a loopd and a store of their own. They mostly wait for what they asked for.
    let hostile = binaries(args.release).join("examples/hostile");
    let own = [loopd.as_os_str(), hostile.as_os_str(), screenshots];
    std::thread::scope(|scope| {
        let accessible = scope.spawn(|| walk("accessible", &[url, screenshots]));
        let outcome = walk("hostile", &own).and_then(|()| walk("states", &own));
        accessible.join().unwrap_or_else(|_| bail!("a check panicked")).and(outcome)
    })?;
    // The demo would only make them slower.
    drop(demo);
    journeys::run(&binaries(args.release), Path::new(screenshots), &chromium)
}

/// Where cargo puts what it builds.
fn binaries(is_release: bool) -> PathBuf {
    target().join(if is_release { "release" } else { "debug" })
}

/// A running `loopd demo` with a database of its own; ends when dropped.
struct Demo {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Demo {
    fn start(is_release: bool) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("loopd-browser-")?;
        let mut child = Command::new(binaries(is_release).join("loopd"))
            // Longer than any journey: dropping it is what ends it.
            .args(["demo", "--no-open", "--port", "0", "--for", "1h", "--db"])
            .arg(folder.path().join("demo.db"))
            .stdout(Stdio::piped())
            .spawn()
            .context("start `loopd demo`")?;
        let stdout = child.stdout.take().context("the demo has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let url = loop {
            let Some(line) = lines.next() else { bail!("`loopd demo` ended without a URL") };
            let line = line?;
            println!("{line}");
            if let Some(at) = line.find("http://127.0.0.1:") {
                break line[at..].trim().to_string();
            }
        };
        // Somebody has to keep reading, or the demo would stall on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, url, _folder: folder })
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended by itself, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
