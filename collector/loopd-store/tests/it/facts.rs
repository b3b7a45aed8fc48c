//! What rules are told of a range is what was told of it, and nothing that happened after its end.

use crate::support::*;
use crate::waits::{began, over};
use loopd_analysis::findings::{End, Facts, State, analyse};
use loopd_analysis::runtime::Runtime;
use loopd_model::*;
use loopd_store::{How, Reader};
use proptest::prelude::*;

async fn told(store: &Store, from: Option<u64>, to: Option<u64>) -> Facts {
    let instant = |ms: u64| UnixNanos(ORIGIN + (ms * MS) as i64);
    facts(store, from.map(instant), to.map(instant)).await
}

pub(crate) async fn facts(store: &Store, from: Option<UnixNanos>, to: Option<UnixNanos>) -> Facts {
    store.reader.facts(store.process, from, to).await.unwrap().unwrap()
}

fn wakes(worker: u32, spans: &[(u64, u64, u64, u64)]) -> Segment {
    let span = |&(start, length, task, by): &(u64, u64, u64, u64)| Span {
        start: Nanos(start * MS),
        length: length * MS,
        task: TaskId(task),
        by: TaskId(by),
        count: 1,
    };
    segment_of(RecordKind::Wake, worker, &spans.iter().map(span).collect::<Vec<_>>())
}

pub(crate) fn ended_as(task: u64, outcome: Outcome) -> EventKind {
    EventKind::TaskEnded { task: TaskId(task), outcome }
}

pub(crate) fn opened(resource: u64, kind: &str, location: u64) -> EventKind {
    EventKind::ResourceOpened {
        resource: ResourceId(resource),
        kind: kind.into(),
        name: format!("{kind} {resource}"),
        open_location: LocationId(location),
        task: TaskId(1),
        stack: StackId(0),
    }
}

pub(crate) fn closed(resource: u64, how: CloseHow) -> EventKind {
    EventKind::ResourceClosed { resource: ResourceId(resource), how }
}

pub(crate) fn state(resource: u64, readings: &[(&str, f64)]) -> EventKind {
    let metric = |&(name, value): &(&str, f64)| Metric { name: name.into(), worker: None, value };
    let readings = readings.iter().map(metric).collect();
    EventKind::ResourceState { resource: ResourceId(resource), readings }
}

fn sample(task: u64, started: u64) -> EventKind {
    EventKind::StackSample {
        loop_id: LoopId(1),
        worker: WorkerId(0),
        task: TaskId(task),
        poll_started_at: Nanos(started * MS),
        stack: StackId(1),
        running: Running::OffCpu,
        syscall: "futex".into(),
        wchan: String::new(),
    }
}

fn words() -> Batch {
    let frame = Frame {
        function: "shop::pay".into(),
        file: "/home/me/shop/src/pay.rs".into(),
        line: 7,
        address: 9,
    };
    Batch {
        names: vec![Name { id: NameId(1), text: "watcher".into() }],
        locations: locations(9),
        stacks: vec![Stack { id: StackId(1), frames: vec![frame] }],
        ..Batch::default()
    }
}

async fn store_with(events: Vec<Event>, segments: Vec<Segment>) -> Store {
    let mut store = Store::new().await;
    store.stored(words()).await;
    store.stored(Batch { events, segments, ..Batch::default() }).await;
    store
}

#[tokio::test]
async fn there_are_no_facts_of_a_process_that_is_not_there() {
    let store = Store::new().await;
    let nobody = loopd_store::ProcessKey(99);
    assert!(store.reader.facts(nobody, None, None).await.unwrap().is_none());
    let facts = told(&store, None, None).await;
    assert_eq!((facts.runtime, facts.state), (Runtime::Tokio, State::Live));
    assert_eq!((facts.from, facts.to), (UnixNanos(ORIGIN), UnixNanos(ORIGIN)));
    assert_eq!(facts.slow_threshold, 100 * MS);
    assert_eq!(facts.coverage[0].layer, "hooks");
}

#[tokio::test]
async fn a_range_is_cut_to_what_is_known_of_the_process() {
    let store = store_with(vec![at(5_000, spawned(1, 1))], vec![]).await;
    let facts = told(&store, Some(2_000), Some(90_000)).await;
    assert_eq!((facts.from.0 - ORIGIN, facts.to.0 - ORIGIN), (2 * S as i64, 5 * S as i64));
}

