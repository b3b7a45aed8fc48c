//! Regions of the timeline: their numbers are those of SQL over the same polls.

use std::time::Duration;

use loopd_model::{Anchor, Batch, Event, Nanos, RecordKind, Span, TaskId, UnixNanos};
use loopd_store::Retention;
use serde_json::{Value, json};

use crate::recording::{self, MS, SECOND, START};
use crate::server::{Server, text};

const MICRO: u64 = 1_000;

fn after(nanos: u64) -> i64 {
    START + nanos as i64
}

/// Adds a program with a thousand polls of many lengths on two workers, from its first second on, every ten
/// milliseconds one, and one of 250 ms on each worker before them.
async fn add_busy(server: &Server) -> i64 {
    let mut process = recording::process(40, "busy");
    process.anchor.unix = UnixNanos(START);
    let life = 12 * SECOND;
    let anchor = Anchor { at: Nanos(life), unix: UnixNanos(START).at(Nanos(life)) };
    let mut batch = Batch { seq: 1, anchor, events: vec![recording::opened()], ..Batch::default() };
    for worker in 0..2 {
        let long = recording::poll(700, 250_000, 7);
        let polls = (0..500u64).map(|i| Span {
            start: Nanos(SECOND + i * 10 * MS + u64::from(worker) * MS),
            length: (i * i * 31 + 7 * u64::from(worker)) % (4 * MS) + 90,
            task: TaskId(10 + i % 13),
            count: 1,
            ..Span::default()
        });
        let polls: Vec<Span> = std::iter::once(long).chain(polls).collect();
        batch.segments.push(recording::segment(worker, RecordKind::Poll, &polls));
    }
    batch.ledger = recording::ledger(&batch);
    recording::store(&mut *server.writer.lock().await, &process, batch).await.0
}

async fn region(server: &Server, what: &str) -> Value {
    server.json(&format!("/api/v1/region?{what}")).await
}

