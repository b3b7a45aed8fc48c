//! What agents are asked to capture, through the API.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::server::{Server, text};

async fn patch(server: &Server, path: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::patch(path).header("content-type", "application/json");
    let response = server.send(request.body(body.to_owned().into()).unwrap()).await;
    let status = response.status();
    (status, serde_json::from_str(&text(response).await).unwrap())
}

/// A server that also has a process that still runs, and the path of its settings.
async fn with_live_process() -> (Server, String) {
    let server = Server::start().await;
    let process = super::recording::add_lossy(&mut *server.writer.lock().await).await;
    (server, format!("/api/v1/processes/{}/settings", process.0))
}

fn sentence(answer: &Value) -> &str {
    answer["error"].as_str().unwrap()
}

#[tokio::test]
async fn a_change_is_kept_and_shown_as_pending() {
    let (server, path) = with_live_process().await;
    let before = server.json(&path).await;
    assert_eq!(before["desired"]["record_polls"], Value::Null);
    assert_eq!((&before["in_force"], &before["pending"]), (&Value::Null, &json!(false)));
    assert_eq!(before["coverage"][0]["layer"], "hooks");

    let body = r#"{"record_polls":false,"slow_threshold":50000000}"#;
    let (status, answer) = patch(&server, &path, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["desired"]["record_polls"], false);
    assert_eq!(answer["desired"]["slow_threshold"], 50_000_000);
    assert_eq!((&answer["process"], &answer["pending"]), (&json!(2), &json!(true)));
    assert_eq!(server.json(&path).await, answer);

    let (_, answer) = patch(&server, &path, r#"{"record_polls":null}"#).await;
    assert_eq!(answer["desired"]["record_polls"], Value::Null);
    assert_eq!(answer["desired"]["slow_threshold"], 50_000_000, "not named, so it stays");
}

#[tokio::test]
async fn a_whole_program_can_be_asked_and_so_can_all() {
    let server = Server::start().await;
    let (status, _) = patch(&server, "/api/v1/settings", r#"{"sample_stacks":false}"#).await;
    assert_eq!(status, StatusCode::OK);
    let (_, answer) =
        patch(&server, "/api/v1/settings?app=orders", r#"{"sample_stacks":true}"#).await;
    assert_eq!(answer["all"]["sample_stacks"], false);
    assert_eq!(answer["apps"][0]["app"], "orders");
    assert_eq!(answer, server.json("/api/v1/settings").await);
    let process = server.json("/api/v1/processes/1/settings").await;
    assert_eq!(process["desired"]["sample_stacks"], true);
}

#[tokio::test]
async fn each_setting_says_who_asks_for_it() {
    let (server, path) = with_live_process().await;
    let app = server.json("/api/v1/processes").await["processes"][0]["app"].clone();
    let of_app = format!("/api/v1/settings?app={}", app.as_str().unwrap());
    let all = r#"{"sample_stacks":false,"track_fds":true,"record_wakes":false}"#;
    patch(&server, "/api/v1/settings", all).await;
    patch(&server, "/api/v1/settings?app=another", r#"{"app_events":false}"#).await;
    patch(&server, &of_app, r#"{"track_fds":true,"record_wakes":false}"#).await;
    let (_, answer) = patch(&server, &path, r#"{"record_wakes":false}"#).await;
    let expected = json!({"sample_stacks": "all", "track_fds": "app", "record_wakes": "run"});
    assert_eq!(answer["asked_by"], expected);
    let (_, answer) = patch(&server, &path, r#"{"record_wakes":null}"#).await;
    assert_eq!(answer["asked_by"]["record_wakes"], "app", "the run's own word was taken back");
    let agent = server.json(&path.replace("/settings", "/agent")).await;
    assert_eq!(agent["settings"]["asked_by"], answer["asked_by"]);
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_in_words() {
    let (server, path) = with_live_process().await;
    let path = path.as_str();
    let off = r#"{"record_polls":false}"#;
    let cases = [
        (path, r#"{"record_polls":"no"}"#, 400, "`record_polls` must be true or false or null"),
        (path, r#"{"slow_threshold":1}"#, 400, "`slow_threshold` must be from 1000000"),
        (path, r#"{"colour":1}"#, 400, "there is no setting `colour`; there are: record_polls"),
        (path, "{}", 400, "name at least one setting"),
        (path, "7", 400, "send an object of settings"),
        (path, "{", 400, "Failed to parse the request body as JSON"),
        ("/api/v1/processes/99/settings", off, 404, "there is no process 99; /api/v1/processes"),
        ("/api/v1/processes/one/settings", off, 400, "the process must be a whole number"),
        ("/api/v1/settings?colour=red", off, 400, "there is no parameter `colour` here"),
        ("/api/v1/settings?app=", off, 400, "`app` is empty"),
        ("/api/v1/settings?app", off, 400, "`app` is empty"),
        ("/api/v1/processes", off, 405, "/api/v1/processes takes only GET"),
    ];
    for (path, body, status, expected) in cases {
        let (found, answer) = patch(&server, path, body).await;
        assert_eq!(found.as_u16(), status, "{path} {body}: {answer}");
        assert!(sentence(&answer).starts_with(expected), "{path} {body}: {answer}");
    }
    let form = Request::patch(path).header("content-type", "text/plain");
    let response = server.send(form.body(Body::from(off)).unwrap()).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let large = format!("{{\"record_polls\":{}}}", " ".repeat(20_000));
    let (status, _) = patch(&server, path, &large).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let after = server.json(path).await;
    assert_eq!(after["desired"]["record_polls"], Value::Null, "nothing was changed");
    assert_eq!(server.json("/api/v1/settings").await["all"]["record_polls"], Value::Null);
}

#[tokio::test]
async fn a_process_that_ended_cannot_be_asked() {
    let server = Server::start().await;
    let (status, answer) =
        patch(&server, "/api/v1/processes/1/settings", r#"{"record_polls":false}"#).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let expected = "process 1 has ended; ask its next run by name, orders, as in PATCH \
                    /api/v1/settings?app=NAME";
    assert_eq!(sentence(&answer), expected);
}

#[tokio::test]
async fn the_agent_of_a_process_is_shown_with_its_books() {
    let server = Server::start().await;
    let agent = server.json("/api/v1/processes/1/agent").await;
    assert_eq!(agent["process"], 1);
    assert_eq!(agent["settings"]["pending"], false);
    assert!(agent["cost"].as_object().unwrap().contains_key("cpu_share"));
    for line in agent["ledger"].as_array().unwrap() {
        let number = |name: &str| line[name].as_u64().unwrap();
        let sum = number("stored") + number("dropped") + number("in_flight");
        assert_eq!(number("produced"), sum, "{line}");
        assert!(line["by_cause"].is_array());
    }
    let share = agent["captured_share"].as_f64().unwrap();
    assert!(share > 0.0 && share <= 1.0, "{share}");
}
