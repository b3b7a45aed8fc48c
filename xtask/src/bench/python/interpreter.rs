//! The interpreters there are, each with an environment of its own below `target` that has the peers and
//! the wheel of loopd.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::bench::python::{benches, target};
use crate::run::root;

/// The versions that are measured, where they are installed.
const VERSIONS: [&str; 2] = ["3.11", "3.13"];

/// A Python with everything that is measured.
pub(crate) struct Interpreter {
    /// As in `3.13.0`.
    pub(crate) version: String,
    pub(crate) program: PathBuf,
}

/// Finds the interpreters, builds the wheel, and installs what is missing.
pub(crate) fn prepare() -> anyhow::Result<Vec<Interpreter>> {
    let mut interpreters = Vec::new();
    for version in VERSIONS {
        match find(version) {
            Some((python, version)) => interpreters.push(environment(&python, version)?),
            None => eprintln!("there is no Python {version} here, which is left out"),
        }
    }
    let first = interpreters.first().context("found none of the Pythons to be measured")?;
    let wheel = build_wheel(first)?;
    for interpreter in &interpreters {
        let install = ["-m", "pip", "install", "--no-index", "--no-deps", "--force-reinstall"];
        quietly(Command::new(&interpreter.program).args(install).arg(&wheel))?;
    }
    Ok(interpreters)
}

/// An interpreter of this minor version and its full version: of pyenv, or on the search path.
pub(crate) fn find(minor: &str) -> Option<(PathBuf, String)> {
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| Some(std::env::home_dir()?.join(".pyenv")));
    let versions = std::fs::read_dir(pyenv?.join("versions")).into_iter().flatten().flatten();
    let mut programs: Vec<_> = versions
        .filter(|version| version.file_name().to_string_lossy().starts_with(minor))
        .map(|version| version.path().join("bin/python3"))
        .collect();
    programs.push(format!("python{minor}").into());
    programs.into_iter().find_map(|program| {
        let print = "import platform; print(platform.python_version())";
        // Not `-I`: a shim of pyenv wants its variables.
        let output = Command::new(&program).args(["-c", print]).output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        version.starts_with(&format!("{minor}.")).then_some((program, version))
    })
}

/// Its environment with the packages of the list.
fn environment(python: &Path, version: String) -> anyhow::Result<Interpreter> {
    let list = benches().join("requirements.txt");
    let wanted = std::fs::read(&list).with_context(|| format!("read {}", list.display()))?;
    let folder = target().join("bench-python").join(&version);
    let stamp = folder.join(".installed");
    let program = folder.join("bin/python");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(Interpreter { version, program });
    }
    eprintln!("installing what Python {version} needs");
    quietly(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let install = ["-m", "pip", "install", "--disable-pip-version-check", "--requirement"];
    quietly(Command::new(&program).args(install).arg(&list))?;
    std::fs::write(stamp, wanted).context("note which packages are installed")?;
    Ok(Interpreter { version, program })
}

/// The wheel for every interpreter: it keeps to the stable ABI.
fn build_wheel(interpreter: &Interpreter) -> anyhow::Result<PathBuf> {
    let manifest = root().join("agent/loopd-asyncio/Cargo.toml");
    anyhow::ensure!(
        manifest.exists(),
        "no package to be measured: {} is missing",
        manifest.display()
    );
    eprintln!("building the wheel");
    // A folder that was not there before, so that what is in it is from this build.
    let wheels = target().join("bench-python/wheels");
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels).context("remove the old wheel")?;
    }
    let mut build = Command::new(&interpreter.program);
    build.args(["-m", "maturin", "build", "--profile", "wheel", "--locked", "--interpreter"]);
    build.arg(&interpreter.program).arg("--out").arg(&wheels).arg("-m").arg(&manifest);
    quietly(&mut build)?;
    let mut built = std::fs::read_dir(&wheels).context("maturin left no folder")?;
    Ok(built.next().context("maturin left no wheel")??.path())
}

/// Nothing but rows belongs on standard output.
pub(crate) fn quietly(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let output = command.current_dir(root()).output().with_context(|| format!("start {shown}"))?;
    let complaint = || String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{shown}: {}\n{}", output.status, complaint());
    Ok(())
}
