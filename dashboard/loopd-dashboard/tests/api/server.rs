//! A router over a temporary store.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use loopd_dashboard::{
    AppState, ChangeError, DumpError, Mute, MuteError, ServerInfo, ServerStatus, router,
};
use loopd_model::UnixNanos;
use loopd_store::{MAX_MUTES, Retention, Writer};
use serde_json::Value;
use tokio::sync::{Mutex, watch};
use tower::ServiceExt;

use super::{contract, recording};

/// A router, and what keeps its store alive.
pub(crate) struct Server {
    pub(crate) router: Router,
    state: AppState,
    pub(crate) writer: Arc<Mutex<Writer>>,
    pub(crate) shutdown: watch::Sender<bool>,
    folder: tempfile::TempDir,
}

impl Server {
    /// Over the recording of `orders`.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (writer, reader) = recording::orders(&folder.path().join("loopd.db")).await;
        Self::over(folder, writer, reader)
    }

    /// The same, where no question to the store may take any time.
    pub(crate) async fn hurried() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (writer, reader) = recording::orders(&folder.path().join("loopd.db")).await;
        Self::over(folder, writer, reader.with_time_limit(std::time::Duration::ZERO))
    }

    /// Over a store in which nothing is.
    pub(crate) async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = loopd_store::StoreOptions::new(folder.path().join("loopd.db"));
        let (writer, reader) = loopd_store::open(options).await.unwrap();
        Self::over(folder, writer, reader)
    }

    fn over(folder: tempfile::TempDir, writer: Writer, reader: loopd_store::Reader) -> Self {
        let info = ServerInfo {
            version: "0.1.0".into(),
            started_at: UnixNanos(recording::START),
            retention: Retention {
                max_age: None,
                max_bytes: Some(1 << 30),
                max_process_bytes: None,
            },
        };
        let shutdown = watch::Sender::new(false);
        let status = || ServerStatus { sessions: 1, ..ServerStatus::default() };
        let head = writer.head();
        let writer = Arc::new(Mutex::new(writer));
        let changed = Arc::clone(&writer);
        let change = move |scope, change| {
            let writer = Arc::clone(&changed);
            async move {
                let mut writer = writer.lock().await;
                writer.change_settings(&scope, &change).await.map_err(ChangeError::Store)
            }
        };
        let state = AppState::new(reader, head, info, status, shutdown.subscribe());
        let asked = Arc::clone(&writer);
        let dump = move |process| {
            let writer = Arc::clone(&asked);
            async move {
                let mut writer = writer.lock().await;
                writer
                    .begin_dump(process, UnixNanos(recording::START))
                    .await
                    .map_err(DumpError::Store)
            }
        };
        let muting = Arc::clone(&writer);
        let mute = move |app: String, mute: Mute| {
            let writer = Arc::clone(&muting);
            async move {
                let Mute { rule, subject, reason } = mute;
                let (key, now) = ((&*app, &*rule, &*subject), UnixNanos(recording::START));
                let mut writer = writer.lock().await;
                let has_room = writer.mute_finding(key, reason.as_deref(), now).await;
                match has_room.map_err(MuteError::Store)? {
                    true => Ok(()),
                    false => Err(MuteError::TooMany { limit: MAX_MUTES }),
                }
            }
        };
        let state = state.with_changes(change).with_dumps(dump).with_mutes(mute);
        let noting = Arc::clone(&writer);
        let note = move |change| {
            let writer = Arc::clone(&noting);
            async move {
                let mut writer = writer.lock().await;
                let changed = writer.change_note(&change, UnixNanos(recording::START)).await;
                changed.map_err(ChangeError::Store)
            }
        };
        let state = state.with_notes(note);
        Self { router: router(state.clone()), state, writer, shutdown, folder }
    }

    pub(crate) fn with_demo(self, demo: impl loopd_dashboard::Demo + 'static) -> Self {
        Self { router: router(self.state.clone().with_demo(demo)), ..self }
    }

    /// The file of its store.
    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("loopd.db")
    }

    /// Sends a request, and checks that the answer is as it is described.
    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let content_type = response.headers().get("content-type");
        let content_type = content_type.map_or("", |value| value.to_str().unwrap()).to_owned();
        if content_type == "text/event-stream" {
            return response;
        }
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        contract::check(method.as_str(), &path, head.status.as_u16(), &content_type, &body);
        Response::from_parts(head, body.into())
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Body> {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// The JSON of a route that must answer.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        let status = response.status();
        let text = text(response).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn query(&self, body: &str) -> (StatusCode, Value) {
        let request = Request::post("/api/v1/query").header("content-type", "application/json");
        let response = self.send(request.body(body.to_owned().into()).unwrap()).await;
        let status = response.status();
        (status, serde_json::from_str(&text(response).await).unwrap())
    }
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}
