//! The Python package, with every interpreter that is here: its own tests, and CPython's tests of asyncio,
//! which must come out the same with it and without.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, bail, ensure};

use crate::run::{execute, program, root, target};
use crate::{programs, tools};

/// The versions that the package supports: 3.10 and so on.
const MINOR_VERSIONS: [u32; 4] = [10, 11, 12, 13];
/// Of a version, only these: `3.12 3.13`, for those who repeat tests by hand.
const CHOSEN: &str = "LOOPD_PYTHON_VERSIONS";
/// Says who an interpreter is, if it can run the tests at all.
const WHO: &str = "import ensurepip, sys, venv
assert sys.implementation.name == 'cpython'
print(*sys.version_info[:2], sys.executable)";
/// What one interpreter may take of what it is to do at a time: its own tests wait most of the time.
const SUITE_WORKERS: &str = "3";
const JOBS_AT_A_TIME: usize = 3;
/// Of the package's tests these take as long as all others, and are a job of their own: the shorter jobs are, the
/// shorter is the time at the end in which there are not enough of them.
const TUTORIALS: &str = "test_tutorials.py";

struct Interpreter {
    minor: u32,
    executable: PathBuf,
    /// Debian's has no tests of its own, unless `libpython3-testsuite` is there.
    has_tests: bool,
}

/// Everything, with every interpreter; all of it is run, also if some of it fails.
pub(crate) fn check() -> anyhow::Result<()> {
    let interpreters = interpreters()?;
    programs::build(false)?;
    let wheel = wheel(&interpreters)?;
    // Those that take longest begin first.
    let (mut jobs, mut others) = (VecDeque::new(), VecDeque::new());
    // One after the other, since each runs several processes at a time itself.
    let mut suites = Vec::new();
    let tests = tests();
    let tutorials = tests.join(TUTORIALS);
    for interpreter in &interpreters {
        let python = environment(interpreter, &wheel)?;
        let own = |name: &str, which: &[&OsStr]| -> Job {
            let mut own = program(&python);
            own.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).args(which);
            own.env("LOOPD_BINARY", target().join("debug/loopd"));
            vec![(format!("3.{} {name}", interpreter.minor), own)]
        };
        jobs.push_back(own("tutorials", &[tutorials.as_os_str()]));
        let all_others = [tests.as_os_str(), OsStr::new("--ignore"), tutorials.as_os_str()];
        others.push_back(own("package", &all_others));
        if interpreter.has_tests {
            let mut suite = program(&python);
            suite.arg(tests.join("stdlib_suite.py")).args(["--workers", SUITE_WORKERS]);
            suites.push((format!("3.{} asyncio's own", interpreter.minor), suite));
        } else {
            println!("3.{} came without CPython's own tests: not compared", interpreter.minor);
        }
    }
    jobs.push_front(suites);
    jobs.append(&mut others);
    run_all(jobs)
}

/// The newest interpreter that has `asyncio.TaskGroup`, with the package; `None` if there is none.
pub(crate) fn newest() -> anyhow::Result<Option<String>> {
    let Ok(interpreters) = interpreters() else { return Ok(None) };
    let newest = interpreters.last().filter(|newest| newest.minor >= 11);
    newest.map(|newest| environment(newest, &wheel(&interpreters)?)).transpose()
}

/// Installs what is needed beside the package itself.
pub(crate) fn prepare() -> anyhow::Result<()> {
    let interpreters = interpreters()?;
    builder(&interpreters)?;
    interpreters.iter().try_for_each(|interpreter| requirements(interpreter).map(drop))
}

fn tests() -> PathBuf {
    root().join("agent/loopd-asyncio/tests")
}

/// One interpreter of each supported version, as complete as there is.
fn interpreters() -> anyhow::Result<Vec<Interpreter>> {
    let chosen = std::env::var(CHOSEN).unwrap_or_default();
    let is_chosen = |minor: &u32| {
        chosen.is_empty()
            || chosen.split_whitespace().any(|version| version == format!("3.{minor}"))
    };
    let mut found: BTreeMap<u32, Interpreter> = BTreeMap::new();
    for candidate in candidates() {
        let Some(interpreter) = ask(&candidate) else { continue };
        let is_better = |known: &Interpreter| interpreter.has_tests && !known.has_tests;
        if found.get(&interpreter.minor).is_none_or(is_better) {
            found.insert(interpreter.minor, interpreter);
        }
    }
    for minor in MINOR_VERSIONS.iter().filter(|minor| is_chosen(minor)) {
        match found.get(minor) {
            Some(interpreter) => println!("3.{minor}: {}", interpreter.executable.display()),
            None => println!("3.{minor}: not here, not tested"),
        }
    }
    let supported = MINOR_VERSIONS.iter().filter(|minor| is_chosen(minor));
    let interpreters: Vec<_> = supported.filter_map(|minor| found.remove(minor)).collect();
    ensure!(!interpreters.is_empty(), "no CPython 3.10 to 3.13 that has venv, on PATH or of pyenv");
    Ok(interpreters)
}

