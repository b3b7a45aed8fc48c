//! Where a task's life went and what it has to do with others, against what SQL counts over the same store.

use loopd_model::segment::{Effort, encode};
use loopd_model::{
    Anchor, Batch, Event, EventKind, Location, LocationId, LoopId, Name, NameId, Nanos, Outcome,
    RecordKind, ResourceId, Segment, Span, StackId, TaskId, TaskKind, UnixNanos, WaitHow, WaitId,
    WorkerId,
};
use serde_json::{Value, json};

use crate::recording::{self, SECOND, START};
use crate::server::{Server, text};

/// The task that is looked at, and those before it.
const SUBJECT: u64 = 3;
const POLLS: u64 = 3_000;
const HANDLER: LocationId = LocationId(1);
const MAIN: LocationId = LocationId(2);
const LIFE: u64 = 30 * SECOND;

fn at(at: u64, kind: EventKind) -> Event {
    Event { at: Nanos(at), kind }
}

fn spawned(start: u64, task: u64, parent: u64, spawn_location: LocationId) -> Event {
    let (task, parent, kind) = (TaskId(task), TaskId(parent), TaskKind::Async);
    at(start, EventKind::TaskSpawned { task, loop_id: LoopId(1), spawn_location, parent, kind })
}

fn ended(end: u64, task: u64, outcome: Outcome) -> Event {
    at(end, EventKind::TaskEnded { task: TaskId(task), outcome })
}

fn wait(id: u64, resource: u64, op: &str, (from, to): (u64, u64)) -> [Event; 2] {
    let began = EventKind::WaitBegan {
        wait: WaitId(id),
        task: TaskId(SUBJECT),
        resource: ResourceId(resource),
        op: op.into(),
        location: HANDLER,
        amount: 0,
        holders: Vec::new(),
    };
    let over = EventKind::WaitEnded { wait: WaitId(id), how: WaitHow::Ready };
    [at(from, began), at(to, over)]
}

fn resource(id: u64, kind: &str, name: &str) -> Event {
    let (open_location, task, stack) = (MAIN, TaskId(1), StackId::NONE);
    let (kind, name) = (kind.into(), name.into());
    at(
        0,
        EventKind::ResourceOpened {
            resource: ResourceId(id),
            kind,
            name,
            open_location,
            task,
            stack,
        },
    )
}

