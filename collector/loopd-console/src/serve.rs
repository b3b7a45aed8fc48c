//! Serves what was recorded to `tokio-console`, live or from the past.
//!
//! A [`Console`] is the service `Instrument` of console-api 0.9. For every app that somebody watches, and
//! for all of them together, one feed looks at the store once a second and makes one snapshot of it, which
//! all who watch share (`feed`, `snapshot`). A viewer knows what it was told (`viewer`): it gets what differs
//! from that whenever it can take it, so one that is slow, or paused, misses what was in between and costs
//! nothing.
//!
//! Bounds: [`MAX_TASKS`] tasks that are alive, [`MAX_ENDED`] that have ended, [`MAX_RESOURCES`] resources and
//! [`MAX_OPS`] operations of each program, and 100 programs; [`MAX_UPDATE_BYTES`] of an update, of which as
//! many follow each other as it takes; [`MAX_VIEWERS`] at a time, and as many who look at single tasks. One
//! feed looks at a time, and all together no more than a fifth of the time: with many feeds, each looks less
//! often. What is shown stays until the store says that it ended or its program is over. More programs than
//! are shown are said in the log.
//!
//! Who comes back after a break is told what ended in the last minute before: `tokio-console` keeps its screen
//! over a break, and what ended earlier in it stays there until the client is started anew.
//!
//! Who asks for an app that was never recorded is refused, and told which there are: `tokio-console` tries
//! again every five seconds, and has the reason in its log only; so has loopd, once.
//!
//! # Who sees what
//!
//! A viewer sees every app that is live, or the one that its address names before the host, as in
//! `http://orders@127.0.0.1:7411` (see [`Target`]). The protocol has no sessions: streams and calls of one
//! connection are one viewer's, so pausing stops that connection alone. Viewers behind a proxy that shares
//! one connection among them also share its pause.
//!
//! # What the protocol's words mean here
//!
//! | message | field | from |
//! |---|---|---|
//! | `Update` | `now` | up to when the newest of the programs is known; of a replay, its clock |
//! | | `new_metadata` | five fixed entries, in a viewer's first update |
//! | `Task` | `id` | made of the process and loopd's id of the task: the same after a restart |
//! | | `metadata` | target `tokio::task`, `tokio::task::blocking` or `asyncio` |
//! | | `kind` | `BLOCKING` for blocking jobs, else `SPAWN` |
//! | | `fields` | `task.id` (loopd's), `task.name`, `kind` (`task`, `local`, `block_on`, `blocking`), what the program said of it; `app` where all are shown; `pid` of a run that is not the only one of its app when it comes. A task that gets its name or fields later is told anew: what `tokio-console` has open of it stands still until it is opened again |
//! | | `parents` | the task that spawned it, if known |
//! | | `location` | where it was spawned; absent if not seen |
//! | `Stats` | `created_at` | its spawn; not seen: the first that is known of it, else of its process |
//! | | `dropped_at` | its end, or that of its program. What left the store gets the instant at which that was noticed. What comes back, as after a connection was lost for long, is told as new |
//! | | `wakes`, `self_wakes`, `scheduled_time` | as recorded; 0 without wakes |
//! | | `waker_clones`, `waker_drops` | not recorded. Clones are 1 and drops 0, so that nobody is warned of a lost waker, unless nothing is left that could wake the task: then both are 0 |
//! | | `last_wake` | the last wake that led to a poll that is over, or known to go on; absent without wakes. Agents tell of a wake when its poll begins, so a live task never shows as scheduled; one of a replay does, and one of a program that is attached |
//! | `PollStats` | `polls` | that have ended, and 1 if one is known to go on |
//! | | `first_poll`, `last_poll_started`, `last_poll_ended` | as recorded; a poll that goes on is known once it is slow, and of blocking jobs always |
//! | | `busy_time` | of polls that have ended |
//! | `TaskUpdate` | `dropped_events` | tasks that are alive and not shown, since they are more than [`MAX_TASKS`]: the most that were so at a time, since viewers take nothing back, and at least so many: of each program 100,000 are counted |
//! | `Resource` | `kind` | `Timer`, or in words: `Sync`, `Channel`, `Fs`, `Net` and so on |
//! | | `concrete_type` | loopd's kind, as in `mutex` or `tokio::sync::Mutex` |
//! | | `parent_resource_id`, `is_internal` | absent, false: loopd shows what the program uses |
//! | | `attributes` | `name` and what was last told of its state; `app` as for tasks |
//! | `AsyncOp` | `source` | what is done, as in `mutex::lock` |
//! | | `Stats` | begin and end of a wait, its task, `permits` wanted; polls are not counted and 0 |
//! | `ResourceUpdate` | `new_poll_ops` | empty: waits are told as operations |
//! | `TaskDetails` | histograms | of every poll and wake that is still kept, in nanoseconds up to an hour; what is longer counts as outlier |
//!
//! Waits of less than a second may begin and end between two looks and are not shown, nor are waits for
//! something that is not known.

mod details;
mod feed;
mod live;
mod map;
mod replay;
mod service;
mod snapshot;
mod target;
mod view;
mod viewer;
mod viewers;

use std::sync::Arc;

use console_api::instrument::instrument_server::InstrumentServer;
use loopd_store::{Head, Reader};
use tokio::sync::watch;
use tonic::service::Routes;

pub use details::MAX_HISTOGRAM;
pub use feed::MAX_VIEWERS;
pub use replay::{InvalidReplay, ReplayRange};
pub use snapshot::KEEP_ENDED;
pub use target::Target;
pub use view::{MAX_ENDED, MAX_OPS, MAX_RESOURCES, MAX_TASKS};
pub use viewer::MAX_UPDATE_BYTES;

use feed::Feeds;
use view::Source;

/// The path of everything that is asked of the service, for a router.
pub const ROUTE: &str = "/rs.tokio.console.instrument.Instrument/{*method}";

/// What [`ROUTE`] begins with.
pub const PATH: &str = "/rs.tokio.console.instrument.Instrument/";

/// The service, for one listener or many. Cheap to clone.
///
/// Who may ask is the listener's matter. It puts into a request's extensions what the service tells viewers
/// apart by, the connection's [`SocketAddr`](std::net::SocketAddr) where it is not tonic's own, and which app
/// is meant, a [`Target`]; requests without the one are one viewer's, without the other of all apps.
#[derive(Clone, Debug)]
pub struct Console {
    feeds: Arc<Feeds>,
}

impl Console {
    /// Shows what is live, until `stopped` becomes true.
    pub fn live(
        reader: Reader,
        head: watch::Receiver<Head>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self { feeds: Arc::new(Feeds::new(Source::Live { reader, head }, stopped)) }
    }

    /// Shows the past, from when the first viewer comes.
    pub fn replay(reader: Reader, range: ReplayRange, stopped: watch::Receiver<bool>) -> Self {
        Self { feeds: Arc::new(Feeds::new(Source::Replay { reader, range }, stopped)) }
    }

    /// The gRPC service, for a router.
    pub fn routes(&self) -> Routes {
        Routes::new(InstrumentServer::new(self.clone()))
    }
}
