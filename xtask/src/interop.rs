//! What `loopd export` writes, read by the programs that it is for: pyarrow, DuckDB, and Perfetto's own
//! classes.

use std::path::Path;

use anyhow::Context;
use tempfile::TempDir;

use crate::run::{execute, program, root, target};
use crate::{programs, tools};

/// Long enough for every disease of the demo to show once, also on a busy machine.
const RECORDED: &str = "10s";

/// Formats, and where they go.
const EXPORTS: [(&str, &str); 6] = [
    ("perfetto", "trace.pftrace"),
    ("chrome", "trace.json"),
    ("parquet", "parquet"),
    ("csv", "csv"),
    ("folded", "stacks.folded"),
    ("html", "page.html"),
];

/// Installs the programs that it is for.
pub(crate) fn prepare() -> anyhow::Result<()> {
    readers().map(drop)
}

/// A Python that has them.
fn readers() -> anyhow::Result<String> {
    tools::python_packages(&root().join("xtask/src/interop/requirements.txt"))
}

/// Records the demo, exports it, and has others count.
pub(crate) fn check() -> anyhow::Result<()> {
    let python = readers()?;
    programs::build(false)?;
    let loopd = target().join("debug/loopd");
    let loopd = loopd.to_str().context("the path of this workspace is not text")?;
    let folder = TempDir::with_prefix("loopd-interop-")?;
    let db = folder.path().join("demo.db");
    let demo = ["demo", "--no-open", "--port", "0", "--for", RECORDED, "--db"];
    execute(program(loopd).args(demo).arg(&db))?;
    for (format, name) in EXPORTS {
        export(loopd, &db, format, &folder.path().join(name))?;
    }
    // A database goes out and in again, and is the same to all who count.
    let (copy, other) = (folder.path().join("copy.db"), folder.path().join("other.db"));
    export(loopd, &db, "loopd", &copy)?;
    execute(program(loopd).arg("import").arg(&copy).arg("--db").arg(&other))?;
    execute(program(loopd).args(["db", "check", "--db"]).arg(&other))?;
    let compare = root().join("xtask/src/interop/compare.py");
    execute(program(&python).arg(compare).arg(loopd).arg(&other).arg(folder.path()))
}

fn export(loopd: &str, db: &Path, format: &str, target: &Path) -> anyhow::Result<()> {
    let mut export = program(loopd);
    export.args(["export", "--all", "--format", format, "--db"]).arg(db).arg("-o").arg(target);
    execute(&mut export)
}
