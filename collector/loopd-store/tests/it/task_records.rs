//! Tasks that lived shortly and well have no row, and are found all the same.

use crate::support::*;
use loopd_model::*;
use loopd_store::{RollupStep, TaskQuery, TaskSort};

/// Spawned at `ms`, polled once, ended five milliseconds later.
fn lives(ms: u64, task: u64) -> Batch {
    let events = vec![at(ms, spawned(task, 1)), at(ms + 5, ended(task))];
    Batch { events, segments: vec![polls(0, &[(ms + 1, 2, task)])], ..Batch::default() }
}

fn number(store: &Store, sql: &str) -> i64 {
    let db = rusqlite::Connection::open(store.path()).unwrap();
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

const ROWS: &str = "SELECT count(*) FROM task";
const RECORDS: &str = "SELECT coalesce(sum(spans), 0) FROM segment WHERE kind = 4";

async fn with_locations() -> Store {
    let mut store = Store::new().await;
    store.stored(Batch { locations: locations(1), ..Batch::default() }).await;
    store
}

#[tokio::test]
async fn only_what_is_worth_one_has_a_row() {
    let mut store = with_locations().await;
    for task in 1..=50 {
        store.stored(lives(task * 10, task)).await;
    }
    // One that panics, one that is slow, one that lives long, one that is alive.
    let panicked = EventKind::TaskEnded { task: TaskId(101), outcome: Outcome::Panicked };
    store
        .stored(Batch {
            events: vec![
                at(600, spawned(101, 1)),
                at(601, panicked),
                at(600, spawned(102, 1)),
                at(900, ended(102)),
                at(600, spawned(103, 1)),
                at(9_000, ended(103)),
                at(600, spawned(104, 1)),
            ],
            segments: vec![polls(0, &[(610, 150, 102)])],
            ..Batch::default()
        })
        .await;
    assert_eq!((number(&store, ROWS), number(&store, RECORDS)), (4, 50));
    assert_eq!(store.sql("SELECT count(*), sum(polls) FROM tasks").await, ["54 51"]);
    let one =
        store.sql("SELECT state, outcome, location, lifetime, polls FROM tasks WHERE task = 7");
    assert_eq!(one.await, ["ended completed src/main.rs:10 5000000 1"]);
    let row = store.reader.task(store.process, TaskId(7)).await.unwrap().unwrap();
    assert_eq!((row.polls, row.busy_time, row.lifetime), (1, 2 * MS, 5 * MS));
}

#[tokio::test]
async fn a_task_that_lives_over_many_commits_leaves_no_row_behind() {
    let mut store = with_locations().await;
    store.stored(Batch { events: vec![at(1, spawned(7, 1))], ..Batch::default() }).await;
    store.stored(Batch { segments: vec![polls(0, &[(2, 1, 7)])], ..Batch::default() }).await;
    assert_eq!((number(&store, ROWS), number(&store, RECORDS)), (1, 0));
    let mut store = store.reopen(false).await;
    store.stored(Batch { segments: vec![polls(1, &[(5, 3, 7)])], ..Batch::default() }).await;
    store.stored(Batch { events: vec![at(9, ended(7))], ..Batch::default() }).await;
    assert_eq!((number(&store, ROWS), number(&store, RECORDS)), (0, 1));
    let sql =
        "SELECT polls, busy_time, max_poll_time, lifetime, location FROM tasks WHERE task = 7";
    assert_eq!(store.sql(sql).await, ["2 4000000 3000000 8000000 src/main.rs:10"]);
    // The polls know where their task is from, also those that came in later commits.
    let sql = "SELECT DISTINCT location FROM polls";
    assert_eq!(store.sql(sql).await, ["src/main.rs:10"]);
}

#[tokio::test]
async fn what_is_told_of_a_task_later_is_added_to_it_and_makes_it_a_row() {
    let mut store = with_locations().await;
    for task in 1..=20 {
        store.stored(lives(task * 10, task)).await;
    }
    store.maintain_all(ORIGIN + (900 * S) as i64, &KEEP_ALL).await;
    assert_eq!(number(&store, ROWS), 0);
    // A thread was far behind, and a wait of it was found.
    store.stored(Batch { segments: vec![polls(1, &[(33, 1, 3)])], ..Batch::default() }).await;
    store
        .stored(Batch { events: vec![at(41, crate::waits::began(1, 4, &[]))], ..Batch::default() })
        .await;
    assert_eq!(number(&store, ROWS), 2);
    let sql =
        "SELECT task, polls, location, state FROM tasks WHERE task BETWEEN 2 AND 5 ORDER BY 1";
    let place = "src/main.rs:10 ended";
    let told = [
        format!("2 1 {place}"),
        format!("3 2 {place}"),
        format!("4 1 {place}"),
        format!("5 1 {place}"),
    ];
    assert_eq!(store.sql(sql).await, told);
    assert_eq!(store.sql("SELECT count(*), sum(polls) FROM tasks").await, ["20 21"]);
    // Nobody waits for an end that was seen long ago.
    assert_eq!(store.reader.counts(&[store.process]).await.unwrap()[0].tasks_alive, 0);
    // Merging drops what is void.
    store.stored(lives(9_000_000, 21)).await;
    store.maintain_all(ORIGIN + (900_000 * S) as i64, &KEEP_ALL).await;
    assert_eq!(store.sql("SELECT count(*), sum(polls) FROM tasks").await, ["21 22"]);
}

#[tokio::test]
async fn an_end_that_overtakes_its_spawn_ends_the_task_all_the_same() {
    let mut store = with_locations().await;
    store.stored(Batch { events: vec![at(6, ended(7))], ..Batch::default() }).await;
    store.stored(Batch { events: vec![at(1, spawned(7, 1))], ..Batch::default() }).await;
    assert_eq!(store.sql("SELECT state, lifetime FROM tasks").await, ["ended 5000000"]);
    assert_eq!((number(&store, ROWS), number(&store, RECORDS)), (0, 1));
    assert_eq!(store.reader.counts(&[store.process]).await.unwrap()[0].tasks_alive, 0);
}

#[tokio::test]
async fn lists_go_through_rows_and_records_alike() {
    let mut store = with_locations().await;
    for task in 1..=30 {
        store.stored(lives(task * 10, task)).await;
    }
    store.stored(Batch { events: vec![at(900, spawned(99, 1))], ..Batch::default() }).await;
    let query = TaskQuery {
        process: store.process,
        sort: TaskSort::Task,
        is_descending: true,
        limit: 3,
        ..TaskQuery::default()
    };
    let page = store.reader.tasks(&query).await.unwrap();
    let tasks: Vec<_> = page.rows.iter().map(|row| row.task.0).collect();
    assert_eq!((page.total, tasks, page.searched_from), (31, vec![99, 30, 29], None));
    let one = TaskQuery { text: Some("12".into()), ..query };
    assert_eq!(store.reader.tasks(&one).await.unwrap().rows[0].task.0, 12);
}

#[tokio::test]
async fn roll_ups_are_the_sums_of_what_was_stored_before_and_after_upkeep() {
    let mut store = with_locations().await;
    // Four minutes, told out of order, over a restart.
    for task in [200u64, 3, 120, 121, 4, 61, 239] {
        store.stored(lives(task * 1_000, task)).await;
        if task == 120 {
            store = store.reopen(false).await;
        }
    }
    let wake = Span {
        start: Nanos(61_002 * MS),
        length: 7 * MS,
        task: TaskId(61),
        by: TaskId(3),
        count: 2,
    };
    let segments = vec![segment_of(RecordKind::Wake, 0, &[wake])];
    store.stored(Batch { segments, ..Batch::default() }).await;
    let range = (UnixNanos(ORIGIN - (60 * S) as i64), UnixNanos(ORIGIN + (400 * S) as i64));
    let sql = "SELECT sum(spawned), sum(ended), sum(polls), sum(busy_time), max(max_poll_time),
            sum(wakes), sum(scheduled_time), min(location) FROM rollups WHERE process = 1";
    let mut told: Vec<Vec<u64>> = Vec::new();
    for upkeep in 0..3 {
        for step in [RollupStep::TenSeconds, RollupStep::Minute, RollupStep::Hour] {
            let range = (UnixNanos(0), UnixNanos(i64::MAX));
            let cells = store.reader.rollups(store.process, range, step, None).await.unwrap();
            let sum = |of: fn(&loopd_analysis::rollup::Cell) -> u64| {
                cells.iter().map(|row| of(&row.cell)).sum::<u64>()
            };
            let sums =
                (sum(|cell| cell.spawned), sum(|cell| cell.polls.count()), sum(|cell| cell.wakes));
            assert_eq!(sums, (7, 7, 2), "{step:?} after {upkeep} upkeeps");
        }
        let step = RollupStep::Minute;
        let cells = store.reader.rollups(store.process, range, step, None).await.unwrap();
        told.push(cells.iter().map(|row| row.cell.polls.count()).collect());
        let rows = store.sql(sql).await;
        assert_eq!(rows, ["7 7 7 14000000 2000000 2 7000000 src/main.rs:10"]);
        store.maintain_all(ORIGIN + (1_000 * S) as i64, &KEEP_ALL).await;
    }
    assert!(told.iter().all(|minutes| *minutes == told[0]), "{told:?}");
}

#[tokio::test]
async fn one_run_can_have_a_budget_of_its_own() {
    let mut store = Store::new().await;
    let other = store.writer.begin_session(&process(2), 1).await.unwrap().process;
    for seq in 1..=40u64 {
        let mixed = |i: u64| (seq << 20 | i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let span = |i: u64| Span {
            start: Nanos(seq * S + (i << 17) + mixed(i) % 100_000),
            length: mixed(i * 7) % 90_000,
            task: TaskId(1 + i % 50),
            count: 1,
            ..Span::default()
        };
        let spans: Vec<_> = (0..6_000).map(span).collect();
        let batch = || Batch {
            segments: vec![segment_of(RecordKind::Poll, 0, &spans)],
            ..Batch::default()
        };
        store.stored(batch()).await;
        if seq <= 4 {
            store.writer.commit(vec![(other, Batch { seq, ..batch() })]).await.unwrap();
        }
    }
    let keep = loopd_store::Retention { max_process_bytes: Some(400_000), ..Default::default() };
    store.maintain_all(ORIGIN + (60 * S) as i64, &keep).await;
    let usage = "SELECT coalesce(sum(bytes), 0) FROM usage WHERE process = ";
    let (one, two) = (number(&store, &format!("{usage}1")), number(&store, &format!("{usage}2")));
    assert!((200_000..=400_000).contains(&one), "{one} bytes of the first");
    assert!(two > 0, "the second is within its budget");
    let sql = "SELECT process, count(*) > 0, max(start_at) FROM polls GROUP BY 1";
    let rows = store.sql(sql).await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(store.sql("SELECT count(*) FROM polls WHERE process = 2").await, ["24000"]);
}

#[tokio::test]
async fn an_agent_that_says_everything_twice_stops_nobody() {
    let mut store = with_locations().await;
    store.stored(lives(10, 7)).await;
    store.stored(lives(10, 7)).await;
    store.stored(lives(90_000, 8)).await;
    store.maintain_all(ORIGIN + (900 * S) as i64, &KEEP_ALL).await;
    store.stored(Batch { segments: vec![polls(1, &[(12, 1, 7)])], ..Batch::default() }).await;
    store.stored(Batch { segments: vec![polls(1, &[(14, 1, 7)])], ..Batch::default() }).await;
    assert_eq!(store.sql("SELECT polls FROM tasks WHERE task = 7").await, ["4"]);
}

#[tokio::test]
async fn the_longest_polls_of_one_task_or_place_are_found_among_very_many() {
    let mut store = with_locations().await;
    store.stored(Batch { events: vec![at(0, spawned(7, 1))], ..Batch::default() }).await;
    for batch in 0..30u64 {
        let spans: Vec<_> = (0..900).map(|i| (batch * 10_000 + i * 11, 10, 1 + i % 9)).collect();
        let mut spans = spans;
        spans.push((batch * 10_000 + 9_990, 1 + batch % 5, 70));
        store.stored(Batch { segments: vec![polls(0, &spans)], ..Batch::default() }).await;
    }
    let sql = "SELECT length / 1000000 FROM polls WHERE process = 1 AND task = 70
        ORDER BY length DESC LIMIT 3";
    assert_eq!(store.sql(sql).await, ["5", "5", "5"]);
    let sql = "SELECT count(*) FROM (SELECT * FROM polls WHERE location = 'src/main.rs:10'
        ORDER BY length DESC LIMIT 4000)";
    assert_eq!(store.sql(sql).await, ["3000"]);
    let sql =
        "SELECT count(*) FROM (SELECT * FROM polls ORDER BY length DESC LIMIT 20000 OFFSET 20000)";
    assert_eq!(store.sql(sql).await, ["7030"]);
}
