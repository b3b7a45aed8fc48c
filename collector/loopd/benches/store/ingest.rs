//! End to end: a collector of its own process, fed over gRPC, against a row per event in bare
//! SQLite and, for polls, against a Perfetto trace.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::bare::{Bare, Inserted, used_bytes};
use crate::client::{Client, encoded};
use crate::lives::{EVENTS_PER_BATCH, Life, Lives};
use crate::load::{POLLS_PER_BATCH, Polls, process};
use crate::perfetto::{self, Written};
use crate::rows::{Output, Row, progress};
use crate::served::{Served, number};

/// How much is ingested.
pub(crate) struct Size {
    pub(crate) rounds: u8,
    pub(crate) poll_batches: usize,
    pub(crate) event_batches: usize,
    /// Of the peers, which are slower.
    pub(crate) bare_batches: usize,
    pub(crate) bare_event_batches: usize,
}

/// A program that is watched from its beginning.
const JUST_BEGUN: Duration = Duration::from_secs(1);
/// What is as old as this is ready for upkeep, all but a few last polls.
const SETTLED: Duration = Duration::from_secs(14);

/// Polls, alone and with the lives of their tasks.
pub(crate) fn polls(out: &Output, size: &Size, dir: &Path, runtime: &Runtime) {
    let (mut bare, mut bare_bytes) = (Rates::default(), Vec::new());
    let (mut trace, mut trace_bytes, mut zstd_bytes) = (Rates::default(), Vec::new(), Vec::new());
    let mut alone = Ingested::default();
    let mut with_tasks = Ingested::default();
    for round in 0..size.rounds {
        progress(&format!("ingest-polls, round {} of {}", round + 1, size.rounds));
        let seed = u64::from(round);
        let table = Bare::polls(&dir.join(format!("bare-{round}.db")));
        bare.add_rows(&table.insert_polls(&mut Polls::new(seed), size.bare_batches));
        bare_bytes.push(table.bytes_per_poll());
        let path = dir.join(format!("perfetto-{round}.trace"));
        let written = perfetto::write(&path, &mut Polls::new(seed), size.bare_batches);
        trace.add_trace(&written);
        trace_bytes.push(written.bytes as f64 / written.polls as f64);
        zstd_bytes.push(written.zstd_bytes as f64 / written.polls as f64);
        let total = (size.poll_batches * POLLS_PER_BATCH) as u64;
        for (has_tasks, ingested) in [(false, &mut alone), (true, &mut with_tasks)] {
            let load = if has_tasks { Polls::with_tasks(seed, total) } else { Polls::new(seed) };
            let path = dir.join(format!("polls-{round}-{has_tasks}.db"));
            ingest_polls(&path, load, size.poll_batches, ingested, runtime);
        }
    }
    let case = "ingest-polls";
    let bare = bare.rows(out, case, "bare", "M polls/s", None, None);
    let trace = trace.rows(out, case, "perfetto", "M polls/s", Some(bare), None);
    alone.rows(out, case, "loopd", "M polls/s", bare, Some(trace));
    with_tasks.rows(out, case, "loopd, with tasks", "M polls/s", bare, Some(trace));
    let case = "ingest-bytes";
    let bare = Row::new(case, "bare", "B/poll", bare_bytes);
    out.row(&bare);
    let trace = Row::new(case, "perfetto", "B/poll", trace_bytes);
    let perfetto = Some(trace.median());
    let bytes = |variant, values| Row {
        bare: Some(bare.median()),
        perfetto,
        ..Row::new(case, variant, "B/poll", values)
    };
    out.row(&Row { bare: Some(bare.median()), ..trace });
    out.row(&bytes("perfetto, zstd", zstd_bytes));
    out.row(&bytes("loopd", alone.bytes));
    out.row(&bytes("loopd, with tasks", with_tasks.bytes));
}

fn ingest_polls(
    path: &Path,
    mut load: Polls,
    batches: usize,
    ingested: &mut Ingested,
    runtime: &Runtime,
) {
    let messages = (1..=batches as u64).map(|seq| encoded(load.batch(seq, POLLS_PER_BATCH)));
    let messages: Vec<_> = messages.collect();
    let length = Duration::from_nanos(load.end());
    let polls = (batches * POLLS_PER_BATCH) as u64;
    let db = ingested.run(path, messages, polls, length, runtime);
    assert_eq!(number(&db, "select count(*) from polls"), polls, "what was acked is stored");
    let stored = "select stored from ledger where kind = 'poll'";
    assert_eq!(number(&db, stored), polls, "and counted");
}

