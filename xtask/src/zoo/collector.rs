//! The `loopd serve` that records the zoo, with a database of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::without_our_settings;
use crate::run::target;

/// How long a program may take to end once its time is up, and its end to be stored: longer than on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at something that is awaited.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A running `loopd serve`; ends when dropped.
pub(crate) struct Collector {
    child: Child,
    /// Where it listens.
    pub(crate) url: String,
    folder: PathBuf,
}

impl Collector {
    /// Starts it on a free port; the database and the log are in the folder.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut serve = loopd();
        serve.args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(folder.join("zoo.db"));
        let log = File::create(folder.join("serve.log")).context("make the collector's log")?;
        let child =
            serve.stdout(Stdio::piped()).stderr(log).spawn().context("start `loopd serve`")?;
        let mut collector = Self { child, url: String::new(), folder: folder.to_owned() };
        let stdout = collector.child.stdout.take().context("it has no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("read where it listens")?;
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        collector.url = url.with_context(|| format!("no address in {line:?}"))?.to_owned();
        Ok(collector)
    }

    /// Runs a program, and waits until its end is stored. What it prints goes to a log of its own.
    pub(crate) fn run_to_its_end(
        &self,
        app: &str,
        mut command: Command,
        length: u64,
    ) -> anyhow::Result<()> {
        // An earlier run of it is over.
        let earlier = self.newest(app)?.map(|(process, _)| process);
        let log = File::create(self.folder.join(format!("{app}.log")))?;
        let mut child =
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let limit = Duration::from_secs(length) + PATIENCE;
        let ended = wait(limit, || child.try_wait().map_err(Into::into));
        if ended.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let status = ended.context("wait for its end")?;
        ensure!(status.success(), "it failed, {status}: {}", self.log_of(app));
        // Without a goodbye, for which a busy machine may leave no time, it counts as lost.
        let is_over = |(process, state): (i64, String)| {
            Some(process) != earlier && matches!(state.as_str(), "ended" | "lost")
        };
        wait(PATIENCE, || Ok(self.newest(app)?.is_some_and(is_over).then_some(())))
            .with_context(|| format!("its end was not stored: {}", self.log_of(app)))
    }

    /// What was found in a program, also what is only worth knowing: objects as `loopd findings --json`
    /// prints them.
    pub(crate) fn findings(&self, app: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.ask(&["findings", "--app", app, "--all", "--json"])?;
        let findings = answer.lines().map(serde_json::from_str);
        findings.collect::<Result<_, _>>().context("read the findings")
    }

    /// Its latest run: the number, and `live`, `lost` or `ended`; `None` if nothing has arrived of any.
    fn newest(&self, app: &str) -> anyhow::Result<Option<(i64, String)>> {
        let answer = self.ask(&["apps", "--json"])?;
        for line in answer.lines() {
            let process: Value = serde_json::from_str(line).context("read the list of programs")?;
            if process["app"] == app {
                let number = process["process"].as_i64().context("a program without a number")?;
                return Ok(Some((
                    number,
                    process["state"].as_str().unwrap_or_default().to_owned(),
                )));
            }
        }
        Ok(None)
    }

    fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = loopd().args(arguments).args(["--url", &self.url]).output()?;
        // 4: something was lost, which the findings say themselves.
        ensure!(
            output.status.success() || output.status.code() == Some(4),
            "`loopd {}` failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).context("its answer is no text")
    }

    fn log_of(&self, app: &str) -> String {
        std::fs::read_to_string(self.folder.join(format!("{app}.log"))).unwrap_or_default()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn loopd() -> Command {
    let mut command = Command::new(target().join("debug/loopd"));
    without_our_settings(&mut command);
    command
}

/// Looks again and again until there is something.
fn wait<T>(
    limit: Duration,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let started_at = Instant::now();
    while started_at.elapsed() < limit {
        if let Some(found) = look()? {
            return Ok(found);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    bail!("not within {limit:.0?}")
}
