//! What other threads may do with a loop, and what comes back to it from them.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::call::CallbackResult;
use super::core::Core;
use super::error::{Error, LoopError, Place, Result};
use super::handle::ThreadsafeHandle;
use super::promise::{Promise, cancel};
use super::record;
use super::remote::{Call, Item, Remote};
use super::tasks::{TaskCell, TaskKey};
use super::{EventLoop, running};

/// A loop as other threads may have it.
#[derive(Clone)]
pub struct LoopHandle {
    remote: Arc<Remote>,
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopHandle").finish_non_exhaustive()
    }
}

impl LoopHandle {
    pub(super) fn new(remote: Arc<Remote>) -> Self {
        Self { remote }
    }

    /// Calls `call` in the loop's thread, soon; wakes the loop if it sleeps. In there,
    /// [`EventLoop::running`] is the loop. The handle cancels it, from any thread.
    #[track_caller]
    pub fn call_soon_threadsafe<F, R>(&self, call: F) -> Result<ThreadsafeHandle, LoopError>
    where
        F: FnOnce() -> R + Send + 'static,
        R: CallbackResult + 'static,
    {
        self.call(Location::caller(), std::any::type_name::<F>, call)
    }

    fn call<F, R>(
        &self,
        place: Place,
        name: fn() -> &'static str,
        call: F,
    ) -> Result<ThreadsafeHandle, LoopError>
    where
        F: FnOnce() -> R + Send + 'static,
        R: CallbackResult + 'static,
    {
        let (handle, scheduled) = (ThreadsafeHandle::new(place, call), record::now());
        let item = Item::Call(Call { call: handle.clone(), place, name, scheduled });
        // In the loop's own thread it takes its place behind what is scheduled there.
        let mut item = Some(item);
        running::with_own(&self.remote, |core| {
            if !core.is_closed()
                && let Some(item) = item.take()
            {
                core.accept_here(item);
            }
        });
        if let Some(item) = item
            && let Err(error) = self.remote.push(item)
        {
            handle.discard();
            return Err(error);
        }
        Ok(handle)
    }

    /// Has the future that `make` makes, in the loop's thread, run as a task there.
    ///
    /// It is made there because a future of a loop need not be one that may change threads.
    #[track_caller]
    pub fn run_coroutine_threadsafe<T, F>(
        &self,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> Result<ThreadsafeFuture<T>, LoopError>
    where
        T: Clone + Send + 'static,
        F: Future<Output = Result<T>> + 'static,
    {
        let place = Location::caller();
        let shared = Arc::new(Shared::default());
        let setter = Setter(shared.clone());
        self.call(place, std::any::type_name::<F>, move || -> Result<()> {
            let event_loop = EventLoop::running()?;
            if setter.0.lock().is_cancelled {
                return Ok(());
            }
            // Not under the lock: it is the program's, and may ask for the result, or cancel it.
            let future = match catch_unwind(AssertUnwindSafe(make)) {
                Ok(future) => Box::pin(future),
                Err(payload) => {
                    let error = Error::of_panic(payload);
                    setter.0.set(Err(error.clone()));
                    return Err(error);
                }
            };
            let label = std::any::type_name::<F>();
            let task = {
                let mut state = setter.0.lock();
                if state.is_cancelled {
                    return Ok(());
                }
                let task = TaskCell::spawn(&event_loop.0, future, None, label, place);
                state.task = Some(task.core.key);
                task
            };
            let weak = std::rc::Rc::downgrade(&task);
            task.state.on_done(move |_| {
                if let Some(result) = weak.upgrade().and_then(|task| task.state.try_result()) {
                    setter.0.set(result);
                }
            });
            Ok(())
        })?;
        Ok(ThreadsafeFuture { shared, remote: self.remote.clone() })
    }
}

/// What becomes of a future that another thread gave to a loop: to be waited for, or awaited.
pub struct ThreadsafeFuture<T> {
    shared: Arc<Shared<T>>,
    remote: Arc<Remote>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    result: Option<Result<T>>,
    waker: Option<Waker>,
    task: Option<TaskKey>,
    is_cancelled: bool,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        let state = State { result: None, waker: None, task: None, is_cancelled: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, result: Result<T>) {
        let mut state = self.lock();
        if state.result.is_some() {
            return;
        }
        state.result = Some(result);
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waker {
            // One of the program's that panics takes nothing from who else waits for the task.
            super::handle::quietly(|| waker.wake());
        }
    }
}

/// Dropped without a result, there will be none.
struct Setter<T>(Arc<Shared<T>>);

impl<T> Drop for Setter<T> {
    fn drop(&mut self) {
        let is_cancelled = self.0.lock().is_cancelled;
        self.0.set(Err(match is_cancelled {
            true => super::Cancelled::default().into(),
            false => LoopError::Gone.into(),
        }));
    }
}

impl<T: Clone + Send + 'static> ThreadsafeFuture<T> {
    /// Waits for the result, for a while if one is given. Blocks the calling thread. In the loop's own, which
    /// would wait for itself, it is an error unless there is a result.
    pub fn result(&self, timeout: Option<Duration>) -> Result<T> {
        if !self.done() && running::with_own(&self.remote, |_| ()).is_some() {
            let why = "the loop's own thread cannot wait for a result: await it";
            return Err(LoopError::InvalidState(why).into());
        }
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.shared.lock();
        loop {
            if let Some(result) = &state.result {
                return result.clone();
            }
            state = match deadline {
                None => self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(Error::TimedOut);
                    }
                    let waited = self.shared.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Whether there is a result.
    pub fn done(&self) -> bool {
        self.shared.lock().result.is_some()
    }

    /// Asks the task to end; says whether it was not done yet.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        {
            let mut state = self.shared.lock();
            if state.result.is_some() {
                return false;
            }
            state.is_cancelled = true;
        }
        let shared = self.shared.clone();
        LoopHandle::new(self.remote.clone())
            .call(
                Location::caller(),
                || "ThreadsafeFuture::cancel",
                move || -> Result<()> {
                    let Some(key) = shared.lock().task else { return Ok(()) };
                    if let Some(core) = running::running() {
                        let task = core.tasks.borrow().get(key).cloned();
                        if let Some(task) = task {
                            cancel(&*task, None);
                        }
                    }
                    Ok(())
                },
            )
            .is_ok()
    }
}

