//! The demo through the API, of a server that has none and of one that has a counted one.

use std::sync::Mutex;
use std::time::Duration;

use http::{Request, StatusCode};
use loopd_dashboard::{Demo, DemoState};
use loopd_model::UnixNanos;
use serde_json::{Value, json};

use super::server::{Server, text};

async fn post(server: &Server, body: &str) -> (StatusCode, Value) {
    let request = Request::post("/api/v1/demo").header("content-type", "application/json");
    let response = server.send(request.body(body.to_owned().into()).unwrap()).await;
    let status = response.status();
    (status, serde_json::from_str(&text(response).await).unwrap())
}

/// Runs nothing, and fails to start when there is no room.
struct Counted(Mutex<DemoState>, bool);

impl Demo for Counted {
    fn length(&self) -> Duration {
        Duration::from_secs(7)
    }
    fn state(&self) -> DemoState {
        *self.0.lock().unwrap()
    }
    fn start(&self) -> Result<DemoState, String> {
        if !self.1 {
            return Err("no room".into());
        }
        *self.0.lock().unwrap() = DemoState::Running { ends_at: UnixNanos(42) };
        Ok(self.state())
    }
    fn stop(&self) -> DemoState {
        *self.0.lock().unwrap() = DemoState::Stopping;
        self.state()
    }
}

#[tokio::test]
async fn a_server_without_a_demo_says_how_to_get_one() {
    let server = Server::empty().await;
    let view = server.json("/api/v1/demo").await;
    assert_eq!(view, json!({"state": "unavailable", "ends_at": null, "length": null}));
    let (status, answer) = post(&server, r#"{"run":true}"#).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer["error"].as_str().unwrap().contains("`loopd demo` in a terminal"), "{answer}");
}

#[tokio::test]
async fn a_demo_starts_stops_and_says_until_when_it_runs() {
    let server = Server::empty().await.with_demo(Counted(Mutex::new(DemoState::Off), true));
    let off = json!({"state": "off", "ends_at": null, "length": 7_000_000_000_u64});
    assert_eq!(server.json("/api/v1/demo").await, off);
    let (status, view) = post(&server, r#"{"run":true}"#).await;
    assert_eq!(
        (status, &view["state"], &view["ends_at"]),
        (StatusCode::OK, &"running".into(), &"42".into())
    );
    let (_, view) = post(&server, r#"{"run":false}"#).await;
    assert_eq!(view["state"], "stopping");
    for body in ["{}", r#"{"run":1}"#, r#"{"run":true,"for":9}"#, "{"] {
        let (status, answer) = post(&server, body).await;
        assert!(status.is_client_error(), "{body}: {answer}");
    }
}

#[tokio::test]
async fn a_demo_that_cannot_start_says_why() {
    let server = Server::empty().await.with_demo(Counted(Mutex::new(DemoState::Off), false));
    let (status, answer) = post(&server, r#"{"run":true}"#).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer["error"], "the demo could not be started: no room");
}
