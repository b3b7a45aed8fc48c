//! The route that starts and stops an example service, for people who have nothing to record yet. Who may ask
//! is the binary's job, as in [`crate::settings`], and so is the service.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use http::StatusCode;
use loopd_model::UnixNanos;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::routes::{Answer, Pairs};
use crate::state::AppState;
use crate::views::params::Params;
use crate::views::text::UnixNanosText;
use crate::views::vocabulary::DemoStateName;

/// What can run an example service. Its methods must not block.
pub trait Demo: Send + Sync {
    /// After how long it stops by itself.
    fn length(&self) -> Duration;
    /// What it does now.
    fn state(&self) -> DemoState;
    /// Starts it, unless it runs; or says why it could not.
    fn start(&self) -> Result<DemoState, String>;
    /// Has it stop, if it runs.
    fn stop(&self) -> DemoState;
}

/// What an example service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DemoState {
    /// Nothing.
    Off,
    /// It runs.
    Running {
        /// Until when.
        ends_at: UnixNanos,
    },
    /// It was told to stop and says goodbye.
    Stopping,
}

/// `GET /api/v1/demo`, and the answer of `POST`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DemoView {
    /// `off`, `running` or `stopping`; `unavailable` where this server runs none.
    #[schema(value_type = DemoStateName)]
    pub state: String,
    /// When it stops by itself; null unless it runs.
    pub ends_at: Option<UnixNanosText>,
    /// After how long it stops by itself, in nanoseconds; null where there is none.
    pub length: Option<u64>,
}

/// The body of `POST /api/v1/demo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DemoRequest {
    /// Whether it is to run.
    pub run: bool,
}

const UNAVAILABLE: &str = "this server runs no demo: only `loopd serve` on a loopback address and without --allow-host does; \
    `loopd demo` in a terminal works anywhere";

pub(crate) async fn show(State(state): State<AppState>, pairs: Pairs) -> Answer<DemoView> {
    Params::new(pairs.0, &[])?;
    let view = match &state.demo {
        Some(demo) => DemoView::new(&**demo, demo.state()),
        None => DemoView { state: "unavailable".into(), ends_at: None, length: None },
    };
    Ok(Json(view))
}

pub(crate) async fn change(
    State(state): State<AppState>,
    pairs: Pairs,
    body: Result<Json<DemoRequest>, JsonRejection>,
) -> Answer<DemoView> {
    Params::new(pairs.0, &[])?;
    let Json(request) = body.map_err(|rejection| {
        let sentence = format!("{}; send {{\"run\": true}}", rejection.body_text());
        ApiError::new(rejection.status(), sentence)
    })?;
    let Some(demo) = &state.demo else {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE));
    };
    let now = match request.run {
        true => demo.start().map_err(|why| {
            let sentence = format!("the demo could not be started: {why}");
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
        })?,
        false => demo.stop(),
    };
    Ok(Json(DemoView::new(&**demo, now)))
}

impl DemoView {
    fn new(demo: &dyn Demo, state: DemoState) -> Self {
        let (word, ends_at) = match state {
            DemoState::Off => ("off", None),
            DemoState::Running { ends_at } => ("running", Some(ends_at.into())),
            DemoState::Stopping => ("stopping", None),
        };
        let length = u64::try_from(demo.length().as_nanos()).unwrap_or(u64::MAX);
        Self { state: word.into(), ends_at, length: Some(length) }
    }
}
