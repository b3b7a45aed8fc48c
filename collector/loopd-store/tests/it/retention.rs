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
    let keep = Retention { max_age: Some(Duration::from_secs(20)), max_bytes: None };
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
    let max = 1_100_000;
    let keep = Retention { max_age: None, max_bytes: Some(max) };
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
    let keep = Retention { max_age: None, max_bytes: Some(1) };
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
    let keep = Retention { max_age: Some(Duration::from_secs(1)), max_bytes: None };
    store.maintain_all(end(1_000_000), &keep).await;
    for view in ["processes", "tasks", "metrics", "resources", "losses", "ledger", "workers"] {
        assert_eq!(store.sql(&format!("SELECT count(*) FROM {view}")).await, ["0"], "{view}");
    }
}

#[tokio::test]
async fn the_file_shrinks_when_much_was_removed() {
    let mut store = Store::new().await;
    for second in 0..60u64 {
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
    let keep = Retention { max_age: Some(Duration::from_secs(1)), max_bytes: None };
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
    assert_eq!(number("SELECT sum(spans) FROM segment"), 60 * 2_001);
}
