//! Text that is worth it goes compressed to those who take it: over a slow line a table is then a tenth of what it was.
//!
//! Only whole answers of the API: files of the page were compressed when it was built, tiles are bytes that a page
//! uses as they are, and a stream of events must not wait until there is enough to compress.

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, IntoHeaderName, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use miniz_oxide::deflate::compress_to_vec;

/// What is shorter goes in one packet as it is.
const LEAST: u64 = 1_024;

/// The quickest: it finds most of what there is to find in JSON, and nobody waits for the rest.
const LEVEL: u8 = 1;

/// Types that are compressed.
const TYPES: [&str; 2] = ["application/json", "text/csv"];

/// Whether the one who asks takes this coding.
pub(crate) fn takes(headers: &HeaderMap, wanted: &str) -> bool {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.unwrap_or_default().split(',').any(|part| {
        let (coding, weight) = part.split_once(';').unwrap_or((part, ""));
        let is_off = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        coding.trim().eq_ignore_ascii_case(wanted) && !is_off
    })
}

/// Compresses an answer, if it is long enough and text.
pub(crate) async fn text(request: Request, next: Next) -> Response {
    let is_wanted = request.method() != Method::HEAD && takes(request.headers(), "gzip");
    let mut response = next.run(request).await;
    if !is_text(response.headers()) {
        return response;
    }
    set(response.headers_mut(), VARY, "accept-encoding");
    let is_long = response.body().size_hint().exact().is_some_and(|length| length >= LEAST);
    if !is_wanted || !is_long {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // Its length is known: it is in memory already.
    let Ok(plain) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let whole = plain.clone();
    // A megabyte takes some ten milliseconds.
    let Ok(packed) = tokio::task::spawn_blocking(move || gzip(&whole)).await else {
        return Response::from_parts(head, Body::from(plain));
    };
    head.headers.remove(CONTENT_LENGTH);
    set(&mut head.headers, CONTENT_ENCODING, "gzip");
    Response::from_parts(head, Body::from(packed))
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    TYPES.contains(&kind) && !headers.contains_key(CONTENT_ENCODING)
}

fn set(headers: &mut HeaderMap, name: impl IntoHeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

/// RFC 1952: a header without a name or a time, the data, its sum and its length.
fn gzip(plain: &Bytes) -> Vec<u8> {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
    let mut packed = HEADER.to_vec();
    packed.extend(compress_to_vec(plain, LEVEL));
    packed.extend(crc32fast::hash(plain).to_le_bytes());
    packed.extend((plain.len() as u32).to_le_bytes());
    packed
}
