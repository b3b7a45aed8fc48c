//! What was born in a range and is still there: how many, who made them, and what they wait for.

use crate::support::*;
use crate::waits::began;
use loopd_model::*;
use loopd_store::{Survivors, UnixNanos};

fn ms(ms: u64) -> UnixNanos {
    UnixNanos(ORIGIN + (ms * MS) as i64)
}

fn child(task: u64, location: u64, parent: u64) -> EventKind {
    EventKind::TaskSpawned {
        task: TaskId(task),
        loop_id: LoopId(1),
        spawn_location: LocationId(location),
        parent: TaskId(parent),
        kind: TaskKind::Async,
    }
}

fn open(resource: u64, kind: &str, task: u64) -> EventKind {
    EventKind::ResourceOpened {
        resource: ResourceId(resource),
        kind: kind.into(),
        name: format!("/tmp/{resource}"),
        open_location: LocationId(3),
        task: TaskId(task),
        stack: StackId::NONE,
    }
}

/// Requests 11 and 12, spawned at line 10 and over soon, left tasks 101 to 105 of line 20 behind, which wait for
/// what task 1 holds, but for 104, which ended, and 105, which began to wait before the others. Files 1 and 2 are
/// of 12, and 2 was closed; 9 is older.
async fn story() -> Store {
    let mut store = Store::new().await;
    let closed = EventKind::ResourceClosed { resource: ResourceId(2), how: CloseHow::Closed };
    let events = vec![
        at(1, spawned(1, 3)),
        at(2, open(9, "file", 1)),
        at(10, child(11, 1, 1)),
        at(11, child(12, 1, 1)),
        at(20, child(101, 2, 11)),
        at(21, child(102, 2, 12)),
        at(22, child(103, 2, 12)),
        at(23, child(104, 2, 12)),
        at(24, child(105, 2, 1)),
        at(25, open(1, "file", 12)),
        at(26, open(2, "file", 12)),
        at(30, began(1, 101, &[(1, 5)])),
        at(31, began(2, 102, &[(1, 5)])),
        at(32, began(3, 103, &[(1, 5)])),
        at(40, ended(104)),
        at(41, closed),
        at(50, ended(11)),
        at(51, ended(12)),
    ];
    store.stored(Batch { locations: locations(3), events, ..Batch::default() }).await;
    store
}

async fn survivors(store: &Store, from: u64, to: u64, at: u64) -> Survivors {
    let range = (ms(from), ms(to));
    store.reader.survivors(store.process, range, ms(at)).await.unwrap()
}

/// Location, alive and born of each place of tasks; of resources the kind as well.
fn short(found: &Survivors) -> Vec<String> {
    let sites = found.tasks.sites.iter().chain(&found.resources.sites);
    sites
        .map(|site| {
            let line = site.location.as_ref().map_or(0, |it| it.line);
            format!("{line} {}{} of {}", site.kind, site.alive, site.born)
        })
        .collect()
}

#[tokio::test]
async fn of_what_was_born_in_a_range_the_living_are_told_with_their_makers_and_waits() {
    let store = story().await;
    let found = survivors(&store, 5, 60, 60).await;
    assert_eq!(short(&found), ["20 4 of 5", "30 file1 of 2"]);
    let (tasks, resources) = (&found.tasks, &found.resources);
    assert_eq!((tasks.born, tasks.alive, tasks.is_born_exact, tasks.has_more), (7, 4, true, false));
    assert_eq!((resources.born, resources.alive), (2, 1));
    let site = &tasks.sites[0];
    assert_eq!((site.oldest_age, site.median_age, site.looked), (40 * MS, Some(39 * MS), 4));
    // Of its three makers two were requests, whose line made more than the main task's did.
    let opener = site.opener.as_ref().unwrap();
    assert_eq!((opener.task, opener.tasks, opener.survivors), (TaskId(12), 2, 3));
    assert_eq!(opener.location.as_ref().unwrap().line, 10);
    let waits: Vec<_> = site.waits.iter().map(|it| (it.task.unwrap().0, it.op.as_str())).collect();
    assert_eq!(waits, [(101, "lock"), (102, "lock"), (103, "lock")]);
    assert!(site.waits.iter().all(|it| it.holders[0].task == Some(TaskId(1))));
    let examples: Vec<_> = site.examples.iter().map(|it| it.id).collect();
    assert_eq!(examples, [101, 102, 103, 105]);
    let file = &resources.sites[0];
    assert_eq!((file.examples[0].name.as_str(), file.examples[0].born_at), ("/tmp/1", ms(25)));
    assert_eq!(file.opener.as_ref().unwrap().task, TaskId(12));
}

#[tokio::test]
async fn a_range_has_its_end_and_not_its_beginning() {
    let store = story().await;
    assert_eq!(short(&survivors(&store, 20, 22, 60).await), ["20 2 of 2"]);
    assert_eq!(short(&survivors(&store, 23, 25, 60).await), ["20 1 of 1", "30 file1 of 1"]);
    assert_eq!(short(&survivors(&store, 50, 60, 60).await), [""; 0]);
    assert_eq!(short(&survivors(&store, 60, 60, 60).await), [""; 0]);
}

#[tokio::test]
async fn what_went_only_when_the_program_shut_down_was_still_there_before() {
    let mut store = story().await;
    let cancelled = |wait| EventKind::WaitEnded { wait: WaitId(wait), how: WaitHow::Cancelled };
    let gone = |task| EventKind::TaskEnded { task: TaskId(task), outcome: Outcome::Cancelled };
    let closed = EventKind::ResourceClosed { resource: ResourceId(1), how: CloseHow::Dropped };
    let hold = Holder { task: TaskId(1), since: Nanos(5 * MS), ..Holder::default() };
    let given_back = EventKind::HoldEnded { resource: ResourceId(5), hold, waits: 3 };
    let mut events: Vec<_> = [1, 2, 3].map(|wait| at(70, cancelled(wait))).into();
    events.extend([101, 102, 103, 105, 1].map(|task| at(71, gone(task))));
    events.extend([at(72, closed), at(72, given_back)]);
    store.stored(Batch { events, ..Batch::default() }).await;
    assert_eq!(short(&survivors(&store, 5, 60, 80).await), [""; 0]);
    let found = survivors(&store, 5, 60, 65).await;
    assert_eq!(short(&found), ["20 4 of 5", "30 file1 of 2"]);
    let site = &found.tasks.sites[0];
    assert_eq!(site.waits.len(), 3);
    assert!(site.waits.iter().all(|it| it.holders[0].released_at.is_none()), "{:?}", site.waits);
}
