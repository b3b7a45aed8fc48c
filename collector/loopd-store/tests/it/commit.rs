//! Batches are stored exactly once, all or nothing, and add up whatever their order.

use crate::support::*;
use loopd_model::*;
use loopd_store::{CommitOutcome, How, ProcessState, StoreError, StoreOptions};

#[tokio::test]
async fn a_batch_is_stored_once_however_often_it_is_sent() {
    let mut store = Store::new().await;
    let batch = || Batch { seq: 1, segments: vec![polls(0, &[(1, 2, 7)])], ..Batch::default() };
    for outcome in [CommitOutcome::Stored, CommitOutcome::Duplicate, CommitOutcome::Duplicate] {
        let committed = store.writer.commit(vec![(store.process, batch())]).await.unwrap();
        assert_eq!(committed[0].outcome, outcome);
        assert_eq!(committed[0].durable_seq, 1);
    }
    assert_eq!(store.sql("SELECT task, polls, busy_time FROM tasks").await, ["7 1 2000000"]);
    assert_eq!(store.sql("SELECT count(*) FROM polls").await, ["1"]);
}

#[tokio::test]
async fn a_batch_after_a_gap_is_refused_and_says_what_is_missing() {
    let mut store = Store::new().await;
    let batch = Batch { seq: 3, ..Batch::default() };
    let committed = store.writer.commit(vec![(store.process, batch)]).await.unwrap();
    assert_eq!(committed[0].outcome, CommitOutcome::Gap { expected: 1, got: 3 });
    assert_eq!(committed[0].durable_seq, 0);
}

#[tokio::test]
async fn what_was_committed_is_there_after_the_writer_was_dropped_without_closing() {
    for is_clean in [false, true] {
        let mut store = Store::new().await;
        for i in 0..5 {
            let segments = vec![polls(0, &[(i * 10, 1, 7)])];
            store.stored(Batch { segments, ..Batch::default() }).await;
        }
        // Asserts that the session goes on where it stopped.
        let mut store = store.reopen(is_clean).await;
        let resent = Batch { seq: 5, ..Batch::default() };
        let committed = store.writer.commit(vec![(store.process, resent)]).await.unwrap();
        assert_eq!(committed[0].outcome, CommitOutcome::Duplicate);
        assert_eq!(store.sql("SELECT polls FROM tasks").await, ["5"]);
    }
}

#[tokio::test]
async fn a_malformed_batch_fails_alone_and_leaves_nothing_behind() {
    let mut store = Store::new().await;
    let other = store.writer.begin_session(&process(2), 1).await.unwrap().process;
    let mut broken = polls(0, &[(1, 1, 7)]);
    broken.data[50] ^= 1;
    let batches = vec![
        (other, Batch { seq: 1, segments: vec![polls(0, &[(1, 1, 8)])], ..Batch::default() }),
        (
            store.process,
            Batch {
                seq: 1,
                events: vec![at(0, spawned(9, 1))],
                segments: vec![polls(0, &[(1, 1, 9)]), broken],
                ..Batch::default()
            },
        ),
        (store.process, Batch { seq: 2, ..Batch::default() }),
    ];
    let committed = store.writer.commit(batches).await.unwrap();
    assert_eq!(committed[0].outcome, CommitOutcome::Stored);
    let CommitOutcome::Malformed { reason } = &committed[1].outcome else {
        panic!("{committed:?}")
    };
    assert_eq!(reason, "poll segment of loop 1 worker 0: segment checksum does not match");
    assert_eq!(committed[2].outcome, CommitOutcome::Gap { expected: 1, got: 2 });
    assert_eq!(store.sql("SELECT task FROM tasks").await, ["8"]);
}

#[tokio::test]
async fn a_segment_that_is_not_what_it_says_is_malformed() {
    let mut store = Store::new().await;
    let segment = Segment { kind: RecordKind::Park, ..polls(0, &[(1, 1, 7)]) };
    let committed = store.commit(Batch { segments: vec![segment], ..Batch::default() }).await;
    assert!(matches!(committed.outcome, CommitOutcome::Malformed { .. }));
    let segment = Segment { count: 2, ..polls(0, &[(1, 1, 7)]) };
    let committed = store.commit(Batch { segments: vec![segment], ..Batch::default() }).await;
    assert!(matches!(committed.outcome, CommitOutcome::Malformed { .. }));
}

