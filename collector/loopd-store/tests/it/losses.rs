//! Of what was lost nothing is claimed: where an end, a close or a release may be among it, no rule says that
//! it never came.

use std::collections::BTreeMap;

use crate::facts::{block_on, closed, difference, ended_as, facts, opened, state};
use crate::support::*;
use loopd_analysis::findings::{
    Analysis, CAPTURE_INCOMPLETE, Confidence, Facts, Finding, Level, analyse,
};
use loopd_model::*;
use loopd_store::{How, Reader};
use proptest::prelude::*;

/// So long the programs run, in milliseconds.
const RUN: u64 = 240_000;
/// What is recorded is sent this often.
const BATCH: u64 = 5_000;

/// One record, and when an agent has it.
#[derive(Clone, Debug)]
struct Piece {
    at: u64,
    kind: RecordKind,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Event(EventKind),
    Span { worker: u32, span: Span },
}

/// Everything that a program does.
#[derive(Debug, Default)]
struct Script(Vec<Piece>);

/// Who holds something, since when, and where it was taken.
type Held = (u64, u64, u64);

fn hold((task, since, location): Held) -> Holder {
    let (task, location) = (TaskId(task), LocationId(location));
    Holder { task, since: Nanos(since * MS), location, amount: 1 }
}

impl Script {
    fn event(&mut self, at: u64, kind: EventKind) {
        self.0.push(Piece { at, kind: kind.record_kind(), what: What::Event(kind) });
    }

    /// A poll of a task from one millisecond to another, to which a wake led.
    fn polled(&mut self, worker: u32, task: u64, (from, to): (u64, u64)) {
        let task = TaskId(task);
        let span = |start: u64, length: u64| Span {
            start: Nanos(start * MS + 1),
            length: length * MS - 2,
            task,
            count: 1,
            ..Span::default()
        };
        let mut tell = |kind, span| {
            self.0.push(Piece { at: to, kind, what: What::Span { worker, span } });
        };
        tell(RecordKind::Poll, span(from, to - from));
        tell(RecordKind::Wake, span(from - 1, 1));
    }

    /// Where a task waits for a resource to do what, from when to when.
    fn waits(
        &mut self,
        wait: u64,
        (from, to): (u64, Option<u64>),
        (task, resource, location): (u64, u64, u64),
        op: &str,
        holders: &[Held],
    ) {
        let began = EventKind::WaitBegan {
            wait: WaitId(wait),
            task: TaskId(task),
            resource: ResourceId(resource),
            op: op.into(),
            location: LocationId(location),
            amount: 1,
            holders: holders.iter().copied().map(hold).collect(),
        };
        self.event(from, began);
        let ended = EventKind::WaitEnded { wait: WaitId(wait), how: WaitHow::Ready };
        if let Some(to) = to {
            self.event(to, ended);
        }
    }

    fn held(&mut self, resource: u64, held: Held, to: u64, waits: u64) {
        let resource = ResourceId(resource);
        self.event(to, EventKind::HoldEnded { resource, hold: hold(held), waits });
    }

    /// Every so often from one instant on, until the program ends.
    fn every(&mut self, step: u64, from: u64, mut each: impl FnMut(&mut Self, u64, u64)) {
        for (k, at) in (from..RUN - 2_000).step_by(step as usize).enumerate() {
            each(self, k as u64, at);
        }
    }

    /// A service that takes requests, has workers, locks, pools, channels and jobs, of which everything that
    /// begins ends in time.
    fn healthy() -> Self {
        let mut it = Self::default();
        let shared = [
            (1, "mutex", 31),
            (2, "mpsc", 32),
            (3, "semaphore", 33),
            (4, "unbounded_mpsc", 34),
            (5, "mutex", 35),
            (11, "mutex", 36),
            (12, "mutex", 37),
        ];
        let lasting = [(2, 5), (5, 10), (21, 7), (22, 7), (31, 13), (32, 13), (33, 13)];
        let workers = (10..18).map(|task| (task, 5));
        for (task, location) in lasting.into_iter().chain(workers) {
            it.event(100, spawned(task, location));
            it.event(RUN, ended(task));
        }
        for (id, kind, location) in shared {
            it.event(50, opened(id, kind, location));
            it.event(RUN, closed(id, CloseHow::Closed));
        }
        it.requests();
        it.workers();
        it.locks();
        it.background();
        it
    }

