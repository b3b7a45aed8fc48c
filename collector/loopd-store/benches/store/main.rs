//! What the store costs: polls and lifecycle events per second on disk, bytes per poll, and how
//! long a timeline takes to read; each against a row per poll or task in bare SQLite.
//!
//! `cargo bench -p loopd-store` prints a table, with `-- --json` one JSON object a line, with
//! `-- --quick` a tenth of the work.
#![expect(clippy::print_stdout, reason = "a bench prints its results")]
#![expect(clippy::unwrap_used, reason = "a bench that fails has nothing to say")]

mod bare;
mod load;

use std::path::Path;
use std::time::{Duration, Instant};

use loopd_model::{Batch, UnixNanos};
use loopd_store::{ProcessKey, Reader, Retention, StoreOptions, Writer};

const KEEP_ALL: Retention = Retention { max_age: None, max_bytes: None, max_process_bytes: None };

/// Polls of one commit of one process: 80 ms of four busy workers.
const POLLS_PER_BATCH: usize = 4 * 8_192;
/// Batches to a transaction: what piles up behind a commit that takes a third of a second.
const GROUP: usize = 8;
/// Lifecycle events of one commit.
const EVENTS_PER_BATCH: usize = 20_000;

struct Size {
    batches: usize,
    event_batches: usize,
    bare_batches: usize,
    rounds: usize,
}

const FULL: Size = Size { batches: 600, event_batches: 50, bare_batches: 20, rounds: 3 };
const QUICK: Size = Size { batches: 60, event_batches: 10, bare_batches: 4, rounds: 1 };

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let size = if has("--quick") { QUICK } else { FULL };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let results = runtime.block_on(run(&size));
    if has("--json") {
        results.iter().for_each(|result| println!("{}", result.json()));
    } else {
        let head = ["case", "variant", "median", "min", "max"];
        let [case, variant, median, min, max] = head;
        println!("{case:<18} {variant:<9} {median:>10} {min:>10} {max:>10}  unit");
        results.iter().for_each(|result| println!("{}", result.line()));
    }
}

/// One measured number, and the same of bare SQLite.
struct Measured {
    case: String,
    variant: &'static str,
    unit: &'static str,
    values: Vec<f64>,
    bare: Option<f64>,
}

impl Measured {
    fn sorted(&self) -> (f64, f64, f64) {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        (values[values.len() / 2], values[0], values[values.len() - 1])
    }

    fn json(&self) -> String {
        let (median, min, max) = self.sorted();
        // Left out where there is nothing to compare with.
        let compared = self.bare.map_or(String::new(), |bare| {
            format!(",\"over_bare\":{:.4},\"ratio\":{:.4}", median - bare, median / bare)
        });
        format!(
            "{{\"bench\":\"store\",\"case\":\"{}\",\"variant\":\"{}\",\"unit\":\"{}\",\
             \"median\":{median:.4},\"min\":{min:.4},\"max\":{max:.4}{compared}}}",
            self.case, self.variant, self.unit,
        )
    }

    fn line(&self) -> String {
        let (median, min, max) = self.sorted();
        let ratio = self.bare.map(|bare| format!("  ({:.2} x bare)", median / bare));
        format!(
            "{:<18} {:<9} {median:>10.3} {min:>10.3} {max:>10.3}  {}{}",
            self.case,
            self.variant,
            self.unit,
            ratio.unwrap_or_default()
        )
    }
}

/// Adds a case of which both variants were measured.
fn add(
    results: &mut Vec<Measured>,
    case: &str,
    unit: &'static str,
    bare: Vec<f64>,
    ours: Vec<f64>,
) {
    let case = case.to_owned();
    let bare = Measured { case: case.clone(), variant: "bare", unit, values: bare, bare: None };
    let median = bare.sorted().0;
    results.push(bare);
    results.push(Measured { case, variant: "loopd", unit, values: ours, bare: Some(median) });
}

