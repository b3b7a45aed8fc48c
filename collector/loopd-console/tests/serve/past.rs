//! The past, at the speed that is asked for.

use console_api::instrument::{PauseRequest, ResumeRequest, Temporality};
use loopd_console::serve::ReplayRange;
use loopd_model::*;
use loopd_store::How;

use crate::screen::{Screen, Served, States};
use crate::support::*;

fn instant(seconds: u64) -> UnixNanos {
    UnixNanos(ORIGIN + (seconds * S) as i64)
}

/// Two minutes in which one task is polled every second, one comes and goes, and one is always there.
async fn recorded() -> Store {
    let mut store = Store::new().await;
    let every_second: Vec<_> = (1..120).map(|second| (second * 1_000, 100, 1)).collect();
    let long = [(50_000, 60_000, 3)];
    let wake =
        Span { start: Nanos(40 * S), length: 10 * S, task: TaskId(3), by: TaskId(1), count: 1 };
    store
        .stored(Batch {
            locations: locations(3),
            events: vec![
                at(0, spawned(1, 1)),
                at(30_000, spawned(2, 2)),
                at(90_000, ended(2)),
                at(0, spawned(3, 3)),
                at(119_000, ended(1)),
                at(119_900, spawned(4, 1)),
            ],
            segments: vec![
                polls(0, &every_second),
                polls(1, &long),
                segment_of(RecordKind::Wake, 1, &[wake]),
            ],
            ..Batch::default()
        })
        .await;
    store
}

/// What a replay that begins and stays at a second shows at first.
async fn at_second(store: &Store, second: u64) -> Screen {
    let range =
        ReplayRange::new(instant(second), UnixNanos(instant(second).0 + 1), 1.0, None).unwrap();
    let served = Served::replay(store.reader.clone(), range);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    screen.until("the tasks are there", |screen| !screen.tasks.is_empty()).await;
    served.stop().await;
    screen
}

#[tokio::test]
async fn tasks_are_shown_as_they_stood_then() {
    let store = recorded().await;
    let screen = at_second(&store, 20).await;
    assert_eq!(
        [1, 2, 3, 4].map(|task| screen.state(task)),
        ["running", "absent", "idle", "absent"]
    );
    assert_eq!(screen.polls(1), 20, "nineteen that had ended, and the one that began right then");
    assert_eq!(screen.task(1).unwrap().1.poll_stats.unwrap().busy_time.unwrap().seconds, 1);

    let screen = at_second(&store, 45).await;
    assert_eq!([2, 3].map(|task| screen.state(task)), ["idle", "scheduled"]);
    let screen = at_second(&store, 60).await;
    assert_eq!((screen.state(3), screen.polls(3)), ("running", 1));
    assert_eq!(screen.task(3).unwrap().1.wakes, 1);
    let screen = at_second(&store, 92).await;
    assert_eq!([2, 1].map(|task| screen.state(task)), ["completed", "running"]);
}

#[tokio::test]
async fn the_clock_goes_on_at_the_speed_and_stops_at_the_end() {
    let store = recorded().await;
    let range = ReplayRange::new(instant(10), instant(119), 20.0, Some("orders".into())).unwrap();
    let served = Served::replay(store.reader.clone(), range);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    screen.until("it has begun", |screen| screen.polls(1) >= 10).await;
    assert!(screen.polls(1) <= 119);
    screen.until("the second task comes", |screen| screen.state(2) != "absent").await;
    assert!(screen.polls(1) >= 30);
    screen.until("and goes", |screen| screen.state(2) == "completed").await;
    assert!(screen.polls(1) >= 90);
    screen.until("the end", |screen| screen.state(1) == "completed").await;
    assert_eq!((screen.polls(1), screen.state(4)), (119, "absent"));
    served.stop().await;

    let range = ReplayRange::new(instant(10), instant(119), 1.0, Some("other".into())).unwrap();
    let served = Served::replay(store.reader.clone(), range);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    screen.next().await.unwrap();
    assert!(screen.tasks.is_empty(), "of that app nothing is there");
    served.stop().await;
}

