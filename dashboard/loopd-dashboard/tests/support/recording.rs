//! A small recording to read back: one program with every disease, written through the real
//! writer into a real file.
//!
//! `orders` ran for ten minutes from 2026-11-22T14:00:00Z on two workers:
//! - task 10 (`reporter`) blocked worker 0 for 250 ms at 1 s and for 300 ms at 2 s, with stacks, and
//!   for 800 ms at 599 s, without;
//! - tasks 1000 to 1119 were spawned at `orders/src/leak.rs:12`, one every 5 s, and never ended;
//! - task 30 completed, task 31 panicked; their names are hostile;
//! - file 1 is open, file 2 was closed, socket 3 was dropped without being closed.

use std::path::Path;

use loopd_model::segment::{Effort, encode};
use loopd_model::{
    Anchor, AppSpanId, Batch, CloseHow, Coverage, CoverageState, DropCause, Event, EventKind,
    Frame, Holder, LedgerEntry, Location, LocationId, LoopId, Loss, MarkLevel, Metric, Name,
    NameId, Nanos, Outcome, Process, ProcessId, RecordKind, ResourceId, Running, Segment, Span,
    Stack, StackId, TaskId, TaskKind, UnixNanos, WaitHow, WaitId, WorkerId,
};
use loopd_store::{How, ProcessKey, StoreOptions, Writer};

/// 2026-11-22T14:00:00Z.
pub(crate) const START: i64 = 1_795_356_000_000_000_000;
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;
/// How long `orders` ran.
pub(crate) const LIFE: u64 = 600 * SECOND;

pub(crate) const FORMULA: &str = "=cmd|' /C calc'!A0";
pub(crate) const SCRIPT: &str = "<script>alert(1)</script>\u{1b}[31m\u{202e}";

const LOOP: LoopId = LoopId(1);
const REPORT: LocationId = LocationId(1);
pub(crate) const LEAK: LocationId = LocationId(2);
const MAIN: LocationId = LocationId(3);

/// Makes the file with the whole recording of `orders`, ended with a goodbye.
pub(crate) async fn orders(path: &Path) -> (Writer, loopd_store::Reader) {
    let (mut writer, reader) = loopd_store::open(StoreOptions::new(path)).await.unwrap();
    let batch = orders_batch();
    let ledger = batch.ledger.clone();
    let key = store(&mut writer, &process(7, "orders"), batch).await;
    let ended_at = UnixNanos(START).at(Nanos(LIFE));
    writer.end_session(key, How::Goodbye { ledger }, ended_at).await.unwrap();
    (writer, reader)
}

/// Adds a program that is still connected and that lost 1,200 polls.
pub(crate) async fn add_lossy(writer: &mut Writer) -> ProcessKey {
    let mut process = process(8, "lossy");
    process.anchor.unix = UnixNanos(START + 3_600_000_000_000);
    process.coverage = vec![Coverage {
        layer: "hooks".into(),
        state: CoverageState::Unavailable,
        reason: "built without --cfg tokio_unstable".into(),
    }];
    let mut batch = Batch {
        seq: 1,
        anchor: Anchor { at: Nanos(SECOND), unix: process.anchor.unix.at(Nanos(SECOND)) },
        events: vec![opened(), spawned(0, 5, MAIN)],
        segments: vec![segment(0, RecordKind::Poll, &[poll(5, 1, 5)])],
        ..Batch::default()
    };
    let (from, to) = (Nanos(20 * MS), Nanos(90 * MS));
    let (kind, cause) = (RecordKind::Poll, DropCause::RingFull);
    batch.losses.push(Loss { kind, cause, count: 1_200, from, to });
    batch.ledger = ledger(&batch);
    store(writer, &process, batch).await
}

