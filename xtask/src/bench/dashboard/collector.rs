//! The `loopd serve` whose page is measured. It keeps everything.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;

/// A running collector; it is killed when dropped.
pub(crate) struct Collector {
    child: Child,
    /// Where it listens.
    pub(crate) url: String,
}

impl Collector {
    pub(crate) fn start(program: &Path, db: &Path) -> anyhow::Result<Self> {
        let mut serve = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("LOOPD_")) {
                serve.env_remove(name);
            }
        }
        serve.args(["serve", "--listen", "127.0.0.1:0", "--retain-age", "off"]);
        serve.args(["--retain-size", "off", "--db"]).arg(db);
        serve.env("LOOPD_LOG", "error").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut collector =
            Self { child: serve.spawn().context("start `loopd serve`")?, url: String::new() };
        let stdout = collector.child.stdout.take().context("it has no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("read where it listens")?;
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        collector.url = url.with_context(|| format!("no address in {line:?}"))?.to_owned();
        Ok(collector)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
