//! The web page, embedded in the binary by the build script, and how its files are served.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::compress;

#[derive(RustEmbed)]
#[folder = "$LOOPD_DASHBOARD_DIST"]
struct Files;

const INDEX: &str = "index.html";

/// Vite puts a hash of the content into the name of every file below this folder.
const HASHED: &str = "assets/";

/// What the build compresses with, as HTTP calls it, and how it ends the names of such files.
const FORMS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// Answers everything that is not the API: files by name, and the page itself for every path that
/// does not look like a file, because the page does its own routing.
pub(crate) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = uri.path().trim_start_matches('/');
    let is_page = !path.rsplit('/').next().unwrap_or_default().contains('.');
    let path = if is_page { INDEX } else { path };
    // What the build has compressed is a form of a file, not a file.
    let is_form = FORMS.iter().any(|(_, ending)| path.ends_with(ending));
    match Files::get(path).filter(|_| !is_form) {
        Some(file) => respond(path, file, &headers),
        None => (StatusCode::NOT_FOUND, "no such file\n").into_response(),
    }
}

/// The form of a file that the build has compressed and the browser takes, and what it is called; the shortest first.
fn compressed(path: &str, headers: &HeaderMap) -> Option<(&'static str, EmbeddedFile)> {
    let mut forms = FORMS.iter().filter(|(name, _)| compress::takes(headers, name));
    forms.find_map(|(name, ending)| Some((*name, Files::get(&format!("{path}{ending}"))?)))
}

fn respond(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let (encoding, file) = match compressed(path, headers) {
        Some((encoding, file)) => (Some(encoding), file),
        None => (None, file),
    };
    // Each form has its own.
    let tag = etag(&file);
    let caching = if path.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else {
        // Ask each time, so that a new binary shows its new page at once.
        "no-cache"
    };
    let is_known = headers.get(IF_NONE_MATCH).is_some_and(|known| *known == tag);
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(file.data.into_owned()));
        let kind = HeaderValue::from_static(content_type(path));
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    };
    if let Some(encoding) = encoding.filter(|_| !is_known) {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    response.headers_mut().insert(ETAG, tag);
    response
}

/// Half of the content's SHA-256, quoted.
fn etag(file: &EmbeddedFile) -> HeaderValue {
    let hash = file.metadata.sha256_hash();
    let hex: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{hex}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "json" | "map" | "webmanifest" => "application/json",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT_ENCODING;

    use super::*;

    async fn get(path: &str, headers: HeaderMap) -> Response {
        serve(Method::GET, path.parse().unwrap(), headers).await
    }

    #[tokio::test]
    async fn page_paths_give_the_page_and_unknown_files_are_404() {
        for path in ["/", "/tasks", "/tasks/1/77"] {
            let response = get(path, HeaderMap::new()).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-cache");
        }
        let response = get("/assets/nothing-here.js", HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_page_that_the_browser_has_is_not_sent_again() {
        let first = get("/", HeaderMap::new()).await;
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        assert_eq!(get("/", headers).await.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn what_was_compressed_is_sent_to_those_who_take_it() {
        for path in Files::iter().filter(|path| path.ends_with(".br")) {
            let path = format!("/{}", path.trim_end_matches(".br"));
            let mut headers = HeaderMap::new();
            assert!(!get(&path, headers.clone()).await.headers().contains_key(CONTENT_ENCODING));
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, BR;q=0.9"));
            let response = get(&path, headers.clone()).await;
            assert_eq!(response.headers()[CONTENT_ENCODING], "br", "{path}");
            assert_eq!(response.headers()[CONTENT_TYPE], content_type(&path));
            assert_eq!(response.headers()[VARY], "accept-encoding");
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("br;q=0, gzip"));
            assert_eq!(get(&path, headers).await.headers()[CONTENT_ENCODING], "gzip", "{path}");
            let form = get(&format!("{path}.br"), HeaderMap::new()).await;
            assert_eq!(form.status(), StatusCode::NOT_FOUND);
        }
    }

    #[tokio::test]
    async fn hashed_files_are_kept_for_good() {
        let is_form = |path: &str| FORMS.iter().any(|(_, ending)| path.ends_with(ending));
        for path in Files::iter().filter(|path| path.starts_with(HASHED) && !is_form(path)) {
            let response = get(&format!("/{path}"), HeaderMap::new()).await;
            let caching = response.headers()[CACHE_CONTROL].to_str().unwrap();
            assert!(caching.contains("immutable"), "{path}");
        }
    }
}
