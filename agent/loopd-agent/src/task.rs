//! [`tokio::task`] with a memory: who waits for the end of which task.
//!
//! ```
//! # async fn example() {
//! // Was: use tokio::task::JoinSet;
//! use loopd_agent::task::JoinSet;
//!
//! let mut tasks = JoinSet::new();
//! tasks.spawn(async { 1 });
//! while let Some(done) = tasks.join_next().await {
//!     assert_eq!(done.unwrap(), 1);
//! }
//! # }
//! ```
//!
//! Tasks spawned here are recorded as those of [`loopd_agent::spawn`](crate::spawn) are. What a
//! [`JoinHandle`] is waited for is held by its task. A [`JoinSet`] is a resource; which of its tasks
//! will be the next, nobody knows.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use loopd_model::CloseHow;
use tokio::task;
pub use tokio::task::{
    AbortHandle, Id, JoinError, block_in_place, consume_budget, id, try_id, yield_now,
};

use crate::clock::ticks;
use crate::resource::{Call, Target, Wait};
use crate::tracked::Opened;
use crate::waits::Op;
use crate::{JoinSetExt, hooks, recorder};

/// As [`tokio::spawn`]; also records who waits for the task.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    JoinHandle::from(crate::spawn(future))
}

/// As [`tokio::task::spawn_local`]; also records who waits for the task.
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    JoinHandle::from(crate::spawn_local(future))
}

/// As [`tokio::task::spawn_blocking`]; also records who waits for the job.
#[track_caller]
pub fn spawn_blocking<F, R>(job: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    JoinHandle::from(crate::spawn_blocking(job))
}

/// As [`tokio::task::JoinHandle`]. Made by spawning here, or of one of tokio's. It counts as opened
/// once somebody has to wait for it.
#[derive(Debug)]
pub struct JoinHandle<T> {
    // Before the resource it is on.
    wait: Option<Wait<'static>>,
    opened: Option<Opened>,
    made_at: &'static Location<'static>,
    since: u64,
    inner: task::JoinHandle<T>,
}

impl<T> From<task::JoinHandle<T>> for JoinHandle<T> {
    #[track_caller]
    fn from(inner: task::JoinHandle<T>) -> Self {
        let made_at = Location::caller();
        Self { wait: None, opened: None, made_at, since: ticks(), inner }
    }
}

impl<T> JoinHandle<T> {
    /// The wait that begins now. Where a handle is awaited is not known.
    #[cold]
    fn begin(&mut self) -> Wait<'static> {
        let task = hooks::task_number(self.inner.id());
        let open = || Opened::at(self.made_at, "join_handle", String::new, CloseHow::Dropped);
        self.opened = self.opened.take().or_else(open);
        let target = match self.opened.as_ref().map_or(Target::Off, Opened::target) {
            Target::Resource(handle) => Target::Task { handle, task, since: self.since },
            other => other,
        };
        Wait::new(Call { target, op: Op::Join, location: None, amount: 0 })
    }
}

impl<T> JoinHandle<T> {
    /// What is inside: its waits are not recorded.
    pub fn into_inner(self) -> task::JoinHandle<T> {
        self.inner
    }
}

impl<T> Deref for JoinHandle<T> {
    type Target = task::JoinHandle<T>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.inner).poll(context);
        if polled.is_pending() && self.wait.is_none() && recorder::records_waits() {
            self.wait = Some(self.begin());
        }
        if let Some(wait) = &mut self.wait {
            wait.settle(&polled);
        }
        polled
    }
}

/// As [`tokio::task::JoinSet`]. What is not listed here is tokio's own, through [`Deref`].
#[derive(Debug)]
pub struct JoinSet<T> {
    inner: task::JoinSet<T>,
    opened: Option<Opened>,
}

impl<T> JoinSet<T> {
    /// As [`tokio::task::JoinSet::new`].
    #[track_caller]
    pub fn new() -> Self {
        let opened = Opened::new("join_set", "", CloseHow::Dropped);
        Self { inner: task::JoinSet::new(), opened }
    }

    #[track_caller]
    fn call(&self) -> Call<'static> {
        let target = self.opened.as_ref().map_or(Target::Off, Opened::target);
        Call { target, op: Op::Join, location: Some(Location::caller()), amount: 0 }
    }
}

impl<T: 'static> JoinSet<T> {
    /// As [`tokio::task::JoinSet::spawn`]; also records wakes and how the task ends.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.inner.spawn_recorded(None, future)
    }

    /// As [`tokio::task::JoinSet::join_next`].
    #[track_caller]
    pub fn join_next(&mut self) -> impl Future<Output = Option<Result<T, JoinError>>> {
        self.call().wait(self.inner.join_next())
    }

    /// As [`tokio::task::JoinSet::join_next_with_id`].
    #[track_caller]
    pub fn join_next_with_id(
        &mut self,
    ) -> impl Future<Output = Option<Result<(Id, T), JoinError>>> {
        self.call().wait(self.inner.join_next_with_id())
    }

    /// As [`tokio::task::JoinSet::shutdown`].
    #[track_caller]
    pub fn shutdown(&mut self) -> impl Future<Output = ()> {
        self.call().wait(self.inner.shutdown())
    }

    /// As [`tokio::task::JoinSet::join_all`].
    #[track_caller]
    pub fn join_all(self) -> impl Future<Output = Vec<T>> {
        let call = self.call();
        async move {
            let Self { inner, opened } = self;
            let all = call.wait(inner.join_all()).await;
            drop(opened);
            all
        }
    }
}

impl<T> Default for JoinSet<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for JoinSet<T> {
    type Target = task::JoinSet<T>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl<T> DerefMut for JoinSet<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.inner
    }
}
