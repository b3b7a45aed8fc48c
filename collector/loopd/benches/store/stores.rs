//! Stores of a known size to read from: a busy minute of four workers with their tasks, and before
//! it an hour of a quiet program. Written through the writer itself.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use loopd_model::*;
use loopd_store::{CommitOutcome, ProcessKey, Retention, StoreOptions, Writer};
use tokio::runtime::Runtime;

use crate::load::{LOCATIONS, POLLS_PER_BATCH, Polls, locations, pack, process, spawned};
use crate::random::Random;
use crate::rows::progress;

const KEEP_ALL: Retention = Retention { max_age: None, max_bytes: None, max_process_bytes: None };
/// Batches to a transaction: what piles up behind a commit that takes a third of a second.
const GROUP: usize = 8;
/// The names of the two programs in a store.
pub(crate) const BUSY: &str = "busy";
pub(crate) const QUIET: &str = "quiet";
/// How long the quiet one is watched.
const QUIET_TIME: Duration = Duration::from_secs(3_600);
/// Its polls, in all; fewer where the store is small.
const QUIET_POLLS: u64 = 720_000;
/// The busy one ended so long ago.
const SETTLED: Duration = Duration::from_secs(120);

/// How many polls a store holds, as people write it: `10M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Polled(pub(crate) u64);

impl FromStr for Polled {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, unit) = match text.strip_suffix('M') {
            Some(digits) => (digits, 1_000_000),
            None => (text.strip_suffix('k').unwrap_or(text), 1_000),
        };
        let number = digits.parse::<u64>().map_err(|error| format!("{text}: {error}"))?;
        let polls = number.checked_mul(unit).filter(|polls| *polls > 0);
        polls.map(Self).ok_or_else(|| format!("{text} is not a number of polls like 10M or 500k"))
    }
}

impl std::fmt::Display for Polled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            polls if polls.is_multiple_of(1_000_000) => write!(f, "{}M", polls / 1_000_000),
            polls => write!(f, "{}k", polls / 1_000),
        }
    }
}

/// The store with so many polls in `dir`; made if it is not there yet.
pub(crate) fn open(dir: &Path, polls: Polled, runtime: &Runtime) -> PathBuf {
    let path = dir.join(format!("store-{polls}.db"));
    if path.exists() {
        progress(&format!("reading {}", path.display()));
        return path;
    }
    let began_at = Instant::now();
    progress(&format!("writing a store of {polls} polls"));
    // One that was left half written must not be taken for a whole one.
    let unfinished = dir.join(format!("unfinished-{polls}.db"));
    remove(&unfinished);
    runtime.block_on(write(&unfinished, polls));
    std::fs::rename(&unfinished, &path).unwrap();
    remove(&unfinished);
    progress(&format!("written in {:.1} s", began_at.elapsed().as_secs_f64()));
    path
}

/// Removes a database and what is beside it, as far as there is any.
pub(crate) fn remove(db: &Path) {
    for suffix in ["", "-wal", "-shm", ".lock", ".reserve"] {
        // Most of them are seldom there.
        let _ = std::fs::remove_file(beside(db, suffix));
    }
}

/// The file beside a database whose name ends like this.
pub(crate) fn beside(db: &Path, suffix: &str) -> PathBuf {
    let mut name = db.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The polls of the busy one, and how many batches of them there are.
pub(crate) fn busy_load(polls: Polled) -> (Polls, u64) {
    let batches = polls.0.div_ceil(POLLS_PER_BATCH as u64);
    (Polls::with_tasks(1, batches * POLLS_PER_BATCH as u64), batches)
}

async fn write(path: &Path, polls: Polled) {
    let (mut writer, _) = loopd_store::open(StoreOptions::new(path)).await.unwrap();
    let (mut load, batches) = busy_load(polls);
    // At 2.4 million polls a second, and some to spare.
    let busy_time = Duration::from_secs_f64(polls.0 as f64 / 2e6) + SETTLED;
    let quiet = process(QUIET, 2, busy_time + QUIET_TIME);
    let quiet = writer.begin_session(&quiet, 1).await.unwrap().process;
    for (seq, minute) in (1..).zip(quiet_minutes(QUIET_POLLS.min(polls.0 / 10))) {
        commit(&mut writer, vec![(quiet, Batch { seq, ..minute })]).await;
    }
    let busy = process(BUSY, 1, busy_time);
    let origin = busy.anchor.unix;
    let busy = writer.begin_session(&busy, 1).await.unwrap().process;
    let mut seq = 0;
    while seq < batches {
        let size = GROUP.min((batches - seq) as usize);
        let mut next = || {
            seq += 1;
            (busy, load.batch(seq, POLLS_PER_BATCH))
        };
        let group = (0..size).map(|_| next()).collect();
        commit(&mut writer, group).await;
        writer.maintain(origin.at(Nanos(load.end())), &KEEP_ALL).await.unwrap();
    }
    let later = origin.at(Nanos(load.end() + 200_000_000_000));
    while writer.maintain(later, &KEEP_ALL).await.unwrap().more {}
    writer.close().await.unwrap();
}

async fn commit(writer: &mut Writer, batches: Vec<(ProcessKey, Batch)>) {
    let committed = writer.commit(batches).await.unwrap();
    assert!(committed.iter().all(|one| one.outcome == CommitOutcome::Stored), "{committed:?}");
}

/// A batch for each minute, of one worker and one task per place.
fn quiet_minutes(polls: u64) -> impl Iterator<Item = Batch> {
    let mut random = Random::new(2);
    let minutes = QUIET_TIME.as_secs() / 60;
    let interval = 60_000_000_000 * minutes / polls;
    (0..minutes).map(move |minute| {
        let began = minute * 60_000_000_000;
        let span = |i: u64| Span {
            start: Nanos(began + i * interval),
            length: (2_000.0 * random.normal().exp()) as u64,
            task: TaskId(1 + random.zipf(LOCATIONS)),
            by: TaskId::NONE,
            count: 1,
        };
        let spans: Vec<Span> = (0..polls / minutes).map(span).collect();
        let first = minute == 0;
        let at = Nanos(began + 60_000_000_000);
        Batch {
            anchor: Anchor { at, unix: UnixNanos(0) },
            locations: if first { locations() } else { Vec::new() },
            events: (1..=if first { LOCATIONS } else { 0 })
                .map(|task| spawned(Nanos(0), task, 0))
                .collect(),
            segments: vec![pack(0, &spans)],
            ..Batch::default()
        }
    })
}
