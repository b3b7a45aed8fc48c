//! What the checks need beyond Rust, Node and apt, installed where it is missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::run::{cargo, execute, program, root, succeeds, target};

/// Where Debian puts the browser.
const CHROMIUM: &str = "/usr/bin/chromium";

/// cargo-nextest, which gives every test a process of its own: the agent is one per process.
pub(crate) fn nextest() -> anyhow::Result<()> {
    if succeeds(cargo().args(["nextest", "--version"])) {
        return Ok(());
    }
    execute(cargo().args(["install", "cargo-nextest", "--locked"])).context("install cargo-nextest")
}

/// The release of tokio-console that loopd is held against.
const TOKIO_CONSOLE: &str = "0.1.14";

/// `tokio-console`, built as cheaply as can be; its path.
pub(crate) fn tokio_console() -> anyhow::Result<PathBuf> {
    let folder = target().join("tools").join(format!("tokio-console-{TOKIO_CONSOLE}"));
    let binary = folder.join("bin/tokio-console");
    if binary.is_file() {
        return Ok(binary);
    }
    let mut install = cargo();
    install.args(["install", "tokio-console", "--version", TOKIO_CONSOLE, "--locked", "--debug"]);
    install.arg("--root").arg(&folder).env("CARGO_PROFILE_DEV_DEBUG", "false");
    // Our flags are for what we build.
    install.env("RUSTFLAGS", "").env_remove("CARGO_TARGET_DIR").current_dir(std::env::temp_dir());
    execute(&mut install).context("install tokio-console")?;
    Ok(binary)
}

/// The npm packages of the dashboard.
pub(crate) fn npm_packages() -> anyhow::Result<()> {
    let web = root().join("dashboard/web");
    let lock = std::fs::read(web.join("package-lock.json")).context("read package-lock.json")?;
    let stamp = web.join("node_modules/.lock-stamp");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let mut npm = program("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&web);
    execute(&mut npm)?;
    std::fs::write(stamp, lock).context("note which packages are installed")
}

/// Python with the packages of a list, in an environment of its own below `target`; its path.
pub(crate) fn python_packages(list: &Path) -> anyhow::Result<String> {
    python_packages_for(Path::new("python3"), &root().join("target/venv"), list)
}

/// The same for one of several interpreters, each with a folder of its own.
pub(crate) fn python_packages_for(
    interpreter: &Path,
    folder: &Path,
    list: &Path,
) -> anyhow::Result<String> {
    let mut wanted = std::fs::read(list).with_context(|| format!("read {}", list.display()))?;
    // Another interpreter is a reason to begin anew, too.
    wanted.extend_from_slice(interpreter.as_os_str().as_encoded_bytes());
    let python = folder.join("bin/python").display().to_string();
    let stamp = folder.join(".installed");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let mut make = Command::new(interpreter);
    execute(make.args(["-m", "venv", "--clear"]).arg(folder))
        .context("make an environment for Python packages (on Debian: apt install python3-venv)")?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    execute(program(&python).args(pip).arg(list))?;
    std::fs::write(stamp, wanted).context("note which packages are installed")?;
    Ok(python)
}

/// The browser; its path.
pub(crate) fn chromium() -> anyhow::Result<String> {
    if let Ok(path) = std::env::var("CHROMIUM") {
        return Ok(path);
    }
    if !Path::new(CHROMIUM).exists() {
        let lock = ["-o", "DPkg::Lock::Timeout=300"];
        execute(program("apt-get").args(lock).arg("update"))?;
        let install = ["install", "--yes", "--no-install-recommends", "chromium"];
        execute(
            program("apt-get").args(lock).args(install).env("DEBIAN_FRONTEND", "noninteractive"),
        )?;
    }
    if Path::new(CHROMIUM).exists() {
        Ok(CHROMIUM.to_string())
    } else {
        bail!("no browser: install chromium, or set CHROMIUM to the path of one")
    }
}
