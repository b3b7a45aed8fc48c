//! The service's calls: requests in, streams out.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use console_api::instrument::instrument_server::Instrument;
use console_api::instrument::{
    InstrumentRequest, PauseRequest, PauseResponse, ResumeRequest, ResumeResponse, State,
    StateRequest, TaskDetailsRequest, Temporality, Update,
};
use console_api::tasks::TaskDetails;
use futures_util::stream::{Stream, StreamExt, unfold};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Request, Response, Status};

use super::Console;
use super::feed::{Feeds, MAX_VIEWERS, Place, chain};
use super::snapshot::Snapshot;
use super::target::Target;
use super::viewer::Told;
use super::viewers::Viewer;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Reading details may take so much of the time of the one who looks at them.
const DETAILS_SHARE: u32 = 5;

/// Who asks for a task's details before anything was looked at waits so long: `tokio-console` does nothing
/// else meanwhile.
const MAX_WAIT: Duration = Duration::from_secs(2);

#[tonic::async_trait]
impl Instrument for Console {
    type WatchUpdatesStream = Answers<Update>;
    type WatchTaskDetailsStream = Answers<TaskDetails>;
    type WatchStateStream = Answers<State>;

    async fn watch_updates(
        &self,
        request: Request<InstrumentRequest>,
    ) -> Result<Response<Self::WatchUpdatesStream>, Status> {
        if let Some(why) = self.feeds.refusal(&target(&request)).await {
            return Err(Status::not_found(why));
        }
        let watching = Watching::new(&self.feeds, &request, Place::Updates)?;
        let updates = unfold((watching, Told::default()), |(mut watching, mut told)| async move {
            let snapshot = watching.next(|snapshot| told.lacks(snapshot)).await?;
            let update = told.next(&snapshot);
            Some((Ok(update), (watching, told)))
        });
        Ok(Response::new(until_stopped(&self.feeds, updates)))
    }

    async fn watch_task_details(
        &self,
        request: Request<TaskDetailsRequest>,
    ) -> Result<Response<Self::WatchTaskDetailsStream>, Status> {
        let watching = Watching::new(&self.feeds, &request, Place::Details)?;
        let id = request.get_ref().id.map(|id| id.id).unwrap_or_default();
        let now = watching.now().await;
        let now = now.ok_or_else(|| Status::unavailable("nothing was looked at yet; try again"))?;
        if now.tasks.get(id).is_none() {
            return Err(Status::not_found("no such task, or it ended some time ago"));
        }
        let begin = Details { watching, id, told: 0, is_last: false, not_before: Instant::now() };
        let details = unfold(begin, Details::next);
        Ok(Response::new(until_stopped(&self.feeds, details)))
    }

    async fn watch_state(
        &self,
        request: Request<StateRequest>,
    ) -> Result<Response<Self::WatchStateStream>, Status> {
        let viewer = self.feeds.viewers.of(peer(&request));
        let mut states = viewer.follow();
        states.mark_changed();
        // The viewer is kept for as long as the stream.
        let states = unfold((states, viewer), |(mut states, viewer)| async move {
            states.changed().await.ok()?;
            let is_paused = *states.borrow_and_update();
            let temporality = if is_paused { Temporality::Paused } else { Temporality::Live };
            let state = State { temporality: temporality as i32 };
            Some((Ok(state), (states, viewer)))
        });
        Ok(Response::new(until_stopped(&self.feeds, states)))
    }

    async fn pause(
        &self,
        request: Request<PauseRequest>,
    ) -> Result<Response<PauseResponse>, Status> {
        self.feeds.viewers.pause(peer(&request), true);
        Ok(Response::new(PauseResponse {}))
    }

    async fn resume(
        &self,
        request: Request<ResumeRequest>,
    ) -> Result<Response<ResumeResponse>, Status> {
        self.feeds.viewers.pause(peer(&request), false);
        Ok(Response::new(ResumeResponse {}))
    }
}

