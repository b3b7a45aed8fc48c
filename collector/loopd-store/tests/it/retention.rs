//! Retention removes the oldest, raw polls first, and keeps what it must.

use std::time::Duration;

use crate::support::*;
use loopd_model::*;
use loopd_store::Retention;

/// A minute of polls each second, some slow, some tasks and resources that end and some that stay.
async fn filled(batches: u64) -> Store {
    let mut store = Store::new().await;
    let noise = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    for second in 0..batches {
        let at_ms = second * 1_000;
        let short = |i: u64| Span {
            start: Nanos(at_ms * MS + i * 100_000 + noise(i) % 1_000),
            length: noise(i * 7 + second) % 90_000,
            task: TaskId(1 + noise(i) % 50),
            count: 1,
            ..Span::default()
        };
        let spans: Vec<_> = (0..2_000).map(short).collect();
        let opened = |resource, task| EventKind::ResourceOpened {
            resource: ResourceId(resource),
            kind: "file".into(),
            name: "/tmp/x".into(),
            open_location: LocationId(1),
            task: TaskId(task),
            stack: loopd_model::StackId::NONE,
        };
        let closed =
            EventKind::ResourceClosed { resource: ResourceId(10 + second), how: CloseHow::Closed };
        let task = 100 + second;
        store
            .stored(Batch {
                events: vec![
                    at(at_ms, spawned(task, 1)),
                    at(at_ms, opened(10 + second, task)),
                    at(at_ms + 1, closed),
                    at(at_ms + 1, ended(task)),
                    at(at_ms + 2, spawned(1_000_000 + second, 1)),
                ],
                segments: vec![
                    segment_of(RecordKind::Poll, 0, &spans),
                    polls(0, &[(at_ms + 500, 200, 7)]),
                ],
                ..Batch::default()
            })
            .await;
    }
    store
}

fn end(batches: u64) -> i64 {
    ORIGIN + (batches * S) as i64
}

#[tokio::test]
async fn what_is_too_old_goes_and_what_is_alive_stays() {
    let mut store = filled(60).await;
    let keep = Retention {
        max_age: Some(Duration::from_secs(20)),
        max_bytes: None,
        max_process_bytes: None,
    };
    store.maintain_all(end(60), &keep).await;
    let cutoff = end(40);
    let before = |sql: &str| format!("SELECT count(*) FROM {sql} < {cutoff}");
    assert_eq!(store.sql(&before("polls WHERE start_at + length")).await, ["0"]);
    assert_eq!(store.sql(&before("slow WHERE start_at + length")).await, ["0"]);
    assert_eq!(store.sql(&before("tasks WHERE ended_at")).await, ["0"]);
    assert_eq!(store.sql(&before("resources WHERE closed_at")).await, ["0"]);
    let after = |sql: &str| format!("SELECT count(*) FROM {sql} >= {cutoff}");
    assert_eq!(store.sql(&after("polls WHERE start_at")).await, [(20 * 2_001).to_string()]);
    assert_eq!(store.sql(&after("slow WHERE start_at")).await, ["20"]);
    assert_eq!(store.sql("SELECT count(*) FROM tasks WHERE task >= 1000000").await, ["60"]);
    // The books remember what retention forgets.
    let polls = store.reader.process(store.process).await.unwrap().unwrap().totals.polls;
    assert_eq!(polls, 60 * 2_001);
}

#[tokio::test]
async fn a_file_that_is_too_large_loses_the_oldest_raw_polls_and_keeps_slow_ones() {
    let mut store = filled(120).await;
    store.maintain_all(end(120), &KEEP_ALL).await;
    let used = {
        let db = rusqlite::Connection::open(store.path()).unwrap();
        let pragma =
            |sql| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned();
        (pragma("PRAGMA page_count") - pragma("PRAGMA freelist_count")) * pragma("PRAGMA page_size")
    };
    let max = used * 3 / 4;
    let keep = Retention { max_age: None, max_bytes: Some(max), max_process_bytes: None };
    store.maintain_all(end(120), &keep).await;
    let status = store.reader.status().await.unwrap();
    let oldest = status.oldest_at.expect("not all raw polls are gone");
    assert!(oldest.0 > ORIGIN, "the oldest went");
    let newest = store.sql("SELECT max(start_at) FROM polls").await;
    assert_eq!(newest, [(end(120) - 500_000_000).to_string()]);
    assert_eq!(store.sql("SELECT count(*) FROM slow").await, ["120"]);
    assert_eq!(store.sql("SELECT count(*) FROM tasks WHERE state = 'ended'").await, ["120"]);
}

