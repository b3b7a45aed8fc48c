//! Builds the web page with npm and tells `src/assets.rs` where the result is.
//!
//! Never in the way: without npm, or if the page does not build, a stub page is embedded instead
//! and cargo prints a warning. `LOOPD_DASHBOARD` chooses: `auto` (the default), `require` (a page
//! that does not build fails the build; what releases use), `stub` (do not try). Everything is
//! written below `OUT_DIR`, so the source tree stays clean.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What is never an input of the build, and would make cargo look at thousands of files.
const NOT_SOURCES: [&str; 6] =
    ["node_modules", "dist", ".vite", "test-results", "playwright-report", "coverage"];

/// Holds the lockfile that `node_modules` was installed from.
const LOCK_STAMP: &str = ".installed-lock";

/// What the page's types are generated from. Cargo runs build scripts in the folder where it is.
const DOCUMENT: &str = "openapi.json";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={DOCUMENT}");
    for name in ["LOOPD_DASHBOARD", "LOOPD_NPM", "DOCS_RS"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let web = variable("CARGO_MANIFEST_DIR")?.join("../web");
    let out = variable("OUT_DIR")?;
    let mode = env::var("LOOPD_DASHBOARD").unwrap_or_else(|_| "auto".into());

    let built = match mode.as_str() {
        _ if env::var_os("DOCS_RS").is_some() => Err("this is a documentation build".into()),
        "stub" => Err("LOOPD_DASHBOARD=stub was set".into()),
        "auto" | "require" => {
            watch(&web)?;
            build(&web, &out)
        }
        other => {
            let why = format!("LOOPD_DASHBOARD={other} is none of auto, require, stub");
            return Err(io::Error::other(why));
        }
    };
    let dist = match built {
        Ok(dist) => dist,
        Err(why) if mode == "require" => {
            return Err(io::Error::other(format!("the web page does not build: {why}")));
        }
        Err(why) => {
            if mode == "auto" {
                let line = why.lines().next().unwrap_or_default();
                println!(
                    "cargo:warning=web page not built, a stub is embedded instead: {line}; \
                     LOOPD_DASHBOARD=require shows all of it"
                );
            }
            stub(&out, &why)?
        }
    };
    println!("cargo:rustc-env=LOOPD_DASHBOARD_DIST={}", dist.display());
    Ok(())
}

fn variable(name: &str) -> io::Result<PathBuf> {
    env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(format!("{name} not set")))
}

/// Asks cargo to come back when a source of the page changes. A missing `package.json` is named
/// too, so that the page is built as soon as there is one.
fn watch(web: &Path) -> io::Result<()> {
    println!("cargo:rerun-if-changed={}", web.join("package.json").display());
    if !web.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(web)? {
        let entry = entry?;
        if is_source(&entry.file_name()) {
            println!("cargo:rerun-if-changed={}", entry.path().display());
        }
    }
    Ok(())
}

fn is_source(name: &std::ffi::OsStr) -> bool {
    !NOT_SOURCES.iter().any(|skipped| name == *skipped)
}

/// The folder with the built page, or why there is none.
fn build(web: &Path, out: &Path) -> Result<PathBuf, String> {
    if !web.join("package.json").is_file() {
        return Err("dashboard/web has no package.json".into());
    }
    let (work, dist) = (out.join("web"), out.join("dist"));
    empty(&work)
        .and_then(|()| copy(web, &work))
        .and_then(|()| fs::copy(DOCUMENT, work.join(DOCUMENT)).map(|_| ()))
        .map_err(|error| format!("copying dashboard/web: {error}"))?;
    let npm = env::var_os("LOOPD_NPM").unwrap_or_else(|| "npm".into());
    let npm = |arguments: &[&str]| {
        let mut command = Command::new(&npm);
        command.args(arguments).current_dir(&work).env("CI", "1");
        command
    };

    let lock = fs::read(work.join("package-lock.json"))
        .map_err(|error| format!("reading package-lock.json: {error}"))?;
    let stamp = work.join(LOCK_STAMP);
    if fs::read(&stamp).ok().as_ref() != Some(&lock) {
        // One retry, else a machine without a network waits for minutes.
        let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"];
        run(npm(&["ci"]).args(quiet))?;
        fs::write(&stamp, &lock).map_err(|error| format!("writing {LOCK_STAMP}: {error}"))?;
    }
    run(npm(&["run", "build", "--", "--emptyOutDir", "--outDir"]).arg(&dist))?;
    if dist.join("index.html").is_file() {
        Ok(dist)
    } else {
        Err("npm run build left no index.html".into())
    }
}

/// Runs to the end; an error holds what the command printed.
fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let printed = [output.stderr, output.stdout].concat();
    Err(format!(
        "{name} {} ended with {}\n{}",
        arguments.first().map_or("", String::as_str),
        output.status,
        String::from_utf8_lossy(&printed)
    ))
}

/// Removes what an earlier build copied, but for the installed packages.
fn empty(work: &Path) -> io::Result<()> {
    fs::create_dir_all(work)?;
    for entry in fs::read_dir(work)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "node_modules" || name == LOCK_STAMP {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if kind.is_dir() && is_source(&name) {
            copy(&entry.path(), &to.join(name))?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

/// A page that says what is missing and how to get it.
fn stub(out: &Path, why: &str) -> io::Result<PathBuf> {
    let folder = out.join("stub");
    fs::create_dir_all(&folder)?;
    let why = why.lines().next().unwrap_or_default();
    let why = why.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let page = include_str!("stub.html").replace("{{why}}", &why);
    fs::write(folder.join("index.html"), page)?;
    Ok(folder)
}
