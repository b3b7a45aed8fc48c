//! Programs of ours that run beside others, and what they are asked.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::run::target;

/// Longer than anything takes on a busy machine.
pub(super) const LIMIT: Duration = Duration::from_secs(180);
/// Between two looks.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Of what it prints, so many lines are kept until somebody reads them.
const LINES: usize = 64;

/// A program of this build, without the settings of who runs this.
pub(super) fn command(name: impl AsRef<Path>) -> Command {
    let mut command = Command::new(target().join("debug").join(name));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LOOPD_") {
            command.env_remove(name);
        }
    }
    command.env("LOOPD_ENABLED", "1");
    command
}

/// A program that runs; it ends when dropped.
pub(super) struct Running {
    child: Child,
    lines: Receiver<String>,
    /// Where it listens, of servers.
    pub(super) addr: String,
}

impl Running {
    /// `loopd serve` with these arguments.
    pub(super) fn serve(db: &Path, args: &[&str], folder: &Path) -> anyhow::Result<Self> {
        let mut serve = command("loopd");
        serve.args(["serve", "--db"]).arg(db).args(args);
        Self::server(serve, folder)
    }

    /// A program that says first where it listens.
    pub(super) fn server(command: Command, folder: &Path) -> anyhow::Result<Self> {
        let mut running = Self::start(command, folder)?;
        let line = running.line()?;
        let addr = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
        running.addr = addr.with_context(|| format!("no address in {line:?}"))?.to_owned();
        Ok(running)
    }

    pub(super) fn start(mut command: Command, folder: &Path) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(folder.join("log"))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let out = child.stdout.take().context("it has no standard output")?;
        let (printed, lines) = sync_channel(LINES);
        // Somebody has to keep reading, or it would stall on a full pipe.
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).for_each(|line| {
                let _ = printed.try_send(line);
            });
        });
        Ok(Self { child, lines, addr: String::new() })
    }

    /// The next line that it prints.
    pub(super) fn line(&self) -> anyhow::Result<String> {
        self.lines.recv_timeout(LIMIT).context("it ended, or printed no line in time")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Politely first, so that its end is stored.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A server to ask in SQL.
pub(super) struct Ask {
    pub(super) url: String,
}

impl Ask {
    pub(super) fn of(server: &Running) -> Self {
        Self { url: format!("http://{}", server.addr) }
    }

    /// Waits until the one row of numbers is as wanted.
    pub(super) fn until(
        &self,
        sql: &str,
        is_wanted: impl Fn(&[u64]) -> bool,
    ) -> anyhow::Result<Vec<u64>> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let row = self.row(sql)?;
            if is_wanted(&row) {
                return Ok(row);
            }
            if Instant::now() > deadline {
                bail!("{sql}\nstill gives {row:?}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn row(&self, sql: &str) -> anyhow::Result<Vec<u64>> {
        let mut query = command("loopd");
        query.args(["query", "--url", &self.url, "--format", "csv", sql]);
        let output = query.output().context("run `loopd query`")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "`loopd query` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let values = text.lines().nth(1).context("the query gives no row")?.split(',');
        // What is not known counts as nothing.
        Ok(values.map(|value| value.trim().parse().unwrap_or(0)).collect())
    }
}
