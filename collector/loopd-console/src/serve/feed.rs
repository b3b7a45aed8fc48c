//! One feed for each target that somebody watches: it looks at the source once a second, and everybody who
//! watches shares what it saw.

use std::collections::{HashMap, HashSet};
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

/// The looks of all feeds together may take so much of the time: a fifth.
const SHARE: u32 = 5;

/// So many may look at single tasks at a time.
const MAX_DETAILS: usize = 64;

/// So many names are told to those who ask for one that nobody has, and as many of the latter logged.
const MAX_NAMES: usize = 20;

/// So many characters say why; the message is a header, which has a limit.
const MAX_REFUSAL: usize = 1_000;

/// Everything that is shared between those who watch.
#[derive(Debug)]
pub(super) struct Feeds {
    source: Source,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) viewers: Viewers,
    places: [Arc<Semaphore>; 2],
    /// One feed looks at a time.
    turn: Semaphore,
    /// Apps that somebody asked for and nobody recorded.
    unknown: Mutex<HashSet<String>>,
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
            places: [MAX_VIEWERS, MAX_DETAILS].map(|max| Arc::new(Semaphore::new(max))),
            turn: Semaphore::new(1),
            unknown: Mutex::default(),
            details: Semaphore::new(1),
            open: Mutex::default(),
        }
    }

    /// A place for one more stream of a sort; none if there are too many.
    pub(super) fn place(&self, sort: Place) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places[sort as usize]).try_acquire_owned().ok()
    }

    /// Why an app cannot be watched: nobody ever recorded one of this name.
    pub(super) async fn refusal(&self, target: &Target) -> Option<String> {
        let Target::App(app) = target else { return None };
        // Where nobody knows which there are, it is looked for.
        let apps = self.source.apps().await.ok()??;
        if apps.contains(app) {
            return None;
        }
        {
            let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
            if unknown.len() < MAX_NAMES && unknown.insert(app.clone()) {
                tracing::warn!(app, "tokio-console asks for an app that was never recorded");
            }
        }
        let more = if apps.len() > MAX_NAMES { " and others" } else { "" };
        let there = apps[..apps.len().min(MAX_NAMES)].join(", ");
        let why = match apps.is_empty() {
            true => format!("no app called {app:?} was recorded, nor any other"),
            false => format!("no app called {app:?} was recorded; there are {there}{more}"),
        };
        Some(why.chars().take(MAX_REFUSAL).collect())
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
        let _guard = Crashed { feeds: &self, target: &target };
        let mut looker = self.source.looker();
        let (mut has_failed, mut has_warned) = (false, false);
        let mut shown = HashMap::new();
        let mut stopped = self.stopped.clone();
        loop {
            // Nobody closes the semaphore.
            let turn = self.turn.acquire().await.ok();
            let began_at = Instant::now();
            let is_held = self.viewers.are_all_paused();
            match looker.look(&target, &shown, is_held).await {
                Ok(view) => {
                    has_failed = false;
                    if view.left_out > 0 && !std::mem::replace(&mut has_warned, true) {
                        let (shown, more) = (view.programs.len(), view.left_out);
                        tracing::warn!(
                            shown,
                            more,
                            "more programs run than tokio-console is shown"
                        );
                    }
                    let (before, target) = (Arc::clone(&feed.borrow()), target.clone());
                    let next = move || {
                        let next = before.next(&target, &view);
                        let shown = next.shown();
                        (next, shown)
                    };
                    let next = blocking(next).await;
                    shown = next.1;
                    feed.send_replace(Arc::new(next.0));
                }
                // Viewers keep what they see.
                Err(error) if !std::mem::replace(&mut has_failed, true) => {
                    let error = chain(&error);
                    tracing::warn!(error, "cannot read what tokio-console is to show");
                }
                Err(_) => {}
            }
            drop(turn);
            let feeds = u32::try_from(self.open().len()).unwrap_or(u32::MAX).max(1);
            let pause = began_at.elapsed().saturating_mul(SHARE.saturating_mul(feeds));
            tokio::select! {
                () = sleep_until(began_at + PERIOD.max(pause)) => {}
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

/// What places are for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Updates,
    Details,
}

/// Makes room for another feed if one crashes: those who watch it learn that it ended, and come back.
struct Crashed<'a> {
    feeds: &'a Feeds,
    target: &'a Target,
}

impl Drop for Crashed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.feeds.open().remove(self.target);
        }
    }
}

/// Does what takes long where nothing else waits for it.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
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
