//! The stream that says when there is newer data.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use http::StatusCode;
use http_body_util::BodyExt;
use loopd_dashboard::views::process::ProcessState;
use loopd_dashboard::{HeadView, MAX_FOLLOWERS, ResetReason, ResetView};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::recording;
use super::server::Server;

/// Longer than any of this takes, shorter than anybody waits for a test.
const LIMIT: Duration = Duration::from_secs(120);

/// The next event, line by line; `None` at the end of the stream.
async fn event(body: &mut Body) -> Option<String> {
    let frame = tokio::time::timeout(LIMIT, body.frame()).await.unwrap()?;
    Some(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap())
}

/// The next head's data, comments aside; `None` at the end of the stream.
async fn next(body: &mut Body) -> Option<HeadView> {
    loop {
        let text = event(body).await?;
        if text.lines().any(|line| line == "event: head") {
            let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect(&text);
            return Some(serde_json::from_str(data).unwrap());
        }
    }
}

#[tokio::test]
async fn a_commit_is_announced() {
    let server = Server::empty().await;
    let response = server.get("/api/v1/live").await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let first = next(&mut body).await.unwrap();
    assert_eq!(first.processes, []);

    let process = recording::add_lossy(&mut *server.writer.lock().await).await;
    loop {
        let head = next(&mut body).await.unwrap();
        assert!(head.version > first.version);
        // The beginning of the session may be announced before its first batch.
        if let Some(found) = head.processes.iter().find(|found| found.process == process.0)
            && found.last_at.0 > recording::START + 3_600_000_000_000
        {
            assert_eq!(found.state, ProcessState::Live);
            break;
        }
    }
}

#[tokio::test]
async fn a_shutdown_ends_the_stream() {
    let server = Server::empty().await;
    let mut body = server.get("/api/v1/live").await.into_body();
    assert!(next(&mut body).await.is_some());
    server.shutdown.send(true).unwrap();
    assert!(next(&mut body).await.is_none());
}

#[tokio::test]
async fn one_follower_too_many_is_told_so_until_another_leaves() {
    let server = Server::empty().await;
    let mut followers = Vec::new();
    for _ in 0..MAX_FOLLOWERS {
        followers.push(server.get("/api/v1/live").await);
    }
    assert_eq!(server.get("/api/v1/live").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    followers.pop();
    assert_eq!(server.get("/api/v1/live").await.status(), StatusCode::OK);
}

/// A client over a real connection, which sees what a browser does.
struct Connection {
    lines: tokio::io::Lines<BufReader<TcpStream>>,
}

impl Connection {
    async fn open(address: SocketAddr, path: &str, last_seen: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let header = last_seen.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut connection = Self { lines: BufReader::new(stream).lines() };
        assert_eq!(connection.line().await, "HTTP/1.1 200 OK");
        connection
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(LIMIT, self.lines.next_line()).await.unwrap();
        line.unwrap().expect("the stream goes on").trim_end().to_owned()
    }

    /// The value of the next field of this name, whatever comes before it.
    async fn field(&mut self, name: &str) -> String {
        loop {
            if let Some(value) = self.line().await.strip_prefix(name) {
                return value.to_owned();
            }
        }
    }
}

/// Listens until the test ends.
async fn listen(server: &Server) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, server.router.clone()).into_future());
    address
}

#[tokio::test]
async fn who_comes_back_gets_what_is_new_and_nothing_twice() {
    let server = Server::empty().await;
    let address = listen(&server).await;
    let mut first = Connection::open(address, "/api/v1/live", None).await;
    assert_eq!(first.field("retry: ").await, "1000");
    let id = first.field("id: ").await;
    drop(first);

    // By header, and by parameter for those that cannot set one.
    let path = format!("/api/v1/live?after={id}");
    let mut by_header = Connection::open(address, "/api/v1/live", Some(&id)).await;
    let mut by_parameter = Connection::open(address, &path, None).await;
    for back in [&mut by_header, &mut by_parameter] {
        assert_eq!(back.field(": ").await, "from where you were");
    }
    let process = recording::add_lossy(&mut *server.writer.lock().await).await;
    for back in [&mut by_header, &mut by_parameter] {
        let newer = back.field("id: ").await;
        assert_ne!(newer, id);
        let head: HeadView = serde_json::from_str(&back.field("data: ").await).unwrap();
        assert_eq!(head.processes[0].process, process.0);
    }
}

#[tokio::test]
async fn who_knew_another_run_of_the_server_is_told_to_forget_it() {
    let server = Server::empty().await;
    let address = listen(&server).await;
    let id = Connection::open(address, "/api/v1/live", None).await.field("id: ").await;
    let parts: Vec<_> = id.split(':').collect();
    let [store, loopd, started_at, _] = parts[..] else { panic!("{id}") };
    for (earlier, reason) in [
        (format!("{store}:{loopd}:7:{}", u64::MAX), ResetReason::Restarted),
        (format!("{store}:0.0.1:{started_at}:0"), ResetReason::OtherVersion),
        (format!("00:{loopd}:{started_at}:0"), ResetReason::OtherStore),
        ("what".to_owned(), ResetReason::Unknown),
    ] {
        let mut back = Connection::open(address, "/api/v1/live", Some(&earlier)).await;
        assert_eq!(back.field("event: ").await, "reset");
        let reset: ResetView = serde_json::from_str(&back.field("data: ").await).unwrap();
        assert_eq!(reset.reason, reason, "{earlier}");
        assert_eq!(back.field("event: ").await, "head");
        assert_eq!(back.field("id: ").await, id);
    }
}