/// Adds a program of Python that ran for ten seconds: it slept for 150 ms in `sleepy`, and asyncio
/// complained three times about two lines.
pub(crate) async fn add_python(writer: &mut Writer) -> ProcessKey {
    let mut process = process(10, "shop");
    process.agent = "loopd".into();
    let layer = |layer: &str, state, reason: &str| Coverage {
        layer: layer.into(),
        state,
        reason: reason.into(),
    };
    process.coverage = vec![
        layer("steps", CoverageState::On, ""),
        layer("uvloop", CoverageState::On, "callbacks of libuv are not seen"),
        layer("stacks", CoverageState::Unavailable, "every real-time signal has a handler"),
    ];
    process.anchor.unix = UnixNanos(START + 10_800_000_000_000);
    let now = Nanos(10 * SECOND);
    let own = Frame {
        function: "sleepy".into(),
        file: "/srv/shop/orders/app.py".into(),
        line: 23,
        address: 0,
    };
    let sample = EventKind::StackSample {
        loop_id: LOOP,
        worker: WorkerId(0),
        task: TaskId(5),
        poll_started_at: Nanos(2 * SECOND),
        stack: StackId(1),
        running: Running::OffCpu,
        syscall: "clock_nanosleep".into(),
        wchan: String::new(),
    };
    let complaint = |second: u64, level, check: &str, message: &str, location| {
        let fields = [("check", check), ("coroutine", "pay")];
        let kind = EventKind::Mark {
            task: TaskId(5),
            level,
            target: "asyncio".into(),
            message: message.into(),
            fields: fields.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
            location,
        };
        at(second * SECOND, kind)
    };
    let never = "coroutine 'pay' was never awaited";
    let reading = |name: &str, value| Metric { name: name.into(), worker: None, value };
    let readings = |second: u64, [waited, probes, paused]: [f64; 3]| {
        let metrics = vec![
            reading("gil_wait_nanos", waited),
            reading("gil_probes", probes),
            reading("gc_pause_nanos", paused),
        ];
        at(second * SECOND, EventKind::Metrics { loop_id: LoopId(0), metrics })
    };
    let mut batch = Batch {
        seq: 1,
        anchor: Anchor { at: now, unix: process.anchor.unix.at(now) },
        locations: vec![
            location(REPORT, "/srv/shop/orders/app.py", 37),
            location(LEAK, "/srv/.venv/lib/python3.13/site-packages/aiohttp/client.py", 400),
        ],
        stacks: vec![Stack { id: StackId(1), frames: vec![own] }],
        events: vec![
            at(
                0,
                EventKind::LoopOpened {
                    loop_id: LOOP,
                    name: "main".into(),
                    flavor: "asyncio".into(),
                    workers: 1,
                },
            ),
            spawned(SECOND, 5, REPORT),
            at(2 * SECOND + 60 * MS, sample),
            complaint(3, MarkLevel::Error, "never_awaited", never, REPORT),
            complaint(4, MarkLevel::Warn, "unclosed_session", "Unclosed client session", LEAK),
            complaint(5, MarkLevel::Error, "never_awaited", never, REPORT),
            readings(5, [5e6, 5.0, 1e8]),
            readings(9, [25e6, 10.0, 5e8]),
        ],
        segments: vec![segment(0, RecordKind::Poll, &[poll(2_000, 150_000, 5)])],
        ..Batch::default()
    };
    batch.ledger = ledger(&batch);
    store(writer, &process, batch).await
}

/// Adds a program that is still connected and in which tasks wait:
/// - mutex 1 (`config`) was task 20's from 2 s to 12 s and is task 21's since; tasks 22 and 23 wait
///   for it since 5 s and 6 s;
/// - tasks 24 and 25 each wait for the semaphore that the other has, since 7 s;
/// - task 21 itself waits in `recv` since 13 s, and nobody holds that up;
/// - task 20 said something, and task 26 cannot be woken any more.
pub(crate) async fn add_waiting(writer: &mut Writer) -> ProcessKey {
    let mut process = process(9, "waiting");
    process.anchor.unix = UnixNanos(START + 7_200_000_000_000);
    let now = Nanos(20 * SECOND);
    let mut batch = Batch {
        seq: 1,
        anchor: Anchor { at: now, unix: process.anchor.unix.at(now) },
        names: vec![name(1, "reloader")],
        locations: vec![
            location(REPORT, "orders/src/report.rs", 30),
            location(LEAK, "orders/src/leak.rs", 12),
        ],
        stacks: vec![stack()],
        events: waiting_events(),
        ..Batch::default()
    };
    batch.ledger = ledger(&batch);
    store(writer, &process, batch).await
}

