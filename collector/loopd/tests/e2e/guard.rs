//! Who may ask, and how long one may take to ask, over raw connections.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use loopd_wire::pb::ingest_client::IngestClient;
use tempfile::tempdir;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::binary::Loopd;
use crate::{LIMIT, wait_until};

#[test]
fn requests_for_other_names_and_from_other_sites_are_refused() {
    let dir = tempdir().unwrap();
    let loopd = Loopd::start(&dir);
    let host = loopd.host();
    let port = loopd.addr.port();
    for path in ["/", "/healthz", "/api/v1/status", "/api/v1/live", "/no/such/page"] {
        assert_eq!(loopd.get(path, ""), 403, "{path}");
        assert_eq!(loopd.get(path, "host: evil.test\r\n"), 403, "{path}");
        assert_eq!(loopd.get(path, &format!("host: evil.test:{port}\r\n")), 403, "{path}");
        assert_eq!(loopd.get(path, "host: 127.0.0.1\r\n"), 403, "{path}");
        let origin = "origin: http://evil.test\r\n";
        assert_eq!(loopd.get(path, &format!("{host}{origin}")), 403, "{path}");
        let site = "sec-fetch-site: cross-site\r\n";
        assert_eq!(loopd.get(path, &format!("{host}{site}")), 403, "{path}");
    }
    assert_eq!(loopd.get("/healthz", &format!("host: localhost:{port}\r\n")), 200);
    let own = format!("{host}origin: http://127.0.0.1:{port}\r\nsec-fetch-site: same-origin\r\n");
    assert_eq!(loopd.get("/api/v1/status", &own), 200);
}

#[test]
fn a_form_cannot_query() {
    let dir = tempdir().unwrap();
    let loopd = Loopd::start(&dir);
    let post = |content_type: &str| {
        let body = r#"{"sql":"select 1"}"#;
        let answer = loopd.ask(&format!(
            "POST /api/v1/query HTTP/1.1\r\nconnection: close\r\n{}content-type: {content_type}\r\n\
             content-length: {}\r\n\r\n{body}",
            loopd.host(),
            body.len(),
        ));
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(post("text/plain"), "415");
    assert_ne!(post("application/json"), "415");
}

#[test]
fn a_note_is_removed_as_the_api_says_and_by_no_other_site() {
    let dir = tempdir().unwrap();
    let loopd = Loopd::start(&dir);
    let send = |line: &str, headers: &str, body: &str| {
        loopd.ask(&format!(
            "{line} HTTP/1.1\r\nconnection: close\r\n{}{headers}content-length: {}\r\n\r\n{body}",
            loopd.host(),
            body.len(),
        ))
    };
    let json = "content-type: application/json\r\n";
    let made = send("POST /api/v1/notes", json, r#"{"from":"5","text":"deployed"}"#);
    assert!(made.starts_with("HTTP/1.1 200 "), "{made}");
    let foreign = send("DELETE /api/v1/notes/1", "origin: http://evil.test\r\n", "");
    assert!(foreign.starts_with("HTTP/1.1 403 "), "{foreign}");
    let gone = loopd.ask(&format!(
        "DELETE /api/v1/notes/1 HTTP/1.1\r\nconnection: close\r\n{}\r\n",
        loopd.host()
    ));
    assert!(gone.starts_with("HTTP/1.1 200 ") && gone.contains("deployed"), "{gone}");
}

#[test]
fn with_a_token_nothing_is_shown_without_it() {
    let dir = tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "0123456789abcdef\n").unwrap();
    let args = ["--listen", "127.0.0.1:0", "--token-file", token.to_str().unwrap()];
    let loopd = Loopd::start_with(&dir, &args, &[]);
    let host = loopd.host();
    assert_eq!(loopd.get("/", &host), 401);
    assert_eq!(loopd.get("/api/v1/status", &host), 401);
    assert_eq!(loopd.get("/healthz", &host), 200);
    assert_eq!(loopd.get("/?token=wrong-but-long-enough", &host), 401);
    assert_eq!(loopd.get("/?token=0123456789abcdef", &host), 303);
    let bearer = format!("{host}authorization: Bearer 0123456789abcdef\r\n");
    assert_eq!(loopd.get("/api/v1/status", &bearer), 200);
    assert!(!loopd.log().contains("0123456789abcdef"), "the token is in the log");
}

#[tokio::test]
async fn agents_pass_the_same_guard() {
    let dir = tempdir().unwrap();
    let env = [("LOOPD_TOKEN", "0123456789abcdef")];
    let loopd = Loopd::start_with(&dir, &["--listen", "127.0.0.1:0"], &env);
    let ask = async |origin: &str, token: Option<&str>| {
        let endpoint = Endpoint::from_shared(format!("http://{}", loopd.addr)).unwrap();
        let channel = endpoint.origin(origin.parse().unwrap()).connect().await.unwrap();
        let mut request = tonic::Request::new(tokio_stream::empty());
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        IngestClient::new(channel).stream(request).await.map(|_| ()).map_err(|s| s.code())
    };
    let own = format!("http://{}", loopd.addr);
    assert_eq!(
        ask("http://evil.test", Some("0123456789abcdef")).await,
        Err(Code::PermissionDenied)
    );
    assert_eq!(ask(&own, None).await, Err(Code::Unauthenticated));
    assert_eq!(ask(&own, Some("0123456789abcdeF")).await, Err(Code::Unauthenticated));
    assert_eq!(ask(&own, Some("0123456789abcdef")).await, Ok(()));
}

#[test]
fn connections_that_dawdle_are_closed() {
    let dir = tempdir().unwrap();
    let loopd = Loopd::start(&dir);
    // Nothing; a bit of HTTP/1; half of HTTP/2's preface; and headers that never end.
    let host = loopd.host();
    let endless = format!("GET / HTTP/1.1\r\n{host}x-a: ");
    let starts = ["", "GE", "PRI * HTTP/2.0\r\n", &endless];
    let began_at = Instant::now();
    let streams: Vec<_> = starts
        .iter()
        .map(|start| {
            let mut stream = loopd.connect();
            stream.write_all(start.as_bytes()).unwrap();
            stream
        })
        .collect();
    for (mut stream, start) in streams.into_iter().zip(starts) {
        let mut rest = Vec::new();
        // Closed or reset are both fine; silence for the whole limit is not.
        let result = stream.read_to_end(&mut rest);
        let is_timeout = result.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!is_timeout, "still open: {start:?}");
    }
    assert!(began_at.elapsed() > Duration::from_secs(3), "closed too early");
    assert_eq!(loopd.get("/healthz", &host), 200);
}

#[test]
fn out_of_files_it_rests_and_goes_on() {
    let dir = tempdir().unwrap();
    let loopd = Loopd::start_with_files(&dir, 64);
    let streams: Vec<_> = (0..100).map(|_| loopd.connect()).collect();
    wait_until("it is out of files", LIMIT, || loopd.log().contains("resting"));
    drop(streams);
    assert_eq!(loopd.get("/healthz", &loopd.host()), 200);
}
