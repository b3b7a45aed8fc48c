//! What a request that cannot be answered is told: a status and one sentence.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::views::ViewError;
use crate::views::query::TextPlace;

/// The body of every error.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What was wrong and what to do.
    pub error: String,
    /// Where in the query that was sent; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub at: Option<TextPlace>,
    /// Which part of a filter cannot be read, from and to, in UTF-16 units; absent where it is not about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = [u64; 2], nullable = false)]
    pub part: Option<(usize, usize)>,
}

/// A status and a sentence.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) sentence: String,
    pub(crate) at: Option<TextPlace>,
    /// Which part of a filter is wrong.
    pub(crate) part: Option<(usize, usize)>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into(), at: None, part: None }
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
            | ViewError::NoNote { .. }
            | ViewError::OtherStore { .. }
            | ViewError::Empty => StatusCode::NOT_FOUND,
            ViewError::Invalid(_) | ViewError::Filter { .. } | ViewError::Sql { .. } => {
                StatusCode::BAD_REQUEST
            }
            ViewError::Store(source) if source.is_too_slow() => {
                tracing::warn!(error = error_chain(source), "a request asked for too much");
                StatusCode::SERVICE_UNAVAILABLE
            }
            ViewError::Store(source) => {
                tracing::error!(error = error_chain(source), "the store could not be read");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let at = match &error {
            ViewError::Sql { at, .. } => *at,
            _ => None,
        };
        let part = match &error {
            ViewError::Filter { from, to, .. } => Some((*from, *to)),
            _ => None,
        };
        Self { at, part, ..Self::new(status, error.to_string()) }
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
        (self.status, Json(ErrorBody { error: self.sentence, at: self.at, part: self.part }))
            .into_response()
    }
}