#[tokio::test]
async fn a_limit_that_cannot_be_met_keeps_what_is_alive_and_ends() {
    let mut store = filled(20).await;
    let keep = Retention { max_age: None, max_bytes: Some(1), max_process_bytes: None };
    store.maintain_all(end(20), &keep).await;
    assert_eq!(store.sql("SELECT count(*) FROM polls").await, ["0"]);
    assert_eq!(store.sql("SELECT count(*) FROM tasks WHERE state = 'ended'").await, ["0"]);
    assert_eq!(store.sql("SELECT count(*) FROM tasks WHERE task >= 1000000").await, ["20"]);
    // It goes on as before.
    store.stored(Batch { segments: vec![polls(0, &[(1, 1, 7)])], ..Batch::default() }).await;
    assert_eq!(store.sql("SELECT count(*) FROM polls").await, ["1"]);
}

#[tokio::test]
async fn a_process_that_ended_long_ago_is_forgotten_with_all_of_its_rows() {
    let mut store = filled(60).await;
    let readings = (0..3_000).map(|_| Metric { name: "rss".into(), worker: None, value: 1.0 });
    let kind = EventKind::Metrics { loop_id: LoopId(0), metrics: readings.collect() };
    store.stored(Batch { events: vec![at(100_000_000, kind)], ..Batch::default() }).await;
    let how = loopd_store::How::Lost;
    store.writer.end_session(store.process, how, UnixNanos(end(100_000))).await.unwrap();
    let keep = Retention {
        max_age: Some(Duration::from_secs(1)),
        max_bytes: None,
        max_process_bytes: None,
    };
    store.maintain_all(end(1_000_000), &keep).await;
    for view in ["processes", "tasks", "metrics", "resources", "losses", "ledger", "workers"] {
        assert_eq!(store.sql(&format!("SELECT count(*) FROM {view}")).await, ["0"], "{view}");
    }
}

#[tokio::test]
async fn the_file_shrinks_when_much_was_removed() {
    let mut store = Store::new().await;
    for second in 0..100u64 {
        let span = |i: u64| Span {
            start: Nanos(second * S + i * 15_000),
            length: i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 14_000,
            task: TaskId(1 + i % 50),
            count: 1,
            ..Span::default()
        };
        let spans: Vec<_> = (0..60_000).map(span).collect();
        let segments = vec![segment_of(RecordKind::Poll, 0, &spans)];
        store.stored(Batch { segments, ..Batch::default() }).await;
    }
    let mut store = store.reopen(true).await;
    let before = store.reader.status().await.unwrap().bytes;
    let keep = Retention {
        max_age: Some(Duration::from_secs(1)),
        max_bytes: None,
        max_process_bytes: None,
    };
    store.maintain_all(end(4_000), &keep).await;
    let store = store.reopen(true).await;
    let after = store.reader.status().await.unwrap().bytes;
    assert!(after < before / 2, "{before} bytes before, {after} after");
}

#[tokio::test]
async fn upkeep_leaves_damaged_rows_as_they_are_and_loses_nothing_else() {
    let mut store = filled(60).await;
    {
        let db = rusqlite::Connection::open(store.path()).unwrap();
        for sql in [
            "UPDATE segment SET data = x'00' WHERE id = 1",
            "UPDATE tile SET cells = x'ff' WHERE id = 1",
        ] {
            assert_eq!(db.execute(sql, []).unwrap(), 1);
        }
    }
    store.maintain_all(end(4_000), &KEEP_ALL).await;
    let db = rusqlite::Connection::open(store.path()).unwrap();
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("SELECT count(*) FROM segment WHERE merged = 2 AND data = x'00'"), 1);
    assert_eq!(number("SELECT count(*) FROM tile WHERE folded = 1 AND cells = x'ff'"), 1);
    assert_eq!(number("SELECT sum(spans) FROM segment WHERE kind < 4"), 60 * 2_001);
}

