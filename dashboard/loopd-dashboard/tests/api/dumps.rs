//! Where tasks wait, through the API.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use loopd_model::{
    Anchor, Batch, DumpId, Event, EventKind, Frame, Name, NameId, Nanos, ResourceId, Stack,
    StackId, TaskId, UnixNanos,
};
use loopd_store::{CommitOutcome, How, ProcessKey, Reader};
use serde_json::{Value, json};

use super::recording::{self, SECOND, START};
use super::server::{Server, text};

async fn post(server: &Server, path: &str) -> (StatusCode, Value) {
    let request = Request::post(path).header("content-type", "application/json");
    let response = server.send(request.body(Body::from("{}")).unwrap()).await;
    let status = response.status();
    (status, serde_json::from_str(&text(response).await).unwrap())
}

/// A server that also has a process that still runs.
async fn with_live_process() -> (Server, ProcessKey) {
    let server = Server::start().await;
    let process = recording::add_waiting(&mut *server.writer.lock().await).await;
    (server, process)
}

/// Waits until the agent would be asked for a dump.
async fn asked(server: &Server, process: ProcessKey, dump: DumpId) {
    let reader = Reader::open(server.path()).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    while reader.dump_head(process, dump).await.unwrap().is_none() {
        assert!(tokio::time::Instant::now() < deadline, "nobody was asked");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The agent answers.
async fn answer(server: &Server, process: ProcessKey, seq: u64, kinds: Vec<EventKind>) {
    let now = Nanos(21 * SECOND);
    let frame = |function: &str, line| Frame {
        function: function.into(),
        file: "orders/src/main.rs".into(),
        line,
        address: 0,
    };
    let frames = vec![frame("acquire", 40), frame("main", 12)];
    let batch = Batch {
        seq,
        anchor: Anchor { at: now, unix: UnixNanos(START + 7_200_000_000_000).at(now) },
        names: vec![Name { id: NameId(9), text: recording::SCRIPT.into() }],
        stacks: vec![Stack { id: StackId(9), frames }],
        events: kinds.into_iter().map(|kind| Event { at: now, kind }).collect(),
        ..Batch::default()
    };
    let committed = server.writer.lock().await.commit(vec![(process, batch)]).await.unwrap();
    assert_eq!(committed[0].outcome, CommitOutcome::Stored);
}

fn dumped(
    dump: DumpId,
    task: u64,
    stack: u64,
    awaits: &str,
    other: u64,
    resource: u64,
) -> EventKind {
    EventKind::TaskDumped {
        dump,
        task: TaskId(task),
        stack: StackId(stack),
        awaits: awaits.into(),
        awaits_task: TaskId(other),
        resource: ResourceId(resource),
    }
}

fn ended(dump: DumpId, tasks: u64, left_out: u64, reason: &str) -> EventKind {
    EventKind::DumpEnded { dump, tasks, left_out, reason: reason.into() }
}

#[tokio::test]
async fn a_dump_is_taken_and_shown_as_a_tree() {
    let (server, process) = with_live_process().await;
    let path = format!("/api/v1/processes/{}/dump", process.0);
    let agent = async {
        let dump = DumpId(1);
        asked(&server, process, dump).await;
        let told = vec![
            // A name that is no harm to a page: it is text everywhere.
            EventKind::TaskNamed { task: TaskId(20), name: NameId(9) },
            dumped(dump, 20, 9, "Future", 21, 0),
            dumped(dump, 20, 9, "Future", 22, 0),
            dumped(dump, 21, 9, "Lock", 0, 1),
        ];
        answer(&server, process, 2, told).await;
        let rest = vec![dumped(dump, 22, 0, "Task", 20, 0), ended(dump, 4, 1, "")];
        answer(&server, process, 3, rest).await;
    };
    let ((status, taken), ()) = tokio::join!(post(&server, &path), agent);
    assert_eq!((status, &taken), (StatusCode::OK, &json!({"process": process.0, "dump": "1"})));

    let latest = server.json(&format!("{path}s/latest")).await;
    assert_eq!(latest, server.json(&format!("{path}s/1")).await);
    let listed = server.json(&format!("{path}s")).await["dumps"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    for (key, value) in listed[0].as_object().unwrap() {
        assert_eq!(&latest[key], value, "{key}");
    }
    assert_eq!((&latest["tasks"], &latest["left_out"]), (&json!(4), &json!(1)));
    assert_eq!((&latest["reason"], latest.get("more")), (&Value::Null, None));
    let lines = latest["lines"].as_array().unwrap();
    let line = |line: &Value| {
        format!("{} {} {}", line["depth"], line["task"].as_str().unwrap(), line["pointer"])
    };
    let tree: Vec<_> = lines.iter().map(line).collect();
    assert_eq!(tree, ["0 20 null", "1 21 null", "1 22 null", r#"2 20 "cycle""#]);
    assert_eq!(lines[0]["name"], recording::SCRIPT);
    assert_eq!((&lines[3]["name"], &lines[3]["wait"]), (&lines[0]["name"], &Value::Null));
    assert_eq!(lines[3]["parent"], "22");
    let expected = json!({
        "kind": "async",
        "location": {"id": "2", "file": "orders/src/leak.rs", "line": 12, "column": 5},
        "age": 20 * SECOND,
        "waited": null,
        "ended_at": null,
        "frames": [
            {"function": "acquire", "file": "orders/src/main.rs", "line": 40, "own": true},
            {"function": "main", "file": "orders/src/main.rs", "line": 12, "own": true},
        ],
        "awaits": "Lock",
        "resource": {"resource": "1", "kind": "mutex", "name": "config"},
    });
    assert_eq!(lines[1]["wait"], expected);
    assert_eq!(lines[2]["wait"]["frames"], json!([]));
}

#[tokio::test]
async fn an_agent_that_cannot_tell_has_its_reason_shown() {
    let (server, process) = with_live_process().await;
    let path = format!("/api/v1/processes/{}/dump", process.0);
    let agent = async {
        let dump = DumpId(1);
        asked(&server, process, dump).await;
        answer(&server, process, 2, vec![ended(dump, 0, 0, "tokio keeps no frames")]).await;
    };
    let ((status, _), ()) = tokio::join!(post(&server, &path), agent);
    assert_eq!(status, StatusCode::OK);
    let latest = server.json(&format!("{path}s/latest")).await;
    assert_eq!(
        (&latest["reason"], &latest["lines"]),
        (&json!("tokio keeps no frames"), &json!([]))
    );
}

#[tokio::test]
async fn a_program_that_goes_away_or_says_nothing_is_not_waited_for_without_end() {
    let (server, process) = with_live_process().await;
    let path = format!("/api/v1/processes/{}/dump", process.0);
    let (status, answer) = post(&server, &path).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    let sentence = format!("process {} has not answered within 5 s; its agent may be", process.0);
    assert!(answer["error"].as_str().unwrap().starts_with(&sentence), "{answer}");

    let agent = async {
        asked(&server, process, DumpId(2)).await;
        let mut writer = server.writer.lock().await;
        writer.end_session(process, How::Lost, UnixNanos(START)).await.unwrap();
    };
    let ((status, answer), ()) = tokio::join!(post(&server, &path), agent);
    assert_eq!(status, StatusCode::CONFLICT);
    let sentence = format!("process {} went away before it answered", process.0);
    assert_eq!(answer["error"], sentence);
}

#[tokio::test]
async fn what_cannot_be_dumped_is_said_in_words() {
    let (server, process) = with_live_process().await;
    let ended = "process 1 has ended, and none of its tasks waits";
    for (path, status, expected) in [
        ("/api/v1/processes/1/dump", 409, ended),
        ("/api/v1/processes/99/dump", 404, "there is no process 99; /api/v1/processes lists"),
        ("/api/v1/processes/one/dump", 400, "the process must be a whole number"),
        ("/api/v1/processes/1/dump?deep=1", 400, "there is no parameter `deep` here"),
        ("/api/v1/processes/1/dumps/1", 405, "/api/v1/processes/1/dumps/1 takes only GET"),
    ] {
        let (found, answer) = post(&server, path).await;
        assert_eq!(found.as_u16(), status, "{path}: {answer}");
        assert!(answer["error"].as_str().unwrap().starts_with(expected), "{path}: {answer}");
    }
    let of = format!("/api/v1/processes/{}/dumps", process.0);
    assert_eq!(server.json(&of).await, json!({"dumps": []}));
    let nobody = format!("nobody has asked yet where the tasks of process {} wait", process.0);
    let none = format!("process {} has no dump 7, or it is no longer kept", process.0);
    for (path, status, expected) in [
        (format!("{of}/latest"), 404, nobody.as_str()),
        (format!("{of}/7"), 404, none.as_str()),
        (format!("{of}/last"), 400, "the dump must be `latest` or a whole number, not \"last\""),
        ("/api/v1/processes/1/dump".to_owned(), 405, "/api/v1/processes/1/dump takes only POST"),
    ] {
        let response = server.get(&path).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        let answer: Value = serde_json::from_str(&text(response).await).unwrap();
        assert!(answer["error"].as_str().unwrap().starts_with(expected), "{path}: {answer}");
    }
}
