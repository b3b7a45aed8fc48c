//! `GET /api/v1/live`: says that there is newer data, so that a page knows what to fetch again.
//!
//! A follower that reads slowly holds back nobody: it gets the newest head when it is ready for
//! one, and never learns of those in between.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use http::StatusCode;
use loopd_model::UnixNanos;
use loopd_store::Head;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::error::ApiError;
use crate::state::{AppState, MAX_FOLLOWERS};
use crate::views::process::ProcessState;
use crate::views::text::UnixNanosText;

/// At most four a second: more only makes pages fetch more.
const MIN_INTERVAL: Duration = Duration::from_millis(250);
/// So that proxies and browsers do not take a quiet stream for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The data of a `head` event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadView {
    /// The server's clock.
    pub now: UnixNanosText,
    /// Every process that has sent since the server started.
    pub processes: Vec<HeadProcess>,
    /// Rises with every change.
    pub version: u64,
}

/// The newest of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadProcess {
    /// Its number.
    pub process: i64,
    /// Up to when its data has arrived.
    pub last_at: UnixNanosText,
    /// Whether it still sends.
    pub state: ProcessState,
}

impl HeadView {
    fn new(head: &Head, now: UnixNanos) -> Self {
        let process = |process: &loopd_store::HeadProcess| HeadProcess {
            process: process.process.0,
            last_at: process.last_at.into(),
            state: process.state.into(),
        };
        Self {
            now: now.into(),
            processes: head.processes.iter().map(process).collect(),
            version: head.version,
        }
    }
}

/// Answers with the stream, or with 503 if too many follow already.
pub(crate) fn respond(state: AppState) -> Response {
    let Ok(place) = state.followers.clone().try_acquire_owned() else {
        let sentence = format!(
            "{MAX_FOLLOWERS} pages follow already; close one, or ask /api/v1/processes now and then"
        );
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence).into_response();
    };
    let follower =
        Follower { head: state.head, shutdown: state.shutdown, last_sent_at: None, _place: place };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(follower.into_stream()).keep_alive(keep_alive).into_response()
}

struct Follower {
    head: watch::Receiver<Head>,
    shutdown: watch::Receiver<bool>,
    last_sent_at: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures_util::stream::unfold(self, |mut follower| async move {
            let head = follower.next().await?;
            // Serialising plain values cannot fail; if it did, ending the stream is right.
            let data = serde_json::to_string(&head).ok()?;
            Some((Ok(Event::default().event("head").data(data)), follower))
        })
    }

    /// The head now for a new follower, else the next one that differs; `None` at the end.
    async fn next(&mut self) -> Option<HeadView> {
        if let Some(last_sent_at) = self.last_sent_at {
            let changed = async {
                self.head.changed().await.ok()?;
                tokio::time::sleep_until(last_sent_at + MIN_INTERVAL).await;
                Some(())
            };
            tokio::select! {
                changed = changed => changed?,
                _ = self.shutdown.wait_for(|is_down| *is_down) => return None,
            }
        } else if *self.shutdown.borrow() {
            return None;
        }
        self.last_sent_at = Some(Instant::now());
        let head = self.head.borrow_and_update().clone();
        Some(HeadView::new(&head, crate::clock::now()))
    }
}
