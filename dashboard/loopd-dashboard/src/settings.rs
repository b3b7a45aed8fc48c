//! The routes that show and change what agents capture. Who may ask is the binary's job: its guard
//! refuses other sites, and bodies that a form could send, before anything comes here.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use loopd_store::{ProcessKey, SettingsScope, StoreError};
use serde_json::Value;

use crate::error::ApiError;
use crate::routes::{Answer, Pairs};
use crate::state::{AppState, ChangeError};
use crate::views::agent::{self, AgentView};
use crate::views::find_process;
use crate::views::params::Params;
use crate::views::settings::{self, CommonSettingsView, SettingsView};

/// There are seven settings.
pub(crate) const MAX_BODY: usize = 16 * 1024;
/// Longer names of programs are not stored either.
const MAX_APP: usize = 1_024;

type Body = Result<Json<Value>, JsonRejection>;

pub(crate) async fn agent(
    State(state): State<AppState>,
    Path(process): Path<String>,
    pairs: Pairs,
) -> Answer<AgentView> {
    Params::new(pairs.0, &[])?;
    Ok(Json(agent::agent(&state.reader, number(&process)?).await?))
}

pub(crate) async fn of_process(
    State(state): State<AppState>,
    Path(process): Path<String>,
    pairs: Pairs,
) -> Answer<SettingsView> {
    Params::new(pairs.0, &[])?;
    Ok(Json(settings::settings(&state.reader, number(&process)?).await?))
}

pub(crate) async fn change_process(
    State(state): State<AppState>,
    Path(process): Path<String>,
    pairs: Pairs,
    body: Body,
) -> Answer<SettingsView> {
    Params::new(pairs.0, &[])?;
    let process = number(&process)?;
    let row = find_process(&state.reader, Some(process)).await?;
    if row.state == loopd_store::ProcessState::Ended {
        let sentence = format!(
            "process {process} has ended; ask its next run by name, {}, as in \
             PATCH /api/v1/settings?app=NAME",
            row.app
        );
        return Err(ApiError::new(StatusCode::CONFLICT, sentence));
    }
    change(&state, SettingsScope::Process(ProcessKey(process)), body).await?;
    Ok(Json(settings::settings(&state.reader, process).await?))
}

pub(crate) async fn common(
    State(state): State<AppState>,
    pairs: Pairs,
) -> Answer<CommonSettingsView> {
    Params::new(pairs.0, &[])?;
    Ok(Json(settings::common(&state.reader).await?))
}

pub(crate) async fn change_common(
    State(state): State<AppState>,
    pairs: Pairs,
    body: Body,
) -> Answer<CommonSettingsView> {
    let params = Params::new(pairs.0, &["app"])?;
    let scope = match params.not_empty("app")? {
        Some(app) if app.len() > MAX_APP => {
            let sentence = format!("`app` is longer than {MAX_APP} bytes, as no name is");
            return Err(ApiError::bad_request(sentence));
        }
        Some(app) => SettingsScope::App(app.to_owned()),
        None => SettingsScope::All,
    };
    change(&state, scope, body).await?;
    Ok(Json(settings::common(&state.reader).await?))
}

async fn change(state: &AppState, scope: SettingsScope, body: Body) -> Result<(), ApiError> {
    let Some(changer) = &state.changer else {
        let sentence = "this server shows a recording, and has no agents to ask";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence));
    };
    let Json(body) = body.map_err(|rejection| {
        let sentence = format!("{}; send {{\"record_polls\": false}}", rejection.body_text());
        ApiError::new(rejection.status(), sentence)
    })?;
    let change = settings::parse_change(&body)?;
    changer(scope, change).await.map_err(refused)
}

fn refused(error: ChangeError) -> ApiError {
    let unavailable = |sentence| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence);
    match error {
        ChangeError::Stopping => unavailable("loopd is stopping, nothing was changed".to_owned()),
        ChangeError::Store(StoreError::NoSuchProcess { process }) => {
            crate::views::ViewError::NoProcess { process }.into()
        }
        ChangeError::Store(error @ StoreError::TooManySettings { .. }) => {
            ApiError::new(StatusCode::CONFLICT, error.to_string())
        }
        ChangeError::Store(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "settings were not kept");
            unavailable(format!("the store takes no writes now, nothing was changed: {error}"))
        }
    }
}

pub(crate) fn number(process: &str) -> Result<i64, ApiError> {
    process.parse().map_err(|_| {
        ApiError::bad_request(format!("the process must be a whole number, not {process:?}"))
    })
}
