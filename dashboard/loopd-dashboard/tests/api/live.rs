//! The stream that says when there is newer data.

use std::time::Duration;

use axum::body::Body;
use http::StatusCode;
use http_body_util::BodyExt;
use loopd_dashboard::views::process::ProcessState;
use loopd_dashboard::{HeadView, MAX_FOLLOWERS};

use super::recording;
use super::server::Server;

/// Longer than any of this takes, shorter than anybody waits for a test.
const LIMIT: Duration = Duration::from_secs(20);

/// The next event's data; `None` at the end of the stream.
async fn next(body: &mut Body) -> Option<HeadView> {
    let frame = tokio::time::timeout(LIMIT, body.frame()).await.unwrap()?;
    let text = String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap();
    let data = text.strip_prefix("event: head\ndata: ").expect(&text);
    Some(serde_json::from_str(data.trim_end()).unwrap())
}

#[tokio::test]
async fn a_commit_is_announced() {
    let server = Server::empty().await;
    let response = server.get("/api/v1/live").await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let first = next(&mut body).await.unwrap();
    assert_eq!(first.processes, []);

    let process = recording::add_lossy(&mut *server.writer.lock().await).await;
    loop {
        let head = next(&mut body).await.unwrap();
        assert!(head.version > first.version);
        // The beginning of the session may be announced before its first batch.
        if let Some(found) = head.processes.iter().find(|found| found.process == process.0)
            && found.last_at.0 > recording::START + 3_600_000_000_000
        {
            assert_eq!(found.state, ProcessState::Live);
            break;
        }
    }
}

#[tokio::test]
async fn a_shutdown_ends_the_stream() {
    let server = Server::empty().await;
    let mut body = server.get("/api/v1/live").await.into_body();
    assert!(next(&mut body).await.is_some());
    server.shutdown.send(true).unwrap();
    assert!(next(&mut body).await.is_none());
}

#[tokio::test]
async fn one_follower_too_many_is_told_so_until_another_leaves() {
    let server = Server::empty().await;
    let mut followers = Vec::new();
    for _ in 0..MAX_FOLLOWERS {
        followers.push(server.get("/api/v1/live").await);
    }
    assert_eq!(server.get("/api/v1/live").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    followers.pop();
    assert_eq!(server.get("/api/v1/live").await.status(), StatusCode::OK);
}
