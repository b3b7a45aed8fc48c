//! What was born in a range and is still there, as the API gives it.

use http::StatusCode;
use loopd_model::{DropCause, Loss, Nanos, RecordKind};
use serde_json::{Value, json};

use crate::recording::{self, LEAK, SECOND, START};
use crate::server::{Server, text};

fn after(seconds: u64) -> i64 {
    START + (seconds * SECOND) as i64
}

#[tokio::test]
async fn what_is_still_there_is_told_by_the_line_that_made_it() {
    let server = Server::start().await;
    let path = format!("/api/v1/survivors?process=1&from={}&to={}", after(100), after(200));
    let view = server.json(&path).await;
    assert_eq!((&view["complete"], &view["caveat"]), (&true.into(), &Value::Null));
    let tasks = &view["tasks"];
    assert_eq!((&tasks["born"], &tasks["alive"]), (&20.into(), &20.into()));
    let site = &tasks["sites"][0];
    assert_eq!(site["location"]["file"], "orders/src/leak.rs");
    assert_eq!((&site["kind"], &site["share"]), (&"task".into(), &1.0.into()));
    assert_eq!(site["oldest_age"], 495 * SECOND);
    assert_eq!(site["median_age"], 450 * SECOND);
    assert_eq!((&site["opened_by"], &site["waits_for"]), (&Value::Null, &Value::Null));
    assert_eq!(site["examples"][0]["id"], "1021");
    assert_eq!(view["resources"]["sites"], json!([]));

    let whole = server.json("/api/v1/survivors?process=1").await;
    let (tasks, resources) = (&whole["tasks"], &whole["resources"]);
    assert_eq!((&tasks["born"], &tasks["alive"]), (&123.into(), &121.into()));
    assert_eq!((&resources["born"], &resources["alive"]), (&3.into(), &1.into()));
    let file = &resources["sites"][0];
    assert_eq!(
        (&file["kind"], &file["born"], &file["share"]),
        (&"file".into(), &2.into(), &0.5.into())
    );
    assert_eq!(file["opened_by"]["task_name"], "reporter");
    assert_eq!(file["opened_by"]["location"]["file"], "orders/src/report.rs");
}

#[tokio::test]
async fn survivors_that_wait_name_what_most_wait_for_and_who_holds_it() {
    let server = Server::start().await;
    let process = recording::add_waiting(&mut *server.writer.lock().await).await.0;
    let view = server.json(&format!("/api/v1/survivors?process={process}")).await;
    let site = &view["tasks"]["sites"][0];
    assert_eq!((&site["alive"], &site["looked"]), (&7.into(), &7.into()));
    let waits = json!({
        "op": "lock", "kind": "mutex", "location": "orders/src/report.rs:30", "tasks": 2,
        "resource": {"resource": "1", "kind": "mutex", "name": "config",
            "location": "orders/src/report.rs:30"},
        "held_by": {"task": "21", "task_name": "reloader", "location": "orders/src/report.rs:30",
            "tasks": 2},
    });
    assert_eq!(site["waits_for"], waits);
    assert_eq!(view["resources"]["sites"][0]["opened_by"]["task"], "20");
    let csv = server.get(&format!("/api/v1/survivors?process={process}&format=csv")).await;
    let csv = text(csv).await;
    let row = "task,orders/src/leak.rs:12,7,7,1,19000000000,19000000000,\
        \"lock of mutex config at orders/src/report.rs:30, held by task 21 (reloader)\",";
    assert!(csv.starts_with("what,location,born,alive,share,"), "{csv}");
    assert!(csv.contains(row), "{csv}");
}

#[tokio::test]
async fn where_ends_may_have_been_lost_nothing_is_said_to_be_there_for_good() {
    let server = Server::start().await;
    let mut process = recording::process(11, "gappy");
    process.anchor.unix = loopd_model::UnixNanos(START + 14_400_000_000_000);
    let anchor = loopd_model::Anchor {
        at: Nanos(20 * SECOND),
        unix: process.anchor.unix.at(Nanos(20 * SECOND)),
    };
    let (kind, cause, count) = (RecordKind::Task, DropCause::RingFull, 12);
    let (from, to) = (Nanos(2 * SECOND), Nanos(3 * SECOND));
    let mut batch = loopd_model::Batch { seq: 1, anchor, ..loopd_model::Batch::default() };
    batch.events =
        vec![recording::spawned(SECOND, 5, LEAK), recording::spawned(9 * SECOND, 6, LEAK)];
    batch.losses.push(Loss { kind, cause, count, from, to });
    batch.ledger = recording::ledger(&batch);
    let key = recording::store(&mut *server.writer.lock().await, &process, batch).await.0;
    let since = |seconds: u64| {
        let from = process.anchor.unix.0 + (seconds * SECOND) as i64;
        format!("/api/v1/survivors?process={key}&from={from}")
    };
    let view = server.json(&since(0)).await;
    let lost = "12 task and resource records were lost, so some of these may have ended";
    assert_eq!((&view["complete"], &view["caveat"]), (&false.into(), &lost.into()));
    // What was lost before it was born is not its end.
    let view = server.json(&since(4)).await;
    assert_eq!((&view["complete"], &view["tasks"]["alive"]), (&true.into(), &1.into()));
}

#[tokio::test]
async fn a_mark_that_the_recording_has_not_reached_has_no_survivors_yet() {
    let server = Server::start().await;
    let view = server.json(&format!("/api/v1/survivors?process=1&from={}", after(9_000))).await;
    assert_eq!((&view["tasks"]["born"], &view["tasks"]["sites"]), (&0.into(), &json!([])));
    let backwards = format!("/api/v1/survivors?process=1&from={}&to={}", after(9), after(8));
    let bad = server.get(&backwards).await;
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
    assert!(text(bad).await.contains("must be before `to`"));
}