impl<T: Clone + Send + 'static> Future for ThreadsafeFuture<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        // Cloned and dropped outside the lock: it may be the program's.
        let waker = context.waker().clone();
        let mut state = self.shared.lock();
        if let Some(result) = &state.result {
            return Poll::Ready(result.clone());
        }
        let before = state.waker.replace(waker);
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl<T> fmt::Debug for ThreadsafeFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadsafeFuture").finish_non_exhaustive()
    }
}

/// Gives a promise its result.
type Keep = Box<dyn FnOnce(Box<dyn Any>)>;

/// Promises that other threads will keep, by number: they cannot have the promise itself.
#[derive(Default)]
pub(super) struct Promised {
    next: Cell<u64>,
    waiting: RefCell<HashMap<u64, Keep>>,
}

impl Promised {
    fn add(&self, keep: Keep) -> u64 {
        let number = self.next.replace(self.next.get() + 1);
        self.waiting.borrow_mut().insert(number, keep);
        number
    }

    fn keep(&self, number: u64, result: Box<dyn Any>) {
        let keep = self.waiting.borrow_mut().remove(&number);
        if let Some(keep) = keep {
            keep(result);
        }
    }

    pub(super) fn clear(&self) {
        super::handle::drop_quietly(self.waiting.take());
    }
}

/// What another thread has of a promise. Dropped without a result, the promise ends in an error.
pub(super) struct Pending<T: Send + 'static> {
    remote: Arc<Remote>,
    /// Where it was asked for: that is what the call which keeps the promise is shown at.
    place: Place,
    /// What that call is shown as.
    name: fn() -> &'static str,
    number: u64,
    result: Option<Result<T>>,
}

impl<T: Send + 'static> Pending<T> {
    /// For a promise of this loop.
    pub(super) fn new(
        core: &Core,
        promise: Promise<T>,
        place: Place,
        name: fn() -> &'static str,
    ) -> Self {
        let keep = move |result: Box<dyn Any>| {
            if let Ok(result) = result.downcast::<Result<T>>() {
                promise.cell.complete(*result);
            }
        };
        let number = core.promised.add(Box::new(keep));
        Self { remote: core.remote.clone(), place, name, number, result: None }
    }

    pub(super) fn complete(mut self, result: Result<T>) {
        self.result = Some(result);
    }
}

impl<T: Send + 'static> Drop for Pending<T> {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or(Err(LoopError::ExecutorShutDown.into()));
        let number = self.number;
        let call = move || -> Result<()> {
            if let Some(core) = running::running() {
                core.promised.keep(number, Box::new(result));
            }
            Ok(())
        };
        let _ = LoopHandle::new(self.remote.clone()).call(self.place, self.name, call);
    }
}