/// What may be an interpreter: on `PATH`, and those that pyenv keeps.
fn candidates() -> Vec<PathBuf> {
    let named = MINOR_VERSIONS.iter().map(|minor| PathBuf::from(format!("python3.{minor}")));
    let mut candidates: Vec<_> = named.chain([PathBuf::from("python3")]).collect();
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"));
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or(home);
    let versions = pyenv.and_then(|pyenv| std::fs::read_dir(pyenv.join("versions")).ok());
    let mut kept: Vec<_> = versions
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin/python3")))
        .collect();
    // The newest patch release comes last, and the first of a version is taken.
    kept.sort();
    candidates.extend(kept.into_iter().rev());
    candidates
}

/// Who it is; nothing if it does not run, as pyenv's names for what is not chosen.
fn ask(candidate: &Path) -> Option<Interpreter> {
    let output = Command::new(candidate).args(["-c", WHO]).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let [major, minor, executable] = answer.trim().splitn(3, ' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let (minor, executable) = (minor.parse().ok()?, PathBuf::from(executable));
    let mut has_tests = Command::new(&executable);
    let has_tests = has_tests.args(["-c", "import test.test_asyncio"]).output();
    let has_tests = has_tests.is_ok_and(|output| output.status.success());
    (major == "3").then_some(Interpreter { minor, executable, has_tests })
}

/// The newest of them, with what builds the wheel; its Python.
fn builder(interpreters: &[Interpreter]) -> anyhow::Result<String> {
    let newest = interpreters.last().context("no interpreter")?;
    let list = tests().join("build-requirements.txt");
    tools::python_packages_for(&newest.executable, &target().join("python/build"), &list)
}

/// The one wheel for all of them, built with the newest.
fn wheel(interpreters: &[Interpreter]) -> anyhow::Result<PathBuf> {
    let python = builder(interpreters)?;
    let folder = target().join("python/wheel");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("remove the wheel of another time")?;
    }
    let mut build = program(&python);
    build.args(["-m", "maturin", "build", "--profile", "dev", "--locked", "--manifest-path"]);
    build.arg("agent/loopd-asyncio/Cargo.toml").arg("--out").arg(&folder);
    // In the folder of all other builds, so that what they share is built once.
    execute(build.env("CARGO_TARGET_DIR", target()))?;
    let built = std::fs::read_dir(&folder).context("look for the wheel")?;
    let wheels: Vec<_> = built.filter_map(|entry| Some(entry.ok()?.path())).collect();
    match &wheels[..] {
        [wheel] if wheel.to_string_lossy().contains("-cp310-abi3-") => Ok(wheel.clone()),
        others => bail!("expected one wheel for CPython 3.10 and newer, built {others:?}"),
    }
}

/// What the package's tests need, in an environment of its own; its Python.
fn requirements(interpreter: &Interpreter) -> anyhow::Result<String> {
    let folder = target().join(format!("python/3.{}", interpreter.minor));
    let list = tests().join("requirements.txt");
    tools::python_packages_for(&interpreter.executable, &folder, &list)
}

/// The same with the package; its Python.
fn environment(interpreter: &Interpreter, wheel: &Path) -> anyhow::Result<String> {
    let python = requirements(interpreter)?;
    let mut install = program(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    // Its version does not change with its content.
    install.args(["--force-reinstall", "--no-deps", "--no-index"]).arg(wheel);
    execute(&mut install)?;
    Ok(python)
}

/// A name and what is run, one after the other.
type Job = Vec<(String, Command)>;

/// Runs them a few at a time, and shows what each command had to say when it ends.
fn run_all(jobs: VecDeque<Job>) -> anyhow::Result<()> {
    let jobs = Mutex::new(jobs);
    let failed = Mutex::new(Vec::new());
    let take = || jobs.lock().ok()?.pop_front();
    std::thread::scope(|scope| {
        for _ in 0..JOBS_AT_A_TIME {
            scope.spawn(|| {
                for (name, mut command) in std::iter::from_fn(take).flatten() {
                    let started_at = Instant::now();
                    let output = command.output();
                    let Ok(mut failed) = failed.lock() else { return };
                    let took = started_at.elapsed();
                    match output {
                        Ok(output) => {
                            println!("\n--- {name}, {took:.0?}");
                            print!("{}", String::from_utf8_lossy(&output.stdout));
                            print!("{}", String::from_utf8_lossy(&output.stderr));
                            if !output.status.success() {
                                failed.push(name);
                            }
                        }
                        Err(error) => failed.push(format!("{name} ({error})")),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}