    /// Each opens a connection and takes a lock that somebody has.
    fn requests(&mut self) {
        self.every(500, 1_000, |it, k, at| {
            let (task, wait) = (1_000 + k, 10_000 + k);
            it.event(at, spawned(task, 1));
            it.polled(0, task, (at + 1, at + 3));
            it.event(at + 2, opened(1_000 + k, "tcp", 2));
            it.waits(wait, (at + 3, Some(at + 13)), (task, 1, 3), "lock", &[(2, at - 2, 4)]);
            it.held(1, (2, at - 2, 4), at + 12, 1);
            it.held(1, (task, at + 13, 3), at + 15, 0);
            it.polled(0, task, (at + 13, at + 15));
            // Some take long, and so have a row of their own.
            let end = at + if k % 4 == 0 { 6_000 } else { 150 };
            it.event(end, closed(1_000 + k, CloseHow::Closed));
            it.polled(1, task, (end, end + 1));
            it.event(end + 1, ended(task));
        });
    }

    /// They receive from one channel, share a semaphore, and hand on to a channel that fills and drains.
    fn workers(&mut self) {
        for worker in 0..8 {
            let task = 10 + worker;
            self.every(3_000, 1_000 + worker, |it, k, at| {
                let wait = 20_000 + 1_000 * worker + k;
                it.waits(wait, (at, Some(at + 2_900)), (task, 2, 6), "recv", &[]);
                it.polled(2 + worker as u32, task, (at + 2_900, at + 2_902));
            });
        }
        self.every(6_000, 2_000, |it, k, at| {
            let told = |free: bool| {
                let (permits, waiters) = if free { (4.0, 0.0) } else { (0.0, 2.0) };
                let contended = 2.0 * k as f64 + 2.0;
                let waited = 3e8 * contended;
                state(
                    3,
                    &[
                        ("capacity", 4.0),
                        ("permits", permits),
                        ("waiters", waiters),
                        ("contended", contended),
                        ("waited_nanos", waited),
                    ],
                )
            };
            it.event(at, told(false));
            it.event(at + 1_000, told(true));
            for (i, task) in [10, 11].into_iter().enumerate() {
                let holders: Vec<Held> = (12..16).map(|task| (task, at - 9, 18)).collect();
                let wait = 35_000 + 2 * k + i as u64;
                it.waits(wait, (at, Some(at + 300)), (task, 3, 18), "acquire", &holders);
            }
            (12..16).for_each(|task| it.held(3, (task, at - 9, 18), at + 299, 2));
            let sent = 300.0 * (k + 1) as f64;
            let depth = |depth, received| {
                state(4, &[("depth", depth), ("sent", sent), ("received", received)])
            };
            it.event(at, depth(300.0 + k as f64, sent - 300.0));
            it.event(at + 2_000, depth(0.0, sent));
            let depth = |depth| state(2, &[("capacity", 8.0), ("depth", depth), ("sent", sent)]);
            it.event(at + 10, depth(8.0));
            it.event(at + 1_010, depth(1.0));
        });
    }