fn waiting_events() -> Vec<Event> {
    let shared = |id: u64, kind: &str, name: &str| EventKind::ResourceOpened {
        resource: ResourceId(id),
        kind: kind.into(),
        name: name.into(),
        open_location: REPORT,
        task: TaskId(20),
        stack: StackId(1),
    };
    let readings = [("waiters", 2.0), ("locked", 1.0), ("waited_nanos", 9.0)];
    let metric = |(name, value): (&str, f64)| Metric { name: name.into(), worker: None, value };
    let readings = readings.map(metric).to_vec();
    let said = vec![("user".into(), SCRIPT.into())];
    let mark = EventKind::Mark {
        task: TaskId(20),
        level: MarkLevel::Warn,
        target: "orders::report".into(),
        message: FORMULA.into(),
        fields: said.clone(),
        location: REPORT,
    };
    let span = EventKind::AppSpan {
        span: AppSpanId(5),
        parent: AppSpanId::NONE,
        task: TaskId(20),
        name: "reload".into(),
        target: "orders".into(),
        opened_at: Nanos(2 * SECOND),
        busy_time: MS,
        fields: Vec::new(),
        location: REPORT,
    };
    let held = holder(20, 2);
    let mut events: Vec<_> = (20..27).map(|task| spawned(SECOND, task, LEAK)).collect();
    events.extend([
        at(SECOND, EventKind::TaskNamed { task: TaskId(21), name: NameId(1) }),
        at(SECOND, shared(1, "mutex", "config")),
        at(SECOND, shared(2, "semaphore", "left")),
        at(SECOND, shared(3, "semaphore", "right")),
        waits(4, 21, 1, "lock", &[held]),
        waits(5, 22, 1, "lock", &[held]),
        waits(6, 23, 1, "lock", &[held]),
        at(12 * SECOND, EventKind::HoldEnded { resource: ResourceId(1), hold: held, waits: 3 }),
        at(12 * SECOND, EventKind::WaitEnded { wait: WaitId(421), how: WaitHow::Ready }),
        waits(7, 24, 2, "acquire", &[holder(25, 3)]),
        waits(7, 25, 3, "acquire", &[holder(24, 3)]),
        waits(13, 21, 0, "recv", &[]),
        at(14 * SECOND, EventKind::ResourceState { resource: ResourceId(1), readings }),
        at(15 * SECOND, EventKind::TaskFields { task: TaskId(20), fields: said }),
        at(15 * SECOND, EventKind::TaskUnwakeable { task: TaskId(26) }),
        at(16 * SECOND, mark),
        at(17 * SECOND, span),
    ]);
    events
}

pub(crate) fn holder(task: u64, since: u64) -> Holder {
    let since = Nanos(since * SECOND);
    Holder { task: TaskId(task), since, location: LEAK, amount: 1 }
}

/// A wait whose id is the second at which it begins, and its task.
pub(crate) fn waits(second: u64, task: u64, resource: u64, op: &str, holders: &[Holder]) -> Event {
    let kind = EventKind::WaitBegan {
        wait: WaitId(second * 100 + task),
        task: TaskId(task),
        resource: ResourceId(resource),
        op: op.into(),
        location: REPORT,
        amount: 1,
        holders: holders.to_vec(),
    };
    at(second * SECOND, kind)
}

/// Begins a session and stores its first batch.
pub(crate) async fn store(writer: &mut Writer, process: &Process, batch: Batch) -> ProcessKey {
    let key = writer.begin_session(process, 1).await.unwrap().process;
    let committed = writer.commit(vec![(key, batch)]).await.unwrap();
    assert_eq!(committed[0].outcome, loopd_store::CommitOutcome::Stored);
    key
}