#[tokio::test]
async fn loops_with_their_threads_and_what_was_captured_and_lost() {
    let loop_id = LoopId(1);
    let coverage = |state| Coverage { layer: "hooks".into(), state, reason: String::new() };
    let changed = |nanos| EventKind::CoverageChanged {
        coverage: vec![coverage(CoverageState::On)],
        settings: Settings { slow_threshold: Some(nanos), ..Settings::default() },
    };
    let (name, flavor) = ("web".to_owned(), "tokio multi_thread".to_owned());
    let thread = |worker, thread_id| EventKind::WorkerStarted {
        loop_id,
        worker: WorkerId(worker),
        thread_name: "w".into(),
        thread_id,
    };
    let events = vec![
        at(1, EventKind::LoopOpened { loop_id, name, flavor, workers: 2 }),
        at(1, thread(0, 41)),
        at(2, thread(1, 42)),
        at(20, changed(50 * MS)),
        at(30, changed(70 * MS)),
        at(90, EventKind::LoopClosed { loop_id }),
    ];
    let mut store = store_with(events, vec![]).await;
    let loss = |from: u64, to: u64, cause| Loss {
        kind: RecordKind::Task,
        cause,
        count: 3,
        from: Nanos(from * MS),
        to: Nanos(to * MS),
    };
    let losses = vec![
        loss(5, 9, DropCause::RingFull),
        loss(25, 60, DropCause::AgentLimit),
        loss(70, 80, DropCause::NoRing),
    ];
    store.stored(Batch { losses, ..Batch::default() }).await;

    let facts = told(&store, Some(10), Some(40)).await;
    let it = &facts.loops[0];
    assert_eq!((it.name.as_str(), it.workers, it.closed_at), ("web", 2, None));
    assert_eq!(it.threads, [41, 42]);
    assert_eq!(facts.slow_threshold, 70 * MS);
    assert_eq!(facts.coverage[0].state, CoverageState::On);
    let [lost] = &facts.losses[..] else { panic!("{:?}", facts.losses) };
    assert_eq!((lost.cause, lost.to.0 - ORIGIN), (DropCause::AgentLimit, 40 * MS as i64));

    let facts = told(&store, None, Some(25)).await;
    assert_eq!((facts.slow_threshold, facts.losses.len()), (50 * MS, 2));
    assert!(told(&store, None, None).await.loops[0].closed_at.is_some());
    // An opening that comes later is not known.
    assert_eq!(told(&store, None, Some(0)).await.loops, []);
}

/// What each place did: spawned, ended, panicked, polls, busy ms, wakes.
fn sites(facts: &Facts) -> Vec<String> {
    let site = |it: &loopd_analysis::findings::SpawnSite| {
        let cell = &it.cell;
        format!(
            "{} {} {} {} {} {} {}",
            it.location.as_deref().unwrap_or("-"),
            cell.spawned,
            cell.ended,
            cell.panicked,
            cell.polls.count(),
            cell.busy_time / MS,
            cell.wakes,
        )
    };
    facts.sites.iter().map(site).collect()
}

#[tokio::test]
async fn what_tasks_did_is_told_to_the_instant_and_not_to_the_step() {
    // In three steps of ten seconds: one task lives shortly and well, one has a row, one panics.
    let events = vec![
        at(1_000, spawned(1, 1)),
        at(2_000, spawned(2, 2)),
        at(4_000, ended(2)),
        at(15_000, spawned(3, 2)),
        at(25_000, ended_as(3, Outcome::Panicked)),
    ];
    let segments = vec![
        polls(0, &[(1_100, 10, 1), (3_000, 20, 2), (16_000, 30, 1), (24_000, 6_000, 1)]),
        wakes(0, &[(1_050, 50, 1, 1), (8_000, 8_000, 1, 2), (23_000, 1_000, 1, 1)]),
    ];
    let store = store_with(events, segments).await;
    let at = async |from, to| sites(&told(&store, from, to).await);
    let (one, two) = ("main.rs:10", "main.rs:20");
    let src = |rows: &[String]| rows.iter().map(|row| format!("src/{row}")).collect::<Vec<_>>();
    // A poll and a wake belong to the range in which they begin, if their end is known by its end.
    let all = [format!("{one} 1 0 0 3 6040 3"), format!("{two} 2 2 1 1 20 0")];
    assert_eq!(at(None, None).await, src(&all));
    let third = [format!("{one} 0 0 0 0 0 1"), format!("{two} 0 1 1 0 0 0")];
    assert_eq!(at(Some(20_000), Some(29_000)).await, src(&third));
    let before_its_end = [format!("{one} 1 0 0 2 40 3"), format!("{two} 2 2 1 1 20 0")];
    assert_eq!(at(None, Some(29_000)).await, src(&before_its_end));
    let first = [format!("{two} 1 1 0 1 20 0"), format!("{one} 1 0 0 1 10 1")];
    assert_eq!(at(None, Some(14_000)).await, src(&first));
    assert_eq!(at(Some(2_500), Some(3_900)).await, src(&[format!("{two} 0 0 0 1 20 0")]));

    let facts = told(&store, Some(14_000), Some(28_000)).await;
    assert_eq!(facts.before_name, "the 14 seconds before");
    let before = Facts { sites: facts.before, ..Facts::default() };
    assert_eq!(sites(&before), src(&first));
    let whole = told(&store, None, None).await;
    assert_eq!((whole.before.len(), whole.before_name.as_str()), (0, ""));
}

#[tokio::test]
async fn callbacks_are_told_from_tasks() {
    let callback = EventKind::TaskSpawned {
        task: TaskId(5),
        loop_id: LoopId(1),
        spawn_location: LocationId(3),
        parent: TaskId::NONE,
        kind: TaskKind::Callback,
    };
    let events = vec![at(1, callback), at(1, spawned(6, 4))];
    let store = store_with(events, vec![polls(0, &[(2, 1, 5), (4, 1, 6)])]).await;
    let facts = told(&store, None, None).await;
    let found: Vec<_> =
        facts.sites.iter().map(|it| (it.location.as_deref(), it.is_callback)).collect();
    assert_eq!(found, [(Some("src/main.rs:30"), true), (Some("src/main.rs:40"), false)]);
    // Nor are they alive, or a population.
    assert_eq!(facts.tasks.len(), 1);
}

