//! Waits, their holders, and what programs say, as the API gives them.

use http::StatusCode;
use loopd_model::{Anchor, Batch, Nanos, UnixNanos};
use loopd_store::{ProcessKey, Writer};
use serde_json::{Value, json};

use crate::recording::{self, LEAK, SECOND, START, holder, ledger, spawned, waits};
use crate::server::{Server, text};

async fn waiting() -> (Server, i64) {
    let server = Server::start().await;
    let process = recording::add_waiting(&mut *server.writer.lock().await).await;
    (server, process.0)
}

/// The tasks of a chain.
fn chain(wait: &Value) -> String {
    let links = wait["chain"].as_array().unwrap();
    let tasks: Vec<_> = links.iter().map(|link| link["task"].as_str().unwrap()).collect();
    format!("{}{}", tasks.join(" "), if wait["cycle"] == true { " …" } else { "" })
}

#[tokio::test]
async fn pending_waits_name_their_holders_and_where_it_ends() {
    let (server, process) = waiting().await;
    let view = server.json(&format!("/api/v1/waits?process={process}&pending=1")).await;
    assert_eq!((&view["total"], &view["more"]), (&5.into(), &false.into()));
    let rows = view["rows"].as_array().unwrap();
    let said: Vec<_> = rows
        .iter()
        .map(|row| format!("{} {}", row["task"].as_str().unwrap(), chain(row)))
        .collect();
    // 22 and 23 wait for 21, which got the lock after 20; 21 itself waits for a message.
    assert_eq!(said, ["22 21", "23 21", "24 25 24 …", "25 24 25 …", "21 "]);
    let wait = &rows[0];
    assert_eq!(wait["state"], "pending");
    assert_eq!(wait["length"], 15_000_000_000u64);
    assert_eq!(wait["op"], "lock");
    let config = json!({"resource": "1", "kind": "mutex", "name": "config",
        "location": "orders/src/report.rs:30"});
    assert_eq!(wait["resource"], config);
    assert_eq!(wait["chain"][0]["op"], "recv");
    assert_eq!(wait["chain"][0]["task_name"], "reloader");
    let holders = wait["holders"].as_array().unwrap();
    assert!(holders[0]["released_at"].is_string() && holders[0]["later"] == false);
    assert!(holders[1]["released_at"].is_null() && holders[1]["later"] == true);
    assert_eq!(
        wait["text"],
        "waits 15.0 s for mutex config in lock at orders/src/report.rs:30, held by task 21 \
         (reloader) for 8.00 s, taken at orders/src/report.rs:30"
    );
}

#[tokio::test]
async fn waits_of_an_instant_are_those_that_lasted_then() {
    let (server, process) = waiting().await;
    // Two hours after the other programs.
    let instant = |second: u64| START + 7_200_000_000_000 + (second * SECOND) as i64;
    let at = async |second: u64| {
        let at = instant(second);
        let view = server.json(&format!("/api/v1/waits?process={process}&at={at}")).await;
        assert_eq!(view["at"], at.to_string());
        let rows = view["rows"].as_array().unwrap().iter();
        let said = |row: &Value| {
            assert_eq!((&row["state"], &row["ended_at"]), (&json!("pending"), &Value::Null));
            format!("{} {}", row["task"].as_str().unwrap(), chain(row))
        };
        (rows.map(said).collect::<Vec<_>>(), view)
    };
    // The last instant has what lasts; later ones are not known.
    let now = server.json(&format!("/api/v1/waits?process={process}&pending=1")).await;
    let (last, view) = at(20).await;
    assert_eq!(view["total"], now["total"]);
    assert_eq!(last, ["22 21", "23 21", "24 25 24 …", "25 24 25 …", "21 "]);
    assert_eq!(view["rows"][0]["text"], now["rows"][0]["text"]);
    assert_eq!(view["rows"][0]["chain"][0]["task_name"], "reloader");
    // Before anything happened nobody waits.
    assert_eq!(at(0).await.0, Vec::<String>::new());
    // While 20 held the lock, 21 waited for it with the others.
    assert_eq!(at(6).await.0, ["21 20", "22 20", "23 20"]);
    let circle = ["21 20", "22 20", "23 20", "24 25 24 …", "25 24 25 …"];
    assert_eq!(at(11).await.0, circle);
    let of_task = format!("/api/v1/waits?process={process}&at={}&task=22", instant(11));
    assert_eq!(server.json(&of_task).await["total"], 1);
    let bad = server.get(&format!("/api/v1/waits?process={process}&at=noon")).await;
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
}

