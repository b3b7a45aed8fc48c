//! What the dashboard costs whoever looks at it: a browser without a GPU measures the page that a
//! release build serves, and every figure stands beside its budget.

mod collector;
mod row;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::Args;
use crate::bench::dashboard::collector::Collector;
use crate::bench::dashboard::row::{Budget, Judged, Row};
use crate::run::{cargo, program, target};
use crate::tools;

/// Polls in the store that is looked at.
const POLLS: &str = "100M";
const QUICK_POLLS: &str = "5M";
/// Of live data, each as long as the share of an hour that it stands for.
const MINUTES: u64 = 6;
const QUICK_MINUTES: u64 = 1;
/// What arrives in each second of the heap's case.
const LIVE_RATE: u64 = 1_000_000;
/// In sight while frames are measured.
const IN_RANGE: u64 = 2_000_000;

/// All of them, in the order in which they are measured, with their budgets.
const CASES: [(&str, Budget); 5] = [
    ("shell", Budget { limit: 60.0, of: Judged::Max }),
    ("interactive", Budget { limit: 500.0, of: Judged::P95 }),
    ("tile", Budget { limit: 30.0, of: Judged::P95 }),
    ("frame", Budget { limit: 16.0, of: Judged::P95 }),
    ("heap", Budget { limit: 150.0, of: Judged::Max }),
];

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let wanted: Vec<_> = CASES.iter().filter(|(name, _)| name.contains(&args.case)).collect();
    ensure!(!wanted.is_empty(), "no case has {:?} in its name", args.case);
    let chromium = tools::chromium()?;
    tools::npm_packages()?;
    let programs = build()?;
    let stage = Stage { args, programs, chromium };
    let mut served = None;
    Row::print_head(args.json);
    for (name, budget) in wanted {
        if *name == "heap" {
            stage.heap(budget)?;
            continue;
        }
        if served.is_none() {
            served = Some(Collector::start(&stage.programs.loopd, &stage.store()?)?);
        }
        let url = served.as_ref().map(|collector| collector.url.as_str()).unwrap_or_default();
        stage.measure(name, budget, url, stage.job(name))?;
    }
    Ok(())
}

/// What is measured, and what feeds it.
struct Programs {
    loopd: PathBuf,
    feed: PathBuf,
}

fn build() -> anyhow::Result<Programs> {
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--quiet", "--package", "loopd"]);
    build.args(["--bin", "loopd", "--example", "feed"]).env("LOOPD_DASHBOARD", "require");
    ensure!(build.status()?.success(), "cannot build loopd with its page");
    let folder = target().join("release");
    Ok(Programs { loopd: folder.join("loopd"), feed: folder.join("examples/feed") })
}

struct Stage<'a> {
    args: &'a Args,
    programs: Programs,
    chromium: String,
}

impl Stage<'_> {
    /// The store that the page shows; made by the benchmark of the store if it is not there yet.
    fn store(&self) -> anyhow::Result<PathBuf> {
        let dir = match &self.args.dir {
            Some(dir) => std::path::absolute(dir)?,
            None => target().join("bench"),
        };
        let default = if self.args.quick { QUICK_POLLS } else { POLLS };
        let polls = self.args.polls.as_deref().unwrap_or(default);
        ensure!(!polls.contains(','), "`bench dashboard` takes one size of --polls");
        let path = dir.join(format!("store-{polls}.db"));
        if !path.exists() {
            eprintln!("making a store of {polls} polls in {}", dir.display());
            let mut make = cargo();
            make.args(["bench", "--locked", "--quiet", "--package", "loopd", "--bench", "store"]);
            make.args(["--", "--case", "bytes-per-poll", "--polls", polls, "--keep", "--dir"]);
            make.arg(&dir).env("LOOPD_DASHBOARD", "require").stdout(Stdio::null());
            ensure!(make.status()?.success(), "the store could not be made");
        }
        let bytes = std::fs::metadata(&path).context("look at the store")?.len();
        eprintln!("{} has {:.2} GB", path.display(), bytes as f64 / 1e9);
        Ok(path)
    }

    /// How much of it.
    fn job(&self, case: &str) -> Value {
        let quick = self.args.quick;
        match case {
            "interactive" => json!({ "runs": if quick { 3 } else { 20 } }),
            "tile" => json!({ "jumps": if quick { 30 } else { 300 } }),
            "frame" => json!({ "inRange": IN_RANGE, "sweeps": if quick { 1 } else { 4 } }),
            _ => json!({}),
        }
    }

    /// Polls arrive while the page follows them. Fewer minutes than an hour are an hour all the same on the
    /// clock of the program that is watched, so that the page has as long a history to deal with.
    fn heap(&self, budget: &Budget) -> anyhow::Result<()> {
        let default = if self.args.quick { QUICK_MINUTES } else { MINUTES };
        let minutes = self.args.minutes.unwrap_or(default).clamp(1, 60);
        let folder = TempDir::with_prefix_in("loopd-heap-", target())?;
        let collector = Collector::start(&self.programs.loopd, &folder.path().join("live.db"))?;
        let job = json!({
            "feed": self.programs.feed,
            "rate": LIVE_RATE,
            "minutes": minutes,
            "clock": 60 / minutes,
        });
        self.measure("heap", budget, &collector.url, job)
    }

    /// Has the browser measure, and prints what it found.
    fn measure(
        &self,
        case: &str,
        budget: &Budget,
        url: &str,
        mut job: Value,
    ) -> anyhow::Result<()> {
        job["case"] = case.into();
        job["url"] = url.into();
        let mut node = program("node");
        node.arg(Path::new("dashboard/web/e2e/bench/main.mjs")).arg(job.to_string());
        node.env("CHROMIUM", &self.chromium).stderr(Stdio::inherit());
        let output = node.output().context("start node")?;
        ensure!(output.status.success(), "case {case} failed");
        for line in String::from_utf8(output.stdout)?.lines() {
            let told = serde_json::from_str(line).with_context(|| format!("read {line:?}"))?;
            Row::new(case, budget, &told)?.print(self.args.json);
        }
        Ok(())
    }
}
