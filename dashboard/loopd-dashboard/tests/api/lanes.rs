//! What the timeline shows below its workers, as the API gives it.

use http::StatusCode;
use loopd_model::{
    Anchor, Batch, Event, EventKind, LoopId, Nanos, RecordKind, Span, TaskId, TaskKind, UnixNanos,
};
use loopd_store::{ProcessKey, Writer};
use serde_json::{Value, json};

use crate::recording::{self, LEAK, MS, SECOND, START, ledger, opened, poll, segment, spawned};
use crate::server::Server;

fn at(nanos: u64) -> String {
    (START + nanos as i64).to_string()
}

#[tokio::test]
async fn a_task_lane_has_its_polls_and_wakes_singly_and_summed_up() {
    let server = Server::start().await;
    let path = format!(
        "/api/v1/lanes/task?process=1&task=10&from={}&to={}&width=10",
        at(0),
        at(5 * SECOND)
    );
    let view = server.json(&path).await;
    assert_eq!((&view["name"], &view["spawned_at"]), (&json!("reporter"), &json!(at(0))));
    assert_eq!((&view["has_wakes"], &view["steps"]), (&json!(true), &json!(10)));
    // Half a second each.
    let cells = json!({"i": [1, 2, 3, 4], "running": [0, 250 * MS, 0, 300 * MS],
        "ready": [MS, 0, MS, 0]});
    assert_eq!(view["cells"], cells);
    assert_eq!(view["polls"]["s"], json!([SECOND, 2 * SECOND]));
    assert_eq!(view["polls"]["d"], json!([250 * MS, 300 * MS]));
    assert_eq!(view["wakes"]["by"], json!(["30", "10"]));
    assert_eq!((&view["known_from"], &view["waits"]), (&Value::Null, &json!([])));

    let later = format!(
        "/api/v1/lanes/task?process=1&task=10&from={}&to={}&width=4",
        at(2_100 * MS),
        at(3 * SECOND)
    );
    let view = server.json(&later).await;
    assert_eq!(
        view["cells"]["running"],
        json!([200 * MS]),
        "what reaches into the range, within it"
    );
}

#[tokio::test]
async fn a_task_lane_says_what_it_waited_for_and_who_had_it() {
    let server = Server::start().await;
    let process = recording::add_waiting(&mut *server.writer.lock().await).await.0;
    let lane = async |task: u64, from: u64, to: u64| {
        let instant = |second: u64| START + 7_200_000_000_000 + (second * SECOND) as i64;
        let (from, to) = (instant(from), instant(to));
        let path = format!("/api/v1/lanes/task?process={process}&task={task}&from={from}&to={to}");
        server.json(&path).await
    };
    let view = lane(22, 0, 20).await;
    let wait = &view["waits"][0];
    assert_eq!((&wait["op"], &wait["resource"]["name"]), (&json!("lock"), &json!("config")));
    assert_eq!((&wait["open"], &wait["state"]), (&json!(true), &json!("pending")));
    assert_eq!(wait["holder"], json!({"task": "21", "name": "reloader"}));
    // It reaches into a range that it did not begin in, and is not in one before it.
    assert_eq!(lane(22, 10, 11).await["waits"].as_array().unwrap().len(), 1);
    assert_eq!(lane(22, 0, 4).await["waits"], json!([]));
    let got = lane(21, 11, 20).await;
    let states: Vec<_> = got["waits"].as_array().unwrap().iter().map(|it| &it["state"]).collect();
    assert_eq!(states, ["ready", "pending"]);
    assert_eq!(lane(21, 13, 20).await["waits"].as_array().unwrap().len(), 1, "the first has ended");
}

#[tokio::test]
async fn a_resource_lane_has_who_held_it_and_who_waited() {
    let server = Server::start().await;
    let process = recording::add_waiting(&mut *server.writer.lock().await).await.0;
    let lane = async |resource: u64, from: u64, to: u64| {
        let instant = |second: u64| START + 7_200_000_000_000 + (second * SECOND) as i64;
        let (from, to) = (instant(from), instant(to));
        let path = format!(
            "/api/v1/lanes/resource?process={process}&resource={resource}&from={from}&to={to}"
        );
        server.json(&path).await
    };
    let said = |view: &Value| {
        let after = |it: &Value| {
            let at: i64 = it.as_str().unwrap().parse().unwrap();
            (at - START - 7_200_000_000_000) / SECOND as i64
        };
        let holds = view["holds"].as_array().unwrap().iter().map(|it| {
            let (task, over) = (it["task"].as_str().unwrap(), it["over"] == true);
            let until = format!("{}{}", after(&it["until_at"]), if over { "" } else { "+" });
            format!("{task}: {}-{until}", after(&it["since_at"]))
        });
        let waits = view["waits"].as_array().unwrap().iter().map(|it| {
            let lasts = if it["open"] == true { "+" } else { "" };
            format!(
                "{}: {}-{}{lasts}",
                it["task"].as_str().unwrap(),
                after(&it["began_at"]),
                after(&it["until_at"])
            )
        });
        (holds.collect::<Vec<_>>(), waits.collect::<Vec<_>>())
    };
    let view = lane(1, 0, 20).await;
    let (holds, waits) = said(&view);
    assert_eq!(holds, ["20: 2-12", "21: 12-20+"]);
    assert_eq!(waits, ["21: 4-12", "22: 5-20+", "23: 6-20+"]);
    assert_eq!(
        (&view["resource"]["kind"], &view["resource"]["name"]),
        (&json!("mutex"), &json!("config"))
    );
    assert_eq!((&view["readings"]["waiters"], &view["known_from"]), (&json!([2]), &Value::Null));
    let (holds, waits) = said(&lane(1, 15, 16).await);
    assert_eq!((holds, waits.len()), (vec!["21: 12-20+".into()], 2));
    // A hold that ends after the range is in it.
    assert_eq!(said(&lane(1, 7, 8).await).0[0], "20: 2-12");
    let none = format!("/api/v1/lanes/resource?process={process}&resource=999");
    assert_eq!(server.get(&none).await.status(), StatusCode::NOT_FOUND);
}