    /// Two tasks take two locks, now the one first and now the other, but never at once; and one computes
    /// while it holds a lock that others wait for.
    fn locks(&mut self) {
        self.every(4_000, 3_000, |it, k, at| {
            let (one, other, mine, theirs) =
                if k % 2 == 0 { (21, 22, 11, 12) } else { (22, 21, 12, 11) };
            let holder = (other, at - 1, 19);
            it.waits(30_000 + k, (at + 5, Some(at + 20)), (one, theirs, 20), "lock", &[holder]);
            it.held(theirs, holder, at + 19, 1);
            it.held(theirs, (one, at + 20, 20), at + 25, 0);
            it.held(mine, (one, at, 19), at + 26, 0);
        });
        self.every(5_000, 4_000, |it, k, at| {
            let to = at + 104 + k * 5 % 11;
            it.polled(10, 5, (at - 1, at + 5));
            it.polled(10, 5, (at + 6, at + 100));
            it.polled(10, 5, (at + 101, to + 1));
            for waiter in 0..3 {
                let (wait, task) = (50_000 + 3 * k + waiter, 31 + waiter);
                it.waits(wait, (at + 3, Some(to + 1)), (task, 5, 14), "lock", &[(5, at, 12)]);
            }
            it.held(5, (5, at, 12), to, 3);
        });
    }

    /// Tasks that panic and are awaited, that look stranded just before they end, files, jobs, readings.
    fn background(&mut self) {
        self.every(8_000, 5_000, |it, k, at| {
            let (task, joiner) = (3_000 + k, 4_000 + k);
            it.event(at, spawned(task, 8));
            it.event(at, spawned(joiner, 9));
            let joined = (joiner, 6_000 + k, 9);
            it.waits(40_000 + k, (at + 5, Some(at + 401)), joined, "join", &[(task, at, 8)]);
            it.event(at + 400, ended_as(task, Outcome::Panicked));
            it.event(at + 402, ended(joiner));
        });
        self.every(5_000, 6_000, |it, k, at| {
            let task = 7_000 + k;
            it.event(at, spawned(task, 15));
            it.polled(11, task, (at + 1, at + 2));
            it.event(at + 500, EventKind::TaskUnwakeable { task: TaskId(task) });
            it.event(at + 520, ended(task));
        });
        self.every(2_000, 1_500, |it, k, at| {
            it.event(at, opened(8_000 + k, "file", 16));
            it.event(at + 1_500, closed(8_000 + k, CloseHow::Closed));
        });
        self.every(1_000, 1_000, |it, k, at| {
            let task = TaskId(9_000 + k);
            let (loop_id, spawn_location) = (LoopId(1), LocationId(17));
            let (parent, kind) = (TaskId::NONE, TaskKind::Blocking);
            it.event(at, EventKind::TaskSpawned { task, loop_id, spawn_location, parent, kind });
            it.event(at + 1, EventKind::BlockingStarted { task });
            it.event(at + 300, ended(task.0));
            let reading = |name: &str, value| Metric { name: name.into(), worker: None, value };
            let metrics = vec![
                reading("open_fds", 40.0 + (k % 3) as f64),
                reading("max_fds", 1_024.0),
                reading("alive_tasks", 30.0),
            ];
            it.event(at, EventKind::Metrics { loop_id: LoopId(0), metrics });
        });
    }

    /// The same with about every disease that tasks, waits and resources can have.
    fn sick() -> Self {
        let mut it = Self::healthy();
        it.leaks();
        it.stuck();
        it.every(10_000, 3_000, |it, k, at| {
            it.event(at, spawned(53_000 + k, 44));
            it.event(at + 300, ended_as(53_000 + k, Outcome::Panicked));
        });
        // Held while something else is awaited.
        it.event(50, opened(68, "mutex", 45));
        [68, 74, 75, 76].into_iter().for_each(|task| it.event(100, spawned(task, 46)));
        it.every(4_000, 2_500, |it, k, at| {
            it.polled(12, 68, (at - 1, at + 1));
            it.polled(12, 68, (at + 300, at + 301));
            for waiter in 0..3 {
                let (wait, task) = (58_000 + 3 * k + waiter, 74 + waiter);
                it.waits(wait, (at + 2, Some(at + 301)), (task, 68, 47), "lock", &[(68, at, 48)]);
            }
            it.held(68, (68, at, 48), at + 300, 3);
        });
        it
    }

