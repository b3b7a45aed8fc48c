//! What a request that cannot be answered is told: a status and one sentence.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::views::ViewError;

/// The body of every error.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What was wrong and what to do.
    pub error: String,
    /// Of a filter that cannot be read: where that is, from and to, in UTF-16 units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<(usize, usize)>,
}

/// A status and a sentence.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) sentence: String,
    /// Which part of a filter is wrong.
    pub(crate) at: Option<(usize, usize)>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into(), at: None }
    }

    pub(crate) fn bad_request(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }
}

impl From<ViewError> for ApiError {
    fn from(error: ViewError) -> Self {
        let status = match &error {
            ViewError::NoProcess { .. }
            | ViewError::NoTask { .. }
            | ViewError::NoResource { .. }
            | ViewError::NoDump { .. }
            | ViewError::Empty => StatusCode::NOT_FOUND,
            ViewError::Invalid(_) | ViewError::Filter { .. } | ViewError::Sql { .. } => {
                StatusCode::BAD_REQUEST
            }
            ViewError::Store(source) => {
                tracing::error!(error = error_chain(source), "the store could not be read");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let at = match &error {
            ViewError::Filter { from, to, .. } => Some((*from, *to)),
            _ => None,
        };
        Self { at, ..Self::new(status, error.to_string()) }
    }
}

fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(ErrorBody { error: self.sentence, at: self.at })).into_response()
    }
}