fn told(at_ms: u64) -> Vec<Event> {
    let metric = |name: &str| Metric { name: name.into(), worker: None, value: 1.0 };
    let hold = Holder { task: TaskId(8), ..Holder::default() };
    let (resource, fields) = (ResourceId(5), Vec::new());
    let (target, message, location) = (String::new(), String::new(), LocationId(1));
    let (task, level) = (TaskId(7), MarkLevel::None);
    vec![
        at(at_ms, EventKind::Metrics { loop_id: LoopId(0), metrics: vec![metric("rss")] }),
        at(at_ms, EventKind::ResourceState { resource, readings: vec![metric("waiters")] }),
        at(at_ms, EventKind::HoldEnded { resource, hold, waits: 1 }),
        at(at_ms, EventKind::Mark { task, level, target, message, fields, location }),
    ]
}

const TOLD: [&str; 4] = ["metrics", "resource_states", "holds", "marks"];

#[tokio::test]
async fn instants_in_the_future_do_not_keep_what_is_old() {
    let mut store = Store::new().await;
    // A clock was years ahead for a while.
    let ahead = 100_000_000_000;
    let events: Vec<_> = (0..2_500).flat_map(|i| told(ahead + i)).collect();
    store.stored(Batch { events, ..Batch::default() }).await;
    let events: Vec<_> = (0..2_500).flat_map(told).collect();
    store.stored(Batch { events, ..Batch::default() }).await;
    let keep = Retention {
        max_age: Some(Duration::from_secs(20)),
        max_bytes: None,
        max_process_bytes: None,
    };
    store.maintain_all(end(60), &keep).await;
    for view in TOLD {
        assert_eq!(store.sql(&format!("SELECT count(*) FROM {view}")).await, ["2500"], "{view}");
    }
    // By size they go in the order in which they came, like everything else.
    store
        .maintain_all(
            end(60),
            &Retention { max_age: None, max_bytes: Some(1), max_process_bytes: None },
        )
        .await;
    for view in TOLD {
        assert_eq!(store.sql(&format!("SELECT count(*) FROM {view}")).await, ["0"], "{view}");
    }
}

#[tokio::test]
async fn surplus_readings_do_not_keep_the_rest_from_ageing() {
    let mut store = filled(5).await;
    store.stored(Batch { events: told(1), ..Batch::default() }).await;
    {
        let db = rusqlite::Connection::open(store.path()).unwrap();
        let sql = "INSERT INTO resource_reading (rowid, process, resource, at)
            VALUES (2000000, 1, 5, 1 << 60)";
        assert_eq!(db.execute(sql, []).unwrap(), 1);
    }
    let keep = Retention {
        max_age: Some(Duration::from_secs(20)),
        max_bytes: None,
        max_process_bytes: None,
    };
    // One step does both.
    store.writer.maintain(UnixNanos(end(60)), &keep).await.unwrap();
    assert_eq!(store.sql("SELECT count(*) FROM resource_states").await, ["1"]);
    assert_eq!(store.sql("SELECT count(*) FROM polls").await, ["0"]);
}

#[tokio::test]
async fn the_state_of_a_resource_goes_with_it_or_if_there_never_was_one() {
    let mut store = filled(5).await;
    let state = |resource| EventKind::ResourceState {
        resource: ResourceId(resource),
        readings: vec![Metric { name: "depth".into(), worker: None, value: 1.0 }],
    };
    let open = EventKind::ResourceOpened {
        resource: ResourceId(99),
        kind: "file".into(),
        name: String::new(),
        open_location: LocationId(1),
        task: TaskId(1),
        stack: StackId::NONE,
    };
    // One that is open, one that was closed, and one that nobody knows.
    let events = vec![at(1, open), at(1, state(99)), at(1, state(10)), at(1, state(5))];
    store.stored(Batch { events, ..Batch::default() }).await;
    let number = |store: &Store| {
        let db = rusqlite::Connection::open(store.path()).unwrap();
        let sql = "SELECT group_concat(resource) FROM
            (SELECT resource FROM resource_state ORDER BY resource)";
        db.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap()
    };
    store.maintain_all(end(60), &KEEP_ALL).await;
    assert_eq!(number(&store), "5,10,99");
    let keep = Retention {
        max_age: Some(Duration::from_secs(20)),
        max_bytes: None,
        max_process_bytes: None,
    };
    store.maintain_all(end(60), &keep).await;
    assert_eq!(number(&store), "5,99");
    store.maintain_all(end(4_000), &keep).await;
    assert_eq!(number(&store), "99");
}
