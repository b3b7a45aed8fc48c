//! However large a program, and however slow a viewer: what is told has bounds.

use console_api::instrument::TaskDetailsRequest;
use loopd_console::serve::{MAX_ENDED, MAX_RESOURCES, MAX_TASKS};
use loopd_model::*;

use crate::screen::{Screen, Served};
use crate::support::*;
use crate::watching::named;

const MANY: u64 = 100_000;

#[tokio::test]
async fn of_100_000_tasks_those_that_matter_and_the_newest_come_first() {
    let mut store = Store::new().await;
    // Long enough that no message would hold all that are shown.
    let name = Name { id: NameId(1), text: "n".repeat(250) };
    let begin = Batch { names: vec![name], locations: locations(2), ..Batch::default() };
    store.stored(begin).await;
    for first in (1..=MANY).step_by(10_000) {
        let tasks = first..first + 10_000;
        let events = tasks.flat_map(|task| [at(task, spawned(task, 1)), at(task, named(task, 1))]);
        store.stored(Batch { events: events.collect(), ..Batch::default() }).await;
    }
    let lost = EventKind::TaskUnwakeable { task: TaskId(7) };
    let events = vec![at(MANY + 1, spawned(MANY + 1, 2)), at(MANY + 1, lost)];
    store.stored(Batch { events, ..Batch::default() }).await;
    let served = Served::live(&store);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    // `Screen` holds every update against the limit.
    screen.next().await.unwrap();
    assert!(screen.tasks.len() < MAX_TASKS, "all at once");
    assert_ne!(screen.state(MANY), "absent", "the newest");
    assert_ne!(screen.state(MANY + 1), "absent", "and that of another place");
    screen.until("all are there", |screen| screen.tasks.len() == MAX_TASKS).await;
    assert_eq!(screen.dropped, MANY - MAX_TASKS as u64, "counted up to a bound of the store");

    // Those that are shown stay, whatever comes; and leave their places to others.
    let newer = (MANY + 2..MANY + 500).map(|task| at(task, spawned(task, 1)));
    let mut events: Vec<_> = newer.collect();
    events.extend((MANY - 99..=MANY).map(|task| at(MANY + 600, ended(task))));
    store.stored(Batch { events, ..Batch::default() }).await;
    let ended_tasks = |screen: &Screen| {
        screen.tasks.values().filter(|(_, stats)| stats.dropped_at.is_some()).count()
    };
    screen.until("some ended", |screen| ended_tasks(screen) == 100).await;
    screen.until("others came", |screen| screen.tasks.len() >= MAX_TASKS + 100).await;
    assert_eq!(ended_tasks(&screen), 100, "none was taken from the screen while it lives");
    served.stop().await;
}

#[tokio::test]
async fn who_reads_slowly_gets_less_and_not_later() {
    const TASKS: u64 = 3_000;
    const ROUNDS: u64 = 6;
    let mut store = Store::new().await;
    let events = (1..=TASKS).map(|task| at(task, spawned(task, 1))).collect();
    store.stored(Batch { locations: locations(1), events, ..Batch::default() }).await;
    let served = Served::live(&store);
    // A fraction of one update.
    let mut narrow = served.connect_narrow(65_535).await;
    let mut wide = served.connect().await;
    let mut slow = Screen::new(&mut narrow).await;
    let mut quick = Screen::new(&mut wide).await;
    for round in 1..=ROUNDS {
        let spans: Vec<_> = (1..=TASKS).map(|task| (10_000 * round + task, 1, task)).collect();
        store.stored(Batch { segments: vec![polls(0, &spans)], ..Batch::default() }).await;
        quick.until("it is told at once", |screen| screen.polls(TASKS) == round).await;
    }
    slow.until("the latest", |screen| screen.polls(TASKS) == ROUNDS).await;
    assert!((1..=TASKS).all(|task| slow.polls(task) == ROUNDS));
    // What was on its way when it stopped reading, and what was new when it went on.
    assert!(slow.count <= 3, "{} updates", slow.count);
    assert!(quick.count >= ROUNDS as usize);
    served.stop().await;
}