/// Numbers that look random, the same in every run.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// One task with three thousand polls, most of which were woken by one of four; a chain of parents;
/// forty siblings, some of which it cancelled.
async fn record(server: &Server) -> i64 {
    let mut process = recording::process(40, "lives");
    process.agent = "loopd".into();
    process.anchor.unix = UnixNanos(START + 30 * recording::LIFE as i64);
    let anchor = Anchor { at: Nanos(LIFE), unix: process.anchor.unix.at(Nanos(LIFE)) };
    let location = |id, file: &str, line| Location { id, file: file.into(), line, column: 1 };
    let mut state = 7;
    let (mut polls, mut wakes) = (Vec::new(), Vec::new());
    let mut now = SECOND;
    for i in 0..POLLS {
        let waker = [0, 2, SUBJECT, 100][(next(&mut state) % 4) as usize];
        let delay = 1_000 << (next(&mut state) % 8);
        let length = 500 << (next(&mut state) % 12);
        now += 4_000_000 + next(&mut state) % 1_000_000;
        if i % 10 != 0 {
            let (start, task, by) = (Nanos(now - delay), TaskId(SUBJECT), TaskId(waker));
            wakes.push(Span { start, length: delay, task, by, count: 1 + i % 3 });
        }
        let (start, task) = (Nanos(now), TaskId(SUBJECT));
        polls.push(Span { start, length, task, by: TaskId::NONE, count: 1 });
    }
    assert!(now + SECOND < LIFE, "{now}");
    let mut events = vec![
        recording::opened(),
        spawned(0, 1, 0, MAIN),
        spawned(0, 2, 1, MAIN),
        spawned(SECOND / 2, SUBJECT, 2, HANDLER),
        resource(1, "mutex", "<script>"),
        resource(2, "semaphore", "db"),
    ];
    events.extend(wait(1, 1, "lock", (2 * SECOND, 4 * SECOND)));
    events.extend(wait(2, 2, "acquire", (3 * SECOND, 6 * SECOND)));
    events.extend(wait(3, 1, "lock", (8 * SECOND, 9 * SECOND)));
    events.extend(wait(4, 0, "sleep", (10 * SECOND, 11 * SECOND)));
    for i in 0..40 {
        events.push(spawned(SECOND, 100 + i, if i < 10 { SUBJECT } else { 2 }, HANDLER));
        if i < 30 {
            let outcome = if i < 5 { Outcome::Cancelled } else { Outcome::Completed };
            events.push(ended(2 * SECOND + i * i * 1_000_000, 100 + i, outcome));
        }
    }
    events.push(ended(LIFE - SECOND / 2, SUBJECT, Outcome::Cancelled));
    events.push(at(SECOND, EventKind::TaskNamed { task: TaskId(SUBJECT), name: NameId(1) }));
    events.sort_by_key(|event| event.at);
    let segment = |kind, spans: &[Span]| Segment {
        loop_id: LoopId(1),
        worker: WorkerId(0),
        kind,
        count: spans.len() as u32,
        data: encode(kind, spans, Effort::Fast),
    };
    let mut batch = Batch {
        seq: 1,
        anchor,
        names: vec![Name { id: NameId(1), text: "the subject".into() }],
        locations: vec![location(HANDLER, "src/handler.rs", 12), location(MAIN, "src/main.rs", 9)],
        events,
        segments: polls
            .chunks(700)
            .map(|part| segment(RecordKind::Poll, part))
            .chain(wakes.chunks(900).map(|part| segment(RecordKind::Wake, part)))
            .collect(),
        ..Batch::default()
    };
    batch.ledger = recording::ledger(&batch);
    recording::store(&mut *server.writer.lock().await, &process, batch).await.0
}

/// The rows that SQL gives.
async fn sql(server: &Server, sql: &str) -> Vec<Vec<Value>> {
    let (status, view) = server.query(&json!({ "sql": sql, "limit": 1_000 }).to_string()).await;
    assert!(status.is_success(), "{sql}: {view}");
    serde_json::from_value(view["rows"].clone()).unwrap()
}

async fn number(server: &Server, query: &str) -> u64 {
    let rows = sql(server, query).await;
    let value = &rows[0][0];
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value}"))
}

fn sum(list: &Value) -> u64 {
    list.as_array().unwrap().iter().map(|it| it.as_u64().unwrap()).sum()
}

fn part(view: &Value, state: &str, what: Value) -> u64 {
    let parts = view["parts"].as_array().unwrap();
    let found = parts.iter().find(|part| part["state"] == state && part["what"] == what);
    found.map_or(0, |part| part["time"].as_u64().unwrap())
}

