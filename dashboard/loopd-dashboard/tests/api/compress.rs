//! What goes compressed, and what does not.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use miniz_oxide::inflate::decompress_to_vec;
use tower::ServiceExt;

use super::recording::START;
use super::server::Server;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// What a browser gets, bytes and all.
async fn get(server: &Server, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.body(Body::empty()).unwrap();
    let response = server.router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

const GZIP: (&str, &str) = ("accept-encoding", "br, gzip;q=0.8");

/// The content of one that is whole: its sum and its length are right.
fn unpacked(packed: &[u8]) -> Vec<u8> {
    assert_eq!(packed[..4], [0x1f, 0x8b, 8, 0]);
    let (data, trailer) = packed[10..].split_at(packed.len() - 18);
    let plain = decompress_to_vec(data).unwrap();
    let sums = [crc32fast::hash(&plain), plain.len() as u32].map(u32::to_le_bytes).concat();
    assert_eq!(trailer, sums);
    plain
}

#[tokio::test]
async fn long_json_and_csv_are_compressed_for_those_who_take_it() {
    let server = Server::start().await;
    for path in
        ["/api/v1/openapi.json", "/api/v1/overview?process=1", "/api/v1/tasks?process=1&format=csv"]
    {
        let plain = get(&server, "GET", path, &[]).await;
        assert_eq!((plain.status, plain.header("content-encoding")), (StatusCode::OK, None));
        assert_eq!(plain.header("vary"), Some("accept-encoding"), "{path}");
        assert!(plain.body.len() >= 1_024, "{path} has only {} bytes", plain.body.len());

        let packed = get(&server, "GET", path, &[GZIP]).await;
        assert_eq!(packed.header("content-encoding"), Some("gzip"), "{path}");
        assert_eq!(packed.header("vary"), Some("accept-encoding"), "{path}");
        assert_eq!(packed.header("content-type"), plain.header("content-type"), "{path}");
        assert!(packed.body.len() < plain.body.len() / 2, "{path}: {}", packed.body.len());
        assert_eq!(unpacked(&packed.body), plain.body, "{path}");

        let off = get(&server, "GET", path, &[("accept-encoding", "gzip;q=0, br")]).await;
        assert_eq!((off.header("content-encoding"), &off.body), (None, &plain.body), "{path}");
    }
}

#[tokio::test]
async fn what_is_short_or_no_text_or_has_no_body_is_not() {
    let server = Server::start().await;
    let tile = format!("/api/v1/tiles/1/39/{}", START >> 39);
    for (method, path) in [
        ("GET", "/api/v1/processes/1/clock"),
        ("GET", "/api/v1/nothing-here"),
        ("GET", tile.as_str()),
        ("GET", "/healthz"),
        ("HEAD", "/api/v1/openapi.json"),
    ] {
        let answer = get(&server, method, path, &[GZIP]).await;
        assert_eq!(answer.header("content-encoding"), None, "{method} {path}");
        assert!(!answer.body.starts_with(&[0x1f, 0x8b]), "{method} {path}");
    }
    let follow = Request::get("/api/v1/live").header(GZIP.0, GZIP.1).body(Body::empty()).unwrap();
    let events = server.router.clone().oneshot(follow).await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    assert!(!events.headers().contains_key("content-encoding"));
}

#[tokio::test]
async fn a_timeline_that_is_still_the_same_is_not_sent_again() {
    let server = Server::start().await;
    let path = format!("/api/v1/timeline?process=1&from={START}&to={}", START + 1_000_000_000);
    let first = get(&server, "GET", &path, &[GZIP]).await;
    let tag = first.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/\""), "the same for all its forms, so weak: {tag}");
    assert_eq!(first.header("cache-control"), Some("private, no-cache"));
    for known in [tag.as_str(), tag.trim_start_matches("W/"), &format!("\"other\", {tag}"), "*"] {
        let again = get(&server, "GET", &path, &[GZIP, ("if-none-match", known)]).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{known}");
        assert!(again.body.is_empty());
        assert_eq!(again.header("etag"), Some(&*tag));
    }
    let other = get(&server, "GET", &path, &[("if-none-match", "W/\"other\"")]).await;
    assert_eq!((other.status, other.header("etag")), (StatusCode::OK, Some(&*tag)));
    let longer =
        path.replace(&(START + 1_000_000_000).to_string(), &(START + 60_000_000_000).to_string());
    let longer = get(&server, "GET", &longer, &[("if-none-match", &tag)]).await;
    assert_eq!(longer.status, StatusCode::OK);
}