/// Polls of no length, `gap` nanoseconds after one another, of `tasks` tasks in turn.
fn many(count: u64, gap: u64, tasks: u64) -> Segment {
    let span = |i| Span {
        start: Nanos(i * gap),
        task: TaskId(1 + i % tasks),
        count: 1,
        ..Span::default()
    };
    segment_of(RecordKind::Poll, 0, &(0..count).map(span).collect::<Vec<_>>())
}

async fn check_refused(segment: Segment, expected: &str) {
    let mut store = Store::new().await;
    let committed = store.commit(Batch { segments: vec![segment], ..Batch::default() }).await;
    let CommitOutcome::Malformed { reason } = committed.outcome else { panic!("{committed:?}") };
    assert_eq!(reason, expected);
    assert_eq!(store.sql("SELECT count(*) FROM polls").await, ["0"]);
}

#[tokio::test]
async fn polls_too_far_apart_are_malformed() {
    let reason = "its polls touch 1048576 tiles, the limit is 4096";
    check_refused(many(1 << 20, S, 1), reason).await;
    check_refused(many(5_000, S, 1), "its polls touch 5000 tiles, the limit is 4096").await;
    let mut store = Store::new().await;
    store.stored(Batch { segments: vec![many(4_096, S, 1)], ..Batch::default() }).await;
}

#[tokio::test]
async fn spans_of_too_many_tasks_are_malformed() {
    let reason = "its spans are of 300000 tasks, the limit is 262144";
    check_refused(many(300_000, 100, 300_000), reason).await;
}

#[tokio::test]
async fn no_poll_below_100_us_is_slow_whatever_an_agent_says() {
    let mut store = Store::new().await;
    let eager = Process { slow_threshold: 0, ..process(1) };
    store.writer.begin_session(&eager, 1).await.unwrap();
    let span = |start, length| Span { start: Nanos(start), length, count: 1, ..Span::default() };
    let spans = [span(0, 99_999), span(MS, 100_000)];
    let segments = vec![segment_of(RecordKind::Poll, 0, &spans)];
    store.stored(Batch { segments, ..Batch::default() }).await;
    assert_eq!(store.sql("SELECT length FROM slow").await, ["100000"]);
}

#[tokio::test]
async fn batches_of_a_process_nobody_has_heard_of_are_an_error() {
    let mut store = Store::new().await;
    let result = store.writer.commit(vec![(loopd_store::ProcessKey(77), Batch::default())]).await;
    assert!(matches!(result, Err(StoreError::NoSuchProcess { process: 77 })));
}

