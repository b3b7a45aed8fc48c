//! The routes for notes: what people write to times of a recording. Who may ask is the binary's job, as in
//! [`crate::settings`].

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use loopd_model::UnixNanos;
use loopd_store::{
    MAX_NOTE_AUTHOR, MAX_NOTE_TEXT, MAX_NOTES, NoteChange, NoteEdit, NoteOutcome, NoteText,
    ProcessKey, StoreError,
};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::routes::{Answer, Pairs, table_params};
use crate::state::{AppState, ChangeError};
use crate::views::ViewError;
use crate::views::notes::{self, Note, NoteFilter};
use crate::views::params::Params;
use crate::views::text::UnixNanosText;

/// A text in which every byte is escaped, and the rest.
pub(crate) const MAX_BODY: usize = 32 * 1024;

/// The body of `POST /api/v1/notes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNote {
    /// From when on.
    pub from: UnixNanosText,
    /// To when; without it the note is about an instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub to: Option<UnixNanosText>,
    /// What it says.
    pub text: String,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub author: Option<String>,
    /// About which process; without it about all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub process: Option<i64>,
}

/// The body of `PATCH /api/v1/notes/{note}`: what is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotePatch {
    /// From when on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub from: Option<UnixNanosText>,
    /// To when; null for an instant.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub to: Option<Option<UnixNanosText>>,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub text: Option<String>,
    /// Who says so; null for nobody.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub author: Option<Option<String>>,
    /// About which process; null for all of them.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub process: Option<Option<i64>>,
}

/// Tells null from what is not there.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

pub(crate) async fn list(
    State(state): State<AppState>,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    let (params, format) = table_params(pairs, &NoteFilter::PARAMS, &headers)?;
    let view = notes::notes(&state.reader, &NoteFilter::parse(&params)?).await?;
    Ok(format.respond(&view, notes::csv))
}

pub(crate) async fn show(
    State(state): State<AppState>,
    Path(note): Path<String>,
    pairs: Pairs,
) -> Answer<Note> {
    Params::new(pairs.0, &[])?;
    Ok(Json(notes::note(&state.reader, number(&note)?).await?))
}

pub(crate) async fn add(
    State(state): State<AppState>,
    pairs: Pairs,
    body: Result<Json<NewNote>, JsonRejection>,
) -> Answer<Note> {
    Params::new(pairs.0, &[])?;
    let Json(new) = body.map_err(unreadable)?;
    let note_text = NoteText {
        process: new.process.map(ProcessKey),
        from: UnixNanos(new.from.0),
        to: UnixNanos(new.to.unwrap_or(new.from).0),
        text: checked_text(new.text)?,
        author: checked_author(new.author)?,
    };
    if note_text.from > note_text.to {
        return Err(backwards(note_text.from, note_text.to));
    }
    change(&state, NoteChange::Add(note_text)).await
}

pub(crate) async fn edit(
    State(state): State<AppState>,
    Path(note): Path<String>,
    pairs: Pairs,
    body: Result<Json<NotePatch>, JsonRejection>,
) -> Answer<Note> {
    Params::new(pairs.0, &[])?;
    let note = number(&note)?;
    let Json(patch) = body.map_err(unreadable)?;
    let edit = NoteEdit {
        process: patch.process.map(|process| process.map(ProcessKey)),
        from: patch.from.map(|from| UnixNanos(from.0)),
        to: patch.to.map(|to| to.map(|to| UnixNanos(to.0))),
        text: patch.text.map(checked_text).transpose()?,
        author: patch.author.map(checked_author).transpose()?,
    };
    change(&state, NoteChange::Edit { note, edit }).await
}

pub(crate) async fn remove(
    State(state): State<AppState>,
    Path(note): Path<String>,
    pairs: Pairs,
) -> Answer<Note> {
    Params::new(pairs.0, &[])?;
    change(&state, NoteChange::Remove { note: number(&note)? }).await
}

/// A text that may be kept, without space around it.
fn checked_text(text: String) -> Result<String, ApiError> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_NOTE_TEXT {
        let sentence = format!("`text` must have from 1 to {MAX_NOTE_TEXT} bytes");
        return Err(ApiError::bad_request(sentence));
    }
    without_nul(text)
}

/// An author that may be kept; nobody rather than one without a name.
fn checked_author(author: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(author) = author.as_deref().map(str::trim).filter(|it| !it.is_empty()) else {
        return Ok(None);
    };
    if author.len() > MAX_NOTE_AUTHOR {
        let sentence = format!("`author` must have at most {MAX_NOTE_AUTHOR} bytes");
        return Err(ApiError::bad_request(sentence));
    }
    without_nul(author).map(Some)
}

fn without_nul(text: &str) -> Result<String, ApiError> {
    if text.contains('\0') {
        return Err(ApiError::bad_request("a note has no NUL bytes"));
    }
    Ok(text.to_owned())
}

fn backwards(from: UnixNanos, to: UnixNanos) -> ApiError {
    ApiError::bad_request(format!("`from` ({from}) must not be after `to` ({to})"))
}

async fn change(state: &AppState, change: NoteChange) -> Answer<Note> {
    let Some(noter) = &state.noter else {
        let sentence = "this server shows a recording, and keeps nothing";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence));
    };
    let asked = match &change {
        NoteChange::Add(_) => 0,
        NoteChange::Edit { note, .. } | NoteChange::Remove { note } => *note,
    };
    match noter(change).await.map_err(refused)? {
        NoteOutcome::Done(row) => Ok(Json(row.into())),
        NoteOutcome::Unknown => Err(ViewError::NoNote { note: asked }.into()),
        NoteOutcome::Backwards { from, to } => Err(backwards(from, to)),
        NoteOutcome::Full => Err(ApiError::new(
            StatusCode::CONFLICT,
            format!("there are {MAX_NOTES} notes already; remove some first"),
        )),
    }
}

fn unreadable(rejection: JsonRejection) -> ApiError {
    let sentence = format!(
        "{}; send {{\"from\": \"NANOSECONDS SINCE 1970\", \"text\": \"…\"}}, and as you like to, author \
         and process",
        rejection.body_text()
    );
    ApiError::new(rejection.status(), sentence)
}

fn refused(error: ChangeError) -> ApiError {
    let unavailable = |sentence| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence);
    match error {
        ChangeError::Stopping => unavailable("loopd is stopping, nothing was changed".to_owned()),
        ChangeError::Store(StoreError::NoSuchProcess { process }) => {
            ViewError::NoProcess { process }.into()
        }
        ChangeError::Store(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a note was not changed");
            unavailable(format!("the store takes no writes now, nothing was changed: {error}"))
        }
    }
}

fn number(note: &str) -> Result<i64, ApiError> {
    let wrong = |_| ApiError::bad_request(format!("the note must be a whole number, not {note:?}"));
    note.parse().map_err(wrong)
}
