//! Real programs with the real `console-subscriber`, recorded by `loopd attach` and `loopd serve --attach`:
//! whether what is recorded is what they did, and what our own agent says of the same program.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::run::{cargo, execute, target};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A workspace of its own.
const MANIFEST: &str = "bench/console-app/Cargo.toml";
/// What the program does.
const STEADY: u64 = 8;
/// So often each of these is polled, at most: a sleep may be over before it is polled at all.
const POLLS: std::ops::RangeInclusive<u64> = 50..=101;
const WORK: u64 = 100 * 600_000;
/// The two records may differ by so much.
const TOLERANCE: f64 = 0.01;

pub(crate) fn check() -> anyhow::Result<()> {
    execute(cargo().args(["build", "--locked", "--package", "loopd", "--bins"]))?;
    let folder = TempDir::with_prefix("loopd-attach-")?;
    let plain = build(&[], &folder.path().join("plain"))?;
    let both = build(&["--features", "loopd"], &folder.path().join("both"))?;
    let place = free_address()?;
    let mut serve = loopd();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(folder.path().join("loopd.db"));
    serve.args(["--attach", &format!("http://{place}=shop")]);
    let server = Running::start(serve, &folder.path().join("serve.log"))?;
    let url = server.line()?;
    let url = url.split_whitespace().find(|word| word.starts_with("http://"));
    let url = url.context("`loopd serve` does not say where it is")?.to_owned();
    let ask = Ask { url: url.clone() };

    println!("a program over TCP, by `loopd serve --attach`");
    let log = folder.path().join("plain.log");
    let mut command = Command::new(&plain);
    command.arg(&place);
    let program = Running::start(command, &log)?;
    ensure!(program.line()?.trim() == "done", "the program is not done");
    ask.until(
        "SELECT count(*), min(polls), max(polls), min(busy_time)
         FROM tasks JOIN processes USING (process) WHERE app = 'shop' AND name = 'steady'
            AND tasks.state = 'alive' AND location LIKE '%main.rs:%'",
        |row| {
            let polls = POLLS.contains(&row[1]) && POLLS.contains(&row[2]);
            row[0] == STEADY && polls && row[3] >= WORK
        },
    )?;
    ask.until(
        "SELECT max_poll_time, slow_polls FROM tasks JOIN processes USING (process)
         WHERE app = 'shop' AND name = 'slow'",
        |row| row[0] >= 195_000_000 && row[1] >= 1,
    )?;
    ask.until(
        "SELECT count(*), count(outcome = 'unknown') FROM tasks JOIN processes USING (process)
         WHERE app = 'shop' AND name = 'short' AND tasks.state = 'ended'",
        |row| row == [50, 50],
    )?;
    ask.until(
        "SELECT count(*) FROM waits JOIN tasks USING (process, task) JOIN processes USING (process)
         WHERE app = 'shop' AND op = 'lock' AND waits.state = 'pending' AND name = 'waiter'",
        |row| row == [1],
    )?;
    ask.until(
        "SELECT sum(kind = 'tokio::sync::Mutex' AND locked = 1),
            sum(kind = 'tokio::sync::Semaphore' AND permits = 2), sum(permits IS NOT NULL)
         FROM resources JOIN processes USING (process) WHERE app = 'shop'",
        |row| row == [1, 1, 1],
    )?;
    ask.until(
        "SELECT count(*), (SELECT count(*) FROM losses), (SELECT count(*) FROM polls) FROM processes",
        |row| row == [1, 0, 0],
    )?;

    println!("it is restarted, at the same address");
    drop(program);
    let mut command = Command::new(&plain);
    command.arg(&place);
    let program = Running::start(command, &log)?;
    ask.until(
        "SELECT count(DISTINCT process), count(*), min(polls), max(polls)
         FROM tasks JOIN processes USING (process) WHERE app = 'shop' AND name = 'steady'",
        |row| row[..2] == [2, 2 * STEADY] && POLLS.contains(&row[2]) && POLLS.contains(&row[3]),
    )?;
    ask.until(
        "SELECT sum(state = 'lost'), sum(state = 'live') FROM processes WHERE app = 'shop'",
        |row| row == [1, 1],
    )?;
    drop(program);

    println!("a program with our own agent as well, over a socket, by `loopd attach`");
    let socket = folder.path().join("console.sock");
    let mut attach = loopd();
    attach.arg("attach").arg(format!("file://{}", socket.display()));
    attach.args(["--name", "attached", "--url", &url]);
    let attached = Running::start(attach, &folder.path().join("attach.log"))?;
    let mut command = Command::new(&both);
    command.arg(&socket).env("LOOPD_ENDPOINT", &url).env("LOOPD_APP", "own");
    let program = Running::start(command, &folder.path().join("both.log"))?;
    ensure!(program.line()?.trim() == "done", "the program is not done");
    let compared =
        "SELECT count(*), sum(a.polls), sum(b.polls), sum(a.busy_time), sum(b.busy_time),
            sum(a.wakes), sum(b.wakes)
        FROM tasks a JOIN processes p ON p.process = a.process AND p.app = 'own'
        JOIN tasks b ON b.task = a.task
        JOIN processes q ON q.process = b.process AND q.app = 'attached'
        WHERE a.name = 'steady'";
    let row = ask.until(compared, |row| {
        row[0] == STEADY && row[1] == row[2] && row[1] >= STEADY * POLLS.start() && row[6] > 0
    })?;
    println!(
        "polls {} and {}, busy {} and {} ns, wakes {} and {}",
        row[1], row[2], row[3], row[4], row[5], row[6]
    );
    for (what, own, seen) in [("busy time", row[3], row[4]), ("wakes", row[5], row[6])] {
        let difference = own.abs_diff(seen) as f64 / own.max(1) as f64;
        ensure!(difference <= TOLERANCE, "{what} differs by {:.2} %", difference * 100.0);
    }
    drop((attached, program, server));
    Ok(())
}

fn build(flags: &[&str], to: &Path) -> anyhow::Result<PathBuf> {
    let folder = target().join("console-app");
    let mut build = cargo();
    build.args(["build", "--locked", "--manifest-path", MANIFEST, "--target-dir"]).arg(&folder);
    execute(build.args(flags))?;
    // The other flavour takes its place.
    std::fs::copy(folder.join("debug/loopd-console-app"), to).context("keep the program")?;
    Ok(to.to_owned())
}

fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn loopd() -> Command {
    let mut command = Command::new(target().join("debug/loopd"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("LOOPD_")) {
            command.env_remove(name);
        }
    }
    command
}

/// A program that ends when this is dropped.
struct Running {
    child: Child,
    out: std::cell::RefCell<BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(log).context("open a log")?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let out = child.stdout.take().context("it has no standard output")?;
        Ok(Self { child, out: BufReader::new(out).into() })
    }

    /// The next line that it prints.
    fn line(&self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.out.borrow_mut().read_line(&mut line)?;
        Ok(line)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server to ask in SQL.
struct Ask {
    url: String,
}

impl Ask {
    /// Waits until the one row of numbers is as wanted.
    fn until(&self, sql: &str, is_wanted: impl Fn(&[u64]) -> bool) -> anyhow::Result<Vec<u64>> {
        let deadline = Instant::now() + PATIENCE;
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
        let mut query = loopd();
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