#[tokio::test]
async fn extreme_instants_ids_and_lengths_are_stored_without_overflow() {
    let mut store = Store::new().await;
    let extremes = [0, 1, 1 << 62, 1 << 63, u64::MAX - 1, u64::MAX];
    let mut events = Vec::new();
    let mut spans = Vec::new();
    for x in extremes {
        let at = Nanos(x);
        events.push(Event { at, kind: spawned(x, x) });
        events.push(Event { at, kind: EventKind::BlockingStarted { task: TaskId(x) } });
        events.push(Event { at, kind: EventKind::TaskNamed { task: TaskId(x), name: NameId(x) } });
        events.push(Event { at, kind: ended(x) });
        let resource = ResourceId(x);
        let kind = EventKind::ResourceOpened {
            resource,
            kind: "é".repeat(9_000),
            name: String::new(),
            open_location: LocationId(x),
            task: TaskId(x),
            stack: loopd_model::StackId::NONE,
        };
        events.push(Event { at, kind });
        let kind = EventKind::StackSample {
            loop_id: LoopId(x),
            worker: WorkerId(u32::MAX),
            task: TaskId(x),
            poll_started_at: Nanos(u64::MAX - x),
            stack: StackId(x),
            running: Running::OnCpu,
            syscall: String::new(),
            wchan: String::new(),
        };
        events.push(Event { at, kind });
        let holder = Holder { task: TaskId(x), since: at, location: LocationId(x), amount: x };
        let began = EventKind::WaitBegan {
            wait: WaitId(x),
            task: TaskId(x),
            resource,
            op: "lock".into(),
            location: LocationId(x),
            amount: x,
            holders: vec![holder; 9],
        };
        events.push(Event { at, kind: began });
        let kind = EventKind::WaitEnded { wait: WaitId(x), how: WaitHow::Ready };
        events.push(Event { at: Nanos(u64::MAX - x), kind });
        let kind = EventKind::HoldEnded { resource, hold: holder, waits: x };
        events.push(Event { at: Nanos(u64::MAX - x), kind });
        events.push(Event { at, kind: EventKind::TaskUnwakeable { task: TaskId(x) } });
        let reading = |value| Metric { name: "depth".into(), worker: None, value };
        let readings = [f64::MAX, f64::NEG_INFINITY, -1.0].map(reading).to_vec();
        events.push(Event { at, kind: EventKind::ResourceState { resource, readings } });
        let kind = EventKind::AppSpan {
            span: AppSpanId(x),
            parent: AppSpanId(x),
            task: TaskId(x),
            name: String::new(),
            target: String::new(),
            opened_at: Nanos(u64::MAX - x),
            busy_time: x,
            fields: Vec::new(),
            location: LocationId(x),
        };
        events.push(Event { at, kind });
        let settings = Settings { slow_threshold: Some(x), ..Settings::default() };
        let kind = EventKind::CoverageChanged { coverage: Vec::new(), settings };
        events.push(Event { at, kind });
        let metric = |value| Metric { name: "m".into(), worker: Some(WorkerId(u32::MAX)), value };
        let metrics = [f64::NAN, f64::MAX, -0.0].map(metric).to_vec();
        events.push(Event { at, kind: EventKind::Metrics { loop_id: LoopId(x), metrics } });
        for y in extremes {
            spans.push(Span {
                start: Nanos(x),
                length: y.min(u64::MAX - x),
                task: TaskId(y),
                by: TaskId(x),
                count: y,
            });
        }
    }
    let segments =
        [RecordKind::Poll, RecordKind::Park, RecordKind::Wake].map(|k| segment_of(k, 0, &spans));
    let loss = |cause| Loss {
        kind: RecordKind::Poll,
        cause,
        count: u64::MAX,
        from: Nanos(u64::MAX),
        to: Nanos(0),
    };
    let losses = DropCause::ALL.map(loss).to_vec();
    let entry = LedgerEntry { kind: RecordKind::Poll, produced: u64::MAX, dropped: u64::MAX };
    for _ in 0..2 {
        let batch = Batch {
            seq: 0,
            anchor: Anchor { at: Nanos(u64::MAX), unix: UnixNanos(i64::MAX) },
            names: vec![Name { id: NameId(u64::MAX), text: "ü".repeat(1_000) }],
            locations: vec![],
            stacks: vec![],
            events: events.clone(),
            segments: segments.to_vec(),
            losses: losses.clone(),
            ledger: vec![entry],
        };
        store.stored(batch).await;
    }
    store.maintain_all(i64::MAX, &KEEP_ALL).await;
    for view in loopd_store::schema().views {
        store.sql(&format!("SELECT * FROM {}", view.name)).await;
    }
    let reader = &store.reader;
    let (first, last) = (UnixNanos(i64::MIN), UnixNanos(i64::MAX));
    assert_eq!(reader.processes().await.unwrap().rows.len(), 1);
    reader.timeline(store.process, first, last, 1_000).await.unwrap();
    reader.timeline(store.process, last, first, 0).await.unwrap();
    reader.polls(store.process, first, last, 10).await.unwrap();
    let region = loopd_store::RegionQuery {
        process: store.process,
        from: first,
        to: last,
        lanes: None,
        task: None,
        limit: 1_000,
        min_length: 0,
        max_length: u64::MAX,
        order: loopd_store::RegionOrder::Length,
        is_descending: true,
        rows: 10,
    };
    reader.region(region).await.unwrap();
    reader.tasks(&Default::default()).await.unwrap();
    reader.task_sites(store.process, last, u64::MAX, 9).await.unwrap();
    reader.resource_sites(store.process, last, u64::MAX, 9).await.unwrap();
    reader.tasks_alive_at(store.process, &[first, last]).await.unwrap();
    reader.metrics(store.process, "m", first, last, 10).await.unwrap();
    reader.latest_metrics(store.process).await.unwrap();
    reader.slow_polls(&Default::default()).await.unwrap();
    for task in extremes {
        reader.task(store.process, TaskId(task)).await.unwrap();
        reader.task_polls(store.process, TaskId(task), 5, 5).await.unwrap();
        reader.task_wakes(store.process, TaskId(task), 5).await.unwrap();
        reader.location_stats(store.process, TaskId(task)).await.unwrap();
    }
}

