//! Answers that a browser may keep, but has to ask for again, and need not get twice.

use std::hash::{DefaultHasher, Hasher};

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

/// The answer as JSON. It may be compressed on its way, so that the same tag stands for the same content, not for the
/// same bytes.
pub(crate) fn respond_json<T: Serialize>(headers: &HeaderMap, view: &T) -> Response {
    match serde_json::to_vec(view) {
        Ok(body) => {
            let tag = format!("W/{}", tag(&body));
            let mut response = tagged(headers, "application/json", body, &tag);
            response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
            response
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The answer as these bytes.
pub(crate) fn respond(headers: &HeaderMap, content_type: &'static str, body: Vec<u8>) -> Response {
    let tag = tag(&body);
    tagged(headers, content_type, body, &tag)
}

/// Without its body if the one who asks has it already.
fn tagged(headers: &HeaderMap, content_type: &'static str, body: Vec<u8>, tag: &str) -> Response {
    let content = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known
        .flat_map(|value| value.split(','))
        .any(|value| value.trim() == "*" || content(value) == content(tag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, content_type)], body).into_response()
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// A strong tag: 128 bits of the bytes, so that two answers have the same only if they are the same.
fn tag(body: &[u8]) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write(body);
        hasher.finish()
    };
    format!("\"{:016x}{:016x}\"", half(1), half(2))
}
