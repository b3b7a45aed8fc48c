//! Builds the benchmark's program, and runs it round by round.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::plan::{FLOOR, Flavour, Variant};
use crate::run::{cargo, root};

/// All builds, the collector's stand-in, and a place for files.
pub(crate) struct Bench {
    folder: PathBuf,
    sink: Child,
    agents: String,
    floor: String,
    scratch: TempDir,
}

impl Bench {
    /// Builds what is not up to date.
    pub(crate) fn build() -> anyhow::Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let folder = target.unwrap_or_else(|| root().join("target")).join("bench-agent");
        for flavour in Flavour::ALL {
            build(flavour, &folder)?;
        }
        let (sink, agents, floor) = start_sink(&program(&folder, Flavour::Hooks))?;
        let scratch = TempDir::with_prefix("loopd-bench-")?;
        Ok(Self { folder, sink, agents, floor, scratch })
    }

    /// The program in which a recorder can run.
    pub(crate) fn program(&self, flavour: Flavour) -> PathBuf {
        program(&self.folder, flavour)
    }

    /// Where files may be left until the end.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// A job with everything in it that is the same each time.
    pub(crate) fn job(&self, variant: &Variant, work: &str) -> Value {
        let endpoint = match variant.name {
            FLOOR => &self.floor,
            // Reserved, and nobody listens.
            "loopd away" => "http://127.0.0.1:1",
            _ => &self.agents,
        };
        json!({
            "variant": variant.name,
            "work": work,
            "endpoint": endpoint,
            "directory": self.scratch.path(),
        })
    }

    /// One round; what the program prints at its end.
    pub(crate) fn round(&self, variant: &Variant, job: &Value) -> anyhow::Result<Value> {
        let mut command = Command::new(self.program(variant.flavour));
        answer(command.arg(job.to_string())).with_context(|| format!("round {job}"))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.sink.kill();
        let _ = self.sink.wait();
    }
}

/// Runs a round's program to its end.
pub(crate) fn answer(command: &mut Command) -> anyhow::Result<Value> {
    // What dial9 and others log is of no interest here.
    let output = command.stderr(Stdio::piped()).output()?;
    let complaint = || String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{}: {}", output.status, complaint());
    let printed = String::from_utf8(output.stdout)?;
    Ok(serde_json::from_str(printed.lines().next_back().context("printed nothing")?)?)
}

fn program(folder: &Path, flavour: Flavour) -> PathBuf {
    folder.join(flavour.name()).join("release/loopd-bench-agent")
}

fn build(flavour: Flavour, folder: &Path) -> anyhow::Result<()> {
    let mut build = cargo();
    build.current_dir(root().join("bench/agent"));
    build.args(["build", "--release", "--locked", "--quiet", "--target-dir"]);
    build.arg(folder.join(flavour.name()));
    // Instead of what .cargo/config.toml says.
    let flags = if flavour == Flavour::Stable { "" } else { "--cfg tokio_unstable" };
    build.env("RUSTFLAGS", flags);
    if flavour != Flavour::Stable {
        build.args(["--features", flavour.name()]);
    }
    eprintln!("building flavour {}", flavour.name());
    anyhow::ensure!(build.status()?.success(), "cannot build flavour {}", flavour.name());
    Ok(())
}

/// The stand-in, with where it listens for agents and for the hand-written recorder.
fn start_sink(program: &Path) -> anyhow::Result<(Child, String, String)> {
    let job = json!({ "work": "sink", "processor": 1 });
    let mut command = Command::new(program);
    let mut sink = command.arg(job.to_string()).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(sink.stdout.take().context("no output")?).lines();
    let mut next = || anyhow::Ok(lines.next().context("the collector's stand-in ended")??);
    let (agents, floor) = (next()?, next()?);
    Ok((sink, agents, floor))
}
