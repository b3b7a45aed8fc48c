//! One feed for each target that somebody watches: it looks at the source once a second, and everybody who
//! watches shares what it saw.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loopd_model::{TaskId, UnixNanos};
use loopd_store::{ProcessKey, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::details::Histograms;
use super::snapshot::Snapshot;
use super::target::Target;
use super::view::Source;
use super::viewers::Viewers;

/// So many may watch at a time: each has a list of what it was told.
pub const MAX_VIEWERS: usize = 64;

/// From look to look.
const PERIOD: Duration = Duration::from_secs(1);

/// A look may take so much of the time until the next.
const SHARE: u32 = 5;

/// Everything that is shared between those who watch.
#[derive(Debug)]
pub(super) struct Feeds {
    source: Source,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) viewers: Viewers,
    places: Arc<Semaphore>,
    /// One task's details are read at a time: they may be of millions of polls.
    details: Semaphore,
    open: Mutex<HashMap<Target, watch::Sender<Arc<Snapshot>>>>,
}

impl Feeds {
    pub(super) fn new(source: Source, stopped: watch::Receiver<bool>) -> Self {
        Self {
            source,
            stopped,
            viewers: Viewers::default(),
            places: Arc::new(Semaphore::new(MAX_VIEWERS)),
            details: Semaphore::new(1),
            open: Mutex::default(),
        }
    }

    /// A place for one more stream; none if there are too many.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Follows a target. The first snapshot, number 0, is there before anything was looked at.
    pub(super) fn follow(self: &Arc<Self>, target: &Target) -> watch::Receiver<Arc<Snapshot>> {
        let mut open = self.open();
        if let Some(feed) = open.get(target) {
            return feed.subscribe();
        }
        let (feed, snapshots) = watch::channel(Arc::default());
        open.insert(target.clone(), feed.clone());
        tokio::spawn(Arc::clone(self).run(target.clone(), feed));
        snapshots
    }

    /// Looks for as long as anybody watches.
    async fn run(self: Arc<Self>, target: Target, feed: watch::Sender<Arc<Snapshot>>) {
        let mut looker = self.source.looker();
        let mut has_failed = false;
        let mut stopped = self.stopped.clone();
        loop {
            let began_at = Instant::now();
            let before = Arc::clone(&feed.borrow());
            let is_held = self.viewers.are_all_paused();
            match looker.look(&target, &before.shown(), is_held).await {
                Ok(view) => {
                    has_failed = false;
                    feed.send_replace(Arc::new(before.next(&target, &view)));
                }
                // Viewers keep what they see.
                Err(error) if !std::mem::replace(&mut has_failed, true) => {
                    let error = chain(&error);
                    tracing::warn!(error, "cannot read what tokio-console is to show");
                }
                Err(_) => {}
            }
            let next_at = began_at + PERIOD.max(began_at.elapsed() * SHARE);
            tokio::select! {
                () = sleep_until(next_at) => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
            let mut open = self.open();
            if feed.receiver_count() == 0 || *self.stopped.borrow() {
                open.remove(&target);
                return;
            }
        }
    }

    /// Histograms of one task.
    pub(super) async fn histograms(
        &self,
        (process, task): (ProcessKey, u64),
        now: UnixNanos,
    ) -> Result<Option<Histograms>, StoreError> {
        // Nobody closes the semaphore.
        let _turn = self.details.acquire().await.ok();
        self.source.histograms((process, TaskId(task)), now).await
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<Target, watch::Sender<Arc<Snapshot>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error with what caused it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