/// Adds a program in which 1,100 tasks wait for nothing known since the first second, and after them
/// tasks 30 and 31 each for what the other has: in a `select!`, next to older waits of theirs.
async fn add_crowded(writer: &mut Writer) -> ProcessKey {
    let crowd = 1_000..2_100;
    let mut process = recording::process(10, "crowded");
    process.anchor.unix = UnixNanos(START + 10_800_000_000_000);
    let now = Nanos(20 * SECOND);
    let tasks = crowd.clone().chain([30, 31]);
    let mut events: Vec<_> = tasks.map(|task| spawned(SECOND, task, LEAK)).collect();
    events.extend(crowd.map(|task| waits(1, task, 0, "notified", &[])));
    events.extend([
        waits(2, 30, 0, "notified", &[]),
        waits(2, 31, 0, "notified", &[]),
        waits(7, 30, 2, "lock", &[holder(31, 3)]),
        waits(7, 31, 3, "lock", &[holder(30, 3)]),
    ]);
    let anchor = Anchor { at: now, unix: process.anchor.unix.at(now) };
    let mut batch = Batch { seq: 1, anchor, events, ..Batch::default() };
    batch.ledger = ledger(&batch);
    recording::store(writer, &process, batch).await
}

#[tokio::test]
async fn a_circle_is_found_behind_a_thousand_older_waits() {
    let server = Server::start().await;
    let process = add_crowded(&mut *server.writer.lock().await).await.0;
    let pending = format!("/api/v1/waits?process={process}&pending=1");
    let view = server.json(&format!("{pending}&task=30")).await;
    let chains: Vec<_> = view["rows"].as_array().unwrap().iter().map(chain).collect();
    assert_eq!(chains, ["", "31 30 …"], "the older wait is held up by nobody");
    assert_eq!(view["rows"][1]["chain"][0]["op"], "lock", "not the older one");
    let last = server.json(&format!("{pending}&limit=1000&offset=1000")).await;
    assert_eq!(last["total"], 1_104);
    let rows = last["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 104);
    assert_eq!(rows.iter().filter(|row| row["cycle"] == true).count(), 2);
    // Of an instant a thousand are given, and these two are among them.
    let at = START + 10_800_000_000_000 + (15 * SECOND) as i64;
    let then = server.json(&format!("/api/v1/waits?process={process}&at={at}&limit=1000")).await;
    assert_eq!((&then["total"], &then["more"]), (&1_000.into(), &true.into()));
    let rows = then["rows"].as_array().unwrap();
    let circle: Vec<_> = rows.iter().filter(|row| row["cycle"] == true).map(chain).collect();
    assert_eq!(circle, ["31 30 …", "30 31 …"]);
}

#[tokio::test]
async fn waits_are_filtered_and_come_as_csv() {
    let (server, process) = waiting().await;
    let count = async |filter: &str| {
        server.json(&format!("/api/v1/waits?process={process}&{filter}")).await["total"].clone()
    };
    assert_eq!(count("pending=0").await, 6);
    assert_eq!(count("task=21").await, 2);
    assert_eq!(count("resource=1").await, 3);
    assert_eq!(count("resource=1&pending=1").await, 2);
    assert_eq!(count("task=99").await, 0);
    let csv = server.get(&format!("/api/v1/waits?process={process}&format=csv&limit=1")).await;
    let csv = text(csv).await;
    assert!(csv.starts_with("wait,task,task_name,op,resource,"), "{csv}");
    assert_eq!(csv.lines().count(), 2);
    let bad = server.get("/api/v1/waits?pending=maybe").await;
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_resource_says_who_holds_it_and_who_opened_it() {
    let (server, process) = waiting().await;
    let view = server.json(&format!("/api/v1/resources/{process}/1")).await;
    assert_eq!(view["resource"]["state"]["waiters"], 2);
    assert_eq!(view["resource"]["state"]["locked"], true);
    assert_eq!(view["resource"]["state"]["depth"], Value::Null);
    assert_eq!(view["open_stack"][1]["function"], "orders::report::build");
    let holders = view["holders"].as_array().unwrap();
    assert_eq!((holders.len(), &holders[0]["task"]), (1, &json!("21")));
    assert_eq!(view["waits"].as_array().unwrap().len(), 2);
    assert_eq!(view["past_waits"].as_array().unwrap().len(), 3);
    assert_eq!(view["holds"][0]["waits"], 3);
    assert_eq!(view["holds"][0]["length"], 10_000_000_000u64);
    assert_eq!(view["states"].as_array().unwrap().len(), 1);
    let list = server.json(&format!("/api/v1/resources?process={process}")).await;
    let states: Vec<_> =
        list["rows"].as_array().unwrap().iter().map(|row| row["state"].is_null()).collect();
    assert_eq!(states.iter().filter(|is_null| **is_null).count(), 2);
    let none = server.get(&format!("/api/v1/resources/{process}/99")).await;
    assert_eq!(none.status(), StatusCode::NOT_FOUND);
    let bad = server.get("/api/v1/resources/x/1").await;
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_task_says_what_it_waits_for_what_it_said_and_that_nothing_can_wake_it() {
    let (server, process) = waiting().await;
    let task = async |id: u64| server.json(&format!("/api/v1/tasks/{process}/{id}")).await;
    let stuck = task(22).await;
    assert_eq!(stuck["waits"].as_array().unwrap().len(), 1);
    assert_eq!(chain(&stuck["waits"][0]), "21");
    let said = task(20).await;
    assert_eq!(said["task"]["fields"]["user"], recording::SCRIPT);
    assert_eq!(said["marks"][0]["level"], "warn");
    assert_eq!(said["marks"][0]["message"], recording::FORMULA);
    assert_eq!(said["app_spans"][0]["name"], "reload");
    assert_eq!(said["app_spans"][0]["length"], 15_000_000_000u64);
    assert_eq!(said["holds"][0]["resource"], "1");
    assert_eq!(said["task"]["unwakeable_at"], Value::Null);
    assert!(task(26).await["task"]["unwakeable_at"].is_string());
    let past = task(21).await;
    let past: Vec<_> =
        past["past_waits"].as_array().unwrap().iter().map(|wait| wait["state"].clone()).collect();
    assert_eq!(past, ["pending", "ready"]);
}

#[tokio::test]
async fn marks_are_listed_and_their_formulas_are_text() {
    let (server, process) = waiting().await;
    let view = server.json(&format!("/api/v1/marks?process={process}&level=warn")).await;
    assert_eq!(
        (view["marks"].as_array().unwrap().len(), &view["spans"][0]["span"]),
        (1, &json!("5"))
    );
    assert_eq!(view["marks"][0]["location"], "orders/src/report.rs:30");
    let none = server.json(&format!("/api/v1/marks?process={process}&level=error&task=21")).await;
    assert_eq!(none, json!({"marks": [], "spans": []}));
    let csv = text(server.get(&format!("/api/v1/marks?process={process}&format=csv")).await).await;
    assert!(csv.contains("'=cmd|"), "{csv}");
}

#[tokio::test]
async fn slow_polls_say_in_which_system_call() {
    let (server, _) = waiting().await;
    let view = server.json("/api/v1/slow?process=1").await;
    let calls: Vec<_> =
        view["recent"].as_array().unwrap().iter().map(|poll| poll["syscall"].clone()).collect();
    assert_eq!(calls, [Value::Null, json!("futex"), Value::Null]);
    assert_eq!(view["sites"][0]["syscall"], Value::Null);
    assert!(view["sites"].as_array().unwrap().iter().any(|site| site["syscall"] == "futex"));
}
