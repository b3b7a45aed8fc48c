//! The first page names the question that it will ask.

use std::time::{Duration, Instant};

use http::header::LINK;
use loopd_model::{Batch, UnixNanos};

use super::recording::{self, START};
use super::server::Server;

const HOUR: i64 = 3_600_000_000_000;
/// Nothing takes longer, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// The process of which a path's page will ask; `None` if it is not said.
async fn asked(server: &Server, path: &str) -> Option<i64> {
    let response = server.get(path).await;
    let link = response.headers().get(LINK)?.to_str().unwrap();
    let number = link.strip_prefix("</api/v1/overview?process=").unwrap();
    let number = number.strip_suffix(">; rel=preload; as=fetch; crossorigin=anonymous");
    number.unwrap().parse().ok()
}

/// The same, once it is said: a page does not wait for a store that is too busy to answer at once.
async fn asked_at_last(server: &Server, path: &str) -> i64 {
    let deadline = Instant::now() + LIMIT;
    loop {
        match asked(server, path).await {
            Some(process) => return process,
            None => assert!(Instant::now() < deadline, "{path} names no question"),
        }
    }
}

#[tokio::test]
async fn a_page_asks_for_nothing_while_there_is_no_process() {
    assert_eq!(asked(&Server::empty().await, "/").await, None);
}

#[tokio::test]
async fn it_asks_for_the_process_that_it_shows() {
    let server = Server::start().await;
    assert_eq!(asked_at_last(&server, "/").await, 1, "the only one, though it is over");
    let mut early = recording::process(9, "early");
    early.anchor.unix = UnixNanos(START - HOUR);
    let mut batch = Batch { seq: 1, anchor: early.anchor, ..Batch::default() };
    batch.ledger = recording::ledger(&batch);
    let live = recording::store(&mut *server.writer.lock().await, &early, batch).await;
    assert_eq!(
        asked_at_last(&server, "/").await,
        live.0,
        "the one that lives, though it began before"
    );
    assert_eq!(asked_at_last(&server, "/?last=1h&process=1").await, 1);
    for unknown in ["/?process=99", "/?process=x%3E", "/?process="] {
        assert_eq!(asked_at_last(&server, unknown).await, live.0, "{unknown}");
    }
    // Other pages ask for something else.
    assert_eq!(asked(&server, "/tasks?process=1").await, None);
}