async fn sql(server: &Server, sql: &str) -> Vec<Value> {
    let (status, answer) = server.query(&json!({"sql": sql}).to_string()).await;
    assert_eq!(status, 200, "{answer}");
    answer["rows"][0].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_number_agrees_with_sql_over_the_same_range() {
    let server = Server::start().await;
    let process = add_busy(&server).await;
    let ranges = [
        (after(0), after(12 * SECOND), None),
        // Begins in the middle of the long polls, and ends in the middle of others.
        (after(800 * MS), after(2 * SECOND + 10 * MS + 50), None),
        (after(800 * MS), after(3 * SECOND), Some(1)),
        (after(1_500 * MS), after(1_500 * MS + 1), None),
        (after(9 * SECOND), after(10 * SECOND), None),
    ];
    for (from, to, worker) in ranges {
        let lanes = worker.map(|worker| format!("&lanes=1.{worker}")).unwrap_or_default();
        let what = format!("process={process}&from={from}&to={to}{lanes}");
        let view = region(&server, &what).await;
        assert_eq!((&view["exact"], &view["why"]), (&true.into(), &Value::Null), "{what}");
        let on = worker.map(|worker| format!("AND worker = {worker}")).unwrap_or_default();
        let whose = format!(
            "FROM polls WHERE process = {process} AND start_at < {to} {on}
             AND (start_at + length > {from} OR start_at >= {from})"
        );
        let expected = sql(
            &server,
            &format!(
                "SELECT count(*), ifnull(sum(length), 0), CAST(avg(length) AS INTEGER), p50(length), p90(length),
                    p99(length), max(length), count(DISTINCT task), min(start_at),
                    ifnull(sum(min(start_at + length, {to}) - max(start_at, {from})), 0),
                    count(*) FILTER (WHERE length >= {})
                 {whose}",
                100 * MS
            ),
        )
        .await;
        let first_start_at = view["first_start_at"].as_str().map(|at| at.parse::<i64>().unwrap());
        let found = [
            view["polls"].clone(),
            view["time"].clone(),
            view["mean"].clone(),
            view["p50"].clone(),
            view["p90"].clone(),
            view["p99"].clone(),
            view["max"].clone(),
            view["tasks"].clone(),
            // SQL answers with text where a number would lose digits.
            json!(first_start_at.map(|at| at.to_string())),
            view["busy_time"].clone(),
            view["slow"].clone(),
        ];
        let expected: Vec<Value> = expected
            .into_iter()
            .enumerate()
            .map(|(i, value)| match (i, &value) {
                (8, Value::Number(number)) => json!(number.to_string()),
                _ => value,
            })
            .collect();
        assert_eq!(found.to_vec(), expected, "{what}");
        let workers = if worker.is_some() { 1.0 } else { 2.0 };
        let share = view["busy_time"].as_f64().unwrap() / ((to - from) as f64 * workers);
        assert!((view["share"].as_f64().unwrap() - share.min(1.0)).abs() < 1e-9, "{what}");
        let bars = view["histogram"].as_array().unwrap();
        let counted: u64 = bars.iter().map(|bar| bar["polls"].as_u64().unwrap()).sum();
        assert_eq!(counted, view["polls"].as_u64().unwrap(), "{what}");
        for bar in bars {
            let to = bar["to"].as_u64().unwrap_or(i64::MAX as u64);
            let count =
                format!("SELECT count(*) {whose} AND length >= {} AND length < {to}", bar["from"]);
            assert_eq!(sql(&server, &count).await[0], bar["polls"], "{what} {bar}");
        }
    }
}

#[tokio::test]
async fn its_polls_are_sorted_filtered_and_cut_and_that_is_said() {
    let server = Server::start().await;
    let process = add_busy(&server).await;
    let range = format!("process={process}&from={}&to={}", after(0), after(12 * SECOND));
    let view = region(&server, &format!("{range}&sort=length&desc=1&limit=3")).await;
    let lengths = |view: &Value| -> Vec<u64> {
        let rows = view["rows"].as_array().unwrap().iter();
        rows.map(|row| row["length"].as_u64().unwrap()).collect()
    };
    assert_eq!((&view["matching"], lengths(&view).len()), (&1_002.into(), 3));
    assert_eq!(lengths(&view)[..2], [250 * MS, 250 * MS]);
    assert_eq!(view["rows"][0]["slow"], true);
    assert_eq!((&view["rows"][0]["task"], &view["rows"][0]["loop"]), (&"7".into(), &"1".into()));

    let some = format!("{range}&min_length={}&max_length={}&sort=start_at&limit=1000", MICRO, MS);
    let view = region(&server, &some).await;
    assert!(lengths(&view).iter().all(|&length| (MICRO..MS).contains(&length)));
    assert_eq!(view["matching"], lengths(&view).len());
    // The region is the same: only the list is shorter.
    assert_eq!(view["polls"], 1_002);
    let starts: Vec<i64> = view["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["start_at"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(starts.is_sorted());

    let csv = text(server.get(&format!("/api/v1/region?{range}&limit=2&format=csv")).await).await;
    assert!(csv.starts_with("start_at,length,loop,worker,task,location,slow\r\n"), "{csv}");
    assert_eq!(csv.lines().count(), 3);
}

#[tokio::test]
async fn a_task_alone_has_its_polls_and_no_others() {
    let server = Server::start().await;
    let process = add_busy(&server).await;
    let of = async |what: &str| region(&server, &format!("process={process}&task=7&{what}")).await;
    let view = of(&format!("from={}&to={}", after(0), after(12 * SECOND))).await;
    assert_eq!((&view["polls"], &view["tasks"]), (&2.into(), &1.into()));
    let view = of(&format!("from={}&to={}", after(950 * MS), after(12 * SECOND))).await;
    assert_eq!(view["polls"], 0, "they were over as it began");
}

#[tokio::test]
async fn a_poll_without_an_end_is_counted_by_itself() {
    let server = Server::start().await;
    let mut process = recording::process(41, "stuck");
    process.anchor.unix = UnixNanos(START);
    let anchor = Anchor { at: Nanos(SECOND), unix: UnixNanos(START).at(Nanos(SECOND)) };
    let mut batch = Batch { seq: 1, anchor, events: vec![recording::opened()], ..Batch::default() };
    batch.events.push(stuck());
    batch.ledger = recording::ledger(&batch);
    let process = recording::store(&mut *server.writer.lock().await, &process, batch).await.0;
    let what = format!("process={process}&from={}&to={}", after(0), after(SECOND));
    let view = region(&server, &what).await;
    assert_eq!(
        (&view["exact"], &view["polls"], &view["unfinished"]),
        (&true.into(), &0.into(), &1.into())
    );
    assert_eq!((&view["histogram"], &view["mean"]), (&json!([]), &Value::Null));
    assert_eq!(region(&server, &format!("{what}&task=10")).await["unfinished"], 1);
    assert_eq!(region(&server, &format!("{what}&task=11")).await["unfinished"], 0);
}

fn stuck() -> Event {
    let mut event = recording::sample(0, 100, loopd_model::Running::OnCpu);
    event.at = Nanos(900 * MS);
    event
}

#[tokio::test]
async fn stacks_are_those_of_the_workers_that_are_asked_for() {
    let server = Server::start().await;
    let all = server.json("/api/v1/stacks?process=1&lanes=1.0,1.1").await;
    assert_eq!(all, server.json("/api/v1/stacks?process=1").await);
    let other = server.json("/api/v1/stacks?process=1&lanes=1.1").await;
    assert_eq!((&other["polls"], &other["samples"]), (&0.into(), &json!([])));
}

#[tokio::test]
async fn what_is_no_region_is_refused_in_words() {
    let server = Server::start().await;
    for (wrong, sentence) in [
        ("from=20&to=10", "`from` (20) must be before `to` (10)"),
        ("lanes=one", "`lanes` must be LOOP.WORKER, several with commas between"),
        ("sort=size", "`sort` must be one of start_at, length, worker, task"),
        ("limit=1001", "`limit` must be from 0 to 1000, not 1001"),
        ("width=5", "there is no parameter `width` here"),
        ("process=99", "there is no process 99"),
    ] {
        let answer = text(server.get(&format!("/api/v1/region?{wrong}")).await).await;
        assert!(answer.contains(sentence), "{answer}");
    }
}

#[tokio::test]
async fn where_single_polls_are_gone_sums_stay_and_are_said_to_be_approximate() {
    let server = Server::start().await;
    let process = add_busy(&server).await;
    // Polls end after six seconds, the step of ten seconds and what is not folded yet does not.
    let keep = Retention {
        max_age: Some(Duration::from_secs(3_600)),
        max_bytes: None,
        max_process_bytes: None,
    };
    let now = UnixNanos(after(8 * SECOND + 3_600 * SECOND));
    server.writer.lock().await.maintain(now, &keep).await.unwrap();
    let what = format!("process={process}&from={}&to={}", after(0), after(12 * SECOND));
    let view = region(&server, &what).await;
    assert_eq!(view["exact"], false);
    let why = view["why"].as_str().unwrap();
    assert!(why.contains("no longer kept"), "{why}");
    assert_eq!(view["polls"], 1_002);
    assert_eq!((&view["max"], &view["tasks"]), (&(250 * MS).into(), &Value::Null));
    assert_eq!((&view["rows"], &view["matching"]), (&json!([]), &Value::Null));
    // A whole step of ten seconds lies in it.
    assert!(view["lengths_from"].is_string(), "{view}");
    let counted: u64 = view["histogram"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bar| bar["polls"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, 1_002);
}

/// Adds a program with so many polls that they take more room than their tiles: one every 20 microseconds of
/// its first second, in 1000 of which task 7 was polled.
async fn add_crowded(server: &Server) -> i64 {
    let mut process = recording::process(42, "crowded");
    process.anchor.unix = UnixNanos(START);
    let anchor = Anchor { at: Nanos(2 * SECOND), unix: UnixNanos(START).at(Nanos(2 * SECOND)) };
    let polls: Vec<Span> = (0..50_000u64)
        .map(|i| Span {
            start: Nanos(i * 20 * MICRO),
            length: i * i * 31 % (19 * MICRO),
            task: TaskId(if i % 50 == 0 { 7 } else { 10 + i * i % 1_009 }),
            count: 1,
            ..Span::default()
        })
        .collect();
    let segments = vec![recording::segment(0, RecordKind::Poll, &polls)];
    let events = vec![recording::opened()];
    let mut batch = Batch { seq: 1, anchor, events, segments, ..Batch::default() };
    batch.ledger = recording::ledger(&batch);
    recording::store(&mut *server.writer.lock().await, &process, batch).await.0
}

/// Takes the polls of all processes away, and the tiles that go with them.
async fn drop_polls(server: &Server) {
    let mut writer = server.writer.lock().await;
    let now = UnixNanos(after(3_600 * SECOND));
    let keep = Retention { max_age: None, max_bytes: None, max_process_bytes: None };
    while writer.maintain(now, &keep).await.unwrap().more {}
    let keep = Retention { max_process_bytes: Some(1), ..keep };
    writer.maintain(now, &keep).await.unwrap();
    assert_eq!(sql(server, "SELECT count(*) FROM polls").await, [0]);
}

#[tokio::test]
async fn a_short_range_of_which_polls_are_gone_is_not_exact() {
    let server = Server::empty().await;
    let process = add_crowded(&server).await;
    let what = format!("process={process}&from={}&to={}", after(0), after(2 * SECOND));
    let view = region(&server, &what).await;
    assert_eq!((&view["exact"], &view["polls"]), (&true.into(), &50_000.into()));
    drop_polls(&server).await;
    let view = region(&server, &what).await;
    assert_eq!(view["exact"], false);
    let why = view["why"].as_str().unwrap();
    assert!(why.contains("no longer kept"), "{why}");
    // The range begins within a bucket.
    let polls = view["polls"].as_u64().unwrap();
    assert!((49_000..=50_000).contains(&polls), "coarser tiles have them: {polls}");
    let empty = format!("process={process}&from={}&to={}", after(SECOND), after(2 * SECOND));
    assert_eq!(region(&server, &empty).await["exact"], false, "nobody knows");
}

#[tokio::test]
async fn a_task_of_which_polls_are_gone_has_no_exact_numbers() {
    let server = Server::empty().await;
    let process = add_crowded(&server).await;
    let what = format!("process={process}&task=7&from={}&to={}", after(0), after(2 * SECOND));
    let view = region(&server, &what).await;
    assert_eq!((&view["exact"], &view["polls"]), (&true.into(), &1_000.into()));
    drop_polls(&server).await;
    let view = region(&server, &what).await;
    assert_eq!((&view["exact"], &view["polls"]), (&false.into(), &0.into()));
    let why = view["why"].as_str().unwrap();
    assert!(why.contains("no longer kept"), "{why}");
}

#[tokio::test]
async fn a_lane_of_a_task_is_not_known_where_its_polls_are_gone() {
    let server = Server::empty().await;
    let process = add_crowded(&server).await;
    let range = format!("process={process}&task=7&from={}&to={}", after(0), after(2 * SECOND));
    let path = format!("/api/v1/lanes/task?{range}");
    assert_eq!(server.json(&path).await["known_from"], Value::Null);
    drop_polls(&server).await;
    assert_eq!(server.json(&path).await["known_from"], after(2 * SECOND).to_string());
}
