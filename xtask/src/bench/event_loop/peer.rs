//! The processes that are measured, and what has to be there for them.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context;
use serde_json::Value;

use crate::bench::python::collector::Collector;
use crate::bench::python::interpreter::{self, quietly};
use crate::run::{cargo, root, target};

/// Versions of Python; the first that is found is measured.
const VERSIONS: [&str; 6] = ["3.15", "3.14", "3.13", "3.12", "3.11", "3.10"];

pub(crate) const LOCAL_SET: &str = "tokio LocalSet";
pub(crate) const UVLOOP: &str = "uvloop";

/// What is started for each case.
pub(crate) struct Programs {
    own: PathBuf,
    python: Vec<Python>,
    absent: Vec<(&'static str, String)>,
}

/// A loop of Python's.
struct Python {
    name: &'static str,
    version: String,
    program: PathBuf,
}

impl Programs {
    /// Builds the one and finds the others. What cannot be had is absent, and no error.
    pub(crate) fn prepare() -> anyhow::Result<Self> {
        eprintln!("building the benchmark");
        let mut programs = Self { own: build()?, python: Vec::new(), absent: Vec::new() };
        let find = |minor| interpreter::find(minor);
        let Some((python, version)) = VERSIONS.into_iter().find_map(find) else {
            let why = format!("there is no Python from {} to {}", VERSIONS[5], VERSIONS[0]);
            programs.absent = vec![("asyncio", why.clone()), (UVLOOP, why)];
            return Ok(programs);
        };
        let uvloop = with_uvloop(&python, &version);
        let asyncio = Python { name: "asyncio", version: version.clone(), program: python };
        programs.python.push(asyncio);
        match uvloop {
            Ok((program, own_version)) => {
                let version = format!("{own_version} on {version}");
                programs.python.push(Python { name: UVLOOP, version, program });
            }
            Err(error) => programs.absent.push((UVLOOP, format!("{error:#}"))),
        }
        Ok(programs)
    }