/// Spawns and ends of tasks.
pub(crate) fn lifecycle(out: &Output, size: &Size, dir: &Path, runtime: &Runtime) {
    for life in Life::ALL {
        let (mut bare, mut ingested) = (Rates::default(), Ingested::default());
        for round in 0..size.rounds {
            let name = life.name();
            progress(&format!("ingest-lifecycle, {name}, round {} of {}", round + 1, size.rounds));
            let path = dir.join(format!("bare-tasks-{round}-{life:?}.db"));
            bare.add_rows(&Bare::tasks(&path).insert_lives(life, size.bare_event_batches));
            let mut lives = Lives::new(life);
            let messages = (1..=size.event_batches as u64).map(|seq| encoded(lives.batch(seq)));
            let messages: Vec<_> = messages.collect();
            let length = Duration::from_nanos(lives.end());
            let path = dir.join(format!("tasks-{round}-{life:?}.db"));
            let events = (size.event_batches * EVENTS_PER_BATCH) as u64;
            let db = ingested.run(&path, messages, events, length, runtime);
            let tasks = number(&db, "select count(*) from tasks");
            assert_eq!(tasks, lives.tasks(), "what was acked is stored");
            let ended = number(&db, "select count(*) from tasks where state = 'ended'");
            assert_eq!(ended, events - tasks, "every end is in its task");
        }
        let case = "ingest-lifecycle";
        let variant = |who: &str| format!("{who}, {}", life.name());
        let bare = bare.rows(out, case, &variant("bare"), "M events/s", None, None);
        ingested.rows(out, case, &variant("loopd"), "M events/s", bare, None);
        out.row(&Row::new("ingest-bytes", variant("loopd"), "B/event", ingested.bytes));
    }
}

/// Things per second, one of each for each round: by the clock, and by processor time.
#[derive(Default)]
struct Rates {
    wall: Vec<f64>,
    core: Vec<f64>,
}

impl Rates {
    fn add(&mut self, things: u64, time: Duration, cpu: Duration) {
        self.wall.push(rate(things, time));
        self.core.push(rate(things, cpu));
    }

    fn add_rows(&mut self, inserted: &Inserted) {
        self.add(inserted.rows, inserted.time, inserted.cpu);
    }

    fn add_trace(&mut self, written: &Written) {
        self.add(written.polls, written.time, written.cpu);
    }

    /// Prints both, and gives the medians of both.
    fn rows(
        self,
        out: &Output,
        case: &str,
        variant: &str,
        unit: &'static str,
        bare: Option<Medians>,
        perfetto: Option<Medians>,
    ) -> Medians {
        let core = Row {
            bare: bare.map(|bare| bare.core),
            perfetto: perfetto.map(|perfetto| perfetto.core),
            ..Row::new(case, variant, per_core(unit), self.core)
        };
        let wall = Row {
            bare: bare.map(|bare| bare.wall),
            perfetto: perfetto.map(|perfetto| perfetto.wall),
            ..Row::new(case, variant, unit, self.wall)
        };
        out.row(&core);
        out.row(&wall);
        Medians { core: core.median(), wall: wall.median() }
    }
}

#[derive(Clone, Copy)]
struct Medians {
    core: f64,
    wall: f64,
}

fn rate(things: u64, time: Duration) -> f64 {
    things as f64 / time.as_secs_f64().max(1e-3) / 1e6
}

fn per_core(unit: &str) -> &'static str {
    match unit {
        "M polls/s" => "M polls/s/core",
        _ => "M events/s/core",
    }
}

/// What ingesting through loopd cost, round by round.
#[derive(Default)]
struct Ingested {
    rates: Rates,
    /// By processor time, with the upkeep that follows.
    with_upkeep: Vec<f64>,
    /// Of the file for each thing, all included.
    bytes: Vec<f64>,
}

impl Ingested {
    fn run(
        &mut self,
        path: &Path,
        messages: Vec<prost::bytes::Bytes>,
        things: u64,
        length: Duration,
        runtime: &Runtime,
    ) -> std::path::PathBuf {
        let batches = messages.len() as u64;
        let served = Served::start(path, "off");
        let began_at = Instant::now();
        let (delivery, cpu) = runtime.block_on(async {
            let mut client = Client::connect(served.addr, process("bench", 7, JUST_BEGUN)).await;
            let before = served.cpu();
            let delivery = client.deliver_all(messages).await;
            (delivery, served.cpu() - before)
        });
        assert_eq!(delivery.acked, batches);
        self.rates.add(things, delivery.time, cpu);
        let before = served.cpu();
        std::thread::sleep((length + SETTLED).saturating_sub(began_at.elapsed()));
        served.wait_idle();
        self.with_upkeep.push(rate(things, cpu + (served.cpu() - before)));
        let db = served.stop();
        self.bytes.push(used_bytes(&db) as f64 / things as f64);
        db
    }

    fn rows(
        &mut self,
        out: &Output,
        case: &str,
        variant: &str,
        unit: &'static str,
        bare: Medians,
        perfetto: Option<Medians>,
    ) {
        let rates = std::mem::take(&mut self.rates);
        rates.rows(out, case, variant, unit, Some(bare), perfetto);
        let values = std::mem::take(&mut self.with_upkeep);
        let variant = format!("{variant}, upkeep too");
        out.row(&Row {
            bare: Some(bare.core),
            perfetto: perfetto.map(|perfetto| perfetto.core),
            ..Row::new(case, variant, per_core(unit), values)
        });
    }
}
