//! What programs say themselves is kept: marks, spans, fields of tasks; and what their agents capture.

use crate::support::*;
use loopd_model::*;
use loopd_store::{MarkQuery, Retention, UnixNanos};

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect()
}

fn mark(task: u64, level: MarkLevel, message: &str) -> EventKind {
    EventKind::Mark {
        task: TaskId(task),
        level,
        target: "orders::cart".into(),
        message: message.into(),
        fields: fields(&[("user", "7"), ("name", "ü")]),
        location: LocationId(1),
    }
}

fn span(opened: u64) -> EventKind {
    EventKind::AppSpan {
        span: AppSpanId(3),
        parent: AppSpanId(2),
        task: TaskId(7),
        name: "checkout".into(),
        target: "orders".into(),
        opened_at: Nanos(opened * MS),
        busy_time: 2 * MS,
        fields: Vec::new(),
        location: LocationId(1),
    }
}

fn changed(layer: &str, settings: Settings) -> EventKind {
    let layer = Coverage {
        layer: layer.into(),
        state: CoverageState::Unavailable,
        reason: "no tokio_unstable".into(),
    };
    EventKind::CoverageChanged { coverage: vec![layer], settings }
}

#[tokio::test]
async fn marks_and_spans_are_kept_with_their_fields() {
    let mut store = Store::new().await;
    let events = vec![
        at(5, mark(7, MarkLevel::Warn, "paid")),
        at(6, mark(0, MarkLevel::None, "")),
        at(9, span(4)),
    ];
    store.stored(Batch { locations: locations(1), events, ..Batch::default() }).await;
    let marks = "SELECT task, level, target, message, fields ->> 'user', fields ->> 'name',
        location FROM marks ORDER BY at";
    assert_eq!(
        store.sql(marks).await,
        ["7 warn orders::cart paid 7 ü src/main.rs:10", "- - orders::cart  7 ü src/main.rs:10"]
    );
    let spans = "SELECT span, parent, task, name, length, busy_time, fields FROM app_spans";
    assert_eq!(store.sql(spans).await, ["3 2 7 checkout 5000000 2000000 {}"]);
    let kinds = "SELECT kind, stored FROM ledger";
    assert_eq!(store.sql(kinds).await, ["mark 3"]);
    store
        .maintain_all(
            ORIGIN,
            &Retention { max_age: None, max_bytes: Some(1), max_process_bytes: None },
        )
        .await;
    assert_eq!(store.sql("SELECT count(*) FROM marks").await, ["0"]);
    assert_eq!(store.sql("SELECT count(*) FROM app_spans").await, ["0"]);
}

fn complaint(check: &str, location: u64, level: MarkLevel, message: &str) -> EventKind {
    EventKind::Mark {
        task: TaskId(7),
        level,
        target: "asyncio".into(),
        message: message.into(),
        fields: fields(&[("check", check), ("coroutine", "pay")]),
        location: LocationId(location),
    }
}

#[tokio::test]
async fn what_asyncio_complains_of_can_be_asked_for_by_time() {
    use MarkLevel::{Error, None, Warn};
    let mut store = Store::new().await;
    let mut unnamed = complaint("", 1, Warn, "no check");
    if let EventKind::Mark { fields, .. } = &mut unnamed {
        fields.clear();
    }
    let events = vec![
        at(5, complaint("never_awaited", 1, Error, "coroutine 'pay'")),
        at(6, complaint("unclosed_socket", 1, Warn, "a socket")),
        at(7, complaint("never_awaited", 2, Error, "coroutine 'ship'")),
        at(8, complaint("never_awaited", 1, Error, "coroutine 'pay'")),
        at(9, complaint("wrong_thread", 0, Error, "call_soon")),
        at(10, complaint("said_by_the_program", 1, None, "a mark of its own")),
        at(11, unnamed),
        at(12, mark(7, Error, "of another target")),
    ];
    store.stored(Batch { locations: locations(2), events, ..Batch::default() }).await;
    let from = Some(UnixNanos(ORIGIN + 6 * MS as i64));
    let to = Some(UnixNanos(ORIGIN + 9 * MS as i64));
    let query = MarkQuery { process: store.process, from, to, ..MarkQuery::default() };
    let marks = store.reader.complaints(&query).await.unwrap();
    let said: Vec<_> = marks.rows.iter().map(|mark| mark.message.as_str()).collect();
    assert_eq!(said, ["coroutine 'pay'", "coroutine 'ship'", "a socket"]);
    assert_eq!(marks.searched_from, Option::None);
}

