//! Pieces of the timeline, and how long they may be kept.

use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;

use super::recording::{self, START};
use super::server::{Server, text};

/// 550 s: the recording lasts ten minutes.
const ZOOM: u32 = 39;

fn path(process: i64, query: &str) -> String {
    format!("/api/v1/tiles/{process}/{ZOOM}/{}{query}", START >> ZOOM)
}

async fn ask(server: &Server, path: &str, known: Option<&str>) -> Response<Body> {
    let request = Request::get(path);
    let request =
        known.into_iter().fold(request, |request, tag| request.header("if-none-match", tag));
    server.send(request.body(Body::empty()).unwrap()).await
}

async fn epoch(server: &Server) -> String {
    server.json("/api/v1/status").await["store"]["epoch"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_tile_has_what_the_timeline_has_for_its_range() {
    let server = Server::start().await;
    let number = START >> ZOOM;
    let (from, to) = (number << ZOOM, (number + 1) << ZOOM);
    let timeline =
        server.json(&format!("/api/v1/timeline?process=1&from={from}&to={to}&width=513")).await;
    let bytes =
        ask(&server, &path(1, ""), None).await.into_body().collect().await.unwrap().to_bytes();
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((bytes[0], u32::from(bytes[2])), (1, ZOOM));
    assert_eq!(bytes[1] & 1 == 1, timeline["exact"].as_bool().unwrap());
    assert_eq!(u64_at(8).to_string(), timeline["t0"].as_str().unwrap());
    assert_eq!(u64_at(8), from.cast_unsigned(), "a tile is aligned to its buckets");
    assert_eq!(u64_at(16), timeline["step"].as_u64().unwrap());
    let lanes = timeline["lanes"].as_array().unwrap();
    assert_eq!(u32_at(4) as usize, lanes.len());
    let text = u32_at(40) as usize;
    let words: serde_json::Value = serde_json::from_slice(&bytes[48..48 + text]).unwrap();
    assert_eq!(words["slow"], timeline["slow"]);
    let first = (48 + text).next_multiple_of(8);
    assert_eq!(u32_at(first) as usize, lanes[0]["cells"]["i"].as_array().unwrap().len());
    assert_eq!(u32_at(first + 4) as usize, lanes[0]["polls"]["s"].as_array().unwrap().len());
}

#[tokio::test]
async fn a_tile_of_any_zoom_has_at_most_512_buckets() {
    let server = Server::start().await;
    for zoom in 15..=47 {
        let path = format!("/api/v1/tiles/1/{zoom}/{}", START >> zoom);
        let answer = ask(&server, &path, None).await;
        assert_eq!(answer.status(), StatusCode::OK, "{zoom}");
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let step = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
        assert!((1 << zoom) / step <= 512, "zoom {zoom} has buckets of {step} ns");
    }
}

#[tokio::test]
async fn a_tile_of_what_has_ended_is_asked_for_again_too() {
    let server = Server::start().await;
    let epoch = epoch(&server).await;
    let named = ask(&server, &path(1, &format!("?store={epoch}")), None).await;
    assert_eq!(named.headers()["cache-control"], "private, no-cache");
    let tag = named.headers()["etag"].to_str().unwrap().to_owned();
    assert!(tag.starts_with('"'), "strong: {tag}");

    let unnamed = ask(&server, &path(1, ""), Some(&tag)).await;
    assert_eq!(unnamed.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(unnamed.headers()["cache-control"], "private, no-cache");
    assert_eq!(text(unnamed).await, "");

    let other = ask(&server, &path(1, "?store=00"), None).await;
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_may_still_change_is_asked_for_again_and_sent_when_it_has() {
    let server = Server::start().await;
    let process = recording::add_lossy(&mut *server.writer.lock().await).await.0;
    let path = path(process, &format!("?store={}", epoch(&server).await));
    let first = ask(&server, &path, None).await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(first.headers()["cache-control"], "private, no-cache");
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    let again = ask(&server, &path, Some(&format!("\"other\", W/{tag}"))).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let changed = ask(&server, &path, Some("\"other\"")).await;
    assert_eq!(changed.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_tile_that_cannot_be_is_refused() {
    let server = Server::start().await;
    for (path, status) in [
        ("/api/v1/tiles/1/14/0".to_owned(), StatusCode::BAD_REQUEST),
        ("/api/v1/tiles/1/48/0".to_owned(), StatusCode::BAD_REQUEST),
        (format!("/api/v1/tiles/1/47/{}", i64::MAX), StatusCode::BAD_REQUEST),
        ("/api/v1/tiles/1/47/65536".to_owned(), StatusCode::BAD_REQUEST),
        ("/api/v1/tiles/1/x/0".to_owned(), StatusCode::BAD_REQUEST),
        ("/api/v1/tiles/99/30/0".to_owned(), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(ask(&server, &path, None).await.status(), status, "{path}");
    }
}
