//! However large a program, and however slow a viewer: what is told has bounds.

use loopd_console::serve::MAX_TASKS;
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