fn peer<T>(request: &Request<T>) -> Option<SocketAddr> {
    request.extensions().get::<SocketAddr>().copied().or_else(|| request.remote_addr())
}

fn target<T>(request: &Request<T>) -> Target {
    request.extensions().get::<Target>().cloned().unwrap_or_default()
}

/// The server's end ends every stream, so that connections can be closed.
fn until_stopped<T: 'static>(
    feeds: &Arc<Feeds>,
    stream: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> Answers<T> {
    let mut stopped = feeds.stopped.clone();
    let stop = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    Box::pin(stream.take_until(Box::pin(stop)))
}

/// Somebody who watches a target.
struct Watching {
    feeds: Arc<Feeds>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    is_paused: watch::Receiver<bool>,
    _viewer: Arc<Viewer>,
    _place: OwnedSemaphorePermit,
}

impl Watching {
    fn new<T>(feeds: &Arc<Feeds>, request: &Request<T>, sort: Place) -> Result<Self, Status> {
        let place = feeds.place(sort).ok_or_else(|| {
            let why = format!("more than {MAX_VIEWERS} viewers watch already; close one of them");
            Status::resource_exhausted(why)
        })?;
        let viewer = feeds.viewers.of(peer(request));
        Ok(Self {
            feeds: Arc::clone(feeds),
            snapshots: feeds.follow(&target(request)),
            is_paused: viewer.follow(),
            _viewer: viewer,
            _place: place,
        })
    }

    /// The latest snapshot, paused or not, once there is one.
    async fn now(&self) -> Option<Arc<Snapshot>> {
        let mut snapshots = self.snapshots.clone();
        let looked = snapshots.wait_for(|snapshot| snapshot.number > 0);
        let snapshot = timeout(MAX_WAIT, looked).await.ok()?.ok()?;
        Some(Arc::clone(&snapshot))
    }

    /// The latest snapshot, once it is one that is wanted and nobody has paused; `None` at the end.
    async fn next(&mut self, is_wanted: impl Fn(&Snapshot) -> bool) -> Option<Arc<Snapshot>> {
        loop {
            self.is_paused.wait_for(|is_paused| !*is_paused).await.ok()?;
            let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
            if is_wanted(&snapshot) {
                return Some(snapshot);
            }
            tokio::select! {
                changed = self.snapshots.changed() => changed.ok()?,
                changed = self.is_paused.changed() => changed.ok()?,
            }
        }
    }
}

/// Somebody who looks at one task.
struct Details {
    watching: Watching,
    id: u64,
    /// The snapshot in which the task had changed to what was told of it; 0: nothing was.
    told: u64,
    is_last: bool,
    /// A task of millions of polls is not read without end.
    not_before: Instant,
}

impl Details {
    /// The next that is new, until the task has ended or is forgotten. The first is what a viewer looks at
    /// now, whether it has paused or not.
    async fn next(mut self) -> Option<(Result<TaskDetails, Status>, Self)> {
        if self.is_last {
            return None;
        }
        sleep_until(self.not_before).await;
        let (id, told) = (self.id, self.told);
        let is_new = |snapshot: &Snapshot| {
            snapshot.number > 0 && snapshot.tasks.get(id).is_none_or(|it| it.changed_in != told)
        };
        let snapshot = match told {
            0 => self.watching.now().await?,
            _ => self.watching.next(is_new).await?,
        };
        let entry = snapshot.tasks.get(id)?;
        self.is_last = entry.ended_at.is_some();
        self.told = entry.changed_in;
        let began_at = Instant::now();
        let found = self.watching.feeds.histograms(entry.key, snapshot.now).await;
        let details = match found {
            Ok(Some(found)) => found.message(id, snapshot.now),
            Ok(None) => return None,
            Err(error) => return Some((Err(Status::internal(chain(&error))), self)),
        };
        self.not_before = Instant::now() + began_at.elapsed() * DETAILS_SHARE;
        Some((Ok(details), self))
    }
}