    fn leaks(&mut self) {
        self.event(50, opened(67, "unbounded_mpsc", 43));
        self.every(2_000, 1_200, |it, k, at| {
            it.event(at, spawned(50_000 + k, 40));
            it.polled(13, 50_000 + k, (at + 1, at + 2));
            it.event(at, opened(51_000 + k, "file", 41));
            let depth = 10.0 * k as f64;
            it.event(
                at,
                state(67, &[("depth", depth), ("sent", 2.0 * depth), ("received", depth)]),
            );
        });
        self.every(10_000, 1_300, |it, k, at| {
            it.event(at, opened(52_000 + k, "session", 42));
            it.event(at + 1_000, closed(52_000 + k, CloseHow::Unclosed));
        });
    }

    fn stuck(&mut self) {
        // Two lock each other out.
        for (id, other) in [(61, 62), (62, 61)] {
            self.event(50, opened(id, "mutex", 49));
            self.event(90_000, spawned(id, 50));
            let holder = [(other, 99_000, 51)];
            self.waits(id + 61_000, (100_000, None), (id, other, 52 + id - 61), "lock", &holder);
        }
        // Nothing is left that could wake these.
        for task in 63..67 {
            self.event(90_000, spawned(task, 54));
            self.polled(14, task, (90_010 + task, 90_011 + task));
            self.event(100_000, EventKind::TaskUnwakeable { task: TaskId(task) });
        }
        // Two permits, and nobody gives one back.
        self.event(50, opened(69, "semaphore", 55));
        (70..73).for_each(|task| self.event(100, spawned(task, 56)));
        self.every(2_000, 20_000, |it, k, at| {
            let told = [("capacity", 2.0), ("permits", 0.0), ("waiters", 1.0)];
            it.event(at, state(69, &[&told[..], &[("contended", 1.0 + k as f64)]].concat()));
        });
        let holders = [(70, 20_000, 57), (71, 20_000, 57)];
        self.waits(69_000, (21_000, None), (72, 69, 57), "acquire", &holders);
        // A full channel of which nobody receives.
        self.event(50, opened(81, "mpsc", 58));
        self.event(100, spawned(82, 59));
        self.every(2_000, 1_000, |it, k, at| {
            let told = [("capacity", 4.0), ("depth", 4.0), ("sent", 4.0), ("received", 0.0)];
            it.event(at, state(81, &[&told[..], &[("contended", 1.0 + k as f64)]].concat()));
        });
        self.waits(81_000, (10_000, None), (82, 81, 60), "send", &[]);
        // One has waited for minutes for a peer, with a lock in its hand.
        self.event(50, opened(93, "mutex", 61));
        [90, 92].into_iter().for_each(|task| self.event(100, spawned(task, 62)));
        self.waits(90_000, (50_000, None), (90, 94, 63), "connect", &[]);
        self.waits(92_000, (51_000, None), (92, 93, 64), "lock", &[(90, 49_000, 63)]);
    }
}

/// What of it is lost.
#[derive(Clone, Copy, Debug)]
struct Lossy {
    /// Another for each choice of records.
    seed: u64,
    /// Only records of this kind, if one is named.
    only: Option<RecordKind>,
    /// From when to when.
    between: (u64, u64),
}

impl Lossy {
    const NOTHING: Self = Self { seed: 0, only: None, between: (0, 0) };