/// A program in which task 40 spawned task 41 and woke it once, from worker 0; it ran on worker 1.
async fn add_waking(writer: &mut Writer) -> ProcessKey {
    let mut process = recording::process(11, "waking");
    process.anchor.unix = UnixNanos(START + 14_400_000_000_000);
    let now = Nanos(10 * SECOND);
    let child = EventKind::TaskSpawned {
        task: TaskId(41),
        loop_id: LoopId(1),
        spawn_location: LEAK,
        parent: TaskId(40),
        kind: TaskKind::Async,
    };
    let wake = Span {
        start: Nanos(2_001 * MS),
        length: 4 * MS,
        task: TaskId(41),
        by: TaskId(40),
        count: 3,
    };
    let mut batch = Batch {
        seq: 1,
        anchor: Anchor { at: now, unix: process.anchor.unix.at(now) },
        events: vec![opened(), spawned(0, 40, LEAK), Event { at: Nanos(1_002 * MS), kind: child }],
        segments: vec![
            segment(0, RecordKind::Poll, &[poll(1_000, 5_000, 40), poll(2_000, 3_000, 40)]),
            segment(1, RecordKind::Poll, &[poll(1_100, 500, 41), poll(2_005, 700, 41)]),
            segment(1, RecordKind::Wake, &[wake]),
        ],
        ..Batch::default()
    };
    batch.ledger = ledger(&batch);
    recording::store(writer, &process, batch).await
}

#[tokio::test]
async fn arrows_lead_from_who_spawned_and_who_woke_to_the_poll() {
    let server = Server::start().await;
    let process = add_waking(&mut *server.writer.lock().await).await.0;
    let instant = |ms: u64| (START + 14_400_000_000_000 + (ms * MS) as i64).to_string();
    let arrows = async |task: u64, ms: u64| {
        let start = instant(ms);
        server
            .json(&format!("/api/v1/lanes/arrows?process={process}&task={task}&start_at={start}"))
            .await
    };
    let view = arrows(41, 2_005).await;
    let by = json!({"task": "40", "name": null});
    assert_eq!(
        view["wake"],
        json!({"at": instant(2_001), "delay": 4 * MS, "count": 3, "by": by, "by_itself": false,
            "from": {"loop": "1", "worker": 0, "start_at": instant(2_000), "length": 3 * MS}})
    );
    assert_eq!(
        view["spawn"],
        json!({"at": instant(1_002), "by": by,
            "from": {"loop": "1", "worker": 0, "start_at": instant(1_000), "length": 5 * MS},
            "first_poll": {"loop": "1", "worker": 1, "start_at": instant(1_100), "length": MS / 2}})
    );
    let waker = arrows(40, 2_000).await;
    assert_eq!((&waker["wake"], &waker["spawn"]["by"]), (&Value::Null, &Value::Null));
    let woken =
        json!([{"task": "41", "at": instant(2_001), "delay": 4 * MS, "loop": "1", "worker": 1}]);
    assert_eq!((&waker["woke"], &waker["woke_all"]), (&woken, &json!(true)));
    assert_eq!(arrows(40, 1_000).await["woke"], json!([]));
    let bad = server.get("/api/v1/lanes/arrows?process=1&task=10").await;
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_metric_lane_has_the_least_and_the_most_of_each_step() {
    let server = Server::start().await;
    let process = recording::add_python(&mut *server.writer.lock().await).await.0;
    let instant = |second: u64| START + 10_800_000_000_000 + (second * SECOND) as i64;
    let names = server.json(&format!("/api/v1/lanes/metric-names?process={process}")).await;
    let names: Vec<_> = names["metrics"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["gc_pause_nanos", "gil_probes", "gil_wait_nanos"]);
    let lane = async |from: u64, width: u64| {
        let (from, to) = (instant(from), instant(10));
        let names = "gil_probes,gil_wait_nanos";
        let path = format!(
            "/api/v1/lanes/metrics?process={process}&names={names}&from={from}&to={to}&width={width}"
        );
        server.json(&path).await["metrics"][1]["series"][0].clone()
    };
    let whole = lane(0, 1).await;
    assert_eq!(
        (&whole["min"], &whole["max"], &whole["last"]),
        (&json!([5e6]), &json!([25e6]), &json!([25e6]))
    );
    assert_eq!((&whole["at"], &whole["before"]), (&json!([9 * SECOND]), &Value::Null));
    let late = lane(6, 4).await;
    assert_eq!((&late["i"], &late["last"]), (&json!([3]), &json!([25e6])));
    assert_eq!(late["before"], json!([-(SECOND as i64), 5e6]));
    let many = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'].map(String::from).join(",");
    for names in [many.as_str(), "gil_probes,x,gil_probes"] {
        let path = format!("/api/v1/lanes/metrics?process={process}&names={names}");
        assert_eq!(server.get(&path).await.status(), StatusCode::BAD_REQUEST, "{names}");
    }
}