#[tokio::test]
async fn slow_polls_with_their_stacks_and_who_waited_behind_them() {
    let events = vec![
        at(1, spawned(1, 1)),
        at(1_150, sample(1, 1_000)),
        at(1_250, sample(1, 1_000)),
        at(2_120, sample(1, 2_000)),
    ];
    let segments = vec![
        polls(0, &[(1_000, 300, 1), (1_300, 1, 2), (1_301, 1, 3), (2_000, 200, 1)]),
        wakes(0, &[(1_100, 200, 2, 0), (900, 401, 3, 0), (1_310, 1, 4, 0)]),
        wakes(1, &[(1_100, 200, 9, 0)]),
    ];
    let store = store_with(events, segments).await;
    let facts = told(&store, None, None).await;
    let [second, first] = &facts.slow_polls[..] else { panic!("{:?}", facts.slow_polls) };
    assert_eq!((first.poll.length, first.has_ended), (300 * MS, true));
    assert_eq!(first.poll.samples.len(), 2);
    assert_eq!(first.poll.samples[0].frames[0].function, "shop::pay");
    assert_eq!(first.poll.samples[0].syscall, "futex");
    assert_eq!(first.poll.spawn_location.as_deref(), Some("src/main.rs:10"));
    let victims = first.victims.unwrap();
    assert_eq!((victims.polls, victims.delay), (2, (200 + 300) * MS));
    assert_eq!(second.victims.unwrap().polls, 0);

    // While it ran only its samples were known, and nobody who waited.
    let facts = told(&store, None, Some(1_200)).await;
    let [first] = &facts.slow_polls[..] else { panic!("{:?}", facts.slow_polls) };
    assert_eq!((first.poll.length, first.has_ended), (150 * MS, false));
    assert_eq!((first.poll.samples.len(), first.victims), (1, None));
    assert_eq!(told(&store, None, Some(1_140)).await.slow_polls.len(), 0);
    assert_eq!(told(&store, Some(1_400), Some(1_900)).await.slow_polls.len(), 0);
}

#[tokio::test]
async fn without_wakes_nobody_knows_who_waited() {
    let store = store_with(vec![at(1, spawned(1, 1))], vec![polls(0, &[(10, 300, 1)])]).await;
    let facts = told(&store, None, None).await;
    assert_eq!(facts.slow_polls.len(), 1);
    assert_eq!(facts.slow_polls[0].victims, None);
}

#[tokio::test]
async fn populations_are_those_of_the_end_whatever_came_after() {
    let mut events = Vec::new();
    for i in 0..10 {
        events.push(at(i * 1_000, spawned(i + 1, 1)));
        events.push(at(i * 1_000, opened(i + 1, "file", 2)));
        // Most live shortly and well, which leaves them no row.
        events.push(at(i * 1_000 + if i == 0 { 9_000 } else { 4_000 }, ended(i + 1)));
        events.push(at(i * 1_000 + 3_500, closed(i + 1, CloseHow::Unclosed)));
    }
    let store = store_with(events, vec![]).await;
    let facts = told(&store, None, Some(8_000)).await;
    let [tasks] = &facts.tasks[..] else { panic!("{:?}", facts.tasks) };
    assert_eq!((tasks.alive, tasks.spawned, tasks.ended), (5, 8, 4));
    assert_eq!(tasks.population.counts, [1, 2, 3, 4, 5, 5, 5, 5, 5]);
    assert_eq!(tasks.population.ages, [8, 3, 2, 1, 0].map(|seconds| seconds * S));
    assert_eq!(tasks.examples, [1, 6, 7, 8, 9].map(TaskId));
    let [files] = &facts.resources[..] else { panic!("{:?}", facts.resources) };
    assert_eq!((files.open, files.opened, files.closed, files.unclosed), (4, 8, 5, 5));
    assert_eq!(files.kind, "file");
    assert_eq!(files.location.as_deref(), Some("src/main.rs:20"));
}

#[tokio::test]
async fn of_a_process_that_shut_down_what_was_alive_then_counts() {
    let loop_id = LoopId(1);
    let (name, flavor) = (String::new(), String::new());
    let events = vec![
        at(0, EventKind::LoopOpened { loop_id, name, flavor, workers: 2 }),
        at(1, spawned(1, 1)),
        at(2, began(1, 1, &[])),
        at(7_000, EventKind::LoopClosed { loop_id }),
        at(7_001, over(1, WaitHow::Cancelled)),
        at(7_002, ended(1)),
    ];
    let mut store = store_with(events, vec![]).await;
    let before = told(&store, None, None).await;
    let goodbye = How::Goodbye { ledger: Vec::new() };
    let ended_at = UnixNanos(ORIGIN + 8 * S as i64);
    store.writer.end_session(store.process, goodbye, ended_at).await.unwrap();
    let after = told(&store, None, None).await;
    assert_eq!((before.state, after.state), (State::Live, State::Ended));
    for facts in [before, after] {
        assert_eq!(facts.tasks[0].alive, 1);
        assert_eq!((facts.alive.len(), facts.open_waits.len()), (1, 1));
    }
}

