//! The page that people open first, with word of the question that it will ask, so that the browser asks it
//! before it has read the page's script.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::header::LINK;
use http::{HeaderMap, HeaderValue, Method, Uri};
use loopd_store::{ProcessState, Reader};

use tokio::time::timeout;

use crate::assets;
use crate::state::AppState;

/// The page waits no longer than this for a word that only saves it time: the store may be busy.
const MAX_WAIT: Duration = Duration::from_millis(50);

pub(crate) async fn serve(
    State(state): State<AppState>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let question = question(&state.reader, uri.query().unwrap_or_default());
    let question = timeout(MAX_WAIT, question).await;
    let mut response = assets::serve(method, uri, headers).await;
    if let Ok(Some(question)) = question {
        response.headers_mut().insert(LINK, question);
    }
    response
}

/// `None` if there is no process: then the page asks for none. It also shows another process than the one
/// that its address names, if that is not among the latest, and it picks the same as is picked here.
async fn question(reader: &Reader, query: &str) -> Option<HeaderValue> {
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("process="));
    // What cannot be read is told by the page's other questions.
    let latest = reader.processes().await.ok()?.rows;
    let is_asked = |key: i64| asked.is_some_and(|asked| asked == key.to_string());
    let row = (latest.iter().find(|row| is_asked(row.process.0)))
        .or_else(|| latest.iter().find(|row| row.state == ProcessState::Live))
        .or(latest.first())?;
    // As the page asks it, to the letter.
    let value = format!(
        "</api/v1/overview?process={}>; rel=preload; as=fetch; crossorigin=anonymous",
        row.process.0
    );
    HeaderValue::from_str(&value).ok()
}
