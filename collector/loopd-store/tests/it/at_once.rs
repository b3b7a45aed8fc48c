//! Reading while another connection commits, merges, folds and removes: every answer is what the
//! store held at one instant, and what comes later holds no less.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use loopd_model::*;
use loopd_store::*;

use crate::support::*;

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);
/// So many answers are looked at.
const ANSWERS: u64 = 20;
/// Batches that are committed meanwhile.
const BATCHES: u64 = 150;
/// In each batch.
const TASKS: u64 = 4;
const POLLS: u64 = 500;
/// Of every poll.
const LENGTH: u64 = MS;
/// What a batch tells of.
const STEP: u64 = 2 * POLLS;

/// Everything of one batch, so that a part of it would show.
fn batch(seq: u64) -> Batch {
    let began = (seq - 1) * STEP;
    let first = (seq - 1) * TASKS + 1;
    let span = |i: u64| (began + 2 * i, LENGTH / MS, first + i % TASKS);
    let spans: Vec<_> = (0..POLLS).map(span).collect();
    let tasks = first..first + TASKS;
    let opened = EventKind::ResourceOpened {
        resource: ResourceId(seq),
        kind: "socket".into(),
        name: String::new(),
        open_location: LocationId::NONE,
        task: TaskId(first),
        stack: StackId::NONE,
    };
    let mut events: Vec<Event> = tasks.clone().map(|task| at(began, spawned(task, 1))).collect();
    events.push(at(began, opened));
    // Ends come with the next batch, which so changes rows that are there.
    events.extend((first.saturating_sub(TASKS)..first).map(|task| at(began, ended(task))));
    Batch { segments: vec![polls(0, &spans)], events, ..Batch::default() }
}

const COUNTS: &str = "select (select count(*) from resources), (select count(*) from tasks),
    (select count(*) from polls), (select sum(length) from polls), (select sum(polls) from tasks),
    (select sum(busy_time) from tasks), (select stored from ledger where kind = 'poll')";

/// Reads until told to stop; each answer must be whole, and no less than the last.
async fn read(
    path: PathBuf,
    process: ProcessKey,
    is_over: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
) {
    let (mut batches, mut tiled) = (0, 0);
    let mut reader = Reader::open(&path).await.unwrap();
    while !is_over.load(Ordering::Relaxed) {
        if rounds.fetch_add(1, Ordering::Relaxed).is_multiple_of(7) {
            reader = Reader::open(&path).await.unwrap();
        }
        let limits = QueryLimits { time: LIMIT, ..QueryLimits::default() };
        let result = reader.query(COUNTS, limits).await.unwrap();
        let number = |value: &Value| match value {
            Value::Integer(n) => *n as u64,
            _ => 0,
        };
        let counts: Vec<u64> = result.rows[0].iter().map(number).collect();
        let n = counts[0];
        let (tasks, polls, busy) = (n * TASKS, n * POLLS, n * POLLS * LENGTH);
        assert_eq!(counts, [n, tasks, polls, busy, polls, busy, polls], "of {n} batches");
        assert!(n >= batches, "{n} batches after {batches}");
        batches = n;

        let (from, to) = (UnixNanos(ORIGIN), UnixNanos(ORIGIN + (BATCHES * STEP * MS) as i64));
        let timeline = reader.timeline(process, from, to, 100).await.unwrap();
        let cells = timeline.lanes.iter().flat_map(|lane| &lane.cells);
        let busy: u64 = cells.map(|(_, cell)| cell.busy_time()).sum();
        assert_eq!(busy % (POLLS * LENGTH), 0, "a part of a batch, or a tile counted twice");
        assert!(busy >= tiled && busy >= n * POLLS * LENGTH, "{busy} after {tiled}");
        tiled = busy;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn answers_are_whole_while_others_write_merge_and_fold() {
    let mut store = Store::new().await;
    let (is_over, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let reading: Vec<_> = (0..2)
        .map(|_| read(store.path(), store.process, Arc::clone(&is_over), Arc::clone(&rounds)))
        .map(tokio::spawn)
        .collect();
    let (mut merged, mut folded) = (0, 0);
    for seq in 1..=BATCHES {
        store.stored(batch(seq)).await;
        // Old enough for everything.
        let now = UnixNanos(ORIGIN + (seq * STEP * MS) as i64 + 600_000_000_000);
        let done = store.writer.maintain(now, &KEEP_ALL).await.unwrap();
        merged += done.merged_segments;
        folded += done.folded_tiles;
        if reading.iter().any(|reader| reader.is_finished()) {
            break;
        }
    }
    // Readers that hardly had their turn so far get it now.
    let deadline = Instant::now() + LIMIT;
    while rounds.load(Ordering::Relaxed) < ANSWERS && !reading.iter().any(|it| it.is_finished()) {
        assert!(Instant::now() < deadline, "only {rounds:?} answers were looked at");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    is_over.store(true, Ordering::Relaxed);
    for reader in reading {
        reader.await.unwrap();
    }
    assert!(merged > 0 && folded > 0, "nothing was merged or folded meanwhile");
}
