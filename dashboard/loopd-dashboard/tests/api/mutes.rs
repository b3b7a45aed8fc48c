//! Findings that nobody wants to hear of, through the API.

use axum::body::Body;
use http::{Request, StatusCode};
use loopd_model::UnixNanos;
use loopd_store::MAX_MUTES;
use serde_json::{Value, json};

use super::recording::{self, START};
use super::server::{Server, text};

const PATH: &str = "/api/v1/processes/1/findings/mute";
const LEAK: &str = "orders/src/leak.rs:12";

async fn post(server: &Server, path: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::post(path).header("content-type", "application/json");
    let response = server.send(request.body(body.to_owned().into()).unwrap()).await;
    let status = response.status();
    (status, serde_json::from_str(&text(response).await).unwrap())
}

fn leak(reason: Option<&str>) -> String {
    json!({"rule": "task_leak", "subject": LEAK, "reason": reason}).to_string()
}

/// Rule and reason of all that is muted in process 1.
async fn muted(server: &Server) -> Vec<(Value, Value)> {
    let view = server.json("/api/v1/processes/1/findings").await;
    let findings = view["findings"].as_array().unwrap().iter();
    let muted = findings.filter(|it| it.get("muted").is_some());
    muted.map(|it| (it["rule"].clone(), it["muted"].clone())).collect()
}

/// The rules of which the overview of process 1 speaks.
async fn headlines(server: &Server) -> Vec<String> {
    let view = server.json("/api/v1/overview?process=1").await;
    let lines = view["headlines"].as_array().unwrap().iter();
    lines.map(|it| it["rule"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_muted_finding_stays_with_its_reason_and_makes_no_headline() {
    let server = Server::start().await;
    let leads = async || headlines(&server).await.contains(&"task_leak".to_owned());
    assert!(leads().await);
    let (status, answer) = post(&server, PATH, &leak(Some("a cache of orders"))).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let sent: Value = serde_json::from_str(&leak(Some("a cache of orders"))).unwrap();
    assert_eq!(answer, sent);
    assert_eq!(muted(&server).await, [("task_leak".into(), "a cache of orders".into())]);
    assert!(!leads().await);

    let (status, answer) = post(&server, PATH, &leak(None)).await;
    assert_eq!((status, &answer["reason"]), (StatusCode::OK, &Value::Null));
    assert_eq!(muted(&server).await, []);
    assert!(leads().await);
}

#[tokio::test]
async fn another_program_is_none_of_its_business() {
    let server = Server::start().await;
    recording::add_python(&mut *server.writer.lock().await).await;
    let (status, _) =
        post(&server, "/api/v1/processes/2/findings/mute", &leak(Some("of the shop"))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(muted(&server).await, []);
}

#[tokio::test]
async fn what_cannot_be_muted_is_refused_in_words() {
    let server = Server::start().await;
    let good = leak(Some("known"));
    let sized = "`rule`, `subject` and `reason` must have from 1 to 1024 bytes; a reason of null";
    let long = leak(Some(&"x".repeat(1_025)));
    let no_rule = r#"{"rule":"","subject":"a.rs:1","reason":"known"}"#;
    let typo = r#"{"rule":"task_leak","subject":"a.rs:1","reasons":"known"}"#;
    let of_99 = "/api/v1/processes/99/findings/mute";
    let of_one = "/api/v1/processes/one/findings/mute";
    let for_now = format!("{PATH}?until=now");
    let cases = [
        (of_99, good.as_str(), 404, "there is no process 99; /api/v1/processes lists"),
        (of_one, &good, 400, "the process must be a whole number"),
        (&for_now, &good, 400, "there is no parameter `until` here"),
        (PATH, &leak(Some("")), 400, sized),
        (PATH, &long, 400, sized),
        (PATH, no_rule, 400, sized),
        (PATH, typo, 422, "Failed to deserialize the JSON body into the target type"),
        (PATH, "{}", 422, "Failed to deserialize the JSON body into the target type"),
        (PATH, "{", 400, "Failed to parse the request body as JSON"),
    ];
    for (path, body, status, expected) in cases {
        let (found, answer) = post(&server, path, body).await;
        assert_eq!(found.as_u16(), status, "{path} {body}: {answer}");
        let sentence = answer["error"].as_str().unwrap();
        assert!(sentence.starts_with(expected), "{path} {body}: {sentence}");
    }
    let (_, answer) = post(&server, PATH, typo).await;
    assert!(answer["error"].as_str().unwrap().contains("`reasons`"), "{answer}");
    let form = Request::post(PATH).header("content-type", "text/plain");
    let response = server.send(form.body(Body::from(good)).unwrap()).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let response = server.get(PATH).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(text(response).await.contains("takes only POST"));
    assert_eq!(muted(&server).await, [], "nothing was muted");
}

#[tokio::test]
async fn when_very_many_are_muted_there_is_no_room_for_more() {
    let server = Server::start().await;
    for i in 0..MAX_MUTES {
        let subject = format!("src/{i}.rs:1");
        let key = ("orders", "blocking_call", subject.as_str());
        let mut writer = server.writer.lock().await;
        assert!(writer.mute_finding(key, Some("known"), UnixNanos(START)).await.unwrap());
    }
    let (status, answer) = post(&server, PATH, &leak(Some("known"))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let expected = format!("{MAX_MUTES} findings are muted already; let some be heard again first");
    assert_eq!(answer["error"], expected);
}
