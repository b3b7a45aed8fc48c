//! What the programs of the zoo say of themselves, and how they are run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::run::{program, root};

/// Ends the line of a Python program that must be named.
const PYTHON_MARK: &str = "# <- disease";
/// Begins the line with the rules that a Python program expects; empty for a healthy one.
const PYTHON_RULES: &str = "RULES";

/// A program of the zoo.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// What it is called, also in the recording.
    pub(crate) name: String,
    /// Rules of which any is right; none: nothing may be found.
    pub(crate) rules: Vec<String>,
    /// Lines of which any is right, as pages show them.
    pub(crate) locations: Vec<String>,
    /// Whether it keeps processors busy, and so must not run beside others.
    pub(crate) is_alone: bool,
    /// How many seconds it has to run at least.
    pub(crate) min_seconds: u64,
    by: By,
}

#[derive(Clone, Debug)]
enum By {
    /// The binary of the zoo.
    Zoo(PathBuf),
    /// Python, once it is known which, and the script.
    Python(Option<String>, PathBuf),
}

impl Program {
    pub(crate) fn is_sick(&self) -> bool {
        !self.rules.is_empty()
    }

    /// The interpreter of a Python program.
    pub(crate) fn run_by(&mut self, interpreter: &str) {
        if let By::Python(python, _) = &mut self.by {
            *python = Some(interpreter.to_owned());
        }
    }

    /// Runs it for so many seconds.
    pub(crate) fn command(&self, length: u64) -> Command {
        match &self.by {
            By::Zoo(binary) => {
                let mut command = program(&binary.to_string_lossy());
                command.arg(&self.name).arg("--for").arg(format!("{length}s"));
                command
            }
            By::Python(python, script) => {
                let mut command = program(python.as_deref().unwrap_or("python3"));
                command.args(["-m", "loopd", "run"]).arg(script).arg(length.to_string());
                command
            }
        }
    }
}

/// Those that the binary of the zoo lists.
pub(crate) fn of_rust(binary: &Path) -> anyhow::Result<Vec<Program>> {
    let output = Command::new(binary).args(["--list", "--json"]).output();
    let output = output.with_context(|| format!("start {}", binary.display()))?;
    ensure!(output.status.success(), "`zoo --list --json` failed: {}", output.status);
    let list = String::from_utf8(output.stdout)?;
    list.lines().map(|line| rust_program(binary, line)).collect()
}

fn rust_program(binary: &Path, line: &str) -> anyhow::Result<Program> {
    let told: Value = serde_json::from_str(line).context("read what the zoo lists")?;
    let texts = |key: &str| -> Vec<String> {
        let all = told[key].as_array().into_iter().flatten();
        all.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    Ok(Program {
        name: told["name"].as_str().context("a program without a name")?.to_owned(),
        rules: texts("rules"),
        locations: texts("locations"),
        is_alone: told["is_alone"] == true,
        min_seconds: told["min_seconds"].as_u64().unwrap_or_default(),
        by: By::Zoo(binary.to_owned()),
    })
}

/// The scripts beside the zoo's crate that say what is expected of them.
pub(crate) fn of_python() -> anyhow::Result<Vec<Program>> {
    let folder = root().join("agent/examples/zoo/python");
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(&folder).context("list the zoo's Python programs")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "py") {
            let source = std::fs::read_to_string(&path)?;
            programs.extend(python_program(&path, &source)?);
        }
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

/// Nothing if it expects nothing: then it is there for others to import.
fn python_program(path: &Path, source: &str) -> anyhow::Result<Option<Program>> {
    let rules = source.lines().find(|line| line.starts_with(PYTHON_RULES));
    let Some((_, rules)) = rules.and_then(|line| line.split_once("= ")) else { return Ok(None) };
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let marked = source.lines().enumerate().filter(|(_, line)| line.ends_with(PYTHON_MARK));
    let program = Program {
        rules: serde_json::from_str(rules).with_context(|| format!("read the rules of {name}"))?,
        locations: marked.map(|(i, _)| format!("zoo/python/{name}.py:{}", i + 1)).collect(),
        is_alone: false,
        min_seconds: 0,
        by: By::Python(None, path.to_owned()),
        name,
    };
    ensure!(program.is_sick() != program.locations.is_empty(), "{} is half sick", program.name);
    Ok(Some(program))
}