#[tokio::test]
async fn tasks_that_stand_out_and_those_that_ended_badly() {
    let named = EventKind::TaskNamed { task: TaskId(1), name: NameId(1) };
    let fields = vec![("order".to_owned(), "7".to_owned())];
    let events = vec![
        at(1, spawned(1, 1)),
        at(2, named),
        at(3, EventKind::TaskFields { task: TaskId(1), fields }),
        at(10, spawned(2, 2)),
        at(5_000, EventKind::TaskUnwakeable { task: TaskId(2) }),
        at(5_100, spawned(3, 3)),
        at(5_200, ended_as(4, Outcome::Panicked)),
        at(5_300, ended_as(5, Outcome::Destroyed)),
        at(5_400, ended_as(6, Outcome::Completed)),
        at(5_500, ended_as(7, Outcome::Raised)),
        at(9_000, ended(2)),
    ];
    let own: Vec<_> = (0..30).map(|i| (100 * i, 1, 1, 1)).collect();
    let of_one: Vec<_> = (0..30).map(|i| (100 * i + 1, 2, 1)).collect();
    let late = (6_500, 100, 1);
    let segments = vec![wakes(0, &own), polls(0, &of_one), polls(1, &[late])];
    let store = store_with(events, segments).await;
    let facts = told(&store, None, Some(6_000)).await;
    // The third is too young, and the rest did not stay.
    let [one, two] = &facts.alive[..] else { panic!("{:?}", facts.alive) };
    assert_eq!((one.task, one.name.as_str()), (TaskId(1), "watcher"));
    assert_eq!(one.fields, [("order".to_owned(), "7".to_owned())]);
    // A poll after the end of the range is not counted.
    assert_eq!((one.polls, one.busy_time / MS), (30, 60));
    assert_eq!((one.wakes, one.self_wakes), (Some(30), Some(30)));
    assert_eq!(two.unwakeable_at, Some(UnixNanos(ORIGIN + 5 * S as i64)));
    let ended: Vec<_> = facts.ended.iter().map(|it| (it.task.0, it.end)).collect();
    assert_eq!(ended, [(7, End::Raised), (5, End::Destroyed), (4, End::Panicked)]);

    let later = told(&store, Some(8_000), None).await;
    assert_eq!(later.alive.iter().map(|it| it.task.0).collect::<Vec<_>>(), [1]);
    assert_eq!((later.alive[0].polls, later.ended.len()), (31, 0));
}

#[tokio::test]
async fn a_poll_after_it_was_said_to_be_unwakeable_refutes_that() {
    let events = vec![at(1, spawned(1, 1)), at(100, EventKind::TaskUnwakeable { task: TaskId(1) })];
    let store = store_with(events, vec![polls(0, &[(200, 1, 1), (400, 1, 1)])]).await;
    let at = async |to| {
        let facts = told(&store, None, Some(to)).await;
        facts.alive.first().is_some_and(|it| it.unwakeable_at.is_some())
    };
    assert_eq!(
        [at(99).await, at(150).await, at(300).await, at(401).await],
        [false, true, false, false]
    );
}

/// A wait to join task 3, which names it.
fn joins(wait: u64, task: u64, joined: u64) -> EventKind {
    let holder = Holder { task: TaskId(joined), since: Nanos(MS), ..Holder::default() };
    EventKind::WaitBegan {
        wait: WaitId(wait),
        task: TaskId(task),
        resource: ResourceId(6),
        op: "join".into(),
        location: LocationId(4),
        amount: 0,
        holders: vec![holder],
    }
}

#[tokio::test]
async fn waits_that_last_are_told_with_who_holds_them_up_then() {
    let hold = |task: u64, since: u64| Holder {
        task: TaskId(task),
        since: Nanos(since * MS),
        location: LocationId(2),
        amount: 1,
    };
    let released = |task, since| EventKind::HoldEnded {
        resource: ResourceId(5),
        hold: hold(task, since),
        waits: 1,
    };
    let events = vec![
        at(0, spawned(1, 1)),
        at(0, spawned(2, 1)),
        at(0, spawned(3, 1)),
        at(1, opened(5, "mutex", 3)),
        // 1 has it; 2 and 3 wait, 2 gets it, and gives it back.
        at(10, began(1, 2, &[(1, 5)])),
        at(20, began(2, 3, &[(1, 5)])),
        at(30, released(1, 5)),
        at(31, over(1, WaitHow::Ready)),
        at(50, released(2, 31)),
        at(51, over(2, WaitHow::Ready)),
        at(60, joins(3, 2, 3)),
        at(70, ended_as(3, Outcome::Panicked)),
    ];
    let store = store_with(events, vec![]).await;
    let open = async |to| {
        let facts = told(&store, None, Some(to)).await;
        let holder = |it: &loopd_analysis::findings::WaitHolder| {
            let later = if it.is_later { " later" } else { "" };
            format!("{} since {}{later}", it.task.unwrap(), (it.since_at.0 - ORIGIN) / MS as i64)
        };
        let line = |it: &loopd_analysis::findings::OpenWait| {
            let holders: Vec<_> = it.holders.iter().map(holder).collect();
            format!(
                "{} {}s {}, held by {}",
                it.task.unwrap(),
                it.op,
                it.resource_name,
                holders.join(" and ")
            )
        };
        facts.open_waits.iter().map(line).collect::<Vec<_>>()
    };
    let one = "2 locks mutex 5, held by 1 since 5";
    assert_eq!(open(9).await, Vec::<String>::new());
    assert_eq!(open(10).await, [one]);
    assert_eq!(open(25).await, [one, "3 locks mutex 5, held by 1 since 5"]);
    assert_eq!(open(40).await, ["3 locks mutex 5, held by 2 since 31 later"]);
    assert_eq!(open(55).await, Vec::<String>::new());
    assert_eq!(open(65).await, ["2 joins , held by 3 since 1"]);

    let facts = told(&store, None, None).await;
    assert!(facts.ended[0].was_joined, "{:?}", facts.ended);
    let locks = facts.wait_sites.iter().find(|it| it.op == "lock").unwrap();
    assert_eq!(locks.location.as_deref(), Some("src/main.rs:10"));
    assert_eq!(locks.resource_location.as_deref(), Some("src/main.rs:30"));
    assert_eq!((locks.waits, locks.tasks, locks.cancelled), (2, 2, 0));
    assert_eq!((locks.total_time / MS, locks.max_time / MS), (21 + 31, 31));
    let facts = told(&store, Some(20), Some(40)).await;
    assert_eq!(facts.wait_sites[0].total_time / MS, 11 + 20);
}

