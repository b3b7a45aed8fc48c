//! Headers on everything, and clear words for what is wrong.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::Value;

use super::server::{Server, text};

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let server = Server::start().await;
    let paths = [
        "/",
        "/tasks",
        "/no-such-file.js",
        "/healthz",
        "/readyz",
        "/api/v1/processes",
        "/api/v1/tasks?sort=nonsense",
        "/api/v1/nothing-here",
        "/api/v1/live",
        "/api/v1/query",
    ];
    for path in paths {
        let response = server.get(path).await;
        let headers = response.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert!(headers.contains_key("cache-control"), "{path}");
    }
}

async fn refused(server: &Server, path: &str) -> (u16, String) {
    let response = server.get(path).await;
    let status = response.status().as_u16();
    let body: Value = serde_json::from_str(&text(response).await).unwrap();
    (status, body["error"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let server = Server::start().await;
    let cases = [
        ("/api/v1/tasks?sort=size", 400, "`sort` must be one of task, name, location"),
        ("/api/v1/tasks?limit=1001", 400, "`limit` must be from 1 to 1000, not 1001"),
        ("/api/v1/tasks?limit=-1", 400, "`limit` must be a whole number, not \"-1\""),
        (
            "/api/v1/tasks?colour=red",
            400,
            "there is no parameter `colour` here; there are: process",
        ),
        ("/api/v1/tasks?process=one", 400, "`process` must be a whole number, not \"one\""),
        ("/api/v1/tasks?process=99", 404, "there is no process 99; /api/v1/processes lists"),
        ("/api/v1/tasks/1/999999", 404, "process 1 has no task 999999"),
        ("/api/v1/tasks/1/abc", 400, "the path must be /api/v1/tasks/PROCESS/TASK"),
        ("/api/v1/timeline?from=20&to=10", 400, "`from` (20) must be before `to` (10)"),
        ("/api/v1/timeline?width=5000", 400, "`width` must be from 1 to 4000, not 5000"),
        ("/api/v1/slow?from=now", 400, "`from` must be nanoseconds since 1970, not \"now\""),
        ("/api/v1/metrics", 400, "`name` is missing, as in name=rss_bytes"),
        ("/api/v1/query", 405, "/api/v1/query takes only POST"),
        ("/api/v1/nothing-here", 404, "there is no /api/v1/nothing-here here"),
        ("/api/v2/tasks", 404, "there is no /api/v2/tasks here"),
    ];
    for (path, status, sentence) in cases {
        let (found, error) = refused(&server, path).await;
        assert_eq!(found, status, "{path}: {error}");
        assert!(error.starts_with(sentence), "{path}: {error}");
    }
}

#[tokio::test]
async fn an_empty_store_says_what_to_do() {
    let server = Server::empty().await;
    assert_eq!(server.json("/api/v1/processes").await["processes"], Value::Array(vec![]));
    let (status, error) = refused(&server, "/api/v1/overview").await;
    assert_eq!(status, 404);
    assert_eq!(
        error,
        "nothing has been recorded yet; start a program with loopd's agent in it (Rust: loopd-agent, \
         Python: pip install ./agent/loopd-asyncio)"
    );
}

#[tokio::test]
async fn a_query_must_be_json() {
    let server = Server::start().await;
    let form = Request::post("/api/v1/query").header("content-type", "text/plain");
    let response = server.send(form.body(Body::from("{\"sql\":\"select 1\"}")).unwrap()).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);

    let (status, answer) = server.query("{\"sql\":\"select 1\",\"colour\":1}").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer["error"].as_str().unwrap().contains("unknown field `colour`"), "{answer}");

    let (status, answer) = server.query("{\"sql\":\" \"}").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(answer["error"], "`sql` is empty; try: select * from processes");
}

#[tokio::test]
async fn a_query_that_writes_or_is_wrong_is_refused_in_words() {
    let server = Server::start().await;
    for sql in ["delete from tasks", "select nothing from tasks", "select", "attach 'x' as y"] {
        let (status, answer) = server.query(&serde_json::json!({ "sql": sql }).to_string()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{sql}: {answer}");
        assert!(!answer["error"].as_str().unwrap().is_empty(), "{sql}");
    }
}
