//! Waits, holds and the state of resources are kept, whatever the order in which they come.

use std::time::Duration;

use crate::support::*;
use loopd_model::*;
use loopd_store::{
    HolderRow, How, MAX_COUNTED_WAITS, Retention, UnixNanos, WaitQuery, WaitRow, WaitState,
};

pub(crate) fn began(wait: u64, task: u64, holders: &[(u64, u64)]) -> EventKind {
    let holder = |&(task, since): &(u64, u64)| Holder {
        task: TaskId(task),
        since: Nanos(since * MS),
        location: LocationId(2),
        amount: 1,
    };
    EventKind::WaitBegan {
        wait: WaitId(wait),
        task: TaskId(task),
        resource: ResourceId(5),
        op: "lock".into(),
        location: LocationId(1),
        amount: 1,
        holders: holders.iter().map(holder).collect(),
    }
}

pub(crate) fn over(wait: u64, how: WaitHow) -> EventKind {
    EventKind::WaitEnded { wait: WaitId(wait), how }
}

fn state(readings: &[(&str, f64)]) -> EventKind {
    let metric = |&(name, value): &(&str, f64)| Metric { name: name.into(), worker: None, value };
    let readings = readings.iter().map(metric).collect();
    EventKind::ResourceState { resource: ResourceId(5), readings }
}

fn opened(stack: u64) -> EventKind {
    EventKind::ResourceOpened {
        resource: ResourceId(5),
        kind: "mutex".into(),
        name: "config".into(),
        open_location: LocationId(1),
        task: TaskId(1),
        stack: StackId(stack),
    }
}

async fn commit(store: &mut Store, events: Vec<Event>) {
    store.stored(Batch { events, ..Batch::default() }).await;
}

const WAITS: &str =
    "SELECT wait, task, resource, op, location, (began_at - p.started_at) / 1000000,
    length / 1000000, w.state, holder, holders FROM waits w JOIN processes p USING (process)
    ORDER BY wait";

#[tokio::test]
async fn a_wait_is_one_row_in_whatever_order_it_comes() {
    let mut store = Store::new().await;
    store.stored(Batch { locations: locations(2), ..Batch::default() }).await;
    // Within one batch, over two, and with the end first.
    let ready = WaitHow::Ready;
    commit(&mut store, vec![at(10, began(1, 7, &[(8, 3), (9, 4)])), at(15, over(1, ready))]).await;
    commit(&mut store, vec![at(20, began(2, 7, &[]))]).await;
    commit(&mut store, vec![at(45, over(3, WaitHow::Cancelled))]).await;
    assert_eq!(store.sql("SELECT wait FROM waits").await, ["1", "2"]);
    commit(&mut store, vec![at(40, began(3, 9, &[(7, 30)])), at(26, over(2, ready))]).await;
    let expected = [
        "1 7 5 lock src/main.rs:10 10 5 ready 8 2",
        "2 7 5 lock src/main.rs:10 20 6 ready - 0",
        "3 9 5 lock src/main.rs:10 40 5 cancelled 7 1",
    ];
    assert_eq!(store.sql(WAITS).await, expected);
    // Nothing of it is told twice after a crash, and nothing is gone.
    let store = store.reopen(false).await;
    assert_eq!(store.sql(WAITS).await, expected);
    let holders = "SELECT task, (since_at - p.started_at) / 1000000, location, amount
        FROM wait_holders JOIN processes p USING (process) WHERE wait = 1 ORDER BY task";
    assert_eq!(store.sql(holders).await, ["8 3 src/main.rs:20 1", "9 4 src/main.rs:20 1"]);
}

#[tokio::test]
async fn a_wait_is_pending_until_it_its_task_or_its_process_ends() {
    let mut store = Store::new().await;
    commit(&mut store, vec![at(1, began(1, 7, &[])), at(1, began(2, 8, &[]))]).await;
    commit(&mut store, vec![at(9, ended(8))]).await;
    let sql = "SELECT task, state, length / 1000000 FROM waits ORDER BY task";
    assert_eq!(store.sql(sql).await, ["7 pending 8", "8 unfinished 8"]);
    let at = UnixNanos(ORIGIN + 20 * MS as i64);
    store.writer.end_session(store.process, How::Lost, at).await.unwrap();
    assert_eq!(store.sql(sql).await, ["7 unfinished 8", "8 unfinished 8"]);
}