    /// One of ten.
    fn takes(&self, place: usize, piece: &Piece) -> bool {
        let is_its_turn = self.only.is_none_or(|only| only == piece.kind)
            && (self.between.0..self.between.1).contains(&piece.at);
        // SplitMix64.
        let mut z = self.seed ^ (place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        is_its_turn && (z ^ (z >> 31)).is_multiple_of(10)
    }
}

/// Everything that agents can capture is captured.
fn beginning() -> Batch {
    let layers =
        ["hooks", "wrapped", "schedule_latency", "watchdog", "metrics", "tracing", "guards"];
    let on = |layer: &str| Coverage {
        layer: layer.into(),
        state: CoverageState::On,
        reason: String::new(),
    };
    let coverage = EventKind::CoverageChanged {
        coverage: layers.map(on).into(),
        settings: Settings::default(),
    };
    let (name, flavor) = ("main".into(), "tokio multi_thread".into());
    let main = EventKind::LoopOpened { loop_id: LoopId(1), name, flavor, workers: 16 };
    Batch {
        locations: locations(70),
        events: vec![at(0, coverage), at(0, main)],
        ..Batch::default()
    }
}

/// Totals of a kind: produced, and dropped.
type Totals = BTreeMap<RecordKind, (u64, u64)>;

fn count(totals: &mut Totals, batch: &Batch) {
    for event in &batch.events {
        totals.entry(event.kind.record_kind()).or_default().0 += 1;
    }
    for segment in &batch.segments {
        totals.entry(segment.kind).or_default().0 += u64::from(segment.count);
    }
    for loss in &batch.losses {
        let (produced, dropped) = totals.entry(loss.kind).or_default();
        (*produced, *dropped) = (*produced + loss.count, *dropped + loss.count);
    }
}

fn ledger(totals: &Totals) -> Vec<LedgerEntry> {
    let entry =
        |(&kind, &(produced, dropped)): (_, &(u64, u64))| LedgerEntry { kind, produced, dropped };
    totals.iter().map(entry).collect()
}

/// What an agent sends of the records of a while, with what it had to drop of them.
fn batch_of(all: &[(usize, &Piece)], lossy: Lossy, to: u64) -> Batch {
    let anchor = Anchor { at: Nanos(to * MS), unix: UnixNanos(ORIGIN + (to * MS) as i64) };
    let mut batch = Batch { anchor, ..Batch::default() };
    let mut spans: BTreeMap<(RecordKind, u32), Vec<Span>> = BTreeMap::new();
    let mut lost: BTreeMap<RecordKind, (u64, u64, u64)> = BTreeMap::new();
    for &(place, piece) in all {
        if lossy.takes(place, piece) {
            let (count, from, to) = lost.entry(piece.kind).or_insert((0, piece.at, piece.at));
            (*count, *from, *to) = (*count + 1, piece.at.min(*from), piece.at.max(*to));
            continue;
        }
        match &piece.what {
            What::Event(kind) => batch.events.push(at(piece.at, kind.clone())),
            What::Span { worker, span } => {
                spans.entry((piece.kind, *worker)).or_default().push(*span);
            }
        }
    }
    for ((kind, worker), mut spans) in spans {
        spans.sort_by_key(|span| span.start);
        batch.segments.push(segment_of(kind, worker, &spans));
    }
    let loss = |(kind, (count, from, to))| Loss {
        kind,
        cause: DropCause::RingFull,
        count,
        from: Nanos(from * MS),
        to: Nanos(to * MS),
    };
    batch.losses = lost.into_iter().map(loss).collect();
    batch
}

/// Records a run of a program; with `says_goodbye` its end too.
async fn recorded(script: &Script, lossy: Lossy, says_goodbye: bool) -> Store {
    let mut store = Store::new().await;
    let mut totals = Totals::new();
    let mut pieces: Vec<_> = script.0.iter().enumerate().collect();
    pieces.retain(|(_, piece)| says_goodbye || piece.at < RUN);
    pieces.sort_by_key(|(_, piece)| piece.at);
    let first = beginning();
    count(&mut totals, &first);
    store.stored(Batch { ledger: ledger(&totals), ..first }).await;
    for from in (0..=RUN).step_by(BATCH as usize) {
        let to = from + BATCH - 1;
        let (begin, end) = (
            pieces.partition_point(|(_, piece)| piece.at < from),
            pieces.partition_point(|(_, piece)| piece.at <= to),
        );
        let batch = batch_of(&pieces[begin..end], lossy, to.min(RUN));
        count(&mut totals, &batch);
        store.stored(Batch { ledger: ledger(&totals), ..batch }).await;
    }
    if says_goodbye {
        let goodbye = How::Goodbye { ledger: ledger(&totals) };
        let ended_at = UnixNanos(ORIGIN + ((RUN + 1) * MS) as i64);
        store.writer.end_session(store.process, goodbye, ended_at).await.unwrap();
    }
    let unbalanced = "SELECT count(*) FROM ledger WHERE produced <> stored + dropped + lost";
    assert_eq!(store.sql(unbalanced).await, ["0"]);
    store
}

async fn judged(store: &Store, from: Option<u64>) -> (Facts, Analysis) {
    let from = from.map(|ms| UnixNanos(ORIGIN + (ms * MS) as i64));
    let facts = facts(store, from, None).await;
    let analysis = analyse(&facts);
    (facts, analysis)
}

/// Rule and subject of what costs somebody something.
fn serious(analysis: &Analysis) -> Vec<String> {
    let serious = analysis.findings.iter().filter(|it| it.level > Level::Info);
    serious.map(|it| format!("{} {}: {}", it.rule, it.subject, it.title)).collect()
}

/// What rules must not say once records of a kind are gone: rule, kind, and words.
const NEVER: [(&str, RecordKind, &[&str]); 8] = [
    ("task_leak", RecordKind::Task, &["never ended"]),
    ("resource_leak", RecordKind::Resource, &["never closed"]),
    (
        "unclosed_resource",
        RecordKind::Resource,
        &["never closed", "were open when", "was open when"],
    ),
    ("lost_waker", RecordKind::Task, &["can no longer be woken"]),
    ("lost_waker", RecordKind::Poll, &["can no longer be woken"]),
    ("panicked", RecordKind::Wait, &["nobody awaited"]),
    ("deadlock", RecordKind::Wait, &["deadlock: "]),
    ("lock_across_await", RecordKind::Poll, &["while something else is awaited"]),
];

/// What a finding claims though it cannot be known.
fn overclaims(facts: &Facts, finding: &Finding) -> Option<String> {
    NEVER.iter().find_map(|&(rule, kind, words)| {
        if rule != finding.rule || !facts.has_lost(kind) {
            return None;
        }
        // "Looks like a deadlock: …" claims nothing.
        let said = words.iter().find(|&&words| match words.ends_with(": ") {
            true => finding.title.starts_with(words),
            false => finding.title.contains(words),
        });
        let is_certain = finding.confidence == Confidence::Certain
            && rule != "unclosed_resource"
            && rule != "panicked";
        (said.is_some() || is_certain).then(|| {
            format!(
                "{} is {} in spite of lost {kind:?}s: {}",
                rule,
                finding.confidence.as_str(),
                finding.title
            )
        })
    })
}

fn lossy() -> impl Strategy<Value = Lossy> {
    const KINDS: &[Option<RecordKind>] = &[
        None,
        None,
        Some(RecordKind::Task),
        Some(RecordKind::Resource),
        Some(RecordKind::Wait),
        Some(RecordKind::Poll),
        Some(RecordKind::Wake),
    ];
    let between = prop_oneof![
        2 => Just((0, RUN + 1)),
        1 => (0..RUN - 20_000, 20_000..RUN).prop_map(|(from, length)| (from, from + length)),
    ];
    (any::<u64>(), proptest::sample::select(KINDS), between)
        .prop_map(|(seed, only, between)| Lossy { seed, only, between })
}

/// From when on it is judged: all of it, or what came last.
fn since() -> impl Strategy<Value = Option<u64>> {
    proptest::option::weighted(0.4, 0..RUN - 1_000)
}

/// A smaller choice of records tells no more, and takes as long.
fn config() -> ProptestConfig {
    let failure_persistence = None;
    ProptestConfig { cases: 16, max_shrink_iters: 0, failure_persistence, ..Default::default() }
}

/// Before all others of its level.
fn is_capture_told_first(facts: &Facts, analysis: &Analysis) -> bool {
    let told = analysis.findings.iter().position(|it| it.rule == CAPTURE_INCOMPLETE);
    let is_first = told.is_none_or(|at| {
        let level = analysis.findings[at].level;
        analysis.findings[..at].iter().all(|it| it.level > level)
    });
    is_first && facts.losses.is_empty() == told.is_none()
}

#[tokio::test]
async fn of_the_healthy_program_nothing_is_wrong_and_of_the_sick_one_everything() {
    for says_goodbye in [false, true] {
        let store = recorded(&Script::healthy(), Lossy::NOTHING, says_goodbye).await;
        let (facts, analysis) = judged(&store, None).await;
        assert_eq!(serious(&analysis), Vec::<String>::new());
        assert!(facts.tasks.len() > 5 && facts.resources.len() > 5 && facts.wait_sites.len() > 5);
    }
    let store = recorded(&Script::sick(), Lossy::NOTHING, false).await;
    let (_, analysis) = judged(&store, None).await;
    let mut rules: Vec<_> =
        analysis.findings.iter().filter(|it| it.level > Level::Info).map(|it| it.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    assert_eq!(
        rules,
        [
            "await_without_timeout",
            "channel_full",
            "channel_growing",
            "deadlock",
            "lock_across_await",
            "lost_waker",
            "panicked",
            "permits_exhausted",
            "resource_leak",
            "task_leak",
            "unclosed_resource",
        ],
        "{:#?}",
        serious(&analysis)
    );
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn of_a_healthy_program_with_losses_nothing_is_claimed(
        lossy in lossy(), from in since(), says_goodbye in any::<bool>(),
    ) {
        block_on(async {
            let store = recorded(&Script::healthy(), lossy, says_goodbye).await;
            let (facts, analysis) = judged(&store, from).await;
            prop_assert_eq!(serious(&analysis), Vec::<String>::new());
            prop_assert!(is_capture_told_first(&facts, &analysis));
            let claims: Vec<_> =
                analysis.findings.iter().filter_map(|it| overclaims(&facts, it)).collect();
            prop_assert_eq!(claims, Vec::<String>::new());
            Ok(())
        })?;
    }

    #[test]
    fn of_a_sick_program_with_losses_nothing_is_claimed_that_cannot_be_known(
        lossy in lossy(), from in since(), says_goodbye in any::<bool>(),
    ) {
        block_on(async {
            let store = recorded(&Script::sick(), lossy, says_goodbye).await;
            let (facts, analysis) = judged(&store, from).await;
            prop_assert!(is_capture_told_first(&facts, &analysis));
            let claims: Vec<_> =
                analysis.findings.iter().filter_map(|it| overclaims(&facts, it)).collect();
            prop_assert_eq!(claims, Vec::<String>::new());
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_process_with_many_diseases_is_judged_the_same_live_again_and_from_its_file() {
    let everywhere = Lossy { seed: 7, only: None, between: (0, RUN) };
    for lossy in [Lossy::NOTHING, everywhere] {
        let store = recorded(&Script::sick(), lossy, false).await;
        let ranges = [None, Some(120_000)];
        let mut live = Vec::new();
        for from in ranges {
            let (facts, analysis) = judged(&store, from).await;
            let (again, analysed_again) = judged(&store, from).await;
            assert_eq!(difference(&facts, &again), None);
            assert_eq!(analysis, analysed_again);
            assert!(analysis.findings.len() > 10, "{:?}", analysis.findings);
            live.push((facts, analysis));
        }
        let (process, path) = (store.process, store.path());
        store.writer.close().await.unwrap();
        let reader = Reader::open(&path).await.unwrap();
        for (facts, analysis) in live {
            let (from, to) = (Some(facts.from), Some(facts.to));
            let replayed = reader.facts(process, from, to).await.unwrap().unwrap();
            assert_eq!(difference(&facts, &replayed), None);
            assert_eq!(analysis, analyse(&replayed));
        }
    }
}
