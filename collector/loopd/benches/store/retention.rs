//! A collector that has reached its budget and goes on recording: how long agents wait, and how
//! well the file keeps to its size.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use loopd_model::{Nanos, Span, TaskId};
use prost::bytes::Bytes;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::client::{Client, Delivery, encoded};
use crate::load::{POLLS_PER_BATCH, Polls, WORKERS, batch_of, process};
use crate::rows::{Output, Row, progress};
use crate::served::{Served, number};
use crate::stores::{beside, remove};

/// How much is written over which budget.
pub(crate) struct Size {
    /// Mebibytes.
    pub(crate) budget: u64,
    /// How long it goes on once the budget was reached.
    pub(crate) hold: Duration,
}

/// Polls a second of a program that is watched, where it is not as fast as it goes.
const PACE: f64 = 1.5e6;
/// Batches made up once, which then come again and again with later times and other tasks.
const CYCLE: usize = 64;
/// How often the file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// A budget that is never reached is a failure.
const FILL_LIMIT: Duration = Duration::from_secs(1_800);

pub(crate) fn run(out: &Output, size: &Size, dir: &Path, runtime: &Runtime) {
    for (name, pace) in [("at 1.5 M polls/s", Some(PACE)), ("as fast as it goes", None)] {
        progress(&format!("retention, {name}"));
        let path = dir.join(format!("retention-{}.db", pace.is_some()));
        let (delivery, looks) = ingest(size, pace, &path, runtime);
        report(out, name, size, &delivery, &looks);
        remove(&path);
    }
}

/// The file and its log at some instant.
struct Look {
    at: Duration,
    file: u64,
    log: u64,
}

fn ingest(size: &Size, pace: Option<f64>, path: &Path, runtime: &Runtime) -> (Delivery, Vec<Look>) {
    let served = Served::start(path, &format!("{}MiB", size.budget));
    let stop = Arc::new(AtomicBool::new(false));
    let (producing, batches) = produce(pace, Arc::clone(&stop));
    let watching = watch(path.to_owned(), size, Arc::clone(&stop));
    let delivery = runtime.block_on(async {
        let began = process("bench", 7, Duration::from_secs(1));
        let mut client = Client::connect(served.addr, began).await;
        client.deliver(batches).await
    });
    producing.join().unwrap();
    let looks = watching.join().unwrap();
    let db = served.stop();
    let sent = delivery.acked * POLLS_PER_BATCH as u64;
    let stored = number(&db, "select stored from ledger where kind = 'poll'");
    assert_eq!(stored, sent, "what was acked was stored");
    let left = number(&db, "select sum(polls) from tasks where state = 'alive'");
    assert!(left > 0, "tasks that live stay");
    (delivery, looks)
}

/// Makes batches until told to stop.
fn produce(pace: Option<f64>, stop: Arc<AtomicBool>) -> (JoinHandle<()>, mpsc::Receiver<Bytes>) {
    let (sender, batches) = mpsc::channel(4);
    let producing = std::thread::spawn(move || {
        let mut load = Polls::with_tasks(1, u64::MAX);
        let first_events = load.first_events();
        let cycle: Vec<_> = (0..CYCLE).map(|_| load.spans(POLLS_PER_BATCH)).collect();
        let length = load.end();
        let new_tasks = 2 * (CYCLE * POLLS_PER_BATCH) as u64;
        let began_at = Instant::now();
        let mut seq = 0;
        while !stop.load(Ordering::Relaxed) {
            let turn = seq / CYCLE as u64;
            let lanes = later(&cycle[seq as usize % CYCLE], turn * length, turn * new_tasks);
            seq += 1;
            let mut batch = batch_of(seq, &lanes, true);
            if seq == 1 {
                batch.locations = crate::load::locations();
                batch.events.splice(0..0, first_events.iter().cloned());
            }
            if let Some(pace) = pace {
                let due = Duration::from_secs_f64(seq as f64 * POLLS_PER_BATCH as f64 / pace);
                std::thread::sleep(due.saturating_sub(began_at.elapsed()));
            }
            if sender.blocking_send(encoded(batch)).is_err() {
                return;
            }
        }
    });
    (producing, batches)
}

/// The same polls so much later, the short tasks among them by other numbers.
fn later(lanes: &[Vec<Span>; WORKERS], time: u64, tasks: u64) -> [Vec<Span>; WORKERS] {
    let shifted = |span: &Span| Span {
        start: Nanos(span.start.0 + time),
        task: TaskId(span.task.0 + if Polls::is_new(span.task) { tasks } else { 0 }),
        ..*span
    };
    std::array::from_fn(|worker| lanes[worker].iter().map(shifted).collect())
}

/// Looks at the file until it has kept to its budget for long enough; then tells to stop.
fn watch(path: PathBuf, size: &Size, stop: Arc<AtomicBool>) -> JoinHandle<Vec<Look>> {
    let (budget, hold) = (size.budget << 20, size.hold);
    std::thread::spawn(move || {
        let began_at = Instant::now();
        let (mut looks, mut reached_at) = (Vec::new(), None);
        let bytes = |suffix| std::fs::metadata(beside(&path, suffix)).map_or(0, |file| file.len());
        loop {
            std::thread::sleep(LOOK_INTERVAL);
            let at = began_at.elapsed();
            looks.push(Look { at, file: bytes(""), log: bytes("-wal") });
            let is_reached = looks.last().is_some_and(|look| look.file >= budget * 95 / 100);
            if is_reached {
                reached_at.get_or_insert(at);
            }
            if reached_at.is_some_and(|reached_at| at - reached_at >= hold) || at > FILL_LIMIT {
                stop.store(true, Ordering::Relaxed);
                assert!(reached_at.is_some(), "the budget was never reached");
                return looks;
            }
        }
    })
}

fn report(out: &Output, name: &str, size: &Size, delivery: &Delivery, looks: &[Look]) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let row = |variant: &str, unit, values| {
        out.row(&Row::new("retention", format!("{name}: {variant}"), unit, values));
    };
    let polls = (delivery.acked * POLLS_PER_BATCH as u64) as f64;
    row("polls", "M polls/s", vec![polls / delivery.time.as_secs_f64() / 1e6]);
    row("longest without an ack", "ms", vec![ms(delivery.longest_gap)]);
    let mut times: Vec<f64> = delivery.ack_times.iter().copied().map(ms).collect();
    times.sort_by(f64::total_cmp);
    row("from sending to ack, p99", "ms", vec![times[(times.len() - 1) * 99 / 100]]);
    row("from sending to ack", "ms", times);
    let budget = (size.budget << 20) as f64;
    let reached = looks.iter().position(|look| look.file as f64 >= 0.95 * budget).unwrap_or(0);
    let shares = |bytes: fn(&Look) -> u64| {
        let looks = looks[reached..].iter();
        looks.map(|look| bytes(look) as f64 / budget * 100.0).collect::<Vec<_>>()
    };
    row("file", "% of budget", shares(|look| look.file));
    row("file and log", "% of budget", shares(|look| look.file + look.log));
    let series: Vec<_> = looks
        .iter()
        .step_by(10)
        .map(|look| json!([look.at.as_secs(), look.file >> 20, look.log >> 20]))
        .collect();
    out.extra(&json!({
        "bench": "store",
        "case": "retention-size",
        "variant": name,
        "unit": "s, MiB of file, MiB of log",
        "budget": size.budget,
        "series": series,
    }));
}
