//! Runtimes under watch: a tokio builder with loopd's hooks in it, chained before the program's own.

use std::future::Future;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::runtime::Builder;

use crate::clock::ticks;
use crate::hooks::{self, Callback};
use crate::recorder::{Loop, LoopOrigin};
use crate::tasks;

#[cfg(tokio_unstable)]
use crate::hooks::TaskCallback;

/// Builds a [`Runtime`]. Made by [`Agent::attach`](crate::Agent::attach).
///
/// Tokio keeps one callback per hook and loopd needs those, so the program's own callbacks are set
/// here instead of on tokio's builder; they run after loopd's.
#[must_use = "a runtime is only made by `build`"]
pub struct RuntimeBuilder {
    builder: Builder,
    name: String,
    is_recorded: bool,
    user: UserHooks,
}

/// The program's own callbacks.
#[derive(Default)]
pub(crate) struct UserHooks {
    pub(crate) thread_start: Option<Callback>,
    pub(crate) thread_stop: Option<Callback>,
    pub(crate) thread_park: Option<Callback>,
    pub(crate) thread_unpark: Option<Callback>,
    #[cfg(tokio_unstable)]
    pub(crate) task_spawn: Option<TaskCallback>,
    #[cfg(tokio_unstable)]
    pub(crate) before_poll: Option<TaskCallback>,
    #[cfg(tokio_unstable)]
    pub(crate) after_poll: Option<TaskCallback>,
    #[cfg(tokio_unstable)]
    pub(crate) task_terminate: Option<TaskCallback>,
}

impl RuntimeBuilder {
    pub(crate) fn new(name: &str, builder: Builder, is_recorded: bool) -> Self {
        let user = UserHooks::default();
        Self { builder, name: name.to_owned(), is_recorded, user }
    }

    /// As [`Builder::on_thread_start`].
    pub fn on_thread_start(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.user.thread_start = Some(Box::new(f));
        self
    }

    /// As [`Builder::on_thread_stop`].
    pub fn on_thread_stop(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.user.thread_stop = Some(Box::new(f));
        self
    }

    /// As [`Builder::on_thread_park`].
    pub fn on_thread_park(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.user.thread_park = Some(Box::new(f));
        self
    }

    /// As [`Builder::on_thread_unpark`].
    pub fn on_thread_unpark(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.user.thread_unpark = Some(Box::new(f));
        self
    }

    /// Makes the runtime; its threads and tasks are recorded from the first.
    pub fn build(mut self) -> io::Result<Runtime> {
        let loop_ = self.is_recorded.then(|| Loop::new(&self.name));
        match &loop_ {
            Some(loop_) => hooks::install(&mut self.builder, loop_, self.user),
            None => hooks::install_user(&mut self.builder, self.user),
        }
        let runtime = self.builder.build()?;
        if let Some(loop_) = &loop_ {
            loop_.open(runtime.handle(), LoopOrigin::Attached);
        }
        let closing = Closing(Arc::default());
        let closer = Closer { loop_, began: closing.0.clone() };
        Ok(Runtime { closing, runtime, closer })
    }
}

#[cfg(tokio_unstable)]
impl RuntimeBuilder {
    /// As [`Builder::on_task_spawn`].
    pub fn on_task_spawn(
        mut self,
        f: impl Fn(&tokio::runtime::TaskMeta<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.user.task_spawn = Some(Box::new(f));
        self
    }

    /// As [`Builder::on_before_task_poll`].
    pub fn on_before_task_poll(
        mut self,
        f: impl Fn(&tokio::runtime::TaskMeta<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.user.before_poll = Some(Box::new(f));
        self
    }

    /// As [`Builder::on_after_task_poll`].
    pub fn on_after_task_poll(
        mut self,
        f: impl Fn(&tokio::runtime::TaskMeta<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.user.after_poll = Some(Box::new(f));
        self
    }

    /// As [`Builder::on_task_terminate`].
    pub fn on_task_terminate(
        mut self,
        f: impl Fn(&tokio::runtime::TaskMeta<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.user.task_terminate = Some(Box::new(f));
        self
    }
}

/// A tokio runtime under watch. Dropping it shuts it down as dropping tokio's does.
// Dropped in this order: the loop closes when its shutdown begins, and that is told when its
// threads are gone and have said everything.
pub struct Runtime {
    closing: Closing,
    runtime: tokio::runtime::Runtime,
    closer: Closer,
}

impl Runtime {
    /// As [`tokio::runtime::Runtime::block_on`]; the future is recorded as a root task.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        tasks::block_on(&self.runtime, future)
    }

    /// As [`tokio::runtime::Runtime::shutdown_timeout`].
    pub fn shutdown_timeout(self, duration: Duration) {
        let Self { closing, runtime, closer } = self;
        drop(closing);
        runtime.shutdown_timeout(duration);
        drop(closer);
    }

    /// As [`tokio::runtime::Runtime::shutdown_background`]. What its threads do afterwards may be
    /// recorded after the loop's end.
    pub fn shutdown_background(self) {
        let Self { closing, runtime, closer } = self;
        drop(closing);
        runtime.shutdown_background();
        drop(closer);
    }
}

impl Deref for Runtime {
    type Target = tokio::runtime::Runtime;

    fn deref(&self) -> &Self::Target {
        &self.runtime
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuntimeBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Notes in ticks when the shutdown begins.
struct Closing(Arc<AtomicU64>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.store(ticks(), Relaxed);
    }
}

/// Tells the exporter that a loop is closed.
struct Closer {
    loop_: Option<Arc<Loop>>,
    began: Arc<AtomicU64>,
}

impl Drop for Closer {
    fn drop(&mut self) {
        if let Some(loop_) = self.loop_.take() {
            loop_.close(self.began.load(Relaxed));
        }
    }
}
