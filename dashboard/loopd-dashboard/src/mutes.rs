//! The route that mutes a finding in all runs of a program, or lets it be heard again. Who may ask is the
//! binary's job, as in [`crate::settings`].

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::routes::{Answer, Pairs};
use crate::settings::number;
use crate::state::{AppState, MuteError};
use crate::views::find_process;
use crate::views::params::Params;

/// Longer reasons, and names of rules and subjects that no rule gives, are refused.
const MAX_TEXT: usize = 1_024;

/// The body of `POST /api/v1/processes/{process}/findings/mute`, and of its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    /// The rule that found it.
    pub rule: String,
    /// What it is about.
    pub subject: String,
    /// Why nobody wants to hear of it; null lets it be heard again.
    pub reason: Option<String>,
}

pub(crate) async fn mute(
    State(state): State<AppState>,
    Path(process): Path<String>,
    pairs: Pairs,
    body: Result<Json<Mute>, JsonRejection>,
) -> Answer<Mute> {
    Params::new(pairs.0, &[])?;
    let Json(mute) = body.map_err(|rejection| {
        let sentence = format!(
            "{}; send {{\"rule\": \"…\", \"subject\": \"…\", \"reason\": \"…\"}}",
            rejection.body_text()
        );
        ApiError::new(rejection.status(), sentence)
    })?;
    let texts = [Some(&mute.rule), Some(&mute.subject), mute.reason.as_ref()];
    if texts.into_iter().flatten().any(|text| text.is_empty() || text.len() > MAX_TEXT) {
        let sentence = format!(
            "`rule`, `subject` and `reason` must have from 1 to {MAX_TEXT} bytes; a reason of null \
             lets the finding be heard again"
        );
        return Err(ApiError::bad_request(sentence));
    }
    let app = find_process(&state.reader, Some(number(&process)?)).await?.app;
    let Some(muter) = &state.muter else {
        let sentence = "this server shows a recording, and keeps nothing";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence));
    };
    muter(app, mute.clone()).await.map_err(refused)?;
    Ok(Json(mute))
}

fn refused(error: MuteError) -> ApiError {
    let unavailable = |sentence| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence);
    match error {
        MuteError::Stopping => unavailable("loopd is stopping, nothing was muted".to_owned()),
        MuteError::TooMany { limit } => ApiError::new(
            StatusCode::CONFLICT,
            format!("{limit} findings are muted already; let some be heard again first"),
        ),
        MuteError::Store(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a finding was not muted");
            unavailable(format!("the store takes no writes now, nothing was muted: {error}"))
        }
    }
}