#[tokio::test]
async fn the_clock_goes_on_while_one_of_two_has_not_paused() {
    let store = recorded().await;
    let range = ReplayRange::new(instant(10), instant(119), 5.0, None).unwrap();
    let served = Served::replay(store.reader.clone(), range);
    let (mut one, mut other) = (served.connect().await, served.connect().await);
    let mut states = States::new(&mut one).await;
    assert_eq!(states.next().await, Temporality::Live);
    let mut still = Screen::new(&mut one).await;
    let mut moving = Screen::new(&mut other).await;
    still.until("it has begun", |screen| screen.polls(1) >= 10).await;
    one.pause(PauseRequest {}).await.unwrap();
    assert_eq!(states.next().await, Temporality::Paused);
    let paused_at = still.polls(1);
    moving.until("the other's goes on", |screen| screen.polls(1) >= paused_at + 10).await;
    one.resume(ResumeRequest {}).await.unwrap();
    still.until("it has caught up", |screen| screen.polls(1) >= paused_at + 10).await;
    served.stop().await;
}

/// A program that was killed in a poll that never ended, after another task was left without waker, and
/// was polled again when somebody came.
async fn killed() -> Store {
    let mut store = Store::new().await;
    let sample = EventKind::StackSample {
        loop_id: LoopId(1),
        worker: WorkerId(1),
        task: TaskId(1),
        poll_started_at: Nanos(30 * S),
        stack: StackId(1),
        running: Running::OffCpu,
        syscall: "futex".into(),
        wchan: String::new(),
    };
    let lost = EventKind::TaskUnwakeable { task: TaskId(2) };
    let events = vec![
        at(0, spawned(1, 1)),
        at(0, spawned(2, 2)),
        at(20_000, lost),
        at(31_000, sample),
        at(58_000, ended(2)),
        at(60_000, spawned(3, 1)),
    ];
    let spans = [(1_000, 100, 1), (2_000, 100, 2), (50_000, 100, 2)];
    let segments = vec![polls(0, &spans)];
    store.stored(Batch { locations: locations(3), events, segments, ..Batch::default() }).await;
    store.writer.end_session(store.process, How::Lost, instant(61)).await.unwrap();
    store
}

#[tokio::test]
async fn a_lost_waker_and_a_poll_that_never_ended_are_shown_when_they_were() {
    let store = killed().await;
    let wakers = |screen: &Screen| screen.task(2).unwrap().1.waker_clones;
    let screen = at_second(&store, 10).await;
    assert_eq!((screen.state(1), screen.state(2), wakers(&screen)), ("idle", "idle", 1));
    let screen = at_second(&store, 25).await;
    assert_eq!((screen.state(1), wakers(&screen)), ("idle", 0));
    let screen = at_second(&store, 45).await;
    assert_eq!((screen.state(1), wakers(&screen)), ("running", 0));
    let screen = at_second(&store, 55).await;
    assert_eq!((screen.state(1), wakers(&screen)), ("running", 1), "a poll refutes it");
}

#[tokio::test]
async fn a_program_that_lives_is_shown_beyond_its_newest_data() {
    let store = recorded().await;
    let screen = at_second(&store, 125).await;
    assert_eq!([3, 4].map(|task| screen.state(task)), ["idle", "idle"]);
}

#[tokio::test]
async fn counters_of_an_attached_program_are_as_they_were_at_last() {
    let mut store = Store::new().await;
    let attached = Process { agent: "console-subscriber".into(), ..process(3) };
    let key = store.writer.begin_session(&attached, 1).await.unwrap().process;
    let counts = TaskCounts { polls: 7, wakes: 5, ..TaskCounts::default() };
    let counted = EventKind::TaskCounted { task: TaskId(1), counts };
    let events = vec![at(0, spawned(1, 1)), at(50_000, counted), at(60_000, spawned(2, 1))];
    let batch = Batch { seq: 1, locations: locations(1), events, ..Batch::default() };
    store.writer.commit(vec![(key, batch)]).await.unwrap();
    let screen = at_second(&store, 40).await;
    assert_eq!((screen.polls(1), screen.state(2)), (7, "absent"));
}