/// A program that captures everything.
pub(crate) fn process(id: u8, app: &str) -> Process {
    let on = |layer: &str| Coverage {
        layer: layer.into(),
        state: CoverageState::On,
        reason: String::new(),
    };
    Process {
        id: ProcessId([id; 16]),
        app: app.into(),
        app_version: "1.2.3".into(),
        host: "box".into(),
        pid: 4242,
        labels: vec![("zone".into(), "b".into())],
        agent: "loopd-agent".into(),
        agent_version: "0.1.0".into(),
        anchor: Anchor { at: Nanos(0), unix: UnixNanos(START) },
        coverage: vec![on("hooks"), on("watchdog")],
        slow_threshold: 100 * MS,
    }
}

fn orders_batch() -> Batch {
    let mut batch = Batch {
        seq: 1,
        anchor: Anchor { at: Nanos(LIFE), unix: UnixNanos(START).at(Nanos(LIFE)) },
        names: vec![name(1, "reporter"), name(2, FORMULA), name(3, SCRIPT)],
        locations: vec![
            location(REPORT, "orders/src/report.rs", 30),
            location(LEAK, "orders/src/leak.rs", 12),
            location(MAIN, "orders/src/main.rs", 9),
        ],
        stacks: vec![stack()],
        events: events(),
        segments: segments(),
        ..Batch::default()
    };
    batch.ledger = ledger(&batch);
    batch
}

fn events() -> Vec<Event> {
    let mut events = vec![opened(), worker(0), worker(1), spawned(0, 10, REPORT), named(10, 1)];
    events.extend((0..120).map(|i| spawned(i * 5 * SECOND, 1_000 + i, LEAK)));
    events.extend([
        spawned(3 * SECOND, 30, MAIN),
        named(30, 2),
        ended(4 * SECOND, 30, Outcome::Completed),
        spawned(3 * SECOND, 31, MAIN),
        named(31, 3),
        ended(5 * SECOND, 31, Outcome::Panicked),
        sample(1_100, 1_000, Running::OnCpu),
        sample(1_200, 1_000, Running::OnCpu),
        sample(2_100, 2_000, Running::OnCpu),
        resource(SECOND, 1, "file", "/var/orders.csv"),
        resource(2 * SECOND, 2, "file", "/tmp/closed"),
        closed(3 * SECOND, 2, CloseHow::Closed),
        resource(4 * SECOND, 3, "socket", "10.0.0.1:443"),
        closed(5 * SECOND, 3, CloseHow::Unclosed),
        metrics(LIFE - SECOND, &[("rss_bytes", 52_428_800.0), ("open_fds", 23.0)]),
    ]);
    events.sort_by_key(|event| event.at);
    events
}

fn segments() -> Vec<Segment> {
    let mut first = vec![poll(1_000, 250_000, 10), poll(2_000, 300_000, 10)];
    first.extend((0..100).map(|i| poll(3_000 + i * 10, 50, 30)));
    first.push(poll(599_000, 800_000, 10));
    let second: Vec<_> = (0..120).map(|i| poll(i * 5_000 + 1, 20, 1_000 + i)).collect();
    let wake = |at_ms: u64, delay_us: u64, by: u64, count: u64| Span {
        start: Nanos(at_ms * MS),
        length: delay_us * 1_000,
        task: TaskId(10),
        by: TaskId(by),
        count,
    };
    let wakes = [wake(999, 1_000, 30, 1), wake(1_999, 1_000, 10, 2)];
    let park = Span { start: Nanos(4 * SECOND), length: 500 * SECOND, count: 1, ..Span::default() };
    vec![
        segment(0, RecordKind::Poll, &first),
        segment(1, RecordKind::Poll, &second),
        segment(0, RecordKind::Wake, &wakes),
        segment(0, RecordKind::Park, &[park]),
    ]
}

/// A poll of `task`, `length_us` long.
pub(crate) fn poll(start_ms: u64, length_us: u64, task: u64) -> Span {
    Span {
        start: Nanos(start_ms * MS),
        length: length_us * 1_000,
        task: TaskId(task),
        by: TaskId::NONE,
        count: 1,
    }
}

pub(crate) fn segment(worker: u32, kind: RecordKind, spans: &[Span]) -> Segment {
    let count = spans.len() as u32;
    let data = encode(kind, spans, Effort::Fast);
    Segment { loop_id: LOOP, worker: WorkerId(worker), kind, count, data }
}

fn at(at: u64, kind: EventKind) -> Event {
    Event { at: Nanos(at), kind }
}