    /// What cannot be measured here, and why.
    pub(crate) fn absent(&self) -> &[(&'static str, String)] {
        &self.absent
    }

    pub(crate) fn start(&self, collector: &mut Collector) -> anyhow::Result<Vec<Peer>> {
        let (url, app) = (collector.url().to_owned(), collector.next_app());
        let rust = |arguments: &[&str]| {
            let mut command = Command::new(&self.own);
            command.args(arguments);
            command
        };
        let mut peers = vec![
            Peer::start(LOCAL_SET, "", rust(&["LocalSet"]))?,
            Peer::start("EventLoop, not recorded", "", rust(&["EventLoop"]))?,
        ];
        let recorded = rust(&["EventLoop", &url, &app]);
        let recorded = Peer::start("EventLoop, recorded", "", recorded)?;
        peers.push(Peer { is_recorded: true, ..recorded });
        for python in &self.python {
            let mut command = Command::new(&python.program);
            let script = root().join("agent/loopd-agent/benches/event_loop.py");
            command.arg("-B").arg(script).arg(python.name);
            peers.push(Peer::start(python.name, &python.version, command)?);
        }
        Ok(peers)
    }
}

/// The Rust program; cargo says where it is.
fn build() -> anyhow::Result<PathBuf> {
    let mut build = cargo();
    build.args(["bench", "--locked", "--quiet", "--package", "loopd-agent", "--bench"]);
    build.args(["event_loop", "--no-run", "--message-format", "json"]).stderr(Stdio::inherit());
    let output = build.output()?;
    anyhow::ensure!(output.status.success(), "cannot build the benchmark");
    let messages = String::from_utf8(output.stdout)?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let executable = |message: Value| Some(message["executable"].as_str()?.into());
    messages.filter_map(executable).next_back().context("cargo built no benchmark")
}

/// An environment with the uvloop that `bench python` is measured with, and that one's version.
fn with_uvloop(python: &Path, version: &str) -> anyhow::Result<(PathBuf, String)> {
    let list = root().join("agent/loopd-asyncio/benches/requirements.txt");
    let list =
        std::fs::read_to_string(&list).with_context(|| format!("read {}", list.display()))?;
    let wanted = list.lines().find(|line| line.starts_with("uvloop=="));
    let wanted = wanted.context("no uvloop among the requirements")?;
    let own_version = wanted.trim_start_matches("uvloop==").to_owned();
    let folder = target().join("bench-event-loop").join(version);
    let program = folder.join("bin/python");
    let stamp = folder.join(".installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok((program, own_version));
    }
    eprintln!("installing {wanted} for Python {version}");
    quietly(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
    // Built from source it would be another one: with other flags, by another compiler.
    let install = ["-m", "pip", "install", "--disable-pip-version-check", "--only-binary", ":all:"];
    quietly(Command::new(&program).args(install).arg(wanted))?;
    std::fs::write(stamp, wanted).context("note which package is installed")?;
    Ok((program, own_version))
}

/// A process that does batches; it is killed if it is dropped before its end.
pub(crate) struct Peer {
    pub(crate) is_recorded: bool,
    name: &'static str,
    version: String,
    process: Process,
    lines: Lines<BufReader<ChildStdout>>,
    values: Vec<f64>,
    operations: usize,
}

struct Process {
    child: Child,
    input: Option<ChildStdin>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one process did.
pub(crate) struct Ended {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) is_recorded: bool,
    /// Nanoseconds of the program's own threads for each operation, by batch.
    pub(crate) values: Vec<f64>,
    /// In all batches, those before the first that counts too.
    pub(crate) operations: usize,
    /// Nanoseconds of all other threads for each operation.
    pub(crate) others: f64,
    /// Records that the agent refused, or could not send.
    pub(crate) refused: u64,
}

impl Peer {
    fn start(name: &'static str, version: &str, mut command: Command) -> anyhow::Result<Self> {
        for (variable, _) in std::env::vars_os() {
            if variable.to_str().is_some_and(|variable| variable.starts_with("LOOPD_")) {
                command.env_remove(variable);
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {name}"))?;
        let output = child.stdout.take().context("no output")?;
        let process = Process { input: child.stdin.take(), child };
        Ok(Self {
            is_recorded: false,
            name,
            version: version.to_owned(),
            process,
            lines: BufReader::new(output).lines(),
            values: Vec::new(),
            operations: 0,
        })
    }

    pub(crate) fn batch(
        &mut self,
        case: &str,
        operations: usize,
        counts: bool,
    ) -> anyhow::Result<()> {
        let input = self.process.input.as_mut().context("no input")?;
        writeln!(input, "{case} {operations}").with_context(|| format!("ask {}", self.name))?;
        input.flush()?;
        let nanos: f64 = self.answer()?.parse()?;
        self.operations += operations;
        if counts {
            self.values.push(nanos / operations as f64);
        }
        Ok(())
    }

    pub(crate) fn end(mut self) -> anyhow::Result<Ended> {
        self.process.input = None;
        let answer = self.answer()?;
        let numbers: Vec<f64> = answer
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .context("its last words")?;
        let [all, own, refused] = numbers[..] else { anyhow::bail!("unexpected: {answer:?}") };
        let status = self.process.child.wait()?;
        anyhow::ensure!(status.success(), "{}: {status}", self.name);
        Ok(Ended {
            name: self.name,
            version: self.version,
            is_recorded: self.is_recorded,
            values: self.values,
            // Of two clocks, which may differ by a little less than nothing.
            others: (all - own).max(0.0) / self.operations.max(1) as f64,
            operations: self.operations,
            refused: refused as u64,
        })
    }

    fn answer(&mut self) -> anyhow::Result<String> {
        self.lines
            .next()
            .with_context(|| format!("{} ended", self.name))?
            .context("read its answer")
    }
}