#[tokio::test]
async fn a_wait_whose_end_may_be_lost_or_whose_task_is_gone_does_not_last() {
    let events = vec![at(0, spawned(1, 1)), at(0, spawned(2, 1)), at(1, began(1, 1, &[]))];
    let mut store = store_with(events, vec![]).await;
    let loss = Loss {
        kind: RecordKind::Wait,
        cause: DropCause::RingFull,
        count: 1,
        from: Nanos(5 * MS),
        to: Nanos(6 * MS),
    };
    store.stored(Batch { losses: vec![loss], ..Batch::default() }).await;
    let events = vec![at(7, began(2, 2, &[])), at(20, ended(2)), at(30, spawned(9, 1))];
    store.stored(Batch { events, ..Batch::default() }).await;
    let open = async |to| {
        let facts = told(&store, None, Some(to)).await;
        facts.open_waits.iter().map(|it| it.wait.0).collect::<Vec<_>>()
    };
    assert_eq!(open(4).await, [1]);
    assert_eq!(open(6).await, Vec::<u64>::new());
    assert_eq!(open(10).await, [2]);
    assert_eq!(open(25).await, Vec::<u64>::new());
}

#[tokio::test]
async fn waits_one_after_the_other_are_a_row() {
    let mut events = vec![at(0, spawned(1, 1)), at(0, spawned(2, 1))];
    for i in 0..5 {
        events.push(at(100 * i, began(i + 1, 1, &[])));
        events.push(at(100 * i + 90, over(i + 1, WaitHow::Ready)));
    }
    // Another wait comes between.
    events.push(at(500, joins(8, 1, 2)));
    events.push(at(501, over(8, WaitHow::Ready)));
    events.push(at(510, began(9, 1, &[])));
    events.push(at(520, over(9, WaitHow::Cancelled)));
    let store = store_with(events, vec![]).await;
    let facts = told(&store, None, None).await;
    let locks = facts.wait_sites.iter().find(|it| it.op == "lock").unwrap();
    assert_eq!(locks.longest_row, (TaskId(1), 5, 450 * MS));
    assert_eq!((locks.waits, locks.cancelled), (6, 1));
}

#[tokio::test]
async fn holds_by_where_they_were_taken_and_how_busy_the_longest_was() {
    let held = |task: u64, since: u64, waits| EventKind::HoldEnded {
        resource: ResourceId(5),
        hold: Holder {
            task: TaskId(task),
            since: Nanos(since * MS),
            location: LocationId(2),
            amount: 0,
        },
        waits,
    };
    let events = vec![
        at(0, spawned(1, 1)),
        at(1, opened(5, "mutex", 3)),
        at(150, held(1, 100, 2)),
        at(900, held(1, 200, 1)),
    ];
    let segments = vec![polls(0, &[(0, 1, 1), (190, 30, 1), (500, 100, 1), (880, 30, 1)])];
    let store = store_with(events, segments).await;
    let facts = told(&store, None, None).await;
    let [site] = &facts.hold_sites[..] else { panic!("{:?}", facts.hold_sites) };
    assert_eq!(site.location.as_deref(), Some("src/main.rs:20"));
    assert_eq!((site.holds, site.waits, site.total_time / MS), (2, 3, 750));
    assert_eq!((site.max_time / MS, site.max_task), (700, Some(TaskId(1))));
    assert_eq!(site.max_busy_time, Some((20 + 100 + 20) * MS));
    // A poll that has not ended is not known.
    let facts = told(&store, None, Some(900)).await;
    assert_eq!(facts.hold_sites[0].max_busy_time, Some((20 + 100) * MS));
    assert_eq!(told(&store, None, Some(899)).await.hold_sites[0].holds, 1);
}

#[tokio::test]
async fn resources_that_matter_are_told_over_the_range() {
    let events = vec![
        at(0, opened(5, "channel", 3)),
        at(0, opened(6, "mutex", 4)),
        at(0, opened(7, "mutex", 4)),
        at(100, state(5, &[("capacity", 10.0), ("depth", 1.0), ("sent", 1.0)])),
        at(200, state(7, &[("acquired", 4.0), ("contended", 0.0)])),
        at(3_000, state(5, &[("depth", 4.0), ("sent", 9.0), ("received", 5.0)])),
        at(3_000, state(6, &[("waiters", 2.0), ("contended", 3.0)])),
        at(6_000, state(5, &[("depth", 0.0), ("sent", 9.0), ("received", 9.0)])),
        at(6_000, state(6, &[("waiters", 0.0)])),
    ];
    let store = store_with(events, vec![]).await;
    let facts = told(&store, Some(2_000), Some(5_000)).await;
    // Of the third nobody waited, and it holds nothing.
    let [mutex, channel] = &facts.uses[..] else { panic!("{:?}", facts.uses) };
    assert_eq!((mutex.kind.as_str(), mutex.contended), ("mutex", Some(3)));
    assert_eq!((mutex.waiters[0], mutex.waiters[59]), (None, Some(2.0)));
    assert_eq!((channel.capacity, channel.sent, channel.received), (Some(10), Some(8), Some(5)));
    assert_eq!(channel.depths[..2], [Some(1.0), Some(1.0)]);
    assert_eq!(channel.depths[18..20], [Some(1.0), Some(4.0)]);
    assert_eq!(channel.depths.len(), Facts::POINTS);
    // What is told of all time is not of a range in which nothing changed.
    let quiet = told(&store, Some(4_000), Some(5_000)).await;
    let mutex = quiet.uses.iter().find(|it| it.kind == "mutex").unwrap();
    assert_eq!((mutex.contended, mutex.waiters[59]), (Some(0), Some(2.0)));
    let whole = told(&store, None, None).await;
    let channel = whole.uses.iter().find(|it| it.kind == "channel");
    assert_eq!(channel, None, "{:?}", whole.uses);
}