pub(crate) fn opened() -> Event {
    let (name, flavor) = ("main".into(), "tokio multi_thread".into());
    at(0, EventKind::LoopOpened { loop_id: LOOP, name, flavor, workers: 2 })
}

fn worker(number: u32) -> Event {
    let (worker, thread_name) = (WorkerId(number), format!("tokio-{number}"));
    let thread_id = u64::from(number) + 100;
    at(0, EventKind::WorkerStarted { loop_id: LOOP, worker, thread_name, thread_id })
}

pub(crate) fn spawned(start: u64, task: u64, spawn_location: LocationId) -> Event {
    let (task, parent, kind) = (TaskId(task), TaskId::NONE, TaskKind::Async);
    at(start, EventKind::TaskSpawned { task, loop_id: LOOP, spawn_location, parent, kind })
}

fn named(task: u64, name: u64) -> Event {
    let start = if task == 10 { 0 } else { 3 * SECOND };
    at(start, EventKind::TaskNamed { task: TaskId(task), name: NameId(name) })
}

fn ended(end: u64, task: u64, outcome: Outcome) -> Event {
    at(end, EventKind::TaskEnded { task: TaskId(task), outcome })
}

pub(crate) fn sample(at_ms: u64, poll_ms: u64, running: Running) -> Event {
    let kind = EventKind::StackSample {
        loop_id: LOOP,
        worker: WorkerId(0),
        task: TaskId(10),
        poll_started_at: Nanos(poll_ms * MS),
        stack: StackId(1),
        running,
        syscall: if at_ms == 2_100 { "futex".into() } else { String::new() },
        wchan: String::new(),
    };
    at(at_ms * MS, kind)
}

fn resource(start: u64, id: u64, kind: &str, name: &str) -> Event {
    let kind = EventKind::ResourceOpened {
        resource: ResourceId(id),
        kind: kind.into(),
        name: name.into(),
        open_location: REPORT,
        task: TaskId(10),
        stack: loopd_model::StackId::NONE,
    };
    at(start, kind)
}

fn closed(end: u64, id: u64, how: CloseHow) -> Event {
    at(end, EventKind::ResourceClosed { resource: ResourceId(id), how })
}

fn metrics(when: u64, readings: &[(&str, f64)]) -> Event {
    let metric = |&(name, value): &(&str, f64)| Metric { name: name.into(), worker: None, value };
    let metrics = readings.iter().map(metric).collect();
    at(when, EventKind::Metrics { loop_id: LoopId::NONE, metrics })
}

fn name(id: u64, text: &str) -> Name {
    Name { id: NameId(id), text: text.into() }
}

fn location(id: LocationId, file: &str, line: u32) -> Location {
    Location { id, file: file.into(), line, column: 5 }
}

pub(crate) fn stack() -> Stack {
    let frame = |function: &str, file: &str, line| Frame {
        function: function.into(),
        file: file.into(),
        line,
        address: 0x1000,
    };
    let registry = "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f";
    let frames = vec![
        frame("sha2::compress", &format!("{registry}/sha2-0.10.8/src/sha256.rs"), 80),
        frame("orders::report::build", "orders/src/report.rs", 41),
        frame("tokio::runtime::task::raw::poll", &format!("{registry}/tokio-1.54.1/src/raw.rs"), 7),
    ];
    Stack { id: StackId(1), frames }
}

/// Totals that say: nothing is missing but what the batch says was lost.
pub(crate) fn ledger(batch: &Batch) -> Vec<LedgerEntry> {
    let entry = |kind| {
        let events =
            batch.events.iter().filter(|event| event.kind.record_kind() == kind).count() as u64;
        let segments = batch.segments.iter().filter(|segment| segment.kind == kind);
        let spans: u64 = segments.map(|segment| u64::from(segment.count)).sum();
        let losses = batch.losses.iter().filter(|loss| loss.kind == kind);
        let dropped: u64 = losses.map(|loss| loss.count).sum();
        LedgerEntry { kind, produced: events + spans + dropped, dropped }
    };
    RecordKind::ALL.into_iter().map(entry).collect()
}
