//! What would keep the store busy for too long.

use http::StatusCode;
use serde_json::Value;

use super::server::{Server, text};

/// SQLite looks at the clock every ten thousand steps, and counts them over all runs of a statement: one of these has to
/// be the one that is stopped.
const ASKED: usize = 2_000;

#[tokio::test]
async fn what_takes_too_long_is_stopped_and_says_what_to_do() {
    let server = Server::hurried().await;
    let mut refused = None;
    for _ in 0..ASKED {
        let response = server.get("/api/v1/slow?process=1").await;
        if response.status() != StatusCode::OK {
            refused = Some(response);
            break;
        }
    }
    let response = refused.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = serde_json::from_str(&text(response).await).unwrap();
    let sentence = body["error"].as_str().unwrap();
    assert_eq!(
        sentence,
        "could not read slow polls within 0 s, and stopped; narrow the time range, or ask for less"
    );
}