#[tokio::test]
async fn readings_and_complaints_of_the_range() {
    let metrics = |value| EventKind::Metrics {
        loop_id: LoopId(1),
        metrics: vec![Metric { name: "alive_tasks".into(), worker: None, value }],
    };
    let mark = |check: &str| EventKind::Mark {
        task: TaskId(1),
        level: MarkLevel::Error,
        target: "asyncio".into(),
        message: "coroutine 'a'".into(),
        fields: vec![("check".into(), check.into())],
        location: LocationId(1),
    };
    let events = vec![
        at(1_000, metrics(5.0)),
        at(2_000, metrics(7.0)),
        at(2_500, mark("never_awaited")),
        at(3_000, metrics(9.0)),
        at(3_001, mark("never_awaited")),
    ];
    let store = store_with(events, vec![]).await;
    let facts = told(&store, Some(1_500), Some(3_000)).await;
    let [series] = facts.metric("alive_tasks") else { panic!("{:?}", facts.metrics) };
    assert_eq!((series.last(), series.rise()), (Some(9.0), Some(2.0)));
    assert_eq!(facts.complaints.len(), 1);
    assert_eq!(facts.complaints[0].location.as_deref(), Some("src/main.rs:10"));
}

#[tokio::test]
async fn a_task_that_was_destroyed_is_complained_of_where_it_was_spawned() {
    let destroyed = |task: &str| EventKind::Mark {
        task: TaskId(1),
        level: MarkLevel::Error,
        target: "asyncio".into(),
        message: "Task was destroyed but it is pending!".into(),
        fields: vec![
            ("check".into(), "task_destroyed_pending".into()),
            ("task_id".into(), task.into()),
        ],
        location: LocationId(1),
    };
    let events = vec![
        at(1, spawned(7, 2)),
        at(2, ended_as(7, Outcome::Destroyed)),
        at(2, destroyed("7")),
        at(3, destroyed("9")),
        at(4, destroyed("none")),
    ];
    let store = store_with(events, vec![]).await;
    let facts = told(&store, None, None).await;
    let places: Vec<_> = facts.complaints.iter().map(|it| it.location.as_deref()).collect();
    let freed = Some("src/main.rs:10");
    assert_eq!(places, [freed, freed, Some("src/main.rs:20")], "latest first");
}

/// Something of a program, with everything that an agent tells of it and when.
#[derive(Clone, Debug)]
enum Life {
    Task { id: u64, spawned: u64, ended: Option<(u64, u8)>, unwakeable: Option<u64> },
    Poll { task: u64, worker: u32, start: u64, length: u64, is_sampled: bool },
    Wake { task: u64, by: u64, worker: u32, start: u64, delay: u64 },
    Wait { id: u64, task: u64, resource: u64, began: u64, ended: Option<(u64, bool)>, holder: u64 },
    Hold { task: u64, resource: u64, since: u64, ended: u64, waits: u64 },
    Resource { id: u64, opened: u64, closed: Option<(u64, bool)>, states: Vec<(u64, u8)> },
    Metric { at: u64, value: u8 },
    Mark { at: u64 },
    Loss { at: u64, is_wait: bool },
}

/// So long the programs run, in milliseconds.
const RUN: u64 = 45_000;

fn instant() -> impl Strategy<Value = u64> {
    0..RUN
}

/// Mostly short, seldom long.
fn length() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..200u64, 2 => 0..4_000u64, 1 => 0..30_000u64]
}

fn life(id: usize) -> impl Strategy<Value = Life> {
    let id = id as u64 + 1;
    let task = || 1..40u64;
    let resource = || 1..40u64;
    prop_oneof![
        6 => (instant(), proptest::option::weighted(0.7, (length(), 0..6u8)),
              proptest::option::weighted(0.2, length()))
            .prop_map(move |(spawned, ended, unwakeable)| Life::Task {
                id,
                spawned,
                ended: ended.map(|(after, how)| (spawned + after, how)),
                unwakeable: unwakeable.map(|after| spawned + after),
            }),
        6 => (task(), 0..2u32, instant(), length(), any::<bool>())
            .prop_map(|(task, worker, start, length, is_sampled)| Life::Poll {
                task, worker, start, length, is_sampled
            }),
        4 => (task(), task(), 0..2u32, instant(), length())
            .prop_map(|(task, by, worker, start, delay)| Life::Wake {
                task, by, worker, start, delay
            }),
        4 => (task(), resource(), instant(),
              proptest::option::weighted(0.7, (length(), any::<bool>())), task())
            .prop_map(move |(task, resource, began, ended, holder)| Life::Wait {
                id,
                task,
                resource,
                began,
                ended: ended.map(|(after, is_ready)| (began + after, is_ready)),
                holder,
            }),
        2 => (task(), resource(), instant(), length(), 0..3u64)
            .prop_map(|(task, resource, since, length, waits)| Life::Hold {
                task, resource, since, ended: since + length, waits
            }),
        3 => (instant(), proptest::option::weighted(0.6, (length(), any::<bool>())),
              proptest::collection::vec((length(), any::<u8>()), 0..4))
            .prop_map(move |(opened, closed, states)| Life::Resource {
                id,
                opened,
                closed: closed.map(|(after, how)| (opened + after, how)),
                states: states.into_iter().map(|(after, it)| (opened + after, it)).collect(),
            }),
        1 => (instant(), any::<u8>()).prop_map(|(at, value)| Life::Metric { at, value }),
        1 => instant().prop_map(|at| Life::Mark { at }),
        1 => (instant(), any::<bool>()).prop_map(|(at, is_wait)| Life::Loss { at, is_wait }),
    ]
}