#[tokio::test]
async fn waits_count_in_the_books() {
    let mut store = Store::new().await;
    let hold = Holder { task: TaskId(8), since: Nanos(3 * MS), ..Holder::default() };
    let held = EventKind::HoldEnded { resource: ResourceId(5), hold, waits: 2 };
    let events = vec![at(1, began(1, 7, &[])), at(2, over(1, WaitHow::Ready)), at(13, held)];
    let ledger = vec![LedgerEntry { kind: RecordKind::Wait, produced: 3, dropped: 0 }];
    store.stored(Batch { events, ledger, ..Batch::default() }).await;
    let books = "SELECT kind, produced, stored, dropped, lost FROM ledger";
    assert_eq!(store.sql(books).await, ["wait 3 3 0 0"]);
    let holds = "SELECT resource, task, length / 1000000, waits FROM holds";
    assert_eq!(store.sql(holds).await, ["5 8 10 2"]);
}

#[tokio::test]
async fn of_every_reading_of_a_resource_the_latest_counts() {
    let mut store = Store::new().await;
    // The state may come before the resource, and an older reading after a newer one.
    commit(&mut store, vec![at(30, state(&[("waiters", 3.0), ("waited_nanos", 9.0)]))]).await;
    commit(&mut store, vec![at(20, state(&[("waiters", 1.0), ("locked", 1.0)]))]).await;
    let odd = [("waiters", f64::NAN), ("no_such", 1.0), ("depth", -4.0)];
    commit(&mut store, vec![at(25, state(&odd)), at(1, opened(77))]).await;
    let sql = "SELECT waiters, locked, waited_time, depth, capacity, open_stack,
        (state_at - p.started_at) / 1000000 FROM resources JOIN processes p USING (process)";
    assert_eq!(store.sql(sql).await, ["3 1 9 0 - 77 30"]);
    assert_eq!(store.sql("SELECT count(*) FROM resource_states").await, ["3"]);
}

#[tokio::test]
async fn retention_removes_waits_that_are_over_and_keeps_those_that_last() {
    let mut store = Store::new().await;
    let hold = Holder { task: TaskId(8), since: Nanos(3 * MS), ..Holder::default() };
    let events = vec![
        at(1, opened(0)),
        at(1, spawned(7, 1)),
        at(1, spawned(8, 1)),
        at(1, began(1, 7, &[(8, 1)])),
        at(2, over(1, WaitHow::Ready)),
        at(2, began(2, 7, &[(8, 1)])),
        at(2, began(3, 8, &[(7, 1)])),
        at(3, over(4, WaitHow::Ready)),
        at(3, state(&[("waiters", 1.0)])),
        at(4, EventKind::HoldEnded { resource: ResourceId(5), hold, waits: 2 }),
        at(5, ended(8)),
    ];
    commit(&mut store, events).await;
    let keep = Retention {
        max_age: Some(Duration::from_secs(60)),
        max_bytes: None,
        max_process_bytes: None,
    };
    store.maintain_all(ORIGIN + 61 * S as i64, &keep).await;
    // Task 7 still waits, and has its holder; its resource is open and has its state.
    assert_eq!(store.sql("SELECT wait, state, holder FROM waits").await, ["2 pending 8"]);
    assert_eq!(store.sql("SELECT count(*) FROM wait_holders").await, ["1"]);
    assert_eq!(store.sql("SELECT resource, waiters FROM resources").await, ["5 1"]);
    assert_eq!(store.sql("SELECT count(*) FROM resource_states").await, ["0"]);
    assert_eq!(store.sql("SELECT count(*) FROM holds").await, ["0"]);
    // Later the process itself goes, and takes all with it.
    let at = UnixNanos(ORIGIN + 62 * S as i64);
    store.writer.end_session(store.process, How::Lost, at).await.unwrap();
    store.maintain_all(ORIGIN + 200 * S as i64, &keep).await;
    for view in ["processes", "waits", "wait_holders", "resources", "coverage", "tasks"] {
        assert_eq!(store.sql(&format!("SELECT count(*) FROM {view}")).await, ["0"], "{view}");
    }
}

#[tokio::test]
async fn a_file_that_is_too_large_loses_marks_and_finished_waits_before_the_rest() {
    let mut store = Store::new().await;
    for i in 0..20 {
        let pair = |k| {
            [at(i, began(i * 100 + k, 7, &[(8, 1)])), at(i + 1, over(i * 100 + k, WaitHow::Ready))]
        };
        let mut events: Vec<_> = (0..100).flat_map(pair).collect();
        events.push(at(i, began(100_000 + i, 7, &[(8, 1)])));
        commit(&mut store, events).await;
    }
    store
        .maintain_all(
            ORIGIN,
            &Retention { max_age: None, max_bytes: Some(1), max_process_bytes: None },
        )
        .await;
    assert_eq!(store.sql("SELECT count(*), min(wait) FROM waits").await, ["20 100000"]);
    assert_eq!(store.sql("SELECT count(*) FROM wait_holders").await, ["20"]);
}

fn hold_ended(task: u64, since: u64) -> EventKind {
    // The clock was corrected since a wait spoke of it.
    let since = Nanos(since * MS + 700);
    let hold = Holder { task: TaskId(task), since, location: LocationId(2), amount: 1 };
    EventKind::HoldEnded { resource: ResourceId(5), hold, waits: 1 }
}

