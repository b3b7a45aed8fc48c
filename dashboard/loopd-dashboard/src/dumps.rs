//! The routes that have a program's tasks dumped, and show what came of it. Who may ask is the binary's
//! job, as in [`crate::settings`].

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use loopd_model::DumpId;
use loopd_store::{ProcessKey, ProcessState};
use tokio::time::timeout;

use crate::error::ApiError;
use crate::routes::{Answer, Pairs};
use crate::settings::number;
use crate::state::{AppState, DumpError};
use crate::views::dumps::{self, DumpTaken, DumpView, DumpsView};
use crate::views::params::Params;
use crate::views::text::IdText;
use crate::views::{ViewError, find_process};

/// How long an agent's answer is waited for. It looks at its tasks within milliseconds, and sends what
/// it has within half a second.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Has a dump taken, and answers once all of it is stored.
pub(crate) async fn take(
    State(state): State<AppState>,
    Path(process): Path<String>,
    pairs: Pairs,
) -> Answer<DumpTaken> {
    Params::new(pairs.0, &[])?;
    let row = find_process(&state.reader, Some(number(&process)?)).await?;
    let process = row.process;
    if row.state == ProcessState::Ended {
        let sentence = format!("process {} has ended, and none of its tasks waits", process.0);
        return Err(ApiError::new(StatusCode::CONFLICT, sentence));
    }
    let Some(dumper) = &state.dumper else {
        let sentence = "this server shows a recording, and has no agents to ask";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence));
    };
    let dump = dumper(process).await.map_err(refused)?;
    let Ok(ended) = timeout(ANSWER_TIME, ended(&state, process, dump)).await else {
        let sentence = format!(
            "process {} has not answered within {} s; its agent may be too old to say where tasks \
             wait, or its thread may not get to run",
            process.0,
            ANSWER_TIME.as_secs()
        );
        return Err(ApiError::new(StatusCode::GATEWAY_TIMEOUT, sentence));
    };
    ended?;
    Ok(Json(DumpTaken { process: process.0, dump: IdText(dump.0) }))
}

/// Lists the dumps of a process.
pub(crate) async fn list(
    State(state): State<AppState>,
    Path(process): Path<String>,
    pairs: Pairs,
) -> Answer<DumpsView> {
    Params::new(pairs.0, &[])?;
    Ok(Json(dumps::dumps(&state.reader, number(&process)?).await?))
}

/// Shows a dump: by its number, or the `latest` that has ended.
pub(crate) async fn show(
    State(state): State<AppState>,
    Path((process, dump)): Path<(String, String)>,
    pairs: Pairs,
) -> Answer<DumpView> {
    Params::new(pairs.0, &[])?;
    let process = number(&process)?;
    let dump = match dump.as_str() {
        "latest" => None,
        text => Some(text.parse().map_err(|_| {
            let sentence = format!("the dump must be `latest` or a whole number, not {text:?}");
            ApiError::bad_request(sentence)
        })?),
    };
    Ok(Json(dumps::dump(&state.reader, process, dump).await?))
}

/// Waits until the agent has told all there is, or cannot.
async fn ended(state: &AppState, process: ProcessKey, dump: DumpId) -> Result<(), ApiError> {
    let mut head = state.head.clone();
    loop {
        // Looked at before the dump, so that what is told last is not missed.
        let is_here = {
            let head = head.borrow_and_update();
            let known = head.processes.iter().find(|known| known.process == process);
            known.is_none_or(|known| known.state == ProcessState::Live)
        };
        let found = state.reader.dump_head(process, dump).await.map_err(ViewError::from)?;
        if found.is_none_or(|head| head.ended_at.is_some()) {
            return Ok(());
        }
        if !is_here {
            let sentence = format!("process {} went away before it answered", process.0);
            return Err(ApiError::new(StatusCode::CONFLICT, sentence));
        }
        if head.changed().await.is_err() {
            return Err(refused(DumpError::Stopping));
        }
    }
}

fn refused(error: DumpError) -> ApiError {
    let unavailable = |sentence| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence);
    match error {
        DumpError::Stopping => unavailable("loopd is stopping, and asks no agent".to_owned()),
        DumpError::NotConnected { process } => {
            let sentence = format!(
                "process {process} is not connected now, so that nobody can say where its tasks wait"
            );
            ApiError::new(StatusCode::CONFLICT, sentence)
        }
        DumpError::Store(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no dump was begun");
            unavailable(format!("the store takes no writes now, no agent was asked: {error}"))
        }
    }
}
