//! `GET /api/v1/live`: says that there is newer data, so that a page knows what to fetch again.
//!
//! A follower that reads slowly holds back nobody: it gets the newest head when it is ready for
//! one, and never learns of those in between.
//!
//! One that comes back says which event it saw last. A head tells all that there is to know since this server
//! started, so that nothing is missed; but of what another run of the server said, nothing can be compared, and the
//! follower is told to forget it.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use http::StatusCode;
use loopd_model::UnixNanos;
use loopd_store::Head;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::state::{AppState, MAX_FOLLOWERS};
use crate::views::ViewError;
use crate::views::process::ProcessState;
use crate::views::text::UnixNanosText;

/// At most four a second: more only makes pages fetch more.
const MIN_INTERVAL: Duration = Duration::from_millis(250);
/// So that proxies and browsers do not take a quiet stream for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(1);

/// The data of a `head` event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeadView {
    /// The server's clock.
    pub now: UnixNanosText,
    /// Every process that has sent since the server started.
    pub processes: Vec<HeadProcess>,
    /// Rises with every change.
    pub version: u64,
}

/// The newest of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// The data of a `reset` event: what was said or answered before this stream is to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResetView {
    /// Why.
    pub reason: ResetReason,
}

/// Why a follower has to forget what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// The server was started again, over the same store: everything is to be asked again.
    Restarted,
    /// By another version of loopd: a page has to be loaded again as well.
    OtherVersion,
    /// It shows another store: numbers of processes mean other ones.
    OtherStore,
    /// The id that the follower sent is none of loopd's.
    Unknown,
}

/// Which server speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Speaker {
    store: String,
    loopd: String,
    started_at: UnixNanos,
}

impl Speaker {
    /// The id of the event of a head.
    fn event_id(&self, version: u64) -> String {
        format!("{}:{}:{}:{version}", self.store, self.loopd, self.started_at)
    }

    /// Who said an event, and the version of its head.
    fn of_event(id: &str) -> Option<(Self, u64)> {
        let mut parts = id.splitn(4, ':');
        let (store, loopd) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let started_at = UnixNanos(parts.next()?.parse().ok()?);
        Some((Self { store, loopd, started_at }, parts.next()?.parse().ok()?))
    }

    /// What a follower knows that saw this event last: the version of its head, or why nothing of it holds.
    fn known_to(&self, last_seen: &str) -> Result<u64, ResetReason> {
        let (other, version) = Self::of_event(last_seen).ok_or(ResetReason::Unknown)?;
        if other.store != self.store {
            Err(ResetReason::OtherStore)
        } else if other.loopd != self.loopd {
            Err(ResetReason::OtherVersion)
        } else if other.started_at != self.started_at {
            Err(ResetReason::Restarted)
        } else {
            Ok(version)
        }
    }
}

/// Answers with the stream, or with 503 if too many follow already. `last_seen` is the id of the last event that
/// the follower saw, if it followed before.
pub(crate) async fn respond(state: AppState, last_seen: Option<String>) -> Response {
    let Ok(place) = state.followers.clone().try_acquire_owned() else {
        let sentence = format!(
            "{MAX_FOLLOWERS} pages follow already; close one, or ask /api/v1/processes now and then"
        );
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence).into_response();
    };
    let store = match state.reader.status().await {
        Ok(store) => store,
        Err(error) => return ApiError::from(ViewError::from(error)).into_response(),
    };
    let speaker = Speaker {
        store: store.epoch.iter().map(|byte| format!("{byte:02x}")).collect(),
        loopd: state.info.version.clone(),
        started_at: state.info.started_at,
    };
    let known = last_seen.map(|id| speaker.known_to(&id));
    let first = Event::default().retry(RETRY);
    let first = match &known {
        None => first.comment("from now on"),
        Some(Ok(_)) => first.comment("from where you were"),
        Some(Err(reason)) => {
            let reset = ResetView { reason: *reason };
            // Serialising plain values cannot fail.
            first.event("reset").data(serde_json::to_string(&reset).unwrap_or_default())
        }
    };
    let follower = Follower {
        head: state.head,
        shutdown: state.shutdown,
        speaker,
        known: known.and_then(Result::ok),
        last_sent_at: None,
        _place: place,
    };
    let first = futures_util::stream::once(std::future::ready(Ok(first)));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(first.chain(follower.into_stream())).keep_alive(keep_alive).into_response()
}

struct Follower {
    head: watch::Receiver<Head>,
    shutdown: watch::Receiver<bool>,
    speaker: Speaker,
    /// The version of the head that it has.
    known: Option<u64>,
    last_sent_at: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures_util::stream::unfold(self, |mut follower| async move {
            let head = follower.next().await?;
            // Serialising plain values cannot fail; if it did, ending the stream is right.
            let data = serde_json::to_string(&head).ok()?;
            let id = follower.speaker.event_id(head.version);
            Some((Ok(Event::default().event("head").id(id).data(data)), follower))
        })
    }

    /// The next head that it does not have; `None` at the end.
    async fn next(&mut self) -> Option<HeadView> {
        let known = self.known;
        let earliest = self.last_sent_at.map(|sent_at| sent_at + MIN_INTERVAL);
        let newer = async {
            self.head.wait_for(|head| known != Some(head.version)).await.ok()?;
            if let Some(earliest) = earliest {
                tokio::time::sleep_until(earliest).await;
            }
            Some(())
        };
        tokio::select! {
            biased;
            _ = self.shutdown.wait_for(|is_down| *is_down) => return None,
            newer = newer => newer?,
        }
        self.last_sent_at = Some(Instant::now());
        let head = self.head.borrow_and_update().clone();
        self.known = Some(head.version);
        Some(HeadView::new(&head, crate::clock::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaker() -> Speaker {
        Speaker { store: "07".into(), loopd: "0.1.0".into(), started_at: UnixNanos(-5) }
    }

    #[test]
    fn an_id_says_what_its_reader_knows() {
        let here = speaker();
        assert_eq!(here.known_to(&here.event_id(7)), Ok(7));
        let again = Speaker { started_at: UnixNanos(9), ..speaker() };
        assert_eq!(here.known_to(&again.event_id(7)), Err(ResetReason::Restarted));
        let newer = Speaker { loopd: "0.2.0-rc.1+x".into(), ..again };
        assert_eq!(here.known_to(&newer.event_id(7)), Err(ResetReason::OtherVersion));
        let elsewhere = Speaker { store: "08".into(), ..newer };
        assert_eq!(here.known_to(&elsewhere.event_id(7)), Err(ResetReason::OtherStore));
        for text in ["", "7", "a:b:c:d", "07:0.1.0:-5:", "07:0.1.0:-5:7:8"] {
            assert_eq!(here.known_to(text), Err(ResetReason::Unknown), "{text}");
        }
    }
}
