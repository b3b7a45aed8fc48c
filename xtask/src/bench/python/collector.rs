//! A `loopd serve` built in release, and what is in its database.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use tempfile::TempDir;

use crate::bench::python::target;
use crate::run::cargo;

/// A running collector; it is killed when dropped.
pub(crate) struct Collector {
    program: PathBuf,
    serve: Child,
    url: String,
    folder: TempDir,
    /// How many programs were told to send to it.
    apps: usize,
}

/// What a database knows of a program.
#[derive(Default)]
pub(crate) struct Account {
    /// By kind of record: how many were produced, are stored, and were lost on either side.
    pub(crate) kinds: BTreeMap<String, Vec<u64>>,
    /// Lost records by cause.
    pub(crate) causes: BTreeMap<String, u64>,
    /// Polls, counted one by one.
    pub(crate) polls: u64,
}

impl Account {
    pub(crate) fn add(&mut self, other: &Self) {
        for (kind, counts) in &other.kinds {
            let sums = self.kinds.entry(kind.clone()).or_insert_with(|| vec![0; counts.len()]);
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        for (cause, count) in &other.causes {
            *self.causes.entry(cause.clone()).or_default() += count;
        }
        self.polls += other.polls;
    }

    /// Of all kinds: produced, stored, and lost.
    pub(crate) fn totals(&self) -> [u64; 3] {
        let sum = |i| self.kinds.values().filter_map(|counts: &Vec<u64>| counts.get(i)).sum();
        [sum(0), sum(1), sum(2)]
    }
}

impl Collector {
    pub(crate) fn start() -> anyhow::Result<Self> {
        eprintln!("building loopd");
        let build = ["build", "--release", "--locked", "--quiet", "--package", "loopd"];
        anyhow::ensure!(cargo().args(build).status()?.success(), "cannot build loopd");
        let program = target().join("release/loopd");
        let folder = TempDir::with_prefix("loopd-bench-")?;
        let mut serve = loopd(&program);
        serve.args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(database(&folder));
        let mut serve = serve.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(serve.stdout.take().context("no output")?).read_line(&mut line)?;
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.with_context(|| format!("loopd says no address: {line:?}"))?.to_owned();
        Ok(Self { program, serve, url, folder, apps: 0 })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A name for the next program, which no other has.
    pub(crate) fn next_app(&mut self) -> String {
        self.apps += 1;
        self.app()
    }

    fn app(&self) -> String {
        format!("bench-{}", self.apps)
    }

    /// What the database knows of the latest program.
    pub(crate) fn account(&mut self) -> anyhow::Result<Account> {
        if let Some(status) = self.serve.try_wait()? {
            anyhow::bail!("loopd serve ended before its time: {status}");
        }
        let process = format!("(select process from processes where app = '{}')", self.app());
        let ledger = self.query(&format!(
            "select kind, produced, stored, dropped + lost from ledger where process = {process}"
        ))?;
        let losses = self.query(&format!(
            "select cause, sum(count) from losses where process = {process} group by cause"
        ))?;
        let polls = self.query(&format!("select count(*) from polls where process = {process}"))?;
        let mut account = Account::default();
        for row in &ledger {
            let [kind, counts @ ..] = row.as_slice() else { continue };
            account.kinds.insert(kind.clone(), counts.iter().map(|count| number(count)).collect());
        }
        anyhow::ensure!(!account.kinds.is_empty(), "nothing was recorded of {}", self.app());
        for row in &losses {
            let [cause, count] = row.as_slice() else { continue };
            account.causes.insert(cause.clone(), number(count));
        }
        account.polls =
            number(polls.first().and_then(|row| row.first()).map_or("", String::as_str));
        Ok(account)
    }

    /// The rows of a query.
    fn query(&self, sql: &str) -> anyhow::Result<Vec<Vec<String>>> {
        let mut query = loopd(&self.program);
        query.args(["query", "--format", "csv", "--timeout", "60", "--db"]);
        let output = query.arg(database(&self.folder)).arg(sql).output()?;
        let complaint = || String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "{sql}: {}", complaint());
        let text = String::from_utf8(output.stdout)?;
        // Nothing that is asked for has a comma in it.
        let row = |line: &str| line.split(',').map(str::to_owned).collect();
        Ok(text.lines().skip(1).map(row).collect())
    }
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.serve.kill();
        let _ = self.serve.wait();
    }
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("bench.db")
}

/// The program, without what the caller's variables would make of it.
fn loopd(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("LOOPD_")) {
            command.env_remove(name);
        }
    }
    command.env("LOOPD_LOG", "error").stdin(Stdio::null());
    command
}
