//! Callbacks are polled like tasks, and are none: nothing that counts tasks counts them.

use crate::support::*;
use loopd_model::*;
use loopd_store::{Page, RollupStep, TaskQuery, TaskRow, TaskState};

const CALLBACK: u64 = 100;
const PLACE: u64 = 2;

fn callback(task: u64) -> EventKind {
    EventKind::TaskSpawned {
        task: TaskId(task),
        loop_id: LoopId(1),
        spawn_location: LocationId(PLACE),
        parent: TaskId(1),
        kind: TaskKind::Callback,
    }
}

fn over(task: u64, outcome: Outcome) -> EventKind {
    EventKind::TaskEnded { task: TaskId(task), outcome }
}

/// A task of its own, and a callback that ran three times.
async fn with_a_callback() -> Store {
    let mut store = Store::new().await;
    store
        .stored(Batch {
            locations: locations(2),
            events: vec![at(1, spawned(1, 1)), at(1, callback(CALLBACK))],
            segments: vec![polls(0, &[(2, 1, 1), (4, 2, CALLBACK), (7, 3, CALLBACK)])],
            ..Batch::default()
        })
        .await;
    let mut store = store.reopen(true).await;
    let segments = vec![polls(0, &[(20, 200, CALLBACK)])];
    store.stored(Batch { segments, ..Batch::default() }).await;
    store
}

async fn listed(store: &Store, query: TaskQuery) -> Vec<u64> {
    let query = TaskQuery { process: store.process, limit: 10, ..query };
    let page: Page<TaskRow> = store.reader.tasks(&query).await.unwrap();
    assert_eq!(page.total as usize, page.rows.len());
    assert!(!page.has_more_alive);
    page.rows.iter().map(|row| row.task.0).collect()
}

#[tokio::test]
async fn a_list_of_tasks_has_callbacks_only_if_they_are_asked_for() {
    let mut store = with_a_callback().await;
    let kind = Some(TaskKind::Callback);
    let location = Some(PLACE as i64);
    let alive = Some(TaskState::Alive);
    let all = TaskQuery::default();
    let asked = [
        TaskQuery { kind, ..all.clone() },
        TaskQuery { kind, state: alive, ..all.clone() },
        TaskQuery { location, ..all.clone() },
        TaskQuery { location, state: alive, ..all.clone() },
    ];
    assert_eq!(listed(&store, all.clone()).await, [1]);
    for query in &asked {
        assert_eq!(listed(&store, query.clone()).await, [CALLBACK], "{query:?}");
    }
    let row = store.reader.task(store.process, TaskId(CALLBACK)).await.unwrap().unwrap();
    assert_eq!((row.kind, row.polls, row.slow_polls), (kind, 3, Some(1)));

    // It ends with its loop.
    store
        .stored(Batch {
            events: vec![at(300, over(CALLBACK, Outcome::Completed))],
            ..Batch::default()
        })
        .await;
    let ended = Some(TaskState::Ended);
    assert_eq!(listed(&store, all.clone()).await, [1]);
    assert_eq!(listed(&store, TaskQuery { kind, state: ended, ..all.clone() }).await, [CALLBACK]);
    assert_eq!(listed(&store, TaskQuery { kind, state: alive, ..all }).await, [0; 0]);
}

#[tokio::test]
async fn what_counts_tasks_counts_no_callback() {
    let mut store = with_a_callback().await;
    for is_over in [false, true] {
        let totals = store.reader.process(store.process).await.unwrap().unwrap().totals;
        assert_eq!((totals.tasks_spawned, totals.slow_polls), (1, 1));
        assert_eq!(store.reader.counts(&[store.process]).await.unwrap()[0].tasks_alive, 1);
        assert_eq!(store.reader.task_children(store.process, TaskId(1)).await.unwrap(), 0);
        // Then, and as it was before the callback's end.
        for ms in [250, 400] {
            let end = UnixNanos(ORIGIN + (ms * MS) as i64);
            let sites = store.reader.task_sites(store.process, end, 200 * MS, 5).await.unwrap();
            let alive: Vec<_> = sites.iter().map(|site| (site.location_id, site.alive)).collect();
            assert_eq!(alive, [(Some(1), 1)]);
            assert_eq!(store.reader.tasks_alive_at(store.process, &[end]).await.unwrap(), [1]);
        }
        if !is_over {
            let events = vec![at(300, over(CALLBACK, Outcome::Completed))];
            store.stored(Batch { events, ..Batch::default() }).await;
        }
    }
    // Its polls are as much work as any.
    let range = (UnixNanos(ORIGIN - (10 * S) as i64), UnixNanos(ORIGIN + S as i64));
    let step = RollupStep::TenSeconds;
    let cells = store.reader.rollups(store.process, range, step, None).await.unwrap();
    let of_place = cells.iter().find(|cell| cell.location == Some(PLACE as i64)).unwrap();
    assert_eq!(
        (of_place.cell.spawned, of_place.cell.ended, of_place.cell.polls.count()),
        (0, 0, 3)
    );
}

#[tokio::test]
async fn every_run_of_a_callback_is_a_row_in_sql() {
    let store = with_a_callback().await;
    let sql = format!(
        "SELECT loop, worker, (start_at - {ORIGIN}) / 1000000, length / 1000000, late_time, kind, location
         FROM callbacks WHERE process = 1 ORDER BY start_at"
    );
    let place = "- - src/main.rs:20";
    let runs =
        [format!("1 0 4 2 {place}"), format!("1 0 7 3 {place}"), format!("1 0 20 200 {place}")];
    assert_eq!(store.sql(&sql).await, runs);
    let sql = format!("SELECT count(*) FROM callbacks WHERE start_at > {ORIGIN} + 10000000");
    assert_eq!(store.sql(&sql).await, ["1"]);
    assert_eq!(
        store.sql("SELECT task, kind FROM tasks ORDER BY 1").await,
        ["1 async", "100 callback"]
    );
}

#[tokio::test]
async fn tasks_that_raised_or_were_destroyed_are_kept_with_how_they_ended() {
    let mut store = with_a_callback().await;
    for (task, outcome) in [(5, Outcome::Raised), (6, Outcome::Destroyed), (7, Outcome::Cancelled)]
    {
        let events = vec![at(400, spawned(task, 1)), at(401, over(task, outcome))];
        store.stored(Batch { events, ..Batch::default() }).await;
        let row = store.reader.task(store.process, TaskId(task)).await.unwrap().unwrap();
        assert_eq!(row.outcome, Some(outcome));
    }
    let sql = "SELECT task, outcome FROM tasks WHERE outcome IS NOT NULL ORDER BY 1";
    assert_eq!(store.sql(sql).await, ["5 raised", "6 destroyed", "7 cancelled"]);
    assert_eq!(store.sql("SELECT sum(panicked), sum(cancelled) FROM rollups").await, ["1 1"]);
    let db = rusqlite::Connection::open(store.path()).unwrap();
    let rows: i64 = db
        .query_row("SELECT count(*) FROM task WHERE task IN (5, 6, 7)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 2);
}