#[tokio::test]
async fn a_session_that_is_lost_leaves_an_unknown_tail_until_it_comes_back() {
    let mut store = Store::new().await;
    store.stored(Batch { segments: vec![polls(0, &[(1, 1, 7)])], ..Batch::default() }).await;
    let at = UnixNanos(ORIGIN + 5 * S as i64);
    store.writer.end_session(store.process, How::Lost, at).await.unwrap();
    let row = store.reader.process(store.process).await.unwrap().unwrap();
    assert_eq!((row.state, row.ended_at), (ProcessState::Lost, Some(at)));
    let losses = store.sql("SELECT kind, cause, count FROM losses").await;
    assert_eq!(losses, ["- unknown_tail 0"]);
    assert_eq!(store.writer.head().borrow().processes[0].state, ProcessState::Lost);
    store.writer.begin_session(&process(1), 2).await.unwrap();
    let row = store.reader.process(store.process).await.unwrap().unwrap();
    assert_eq!((row.state, row.ended_at), (ProcessState::Live, None));
    assert_eq!(store.sql("SELECT * FROM losses").await, [""; 0]);
}

#[tokio::test]
async fn a_hole_below_what_an_agent_can_send_is_counted_with_the_next_totals() {
    let mut store = Store::new().await;
    let session = store.writer.begin_session(&process(1), 11).await.unwrap();
    assert_eq!(session.durable_seq, 10);
    assert_eq!(store.sql("SELECT kind, cause FROM losses").await, ["- store_rollback"]);
    store.seq = 10;
    let ledger = vec![LedgerEntry { kind: RecordKind::Poll, produced: 100, dropped: 30 }];
    let segments = vec![polls(0, &[(1, 1, 7), (2, 1, 7)])];
    store.stored(Batch { segments, ledger, ..Batch::default() }).await;
    let losses = store.sql("SELECT kind, cause, count FROM losses").await;
    assert_eq!(losses, ["poll store_rollback 68"]);
    assert_eq!(store.sql("SELECT * FROM ledger").await, ["1 poll 100 2 30 68"]);
}

#[tokio::test]
async fn a_hole_is_counted_with_the_totals_of_a_goodbye_if_none_came_before() {
    let mut store = Store::new().await;
    store.writer.begin_session(&process(1), 11).await.unwrap();
    store.seq = 10;
    let segments = vec![polls(0, &[(1, 1, 7), (2, 1, 7)])];
    store.stored(Batch { segments, ..Batch::default() }).await;
    let ledger = vec![LedgerEntry { kind: RecordKind::Poll, produced: 100, dropped: 30 }];
    let how = How::Goodbye { ledger };
    store.writer.end_session(store.process, how, UnixNanos(ORIGIN + 1)).await.unwrap();
    assert_eq!(
        store.sql("SELECT kind, cause, count FROM losses").await,
        ["poll store_rollback 68"]
    );
    assert_eq!(store.sql("SELECT * FROM ledger").await, ["1 poll 100 2 30 68"]);
}

#[tokio::test]
async fn two_writers_on_one_file_are_refused_by_name_of_the_lock() {
    let store = Store::new().await;
    let error = loopd_store::open(StoreOptions::new(store.path())).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }));
    assert!(error.to_string().contains("loopd.db.lock"), "{error}");
}
