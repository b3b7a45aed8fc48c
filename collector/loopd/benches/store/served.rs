//! `loopd serve` as a child process, and what it costs.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cpu;

/// A collector that uses less than this share of a processor is idle.
const IDLE_SHARE: f64 = 0.02;
const IDLE_TIME: Duration = Duration::from_secs(2);
/// Upkeep of what was ingested takes no longer than this.
const UPKEEP_LIMIT: Duration = Duration::from_secs(300);

/// A running collector. It is killed when dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) addr: SocketAddr,
    pub(crate) db: PathBuf,
}

/// The program under test, which cargo builds with the bench.
fn loopd(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loopd"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("LOOPD_")) {
            command.env_remove(name);
        }
    }
    command.env("LOOPD_LOG", "error").args(args).stdin(Stdio::null());
    command
}

impl Served {
    pub(crate) fn start(db: &Path, retain_size: &str) -> Self {
        let mut command = loopd(&["serve", "--listen", "127.0.0.1:0", "--retain-age", "off"]);
        command.args(["--retain-size", retain_size, "--db"]).arg(db);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut words = line.split_whitespace();
        let addr = words.find_map(|word| word.strip_prefix("http://")?.parse().ok());
        Self { child, addr: addr.unwrap(), db: db.to_owned() }
    }

    /// Processor time that it has used so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu::of(self.child.id())
    }

    /// Waits until it has nothing left to do.
    pub(crate) fn wait_idle(&self) {
        let deadline = Instant::now() + UPKEEP_LIMIT;
        loop {
            let before = self.cpu();
            std::thread::sleep(IDLE_TIME);
            if (self.cpu() - before).as_secs_f64() <= IDLE_SHARE * IDLE_TIME.as_secs_f64() {
                return;
            }
            assert!(Instant::now() < deadline, "its upkeep never ends");
        }
    }

    /// Stops it politely; what it recorded can then be asked for.
    pub(crate) fn stop(mut self) -> PathBuf {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        self.db.clone()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The one number that a query over a database gives.
pub(crate) fn number(db: &Path, sql: &str) -> u64 {
    let mut command = loopd(&["query", "--format", "csv", "--timeout", "60", "--db"]);
    let output = command.arg(db).arg(sql).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text.lines().nth(1).and_then(|line| line.trim().parse().ok());
    let error = String::from_utf8_lossy(&output.stderr);
    number.unwrap_or_else(|| panic!("{sql}: no number in {text:?}; {error}"))
}
