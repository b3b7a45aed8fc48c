//! A real program with the real agent, and the real collector: what is stored equals what tokio
//! itself counted, and a collector that is away costs the program nothing but counted losses.
//!
//! The test's process is the program: each test has one of its own.

use std::path::PathBuf;

use loopd_agent::Config;
use tempfile::tempdir;
use tokio::runtime::{Builder, RuntimeMetrics};

use crate::binary::{Loopd, db, loopd};
use crate::{LIMIT, wait_until};

const WORKERS: usize = 2;
const TASKS: usize = 100;
const POLLS_PER_TASK: usize = 10_000;
/// Tasks that never end, so that there is somebody alive to count.
const SLEEPERS: usize = 7;
/// Tasks have tokio's ids; the roots of `block_on`, which tokio does not count, are above.
const IS_TASK: &str = "task < (1 << 62)";

/// The one value that a query gives, through `loopd query`.
pub(crate) struct Recording(pub(crate) PathBuf);

impl Recording {
    pub(crate) fn number(&self, sql: &str) -> u64 {
        let text = self.text(sql);
        text.parse().unwrap_or_else(|_| panic!("{sql}: {text:?} is no number"))
    }

    pub(crate) fn text(&self, sql: &str) -> String {
        let mut command = loopd(&["query", "--format", "csv", "--timeout", "60", "--db"]);
        let output = command.arg(&self.0).arg(sql).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let value = text.lines().nth(1).map(|line| line.trim().trim_matches('"').to_owned());
        let error = String::from_utf8_lossy(&output.stderr);
        value.unwrap_or_else(|| panic!("{sql}: no value in {text:?}; {error}"))
    }

    /// Kinds of record whose books do not balance.
    pub(crate) fn unbalanced(&self) -> u64 {
        self.number("select count(*) from ledger where produced <> stored + dropped + lost")
    }
}

pub(crate) fn config(app: &str, loopd: &Loopd) -> Config {
    Config::from_env().app(app).endpoint(format!("http://{}", loopd.addr))
}

fn polls(metrics: &RuntimeMetrics) -> Vec<u64> {
    (0..metrics.num_workers()).map(|worker| metrics.worker_poll_count(worker)).collect()
}