async fn pending(store: &Store) -> Vec<WaitRow> {
    let query =
        WaitQuery { process: store.process, is_pending: true, limit: 100, ..WaitQuery::default() };
    let page = store.reader.waits(&query).await.unwrap();
    assert_eq!(page.total, page.rows.len() as u64);
    page.rows
}

/// The holders of a wait: task, since when, and what else is known.
fn holders(wait: &WaitRow) -> Vec<String> {
    let holder = |holder: &HolderRow| {
        let task = holder.task.map_or(0, |task| task.0);
        let since = (holder.since_at.0 - ORIGIN) / MS as i64;
        let released = holder.released_at.map(|at| (at.0 - ORIGIN) / MS as i64);
        let released = released.map_or(String::new(), |at| format!(" released {at}"));
        format!("{task} since {since}{released}{}", if holder.is_later { " later" } else { "" })
    };
    wait.holders.iter().map(holder).collect()
}

#[tokio::test]
async fn pending_waits_say_who_holds_them_up_now() {
    let mut store = Store::new().await;
    let name = EventKind::TaskNamed { task: TaskId(8), name: NameId(1) };
    let events = vec![
        at(1, opened(0)),
        at(2, name),
        // 8 holds, 9 and 7 queue behind it.
        at(10, began(1, 9, &[(8, 3)])),
        at(11, began(2, 7, &[(8, 3)])),
    ];
    let names = vec![Name { id: NameId(1), text: "keeper".into() }];
    let batch = Batch { names, locations: locations(2), events, ..Batch::default() };
    store.stored(batch).await;
    let waits = pending(&store).await;
    let said: Vec<_> = waits.iter().map(|wait| (wait.task.unwrap().0, holders(wait))).collect();
    assert_eq!(said, [(9, vec!["8 since 3".into()]), (7, vec!["8 since 3".into()])]);
    let wait = &waits[0];
    assert_eq!((wait.op.as_str(), wait.resource_kind.as_str()), ("lock", "mutex"));
    assert_eq!((wait.resource_name.as_str(), wait.state), ("config", WaitState::Pending));
    assert_eq!(wait.holders[0].task_name.as_deref(), Some("keeper"));
    assert_eq!(wait.resource_location.as_ref().unwrap().line, 10);
    // 8 gives it to 9, for which 7 waits from then on.
    commit(&mut store, vec![at(20, hold_ended(8, 3)), at(21, over(1, WaitHow::Ready))]).await;
    let waits = pending(&store).await;
    assert_eq!(waits.len(), 1);
    assert_eq!(holders(&waits[0]), ["8 since 3 released 20", "9 since 21 later"]);
    // 9 gives it back: nobody is known to hold it.
    commit(&mut store, vec![at(30, hold_ended(9, 21))]).await;
    assert_eq!(holders(&pending(&store).await[0]), ["8 since 3 released 20"]);
    let ended =
        WaitQuery { process: store.process, task: Some(TaskId(9)), limit: 9, ..Default::default() };
    let page = store.reader.waits(&ended).await.unwrap();
    assert_eq!((page.total, page.rows[0].state), (1, WaitState::Ready));
    // A process that is gone leaves the waits in which it was caught.
    let at = UnixNanos(ORIGIN + 40 * MS as i64);
    store.writer.end_session(store.process, How::Lost, at).await.unwrap();
    assert_eq!(pending(&store).await[0].state, WaitState::Unfinished);
}

#[tokio::test]
async fn one_resource_says_who_opened_it_and_how_it_stood() {
    let mut store = Store::new().await;
    let frame = Frame { function: "config::load".into(), ..Frame::default() };
    let stacks = vec![Stack { id: StackId(77), frames: vec![frame] }];
    let events = vec![
        at(1, opened(77)),
        at(2, state(&[("waiters", 1.0), ("locked", 1.0)])),
        at(9, hold_ended(8, 3)),
        at(12, state(&[("waiters", 0.0)])),
    ];
    store.stored(Batch { stacks, events, ..Batch::default() }).await;
    let detail = store.reader.resource(store.process, ResourceId(5)).await.unwrap().unwrap();
    assert_eq!(detail.open_stack[0].function, "config::load");
    assert_eq!(detail.holds.len(), 1);
    let now = detail.resource.state;
    assert_eq!((now.waiters, now.is_locked, now.depth), (Some(0), Some(true), None));
    let waiters: Vec<_> = detail.states.iter().map(|state| state.waiters).collect();
    assert_eq!(waiters, [Some(0), Some(1)]);
    assert!(store.reader.resource(store.process, ResourceId(6)).await.unwrap().is_none());
}