/// What an agent sends of it, each with the instant at which it knows.
fn sent(place: usize, life: &Life) -> Vec<(u64, Batch)> {
    let event = |ms, kind| (ms, Batch { events: vec![at(ms, kind)], ..Batch::default() });
    // No two spans begin at once, and none ends at a whole millisecond.
    let start_of = |ms: u64| Nanos(ms * MS + place as u64 + 1);
    let span = |ms, kind, worker, span: Span| {
        let segments = vec![segment_of(kind, worker, &[span])];
        (ms, Batch { segments, ..Batch::default() })
    };
    match *life {
        Life::Task { id, spawned: born, ended, unwakeable } => {
            let mut told = vec![event(born, spawned(id, 1 + id % 5))];
            let outcomes = [
                Outcome::Unknown,
                Outcome::Completed,
                Outcome::Panicked,
                Outcome::Cancelled,
                Outcome::Raised,
                Outcome::Destroyed,
            ];
            told.extend(ended.map(|(at, how)| event(at, ended_as(id, outcomes[usize::from(how)]))));
            told.extend(
                unwakeable.map(|at| event(at, EventKind::TaskUnwakeable { task: TaskId(id) })),
            );
            told
        }
        Life::Poll { task, worker, start, length, is_sampled } => {
            let started = start_of(start);
            let task = TaskId(task);
            let poll =
                Span { start: started, length: length * MS, task, count: 1, ..Span::default() };
            // Told in the first whole millisecond after its end.
            let mut told = vec![span(start + length + 1, RecordKind::Poll, worker, poll)];
            let sample = || EventKind::StackSample {
                loop_id: LoopId(1),
                worker: WorkerId(worker),
                task,
                poll_started_at: started,
                stack: StackId(1),
                running: Running::OnCpu,
                syscall: String::new(),
                wchan: String::new(),
            };
            if is_sampled {
                let samples = [60, 110, 1_000].into_iter().filter(|&after| after <= length);
                told.extend(samples.map(|after| event(start + after, sample())));
            }
            told
        }
        Life::Wake { task, by, worker, start, delay } => {
            let wake = Span {
                start: start_of(start),
                length: delay * MS,
                task: TaskId(task),
                by: TaskId(by),
                count: 2,
            };
            vec![span(start + delay + 1, RecordKind::Wake, worker, wake)]
        }
        Life::Wait { id, task, resource, began, ended, holder } => {
            let holder =
                Holder { task: TaskId(holder), since: Nanos(began * MS / 2), ..Holder::default() };
            let kind = EventKind::WaitBegan {
                wait: WaitId(id),
                task: TaskId(task),
                resource: ResourceId(resource),
                op: if id % 3 == 0 { "join" } else { "lock" }.into(),
                location: LocationId(1 + id % 4),
                amount: 1,
                holders: vec![holder],
            };
            let how = |is_ready| if is_ready { WaitHow::Ready } else { WaitHow::Cancelled };
            let mut told = vec![event(began, kind)];
            told.extend(ended.map(|(at, is_ready)| event(at, over(id, how(is_ready)))));
            told
        }
        Life::Hold { task, resource, since, ended, waits } => {
            let hold = Holder {
                task: TaskId(task),
                since: Nanos(since * MS),
                location: LocationId(2),
                amount: 1,
            };
            vec![event(ended, EventKind::HoldEnded { resource: ResourceId(resource), hold, waits })]
        }
        Life::Resource { id, opened: at, closed: close, ref states } => {
            let mut told = vec![event(at, opened(id, "mutex", 1 + id % 3))];
            let how = |is_unclosed| {
                if is_unclosed { CloseHow::Unclosed } else { CloseHow::Dropped }
            };
            told.extend(close.map(|(at, is_unclosed)| event(at, closed(id, how(is_unclosed)))));
            let readings = |it: u8| {
                let value = f64::from(it / 8);
                let all = [("waiters", value), ("contended", value), ("depth", value)];
                state(id, &all[..=usize::from(it % 3)])
            };
            told.extend(states.iter().map(|&(at, it)| event(at, readings(it))));
            told
        }
        Life::Metric { at, value } => {
            let value = f64::from(value);
            let metrics = vec![Metric { name: "rss_bytes".into(), worker: None, value }];
            vec![event(at, EventKind::Metrics { loop_id: LoopId(0), metrics })]
        }
        Life::Mark { at } => vec![event(
            at,
            EventKind::Mark {
                task: TaskId(1),
                level: MarkLevel::Error,
                target: "asyncio".into(),
                message: at.to_string(),
                fields: vec![("check".into(), "never_awaited".into())],
                location: LocationId(1),
            },
        )],
        // One that began before the end of the range and is told after it would arrive late.
        Life::Loss { at, is_wait } => {
            let kind = if is_wait { RecordKind::Wait } else { RecordKind::Task };
            let (cause, instant) = (DropCause::RingFull, Nanos(at * MS));
            let losses = vec![Loss { kind, cause, count: 1, from: instant, to: instant }];
            vec![(at, Batch { losses, ..Batch::default() })]
        }
    }
}