/// Polled `polls` times.
async fn yielding(polls: usize) {
    for _ in 1..polls {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_million_polls_are_stored_as_tokio_counted_them_or_counted_as_lost() {
    let dir = tempdir().unwrap();
    let server = Loopd::start(&dir);
    let recording = Recording(db(&dir));
    let agent = config("truth", &server).start().unwrap();
    let mut builder = Builder::new_multi_thread();
    // Tokio does not count polls that come straight from a worker's LIFO slot; its hooks, and so
    // loopd, see them. Without the slot both count the same.
    builder.worker_threads(WORKERS).enable_all().disable_lifo_slot();
    let runtime = agent.attach("main", builder).build().unwrap();
    let metrics = runtime.metrics();

    for _ in 0..SLEEPERS {
        runtime.spawn(std::future::pending::<()>());
    }
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(yielding(POLLS_PER_TASK))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let expected = (TASKS * POLLS_PER_TASK + SLEEPERS) as u64;
    // A task tells who waits for it a moment before it is gone.
    wait_until("only the sleepers are left", LIMIT, || metrics.num_alive_tasks() == SLEEPERS);
    let alive = "select count(*) from tasks where state = 'alive' and kind = 'async'";
    wait_until("the sleepers are stored as alive, the others as ended", LIMIT, || {
        recording.number(alive) == SLEEPERS as u64
    });
    // Workers publish their last counts when they end.
    drop(runtime);
    let by_tokio = polls(&metrics);
    assert_eq!(by_tokio.iter().sum::<u64>(), expected);
    assert!(agent.shutdown(LIMIT).complete);

    let lost = recording.number("select coalesce(sum(count), 0) from losses where kind = 'poll'");
    for (worker, &by_tokio) in by_tokio.iter().enumerate() {
        let sql = format!("select count(*) from polls where worker = {worker} and {IS_TASK}");
        let stored = recording.number(&sql);
        println!("worker {worker}: tokio counted {by_tokio} polls, {stored} are stored");
        assert!(stored <= by_tokio && stored + lost >= by_tokio, "polls of worker {worker}");
    }
    let stored = recording.number(&format!("select count(*) from polls where {IS_TASK}"));
    assert_eq!(stored + lost, expected, "polls");
    let spawned = recording.number("select count(*) from tasks where kind = 'async'");
    assert_eq!(spawned, (TASKS + SLEEPERS) as u64, "spawned tasks");
    let sampled = "select cast(max(value) as int) from metrics where name = 'spawned_tasks'";
    assert_eq!(recording.number(sampled), spawned, "tokio's own count of them");
    assert_eq!(recording.unbalanced(), 0);
}

#[test]
fn a_collector_that_comes_late_gets_what_happened_before() {
    let dir = tempdir().unwrap();
    let addr = free_address();
    let agent = Config::from_env().app("early").endpoint(format!("http://{addr}")).start().unwrap();
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(WORKERS).enable_all();
    let runtime = agent.attach("main", builder).build().unwrap();
    runtime.block_on(async { tokio::spawn(yielding(1_000)).await.unwrap() });

    let _server = Loopd::start_with(&dir, &["--listen", &addr.to_string()], &[]);
    let recording = Recording(db(&dir));
    let polled = "select count(*) from tasks where polls = 1000 and state = 'ended'";
    wait_until("the early task arrives", LIMIT, || recording.number(polled) == 1);
    drop(runtime);
    assert!(agent.shutdown(LIMIT).complete);
    assert_eq!(recording.unbalanced(), 0);
}

#[test]
fn a_collector_away_for_long_costs_counted_losses_and_bounded_memory() {
    const LIMIT_BYTES: usize = 8 << 20;
    let dir = tempdir().unwrap();
    let addr = free_address();
    let listen = addr.to_string();
    let start = || Loopd::start_with(&dir, &["--listen", &listen], &[]);
    let recording = Recording(db(&dir));
    let mut server = start();
    let agent = config("alone", &server).memory_limit(LIMIT_BYTES).start().unwrap();
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(WORKERS).enable_all();
    let runtime = agent.attach("main", builder).build().unwrap();
    runtime.block_on(async { tokio::spawn(yielding(1_000)).await.unwrap() });
    let first = "select count(*) from tasks where polls = 1000";
    wait_until("the first task is stored", LIMIT, || recording.number(first) == 1);

    server.signal("KILL");
    server.wait();
    // Work until more was recorded than the agent can hold.
    let evicted = || loopd_agent::stats().evicted > 0;
    wait_until("the window overflows", LIMIT, || {
        runtime.block_on(async {
            let tasks = (0..20).map(|_| tokio::spawn(yielding(10_000)));
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
        });
        let memory = loopd_agent::stats().memory;
        assert!(memory <= LIMIT_BYTES, "{memory} bytes");
        evicted()
    });

    let _server = start();
    runtime.block_on(async { tokio::spawn(yielding(2_000)).await.unwrap() });
    let last = "select count(*) from tasks where polls = 2000";
    wait_until("the last task is stored", LIMIT, || recording.number(last) == 1);
    drop(runtime);
    assert!(agent.shutdown(LIMIT).complete);
    let lost = "select coalesce(sum(count), 0) from losses where cause = 'window_evicted'";
    assert!(recording.number(lost) > 0);
    assert_eq!(recording.unbalanced(), 0);
    assert_eq!(recording.number("select count(*) from tasks where state = 'alive'"), 0);
}

#[test]
fn the_demo_names_the_lines_that_block_and_leak() {
    const FILES: [&str; 5] =
        ["payments.rs:", "invoices.rs:", "catalog.rs:", "shipping.rs:", "warehouse.rs:"];
    let dir = tempdir().unwrap();
    let mut texts = Vec::new();
    // A busy machine gets more time: there the first customers come late, and other places may block for longer.
    for length in ["20s", "40s", "60s"] {
        let db = dir.path().join(format!("{length}.db"));
        let mut demo = loopd(&["demo", "--for", length, "--no-open", "--port", "0", "--db"]);
        let output = demo.arg(&db).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}\n{error}");
        assert!(db.exists());
        let (_, found) = text.split_once("What blocked the workers").unwrap();
        if FILES.iter().all(|file| found.contains(file)) {
            return;
        }
        texts.push(text);
    }
    panic!("not all of {FILES:?} are named in:\n{}", texts.join("\n"));
}

/// An address that nobody listens on now.
fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