#[tokio::test]
async fn the_latest_waits_come_first_whatever_their_ids() {
    let mut store = Store::new().await;
    // Every thread has a block of ids to give.
    let events =
        vec![at(30, began(1, 7, &[])), at(10, began(200, 7, &[])), at(20, began(99, 7, &[]))];
    commit(&mut store, events).await;
    let all = WaitQuery { process: store.process, limit: 9, ..WaitQuery::default() };
    let of_task = WaitQuery { task: Some(TaskId(7)), ..all };
    let of_resource = WaitQuery { resource: Some(ResourceId(5)), ..all };
    for query in [all, of_task, of_resource] {
        let page = store.reader.waits(&query).await.unwrap();
        let ids: Vec<_> = page.rows.iter().map(|row| row.wait.0).collect();
        assert_eq!(ids, [1, 99, 200], "{query:?}");
    }
}

fn loss(kind: RecordKind, from: u64, to: u64) -> Loss {
    Loss { kind, cause: DropCause::RingFull, count: 1, from: Nanos(from * MS), to: Nanos(to * MS) }
}

#[tokio::test]
async fn a_wait_whose_end_may_be_lost_is_not_pending() {
    let mut store = Store::new().await;
    let events = vec![
        at(1, spawned(7, 1)),
        at(10, began(1, 7, &[])),
        at(50, began(2, 7, &[])),
        at(90, began(3, 7, &[])),
    ];
    let losses = vec![loss(RecordKind::Poll, 90, 95), loss(RecordKind::Wait, 30, 60)];
    store.stored(Batch { events, losses, ..Batch::default() }).await;
    let sql = "SELECT wait, state, length / 1000000 FROM waits ORDER BY wait";
    let said = ["1 unfinished 50", "2 unfinished 10", "3 pending"];
    let waits = store.sql(sql).await;
    assert!(waits.iter().zip(said).all(|(wait, said)| wait.starts_with(said)), "{waits:?}");
    let ids: Vec<_> = pending(&store).await.iter().map(|wait| wait.wait.0).collect();
    assert_eq!(ids, [3]);
    let all = WaitQuery { process: store.process, limit: 9, ..WaitQuery::default() };
    let oldest = store.reader.waits(&all).await.unwrap().rows.pop().unwrap();
    assert_eq!((oldest.state, oldest.is_open), (WaitState::Unfinished, false));
    assert_eq!(oldest.length, 50 * MS);
    // The end was not lost after all.
    commit(&mut store, vec![at(25, over(1, WaitHow::Ready))]).await;
    assert_eq!(store.sql(sql).await[0], "1 ready 15");
    // The rest goes by age, and only then what says that it is over.
    let keep = Retention {
        max_age: Some(Duration::from_secs(60)),
        max_bytes: None,
        max_process_bytes: None,
    };
    store.maintain_all(ORIGIN + 61 * S as i64, &keep).await;
    assert_eq!(store.sql("SELECT wait, state FROM waits").await, ["3 pending"]);
    assert_eq!(store.sql("SELECT count(*) FROM losses").await, ["0"]);
}

#[tokio::test]
async fn a_loss_stays_as_long_as_the_waits_that_it_leaves_unknown() {
    let mut store = Store::new().await;
    let mut events = vec![at(1, spawned(7, 1))];
    events.extend((1..=5_000).map(|i| at(10, began(i, 7, &[]))));
    let losses = vec![loss(RecordKind::Wait, 30, 60)];
    store.stored(Batch { events, losses, ..Batch::default() }).await;
    let keep = Retention {
        max_age: Some(Duration::from_secs(60)),
        max_bytes: None,
        max_process_bytes: None,
    };
    let now = UnixNanos(ORIGIN + 61 * S as i64);
    let sql = "SELECT count(*), count(*) FILTER (WHERE state = 'pending') FROM waits";
    let mut left = Vec::new();
    while store.writer.maintain(now, &keep).await.unwrap().more {
        left.extend(store.sql(sql).await);
    }
    assert_eq!(left[..3], ["3000 0", "1000 0", "0 0"]);
    assert_eq!(store.sql("SELECT count(*) FROM losses").await, ["0"]);
}

#[tokio::test]
async fn waits_are_counted_as_far_as_anybody_reads() {
    let mut store = Store::new().await;
    let events = (0..MAX_COUNTED_WAITS + 100).map(|i| at(i, began(i + 1, 7, &[]))).collect();
    commit(&mut store, events).await;
    let query = WaitQuery { process: store.process, limit: 5, ..WaitQuery::default() };
    for query in [query, WaitQuery { is_pending: true, ..query }] {
        let page = store.reader.waits(&query).await.unwrap();
        assert_eq!((page.total, page.rows.len()), (MAX_COUNTED_WAITS + 1, 5));
    }
}