#[tokio::test]
async fn a_life_is_what_sql_counts() {
    let server = Server::start().await;
    let process = record(&server).await;
    let view = server.json(&format!("/api/v1/tasks/{process}/{SUBJECT}/life?columns=300")).await;
    let of = format!("process = {process} AND task = {SUBJECT}");
    assert_eq!((&view["polls"], &view["polls_counted"]), (&POLLS.into(), &POLLS.into()));
    assert_eq!(view["is_cut"], false);

    let busy = number(&server, &format!("SELECT sum(length) FROM polls WHERE {of}")).await;
    let scheduled = number(&server, &format!("SELECT sum(delay) FROM wakes WHERE {of}")).await;
    assert_eq!(part(&view, "running", Value::Null), busy);
    assert_eq!(part(&view, "ready", Value::Null), scheduled);
    let strip = &view["strip"];
    assert_eq!((sum(&strip["running"]), sum(&strip["ready"])), (busy, scheduled));
    let longest = number(&server, &format!("SELECT max(length) FROM polls WHERE {of}")).await;
    let columns = strip["max"].as_array().unwrap();
    assert_eq!(columns.iter().map(|it| it.as_u64().unwrap()).max(), Some(longest));
    assert_eq!(strip["chosen"], json!([]));
    let time = |name: &str| view[name].as_str().unwrap().parse::<i64>().unwrap();
    let all = view["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["time"].as_u64().unwrap())
        .sum::<u64>();
    assert_eq!(all, (time("to") - time("from")) as u64);

    for (list, table, column, key) in
        [("lengths", "polls", "length", "length"), ("delays", "wakes", "delay", "delay")]
    {
        for class in view[list].as_array().unwrap() {
            let (from, to) = (class["from"].as_u64().unwrap(), class["to"].as_u64().unwrap());
            let condition = format!("{column} >= {from} AND {column} < {to}");
            let count = number(
                &server,
                &format!("SELECT count(*) FROM {table} WHERE {of} AND {condition}"),
            )
            .await;
            assert_eq!(class["count"], count, "{list} from {from}");
            let chosen = server
                .json(&format!("/api/v1/tasks/{process}/{SUBJECT}/life?columns=50&by={key}&min={from}&max={to}&limit=1000"))
                .await;
            assert_eq!(chosen["chosen"], count);
            assert_eq!(chosen["rows"].as_array().unwrap().len() as u64, count.min(1_000));
            assert!(sum(&chosen["strip"]["chosen"]) >= count);
        }
    }
}

#[tokio::test]
async fn waits_are_counted_while_it_neither_runs_nor_is_woken() {
    let server = Server::start().await;
    let process = record(&server).await;
    let view = server.json(&format!("/api/v1/tasks/{process}/{SUBJECT}/life")).await;
    // Of each stretch what polls and their wakes take; no wake here comes within a poll.
    let idle = async |from: u64, to: u64| {
        let origin = START + 30 * recording::LIFE as i64;
        let (from, to) = (origin + from as i64, origin + to as i64);
        let taken = |table: &str, start: &str, length: &str| {
            format!(
                "SELECT coalesce(sum(max(0, min({start} + {length}, {to}) - max({start}, {from}))), 0)
                 FROM {table} WHERE process = {process} AND task = {SUBJECT}"
            )
        };
        let ran = number(&server, &taken("polls", "start_at", "length")).await;
        let ready = number(&server, &taken("wakes", "woken_at", "delay")).await;
        (to - from) as u64 - ran - ready
    };
    let mutex = idle(2 * SECOND, 3 * SECOND).await + idle(8 * SECOND, 9 * SECOND).await;
    assert_eq!(part(&view, "waiting", "mutex".into()), mutex);
    assert_eq!(part(&view, "waiting", "semaphore".into()), idle(4 * SECOND, 6 * SECOND).await);
    assert_eq!(part(&view, "waiting", "sleep".into()), idle(10 * SECOND, 11 * SECOND).await);
    assert_eq!(part(&view, "several", Value::Null), idle(3 * SECOND, 4 * SECOND).await);
    assert_eq!(part(&view, "lost", Value::Null), 0);
    let waited = view["waited"].as_array().unwrap();
    let of = |name: &str| waited.iter().find(|it| it["name"] == name).unwrap();
    let (db, script) = (of("db"), of("<script>"));
    assert_eq!((&db["resource"], &db["waits"]), (&"2".into(), &1.into()));
    assert_eq!(db["time"], idle(3 * SECOND, 6 * SECOND).await);
    assert_eq!((&script["resource"], &script["waits"]), (&"1".into(), &2.into()));
    let mutex = idle(2 * SECOND, 4 * SECOND).await + idle(8 * SECOND, 9 * SECOND).await;
    assert_eq!(script["time"], mutex);
    assert!(waited.windows(2).all(|pair| pair[0]["time"].as_u64() >= pair[1]["time"].as_u64()));
}

#[tokio::test]
async fn wakers_and_chosen_polls_are_those_of_sql() {
    let server = Server::start().await;
    let process = record(&server).await;
    let path = format!("/api/v1/tasks/{process}/{SUBJECT}/life");
    let view = server.json(&path).await;
    let wakers = sql(
        &server,
        &format!(
            "SELECT by_task, count(*), sum(count), sum(delay), max(delay) FROM wakes
             WHERE process = {process} AND task = {SUBJECT} GROUP BY by_task ORDER BY 2 DESC"
        ),
    )
    .await;
    assert_eq!(view["wakers_total"], wakers.len());
    for (waker, row) in view["wakers"].as_array().unwrap().iter().zip(&wakers) {
        let id = waker["task"].as_str().map_or("0", |id| id);
        let expected =
            if row[0].is_null() { "0".to_owned() } else { row[0].to_string().replace('"', "") };
        assert_eq!(id, expected);
        let found = ["polls", "wakes", "delay", "max_delay"].map(|key| waker[key].to_string());
        let expected: Vec<_> = row[1..].iter().map(|it| it.to_string().replace('"', "")).collect();
        assert_eq!(found.as_slice(), expected, "woken by {id}");
        assert_eq!(waker["is_self"], id == SUBJECT.to_string());
        let chosen = server.json(&format!("{path}?waker={id}&limit=5&sort=delay")).await;
        assert_eq!(chosen["chosen"].to_string(), expected[0]);
        let rows = chosen["rows"].as_array().unwrap();
        assert!(rows.iter().all(|poll| poll["by"].as_str().unwrap_or("0") == id));
        assert!(rows.windows(2).all(|pair| pair[0]["delay"].as_u64() >= pair[1]["delay"].as_u64()));
    }
    let subject = SUBJECT.to_string();
    let named = view["wakers"].as_array().unwrap().iter().find(|it| it["task"] == *subject);
    assert_eq!(named.unwrap()["name"], "the subject");
    let latest = server.json(&format!("{path}?sort=start_at&limit=3")).await;
    let expected = sql(
        &server,
        &format!(
            "SELECT CAST(start_at AS TEXT), length FROM polls WHERE process = {process} AND task = {SUBJECT}
             ORDER BY start_at DESC LIMIT 3"
        ),
    )
    .await;
    for (poll, row) in latest["rows"].as_array().unwrap().iter().zip(expected) {
        assert_eq!((&poll["start_at"], &poll["length"]), (&row[0], &row[1]));
    }
}

#[tokio::test]
async fn a_range_of_a_life_is_looked_at_alone() {
    let server = Server::start().await;
    let process = record(&server).await;
    let origin = START + 30 * recording::LIFE as i64;
    let (from, to) = (origin + 5 * SECOND as i64, origin + 7 * SECOND as i64);
    let view =
        server.json(&format!("/api/v1/tasks/{process}/{SUBJECT}/life?from={from}&to={to}")).await;
    let count = number(
        &server,
        &format!(
            "SELECT count(*) FROM polls WHERE process = {process} AND task = {SUBJECT}
             AND start_at + length > {from} AND start_at <= {to}"
        ),
    )
    .await;
    assert_eq!((&view["polls"], &view["is_cut"]), (&count.into(), &false.into()));
    let all: u64 =
        view["parts"].as_array().unwrap().iter().map(|it| it["time"].as_u64().unwrap()).sum();
    assert_eq!(all, 2 * SECOND);
    for (wrong, sentence) in [
        ("from=20&to=10", "must be before"),
        ("columns=0", "`columns` must be from 1 to 4000"),
        ("by=name", "`by` must be one of length, delay"),
        ("limit=5000", "`limit` must be from 1 to 1000"),
        ("sort=task", "`sort` must be one of start_at, length, delay"),
    ] {
        let answer =
            text(server.get(&format!("/api/v1/tasks/{process}/{SUBJECT}/life?{wrong}")).await)
                .await;
        assert!(answer.contains(sentence), "{answer}");
    }
    let nobody = text(server.get(&format!("/api/v1/tasks/{process}/77777/life")).await).await;
    assert!(nobody.contains("has no task 77777"), "{nobody}");
}

#[tokio::test]
async fn kin_are_what_sql_finds() {
    let server = Server::start().await;
    let process = record(&server).await;
    let view = server.json(&format!("/api/v1/tasks/{process}/{SUBJECT}/kin")).await;
    let chain: Vec<_> =
        view["ancestors"].as_array().unwrap().iter().map(|it| it["task"].clone()).collect();
    assert_eq!((chain, &view["ancestors_end"]), (vec![json!("2"), json!("1")], &"root".into()));

    let siblings = &view["siblings"];
    let of = format!("process = {process} AND location = 'src/handler.rs:12'");
    for (state, name) in [("ended", "ended"), ("alive", "alive")] {
        let rows = sql(
            &server,
            &format!(
                "SELECT lifetime FROM tasks WHERE {of} AND state = '{state}' ORDER BY lifetime"
            ),
        )
        .await;
        let lifetimes: Vec<u64> = rows.iter().map(|row| row[0].as_u64().unwrap()).collect();
        let found = &siblings[name];
        assert_eq!(found["tasks"], lifetimes.len(), "{name}");
        let rank =
            |share: f64| lifetimes[((share * lifetimes.len() as f64).ceil() as usize).max(1) - 1];
        let spread = &found["lifetime"];
        assert_eq!((&spread["p50"], &spread["p99"]), (&rank(0.5).into(), &rank(0.99).into()));
        let own = spread["own"].as_u64().unwrap();
        let below =
            lifetimes.iter().filter(|&&it| it < own).count() as f64 / lifetimes.len() as f64;
        assert_eq!(spread["below"], below);
    }

    // What cancelled it is not recorded; that task 2 was the last to wake it may be a hint.
    let step = &view["cancelled"][0];
    assert_eq!((&step["task"], &step["parent"]), (&SUBJECT.to_string().into(), &"2".into()));
    let last = sql(
        &server,
        &format!("SELECT last_waker FROM tasks WHERE process = {process} AND task = {SUBJECT}"),
    )
    .await;
    assert_eq!(
        step["last_waker"].as_str().map(str::to_owned),
        Some(last[0][0].to_string()).filter(|it| it != "null")
    );
    let cancelled = sql(
        &server,
        &format!("SELECT count(*) FROM tasks WHERE process = {process} AND outcome = 'cancelled' AND (parent = {SUBJECT} OR last_waker = {SUBJECT}) AND task <> {SUBJECT}"),
    )
    .await;
    assert_eq!(view["cancelled_after_total"], cancelled[0][0]);
    assert_eq!(view["cancelled_after"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn filters_find_what_their_sql_finds() {
    let server = Server::start().await;
    let process = record(&server).await;
    for filter in [
        "subject",
        "src/handler.rs:12",
        "name:subject",
        "name=\"the subject\"",
        "loc:main",
        "state:alive",
        "state:idle,cancelled",
        "outcome:cancelled",
        "-state:ended loc:handler",
        "life>1s",
        "life<=1s -outcome:cancelled",
        "busy>1ms",
        "worst<1ms",
        "polls>=1",
        "polls:0 parent:3",
        "parent:2,1",
        "wakes>100",
        "-wakes>100",
        "self>0",
        "scheduled>1ms",
        "kind:async",
        "kind:blocking",
        "id:3",
        "103",
        "loop:1 slow:0",
        "field:user",
        "\"100%_\"",
    ] {
        let query: String = format!("process={process}&limit=1000&filter=")
            + &filter.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let view = server.json(&format!("/api/v1/tasks?{query}")).await;
        let condition = view["filter_sql"].as_str().unwrap();
        let count = number(
            &server,
            &format!("SELECT count(*) FROM tasks WHERE process = {process} AND kind IS NOT 'callback' AND {condition}"),
        )
        .await;
        assert_eq!(view["total"], count, "{filter}: {condition}");
    }
    let wrong =
        server.get(&format!("/api/v1/tasks?process={process}&filter=loc:x%20busi%3E5ms")).await;
    assert_eq!(wrong.status(), http::StatusCode::BAD_REQUEST);
    let wrong: Value = serde_json::from_str(&text(wrong).await).unwrap();
    assert_eq!(wrong["part"], json!([6, 10]));
    assert!(wrong["error"].as_str().unwrap().contains("character 7"), "{wrong}");
}