/// Everything that comes until an instant as one batch, which says when that is.
fn batch_of(all: &[(u64, Batch)], from: u64, to: u64) -> Batch {
    let anchor = Anchor { at: Nanos(to * MS), unix: UnixNanos(ORIGIN + (to * MS) as i64) };
    let mut batch = Batch { anchor, ..Batch::default() };
    for (_, one) in all.iter().filter(|(ms, _)| (from..=to).contains(ms)) {
        batch.events.extend(one.events.iter().cloned());
        batch.segments.extend(one.segments.iter().cloned());
        batch.losses.extend(one.losses.iter().cloned());
    }
    batch
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The first lines in which two differ, with what stands before.
pub(crate) fn difference(one: &Facts, other: &Facts) -> Option<String> {
    let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
    let (one, other): (Vec<_>, Vec<_>) = (one.lines().collect(), other.lines().collect());
    let differs = |&place: &usize| one.get(place) != other.get(place);
    let place = (0..one.len().max(other.len())).find(differs)?;
    let around = |lines: &[&str]| {
        let to = lines.len().min(place + 4);
        lines[place.saturating_sub(12).min(to)..to].join("\n")
    };
    Some(format!("{}\n--- and ---\n{}", around(&one), around(&other)))
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let lives = (10..90usize).prop_flat_map(|count| (0..count).map(life).collect::<Vec<_>>());
    lives.prop_map(|mut lives| {
        let ended = |life: &Life| match *life {
            Life::Task { id, ended, .. } => Some((id, ended?.0)),
            _ => None,
        };
        let ended: std::collections::HashMap<u64, u64> = lives.iter().filter_map(ended).collect();
        // No task is polled after its end, and no worker polls two at once.
        let start = |life: &Life| match *life {
            Life::Poll { start, .. } => start,
            _ => 0,
        };
        lives.sort_by_key(start);
        let mut free_at = [0; 2];
        lives.retain(|life| match *life {
            Life::Poll { task, worker, start, length, .. } => {
                let end = start + length;
                let free_at = &mut free_at[worker as usize];
                let is_possible =
                    ended.get(&task).is_none_or(|ended| end < *ended) && start > *free_at;
                *free_at = if is_possible { end } else { *free_at };
                is_possible
            }
            _ => true,
        });
        lives
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_after_the_end_of_a_range_changes_nothing(
        lives in lives(),
        mut cuts in proptest::collection::vec(1..2 * RUN, 1..4),
        from in proptest::option::of(instant()),
    ) {
        cuts.sort_unstable();
        let all: Vec<_> =
            lives.iter().enumerate().flat_map(|(place, life)| sent(place, life)).collect();
        block_on(async {
            let mut store = Store::new().await;
            store.stored(words()).await;
            let (mut begin, mut live) = (0, Vec::new());
            for &cut in &cuts {
                store.stored(batch_of(&all, begin, cut)).await;
                let from = from.map(|ms| UnixNanos(ORIGIN + (ms.min(cut) * MS) as i64));
                let seen = facts(&store, from, None).await;
                live.push((from, seen));
                begin = cut + 1;
            }
            store.stored(batch_of(&all, begin, 4 * RUN)).await;
            for (from, seen) in live {
                let again = facts(&store, from, Some(seen.to)).await;
                prop_assert_eq!(difference(&seen, &again), None);
                prop_assert_eq!(analyse(&seen), analyse(&again));
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_process_judged_live_at_its_end_is_judged_the_same_from_its_file() {
    let lives: Vec<Life> = (0..30)
        .map(|id| Life::Task {
            id,
            spawned: id * 1_490,
            ended: (id % 5 == 0).then_some((id * 1_490 + 100, 2)),
            unwakeable: None,
        })
        .collect();
    let all: Vec<_> = lives.iter().enumerate().flat_map(|(i, life)| sent(i, life)).collect();
    let mut store = Store::new().await;
    store.stored(words()).await;
    store.stored(batch_of(&all, 0, RUN)).await;
    let live = told(&store, None, None).await;
    let process = store.process;
    let path = store.path();
    store.writer.close().await.unwrap();
    let reader = Reader::open(&path).await.unwrap();
    let replayed = reader.facts(process, None, None).await.unwrap().unwrap();
    assert_eq!(difference(&live, &replayed), None);
    assert_eq!(analyse(&live), analyse(&replayed));
    let rules: Vec<_> = analyse(&live).findings.iter().map(|it| it.rule).collect();
    assert!(rules.contains(&"task_leak"), "{rules:?}");
}

#[tokio::test]
async fn what_arrives_late_is_told_from_then_on() {
    let mut store = store_with(vec![at(1, spawned(1, 1)), at(2_000, spawned(2, 1))], vec![]).await;
    let before = told(&store, None, Some(1_000)).await;
    let late = Batch { segments: vec![polls(0, &[(10, 300, 1)])], ..Batch::default() };
    store.stored(late).await;
    let after = told(&store, None, Some(1_000)).await;
    assert_eq!((before.slow_polls.len(), after.slow_polls.len()), (0, 1));
}