#[tokio::test]
async fn however_many_end_at_once_it_is_told_what_each_did() {
    const TASKS: u64 = MAX_ENDED as u64 + 1_000;
    let mut store = Store::new().await;
    let events = (1..=TASKS).map(|task| at(task, spawned(task, 1))).collect();
    let spans: Vec<_> = (1..=TASKS).map(|task| (10_000 + task, 1, task)).collect();
    let segments = vec![polls(0, &spans)];
    store.stored(Batch { locations: locations(1), events, segments, ..Batch::default() }).await;
    let served = Served::live(&store);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    let are_there = |screen: &Screen| screen.tasks.len() as u64 == TASKS;
    screen.until("all are there", are_there).await;
    let events = (1..=TASKS).map(|task| at(20_000 + task / 10, ended(task))).collect();
    store.stored(Batch { events, ..Batch::default() }).await;
    screen
        .until("all ended", |screen| {
            screen.tasks.values().all(|(_, stats)| stats.dropped_at.is_some())
        })
        .await;
    assert!(are_there(&screen));
    for (task, stats) in screen.tasks.values() {
        assert_eq!(stats.poll_stats.unwrap().polls, 1, "{task:?}");
    }
    served.stop().await;
}

fn opened(resource: u64) -> EventKind {
    EventKind::ResourceOpened {
        resource: ResourceId(resource),
        kind: "mutex".into(),
        name: String::new(),
        open_location: LocationId(1),
        task: TaskId(1),
        stack: StackId(0),
    }
}

fn waits(wait: u64, resource: u64) -> EventKind {
    EventKind::WaitBegan {
        wait: WaitId(wait),
        task: TaskId(wait),
        resource: ResourceId(resource),
        op: "lock".into(),
        location: LocationId(1),
        amount: 0,
        holders: Vec::new(),
    }
}

#[tokio::test]
async fn what_is_shown_of_many_resources_and_waits_stays_until_it_ends() {
    const MANY: u64 = MAX_RESOURCES as u64;
    let mut store = Store::new().await;
    // Somebody waits for the first, which is not among the latest, and for some later ones.
    let mut events: Vec<_> = (1..=MANY + 50).map(|id| at(id, opened(id))).collect();
    events.extend((1..=10).map(|task| at(5_000, spawned(task, 1))));
    events.extend((1..=10).map(|wait| at(5_000 + wait, waits(wait, wait))));
    store.stored(Batch { locations: locations(1), events, ..Batch::default() }).await;
    let served = Served::live(&store);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    screen.until("it is there", |screen| screen.resources.len() as u64 == MANY).await;
    assert_eq!(screen.ops.len(), 10);

    // Nobody waits any more, and others come.
    let mut events: Vec<_> = (1..=10)
        .map(|wait| at(6_000, EventKind::WaitEnded { wait: WaitId(wait), how: WaitHow::Ready }))
        .collect();
    events.extend((MANY + 51..=MANY + 500).map(|id| at(6_000 + id, opened(id))));
    events.push(at(9_000, spawned(11, 1)));
    store.stored(Batch { events, ..Batch::default() }).await;
    screen.until("it went on", |screen| screen.task(11).is_some()).await;
    let closed = |screen: &Screen| {
        screen.resources.values().filter(|(_, stats)| stats.dropped_at.is_some()).count()
    };
    assert_eq!((closed(&screen), screen.resources.len() as u64), (0, MANY));
    let close = EventKind::ResourceClosed { resource: ResourceId(1), how: CloseHow::Closed };
    store.stored(Batch { events: vec![at(9_100, close)], ..Batch::default() }).await;
    screen.until("one is closed", |screen| closed(screen) == 1).await;
    screen.until("another has its place", |screen| screen.resources.len() as u64 > MANY).await;
    served.stop().await;
}

#[tokio::test]
async fn those_who_look_at_single_tasks_take_no_viewers_place() {
    let mut store = Store::new().await;
    let events = vec![at(1, spawned(1, 1))];
    store.stored(Batch { locations: locations(1), events, ..Batch::default() }).await;
    let served = Served::live(&store);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    screen.until("the task is there", |screen| screen.task(1).is_some()).await;
    let request = TaskDetailsRequest { id: screen.task(1).unwrap().0.id };
    let mut details = Vec::new();
    let refused = loop {
        match client.watch_task_details(request).await {
            Ok(stream) => details.push(stream),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    let mut other = served.connect().await;
    let mut screen = Screen::new(&mut other).await;
    screen.until("another viewer sees it", |screen| screen.task(1).is_some()).await;
    drop(details);
    served.stop().await;
}
