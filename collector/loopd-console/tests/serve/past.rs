//! The past, at the speed that is asked for.

use console_api::instrument::PauseRequest;
use loopd_console::serve::ReplayRange;
use loopd_model::*;

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
async fn the_clock_goes_on_at_the_speed_and_stops_at_the_end_or_when_all_have_paused() {
    let store = recorded().await;
    let range = ReplayRange::new(instant(10), instant(119), 20.0, Some("orders".into())).unwrap();
    let served = Served::replay(store.reader.clone(), range);
    let mut client = served.connect().await;
    let mut states = States::new(&mut client).await;
    states.next().await;
    let mut screen = Screen::new(&mut client).await;
    screen.until("it has begun", |screen| screen.polls(1) >= 10).await;
    assert!(screen.polls(1) <= 119);
    screen.until("the second task comes", |screen| screen.state(2) != "absent").await;
    assert!(screen.polls(1) >= 30);
    screen.until("and goes", |screen| screen.state(2) == "completed").await;
    assert!(screen.polls(1) >= 90);
    screen.until("the end", |screen| screen.state(1) == "completed").await;
    assert_eq!((screen.polls(1), screen.state(4)), (119, "absent"));
    client.pause(PauseRequest {}).await.unwrap();
    served.stop().await;

    let range = ReplayRange::new(instant(10), instant(119), 1.0, Some("other".into())).unwrap();
    let served = Served::replay(store.reader.clone(), range);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    screen.next().await.unwrap();
    assert!(screen.tasks.is_empty(), "of that app nothing is there");
    served.stop().await;
}