#[tokio::test]
async fn of_very_many_complaints_the_latest_are_given_and_the_rest_is_said_to_be_there() {
    let mut store = Store::new().await;
    let say = |i| at(i, complaint("never_awaited", 1, MarkLevel::Error, "coroutine"));
    for batch in 0..11 {
        let events = (batch * 1_000..(batch + 1) * 1_000).map(say).collect();
        store.stored(Batch { locations: locations(1), events, ..Batch::default() }).await;
    }
    let query = MarkQuery { process: store.process, ..MarkQuery::default() };
    let marks = store.reader.complaints(&query).await.unwrap();
    assert_eq!(marks.rows.len(), 10_000);
    assert_eq!(marks.searched_from, Some(UnixNanos(ORIGIN + 1_000 * MS as i64)));
}

#[tokio::test]
async fn fields_of_a_task_add_up_and_stay_small() {
    let mut store = Store::new().await;
    let say =
        |pairs: &[(&str, &str)]| EventKind::TaskFields { task: TaskId(7), fields: fields(pairs) };
    store
        .stored(Batch { events: vec![at(2, say(&[("a", "1"), ("b", "1")]))], ..Batch::default() })
        .await;
    let events = vec![at(1, spawned(7, 1)), at(3, say(&[("b", "2")]))];
    store.stored(Batch { events, ..Batch::default() }).await;
    assert_eq!(store.sql("SELECT task, fields FROM tasks").await, [r#"7 {"a":"1","b":"2"}"#]);
    let long = "x".repeat(5_000);
    for i in 0..50 {
        let key = i.to_string();
        let events = vec![at(4, say(&[(&key, &long)]))];
        store.stored(Batch { events, ..Batch::default() }).await;
    }
    let sql = "SELECT length(fields) <= 17000, fields ->> '49' IS NOT NULL FROM tasks";
    assert_eq!(store.sql(sql).await, ["1 1"]);
}

#[tokio::test]
async fn a_task_is_unwakeable_until_a_poll_that_begins_later_proves_otherwise() {
    let mut store = Store::new().await;
    let sql = "SELECT unwakeable FROM tasks";
    let stranded = EventKind::TaskUnwakeable { task: TaskId(7) };
    // Within its last poll, told before that poll ends.
    let batch = Batch {
        events: vec![at(1, spawned(7, 1)), at(12, stranded.clone())],
        segments: vec![polls(0, &[(2, 3, 7), (10, 3, 7)])],
        ..Batch::default()
    };
    store.stored(batch).await;
    assert_eq!(store.sql(sql).await, ["1"]);
    store.stored(Batch { segments: vec![polls(0, &[(20, 1, 7)])], ..Batch::default() }).await;
    assert_eq!(store.sql(sql).await, ["0"]);
    store.stored(Batch { events: vec![at(22, stranded)], ..Batch::default() }).await;
    assert_eq!(store.sql(sql).await, ["1"]);
    store.stored(Batch { events: vec![at(30, ended(7))], ..Batch::default() }).await;
    assert_eq!(store.sql(sql).await, ["0"]);
}

#[tokio::test]
async fn what_is_captured_changes_and_its_history_stays() {
    let mut store = Store::new().await;
    let settings =
        Settings { record_polls: Some(false), slow_threshold: Some(MS), ..Settings::default() };
    let sql = "SELECT (at - p.started_at) / 1000000, layer, c.state, settings
        FROM coverage c JOIN processes p USING (process) ORDER BY at";
    assert_eq!(store.sql(sql).await, ["0 hooks off {}"]);
    store.stored(Batch { events: vec![at(5, changed("fds", settings))], ..Batch::default() }).await;
    let changes =
        ["0 hooks off {}", r#"5 fds unavailable {"record_polls":false,"slow_threshold":1000000}"#];
    assert_eq!(store.sql(sql).await, changes);
    assert_eq!(store.sql("SELECT slow_threshold FROM processes").await, ["1000000"]);
    let process = store.reader.process(store.process).await.unwrap().unwrap();
    assert_eq!(process.coverage[0].layer, "fds");
    // From the next batch on a poll is slow by the new threshold, also after a restart.
    store.stored(Batch { segments: vec![polls(0, &[(20, 2, 7)])], ..Batch::default() }).await;
    assert_eq!(store.sql("SELECT length FROM slow").await, ["2000000"]);
    let keep = Retention {
        max_age: Some(std::time::Duration::from_secs(1)),
        max_bytes: None,
        max_process_bytes: None,
    };
    store.maintain_all(ORIGIN + 60 * S as i64, &keep).await;
    assert_eq!(store.sql(sql).await, changes[1..]);
}

#[tokio::test]
async fn samples_say_which_system_call_it_was() {
    let mut store = Store::new().await;
    let sample = |syscall: &str, wchan: &str| EventKind::StackSample {
        loop_id: LoopId(1),
        worker: WorkerId(0),
        task: TaskId(7),
        poll_started_at: Nanos(MS),
        stack: StackId(1),
        running: Running::OffCpu,
        syscall: syscall.into(),
        wchan: wchan.into(),
    };
    let futex = || sample("futex", "futex_do_wait");
    store.stored(Batch { events: vec![at(150, futex())], ..Batch::default() }).await;
    // The words are known now; others are not.
    let events = vec![at(250, futex()), at(350, sample("", "")), at(450, sample("read", ""))];
    store.stored(Batch { events, ..Batch::default() }).await;
    let sql = "SELECT syscall, wchan FROM samples ORDER BY at";
    assert_eq!(
        store.sql(sql).await,
        ["futex futex_do_wait", "futex futex_do_wait", "- -", "read -"]
    );
}

#[tokio::test]
async fn hostile_texts_are_cut_and_too_many_words_are_left_out() {
    let mut store = Store::new().await;
    let long = "ü".repeat(100_000);
    let many: Vec<_> = (0..1_000).map(|i| (format!("{i} {long}"), long.clone())).collect();
    let kind = EventKind::Mark {
        task: TaskId(1),
        level: MarkLevel::None,
        target: long.clone(),
        message: long.clone(),
        fields: many,
        location: LocationId(1),
    };
    let wait = |i: u64| EventKind::WaitBegan {
        wait: WaitId(i),
        task: TaskId(1),
        resource: ResourceId(1),
        op: format!("op {i}"),
        location: LocationId(1),
        amount: u64::MAX,
        holders: vec![Holder::default(); 100],
    };
    let mut events: Vec<_> = (1..=5_000).map(|i| at(1, wait(i))).collect();
    events.push(at(1, kind));
    store.stored(Batch { events, ..Batch::default() }).await;
    let sql =
        "SELECT length(target) <= 256, length(message) <= 4096, length(fields) < 100000 FROM marks";
    assert_eq!(store.sql(sql).await, ["1 1 1"]);
    let sql = "SELECT count(*), count(op), max(holders) FROM waits";
    assert_eq!(store.sql(sql).await, ["5000 512 8"]);
}

fn waits_for(op: &str, wait: u64) -> EventKind {
    EventKind::WaitBegan {
        wait: WaitId(wait),
        task: TaskId(1),
        resource: ResourceId(1),
        op: op.into(),
        location: LocationId(1),
        amount: 0,
        holders: Vec::new(),
    }
}

#[tokio::test]
async fn words_that_are_known_stay_known_when_there_is_no_room_for_new_ones() {
    let mut store = Store::new().await;
    let events = vec![at(1, waits_for("lock", 1))];
    store.stored(Batch { events, ..Batch::default() }).await;
    // Others fill the table, each as far as it may.
    for number in 2..=10 {
        let session = store.writer.begin_session(&process(number), 1).await.unwrap();
        let invented = |i: u64| at(1, waits_for(&format!("op {number} {i}"), i));
        let events = (1..=600).map(invented).collect();
        let batch = Batch { seq: session.durable_seq + 1, events, ..Batch::default() };
        store.writer.commit(vec![(session.process, batch)]).await.unwrap();
    }
    let sql = "SELECT process, count(*), count(op) FROM waits GROUP BY process ORDER BY process";
    let stored = store.sql(sql).await;
    assert_eq!(stored[1], "2 600 512");
    assert_eq!(stored[9], "10 600 0");
    let mut store = store.reopen(true).await;
    let events = vec![at(2, waits_for("lock", 2)), at(2, waits_for("more", 3))];
    store.stored(Batch { events, ..Batch::default() }).await;
    let sql = "SELECT op FROM waits WHERE process = 1 ORDER BY wait";
    assert_eq!(store.sql(sql).await, ["lock", "lock", "-"]);
}

#[tokio::test]
async fn of_changes_at_the_same_instant_the_last_stays() {
    let mut store = Store::new().await;
    let off = Settings { record_polls: Some(false), ..Settings::default() };
    let on = Settings { record_polls: Some(true), ..Settings::default() };
    let events = vec![at(5, changed("fds", off)), at(5, changed("guards", on))];
    store.stored(Batch { events, ..Batch::default() }).await;
    let keep = Retention {
        max_age: Some(std::time::Duration::from_secs(1)),
        max_bytes: None,
        max_process_bytes: None,
    };
    store.maintain_all(ORIGIN + 60 * S as i64, &keep).await;
    assert_eq!(store.sql("SELECT layer FROM coverage").await, ["guards"]);
}

#[tokio::test]
async fn what_was_told_is_read_back() {
    let mut store = Store::new().await;
    let say = EventKind::TaskFields { task: TaskId(7), fields: fields(&[("user", "7")]) };
    let all_on =
        Settings { track_fds: Some(true), slow_threshold: Some(MS), ..Settings::default() };
    let events = vec![
        at(1, spawned(7, 1)),
        at(2, say),
        at(3, EventKind::TaskUnwakeable { task: TaskId(7) }),
        at(5, mark(7, MarkLevel::Warn, "paid")),
        at(6, mark(8, MarkLevel::Debug, "late")),
        at(7, mark(7, MarkLevel::None, "here")),
        at(9, span(4)),
        at(10, changed("fds", all_on)),
    ];
    store.stored(Batch { locations: locations(1), events, ..Batch::default() }).await;
    let task = store.reader.task(store.process, TaskId(7)).await.unwrap().unwrap();
    assert_eq!(task.fields, fields(&[("user", "7")]));
    assert_eq!(task.unwakeable_at, Some(UnixNanos(ORIGIN + 3 * MS as i64)));
    let all = MarkQuery { process: store.process, limit: 10, ..MarkQuery::default() };
    let said = async |query: MarkQuery| {
        let marks = store.reader.marks(&query).await.unwrap();
        marks.rows.into_iter().map(|mark| mark.message).collect::<Vec<_>>()
    };
    assert_eq!(said(all).await, ["here", "late", "paid"]);
    assert_eq!(said(MarkQuery { task: Some(TaskId(7)), ..all }).await, ["here", "paid"]);
    assert_eq!(said(MarkQuery { level: MarkLevel::Info, ..all }).await, ["here", "paid"]);
    let to = Some(UnixNanos(ORIGIN + 6 * MS as i64));
    assert_eq!(said(MarkQuery { to, ..all }).await, ["paid"]);
    let spans = store.reader.app_spans(&all).await.unwrap();
    assert_eq!((spans[0].name.as_str(), spans[0].parent), ("checkout", Some(2)));
    let coverage = store.reader.coverage(store.process, 10).await.unwrap();
    assert_eq!(coverage.len(), 2);
    assert_eq!(coverage[0].settings, all_on);
    assert_eq!(coverage[0].coverage[0].layer, "fds");
}

#[tokio::test]
async fn what_is_only_counted_adds_up_and_lengths_of_single_polls_stay_unknown() {
    let mut store = Store::new().await;
    let counted = |counts| EventKind::TaskCounted { task: TaskId(7), counts };
    let first = TaskCounts {
        polls: 4,
        busy_time: 3 * MS,
        wakes: 5,
        self_wakes: 1,
        scheduled_time: MS,
        first_poll_at: Nanos(2 * MS),
        last_poll_started_at: Nanos(8 * MS),
        last_poll_ended_at: Nanos(9 * MS),
        last_woken_at: Nanos(7 * MS),
        since: Nanos(MS),
        ..TaskCounts::default()
    };
    let events = vec![at(1, spawned(7, 1)), at(10, counted(first))];
    let locations = locations(1);
    store.stored(Batch { locations, events, ..Batch::default() }).await;
    let sql =
        "SELECT polls, busy_time, wakes, self_wakes, scheduled_time, max_poll_time, slow_polls
        FROM tasks";
    assert_eq!(store.sql(sql).await, ["4 3000000 5 1 1000000 - -"]);
    let rollup = "SELECT polls, busy_time, max_poll_time, p50, wakes, scheduled_time FROM rollups";
    // The latest steps are in no minute yet.
    let cells = store.reader.facts(store.process, None, None).await.unwrap().unwrap().sites;
    assert_eq!((cells[0].cell.busy_time, cells[0].cell.polls.count()), (3 * MS, 0));
    assert!(store.sql(rollup).await.iter().all(|row| row.starts_with("- 3000000 - - 5")));
    // Of some tasks the histogram is read.
    let second = TaskCounts {
        polls: 1,
        busy_time: 150 * MS,
        max_poll_time: 150 * MS,
        slow_polls: 1,
        ..TaskCounts::default()
    };
    let events = vec![at(300, counted(second)), at(400, ended(7))];
    store.stored(Batch { events, ..Batch::default() }).await;
    assert_eq!(store.sql(sql).await, ["5 153000000 5 1 1000000 150000000 1"]);
    let task = store.reader.task(store.process, TaskId(7)).await.unwrap().unwrap();
    assert_eq!((task.max_poll_time, task.slow_polls), (Some(150 * MS), Some(1)));
    // What has no beginning is of the task, and of no time.
    let cells = store.reader.facts(store.process, None, None).await.unwrap().unwrap().sites;
    assert_eq!(cells[0].cell.busy_time, 3 * MS);
}

#[tokio::test]
async fn what_is_counted_of_a_while_is_spread_over_it_and_a_task_is_busy_at_most_all_of_it() {
    let mut store = Store::new().await;
    const S: u64 = 1_000 * MS;
    // Steps of roll-ups begin at whole tens of seconds.
    let begin = 10 * S - ORIGIN.unsigned_abs() % (10 * S);
    let counted = |since: u64, to: u64, busy_time| {
        let counts =
            TaskCounts { busy_time, since: Nanos(begin + since * S), ..TaskCounts::default() };
        let kind = EventKind::TaskCounted { task: TaskId(7), counts };
        Event { at: Nanos(begin + to * S), kind }
    };
    let events = vec![
        at(1, spawned(7, 1)),
        counted(10, 40, 15 * S),
        counted(45, 50, 60 * S),
        // Of what is longer than an hour only the end.
        counted(50, 7_250, 7_200 * S),
    ];
    let locations = locations(1);
    store.stored(Batch { locations, events, ..Batch::default() }).await;
    let busy = async |from: u64, to: u64| {
        let at = |s: u64| Some(UnixNanos(ORIGIN + (begin + s * S) as i64));
        // The end is in the range.
        let to = at(to).map(|to| UnixNanos(to.0 - 1));
        let facts = store.reader.facts(store.process, at(from), to).await.unwrap().unwrap();
        facts.sites.iter().map(|site| site.cell.busy_time).sum::<u64>() / S
    };
    assert_eq!(busy(0, 30).await, 10);
    assert_eq!(busy(30, 40).await, 5);
    assert_eq!(busy(40, 50).await, 5);
    assert_eq!(busy(50, 3_000).await, 0);
    assert_eq!(busy(6_000, 6_100).await, 100);
    assert_eq!(store.sql("SELECT busy_time / 1000000000 FROM tasks").await, ["7275"]);
}

#[tokio::test]
async fn lengths_of_polls_can_become_unknown_and_known_again() {
    let mut store = Store::new().await;
    let counted = |busy_time, max_poll_time, are_lengths_known| {
        let counts =
            TaskCounts { busy_time, max_poll_time, are_lengths_known, ..TaskCounts::default() };
        EventKind::TaskCounted { task: TaskId(7), counts }
    };
    let sql = "SELECT max_poll_time / 1000000, slow_polls FROM tasks";
    let mut check = async |event, expected: &str| {
        let events = vec![at(1, spawned(7, 1)), at(10, event)];
        store.stored(Batch { locations: locations(1), events, ..Batch::default() }).await;
        assert_eq!(store.sql(sql).await, [expected]);
        let task = store.reader.task(store.process, TaskId(7)).await.unwrap().unwrap();
        assert_eq!(task.max_poll_time.is_some(), !expected.starts_with('-'));
        assert_eq!(task.slow_polls.is_some(), !expected.ends_with('-'));
    };
    // A first poll that is under way.
    check(counted(0, 0, Some(false)), "- -").await;
    check(counted(50 * MS, 20 * MS, None), "- -").await;
    check(counted(0, 20 * MS, Some(true)), "20 0").await;
    check(counted(30 * MS, 0, Some(false)), "- -").await;
    check(counted(0, 25 * MS, Some(true)), "25 0").await;
}