async fn run(size: &Size) -> Vec<Measured> {
    let mut results = Vec::new();
    let (mut polls, mut bare_polls) = (Vec::new(), Vec::new());
    let (mut events, mut bare_tasks) = (Vec::new(), Vec::new());
    let (mut bytes, mut bare_bytes, mut upkeep) = (Vec::new(), Vec::new(), Vec::new());
    let mut reads = vec![(Vec::new(), Vec::new()); RANGES.len()];
    for round in 0..size.rounds as u64 {
        let directory = tempfile::tempdir().unwrap();
        let bare = bare::Polls::new(&directory.path().join("bare.db")).await;
        let ours = directory.path().join("loopd.db");
        bare_polls.push(bare.insert(size.bare_batches, round).await);
        let ingested = ingest_polls(&ours, size.batches, round).await;
        polls.push(ingested.polls_per_second);
        bytes.push(ingested.bytes_per_poll);
        upkeep.push(ingested.upkeep_polls_per_second);
        bare_bytes.push(bare.bytes_per_row().await);
        for (range, (bare_times, times)) in RANGES.into_iter().zip(&mut reads) {
            bare_times.push(bare.timeline(range).await);
            times.push(read_timeline(&ours, range, ingested.end).await);
        }
        bare_tasks.push(bare::tasks(&directory.path().join("tasks.db"), 10, round).await);
        events.push(ingest_events(&directory.path().join("events.db"), size).await);
    }
    add(&mut results, "polls", "M/s", bare_polls, polls);
    add(&mut results, "lifecycle", "k events/s", bare_tasks, events);
    add(&mut results, "bytes", "B/poll", bare_bytes, bytes);
    results.push(Measured {
        case: "upkeep".into(),
        variant: "loopd",
        unit: "M polls/s",
        values: upkeep,
        bare: None,
    });
    for (range, (bare_times, times)) in RANGES.into_iter().zip(reads) {
        let case = format!("timeline {:.1} s", range.as_secs_f64());
        add(&mut results, &case, "ms", bare_times, times);
    }
    results
}

const RANGES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_secs(2), Duration::from_secs(10)];

struct Ingested {
    polls_per_second: f64,
    upkeep_polls_per_second: f64,
    bytes_per_poll: f64,
    end: i64,
}

async fn open(path: &Path) -> (Writer, ProcessKey) {
    let (mut writer, _) = loopd_store::open(StoreOptions::new(path)).await.unwrap();
    let process = writer.begin_session(&load::process(), 1).await.unwrap().process;
    (writer, process)
}

/// Commits batches, as many to a transaction as pile up while one is written, then does the upkeep.
async fn ingest_polls(path: &Path, batches: usize, seed: u64) -> Ingested {
    let (mut writer, process) = open(path).await;
    let mut load = load::Polls::new(seed);
    let (mut spent, mut seq) = (Duration::ZERO, 0);
    for _ in 0..batches / GROUP {
        let mut next = || {
            seq += 1;
            (process, Batch { seq, ..load.batch(POLLS_PER_BATCH) })
        };
        let group: Vec<_> = (0..GROUP).map(|_| next()).collect();
        let started = Instant::now();
        writer.commit(group).await.unwrap();
        spent += started.elapsed();
    }
    let polls = (batches / GROUP * GROUP * POLLS_PER_BATCH) as f64;
    let end = load.end();
    let started = Instant::now();
    let later = UnixNanos(end + 100_000_000_000);
    while writer.maintain(later, &KEEP_ALL).await.unwrap().more {}
    let upkeep = started.elapsed();
    writer.close().await.unwrap();
    // What merging left free is used again; what counts is what is full.
    let reader = Reader::open(path).await.unwrap();
    let bytes = std::fs::metadata(path).unwrap().len() - bare::free_bytes(path).await;
    drop(reader);
    Ingested {
        polls_per_second: polls / spent.as_secs_f64() / 1e6,
        upkeep_polls_per_second: polls / upkeep.as_secs_f64() / 1e6,
        bytes_per_poll: bytes as f64 / polls,
        end,
    }
}

async fn ingest_events(path: &Path, size: &Size) -> f64 {
    let (mut writer, process) = open(path).await;
    let mut load = load::Events::default();
    let mut spent = Duration::ZERO;
    for seq in 1..=size.event_batches as u64 {
        let batch = Batch { seq, ..load.batch(EVENTS_PER_BATCH) };
        let started = Instant::now();
        writer.commit(vec![(process, batch)]).await.unwrap();
        spent += started.elapsed();
    }
    writer.close().await.unwrap();
    (size.event_batches * EVENTS_PER_BATCH) as f64 / spent.as_secs_f64() / 1e3
}

/// The median time, in milliseconds, of reading the last `range` at 2,000 buckets.
async fn read_timeline(path: &Path, range: Duration, end: i64) -> f64 {
    let reader = Reader::open(path).await.unwrap();
    let process = reader.processes().await.unwrap()[0].process;
    let from = UnixNanos(end - range.as_nanos() as i64);
    let mut times = Vec::new();
    for _ in 0..11 {
        let started = Instant::now();
        let timeline = reader.timeline(process, from, UnixNanos(end), 2_000).await.unwrap();
        times.push(started.elapsed().as_secs_f64() * 1e3);
        assert!(timeline.lanes.iter().any(|lane| !lane.cells.is_empty()));
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
