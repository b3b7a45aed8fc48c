//! The dashboard in a real browser: a demo runs, and a script walks through every page. What the demo has
//! none of, a deadlock, a program of the zoo has recorded before.

mod journeys;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::run::{cargo, execute, program, root, target};
use crate::tools;

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Where the screenshots go [default: target/screenshots]
    #[arg(long)]
    screenshots: Option<PathBuf>,
    /// Use the release build
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let profile: &[&str] = if args.release { &["--release"] } else { &[] };
    let mut build = cargo();
    build.args(["build", "--package", "loopd", "--package", "loopd-zoo", "--bins"]);
    build.args(journeys::FEED);
    build.args(profile).env("LOOPD_DASHBOARD", "require");
    execute(&mut build)?;
    let chromium = tools::chromium()?;
    tools::npm_packages()?;
    let screenshots = args.screenshots.clone().unwrap_or_else(|| root().join("target/screenshots"));
    std::fs::create_dir_all(&screenshots).context("make the folder for screenshots")?;

    let demo = Demo::start(args.release)?;
    // It is over before the journey begins, which is to open at the demo.
    let mut zoo = Command::new(binaries(args.release).join("zoo"));
    execute(zoo.args(["deadlock_two", "--for", "4s"]).env("LOOPD_ENDPOINT", &demo.url))?;
    let mut journey = program("node");
    journey.arg("dashboard/web/e2e/journey.mjs").arg(&demo.url).arg(&screenshots);
    execute(journey.env("CHROMIUM", &chromium))?;
    // The demo would only make them slower.
    drop(demo);
    journeys::run(&binaries(args.release), &screenshots, &chromium)
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
            .args(["demo", "--no-open", "--port", "0", "--for", "600s", "--db"])
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
