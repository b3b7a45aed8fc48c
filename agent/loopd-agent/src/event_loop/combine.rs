//! Several things awaited together, for a while, or out of reach of a cancellation.

use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::core::Core;
use super::error::{Cancelled, Error, LoopError, Place, Result};
use super::handle::{Handle, TimerHandle};
use super::promise::{CallbackId, Cancel, Next, Promise, State, Waiting, cancel};
use super::sleep::delivery;
use super::tasks::{Task, TaskCell, TaskCore};
use super::{EventLoop, after, running};

/// The results of several tasks, in the order in which they are given; or the first error, in which case
/// the others go on. Cancelling what awaits this cancels all of them.
#[track_caller]
pub fn gather<T: Clone + 'static>(tasks: impl IntoIterator<Item = Task<T>>) -> Gather<Vec<T>> {
    let tasks: Vec<_> = tasks.into_iter().collect();
    let finish = |cells: &[Rc<TaskCell<T>>]| {
        cells.iter().map(|cell| cell.state.result()).collect::<Result<Vec<T>>>()
    };
    Gather::new(tasks, Location::caller(), true, finish)
}

/// The results of several tasks, and the errors of those that failed among them: asyncio's
/// `gather(…, return_exceptions=True)`.
#[track_caller]
pub fn gather_results<T: Clone + 'static>(
    tasks: impl IntoIterator<Item = Task<T>>,
) -> Gather<Vec<Result<T>>> {
    let tasks: Vec<_> = tasks.into_iter().collect();
    let finish = |cells: &[Rc<TaskCell<T>>]| {
        Ok(cells.iter().map(|cell| cell.state.result()).collect::<Vec<_>>())
    };
    Gather::new(tasks, Location::caller(), false, finish)
}

/// Made by [`gather`] and [`gather_results`].
#[must_use = "the tasks run without it; their results are got by awaiting it"]
pub struct Gather<R> {
    outer: Rc<dyn Outer<R>>,
    waiting: Waiting,
}

impl<R> fmt::Debug for Gather<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").finish_non_exhaustive()
    }
}

/// What a [`Gather`] awaits.
trait Outer<R>: Cancel {
    fn state(&self) -> Option<&State<R>>;
    fn as_cancel(self: Rc<Self>) -> Rc<dyn Cancel>;
}

struct Gathering<T, R> {
    /// `None` where no loop runs, and nothing was given that has one.
    state: Option<State<R>>,
    cells: Vec<Rc<TaskCell<T>>>,
    /// By which the tasks know of it.
    ids: RefCell<Vec<CallbackId>>,
    left: Cell<usize>,
    is_cancel_requested: Cell<bool>,
}

impl<T: Clone + 'static, R: 'static> Outer<R> for Gathering<T, R> {
    fn state(&self) -> Option<&State<R>> {
        self.state.as_ref()
    }

    fn as_cancel(self: Rc<Self>) -> Rc<dyn Cancel> {
        self
    }
}

impl<T: 'static, R> Cancel for Gathering<T, R> {
    fn is_open(&self) -> bool {
        let is_pending = self.state.as_ref().is_some_and(|state| !state.is_done());
        is_pending && self.cells.iter().any(|cell| cell.is_open())
    }

    fn tell(&self, _message: Option<&str>, next: &mut Vec<Next>) {
        self.is_cancel_requested.set(true);
        next.extend(self.cells.iter().rev().map(|cell| Next::Tell(cell.clone())));
    }
}

impl<T, R> Drop for Gathering<T, R> {
    fn drop(&mut self) {
        for (cell, id) in self.cells.iter().zip(self.ids.take()) {
            cell.state.remove(id);
        }
    }
}

impl<R: 'static> Gather<R> {
    fn new<T: Clone + 'static>(
        tasks: Vec<Task<T>>,
        place: Place,
        is_first_error: bool,
        finish: fn(&[Rc<TaskCell<T>>]) -> Result<R>,
    ) -> Self {
        let cells: Vec<_> = tasks.iter().map(|task| task.cell.clone()).collect();
        let of_task = cells.first().and_then(|cell| cell.core.loop_.upgrade());
        let core = of_task.or_else(running::running);
        let state = core.map(|core| State::new(&core, place, "_GatheringFuture"));
        let outer = Rc::new(Gathering {
            state,
            left: Cell::new(cells.len()),
            cells,
            ids: RefCell::default(),
            is_cancel_requested: Cell::new(false),
        });
        for (index, cell) in outer.cells.iter().enumerate() {
            let weak: Weak<Gathering<T, R>> = Rc::downgrade(&outer);
            let id = cell.state.on_done(move |core: &Rc<Core>| {
                core.schedule_named(
                    place,
                    || "gather",
                    move || {
                        if let Some(outer) = weak.upgrade() {
                            outer.one_is_done(index, is_first_error, finish);
                        }
                    },
                );
            });
            outer.ids.borrow_mut().push(id);
        }
        if outer.cells.is_empty()
            && let Some(state) = &outer.state
        {
            state.complete(finish(&[]));
        }
        Self { outer, waiting: Waiting::default() }
    }
}

impl<T: Clone + 'static, R: 'static> Gathering<T, R> {
    fn one_is_done(
        &self,
        index: usize,
        is_first_error: bool,
        finish: fn(&[Rc<TaskCell<T>>]) -> Result<R>,
    ) {
        self.left.set(self.left.get() - 1);
        let (Some(state), Some(cell)) = (&self.state, self.cells.get(index)) else { return };
        if state.is_done() {
            cell.state.is_retrieved.set(true);
            return;
        }
        if is_first_error && let Some(error) = cell.state.peek_error() {
            cell.state.is_retrieved.set(true);
            state.complete(Err(error));
            return;
        }
        if self.left.get() == 0 {
            let result = finish(&self.cells);
            state.complete(match self.is_cancel_requested.get() {
                true => Err(Cancelled::default().into()),
                false => result,
            });
        }
    }
}

impl<R: Clone + 'static> Gather<R> {
    /// Cancels all of its tasks; says whether one was not done yet.
    pub fn cancel(&self) -> bool {
        cancel(&*self.outer, None)
    }
}

impl<R> Drop for Gather<R> {
    fn drop(&mut self) {
        if let Some(state) = self.outer.state() {
            state.forget(&self.waiting);
        }
    }
}

impl<R: Clone + 'static> Future for Gather<R> {
    type Output = Result<R>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<R>> {
        match self.outer.state() {
            Some(state) => state.poll(|| self.outer.clone().as_cancel(), &self.waiting, context),
            None => Poll::Ready(Err(LoopError::NotRunning.into())),
        }
    }
}

/// The result of a task, such that cancelling what awaits this does not cancel the task.
#[track_caller]
pub fn shield<T: Clone + 'static>(task: &Task<T>) -> Promise<T> {
    let place = Location::caller();
    let core = task.cell.core.loop_.upgrade().or_else(running::running);
    let outer = match core {
        Some(core) => Promise::new(&core, place),
        None => return Promise::of_nobody(place),
    };
    if task.done() {
        outer.cell.complete(task.cell.state.result());
        return outer;
    }
    let (inner, weak) = (Rc::downgrade(&task.cell), Rc::downgrade(&outer.cell));
    let of_task = inner.clone();
    let id = task.cell.state.on_done(move |core| {
        // From here on nobody else need hold the task.
        let Some(inner) = inner.upgrade() else { return };
        core.schedule_named(
            place,
            || "shield",
            move || {
                let Some(outer) = weak.upgrade() else { return };
                if outer.is_cancelled() {
                    inner.state.is_retrieved.set(true);
                } else {
                    outer.complete(inner.state.result());
                }
            },
        );
    });
    // As in asyncio: the task does not hear of those that ask no more.
    outer.cell.tie(Unasked { task: of_task, id });
    outer
}

/// Dropped, it takes a callback of a task back.
struct Unasked<T> {
    task: Weak<TaskCell<T>>,
    id: CallbackId,
}

impl<T> Drop for Unasked<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.upgrade() {
            task.state.remove(self.id);
        }
    }
}

/// Awaits a future for a while; then cancels it, waits until it has ended, and says
/// [`TimedOut`](Error::TimedOut). Works as asyncio's `timeout` does: what is cancelled is the running task,
/// which awaits the future and nothing else. In no time nothing begins: then there is a result only of a
/// task, promise or gather that is done.
#[track_caller]
pub fn wait_for<T, F>(delay: Duration, future: F) -> Timeout<F::IntoFuture>
where
    F: IntoFuture<Output = Result<T>>,
{
    wait_for_at(Location::caller(), delay, future)
}

pub(super) fn wait_for_at<T, F>(place: Place, delay: Duration, future: F) -> Timeout<F::IntoFuture>
where
    F: IntoFuture<Output = Result<T>>,
{
    Timeout::new(Limit::After(delay), future.into_future(), place)
}

/// The same up to an instant.
#[track_caller]
pub fn timeout_at<T, F>(when: Instant, future: F) -> Timeout<F::IntoFuture>
where
    F: IntoFuture<Output = Result<T>>,
{
    Timeout::new(Limit::At(when), future.into_future(), Location::caller())
}

#[derive(Clone, Copy)]
enum Limit {
    After(Duration),
    At(Instant),
}

impl Limit {
    /// Whether there is time to begin something. In no time, as in asyncio, there is a result only if it was
    /// there before: so of this module's own, which nothing but their type tells from a future that
    /// would begin when it is polled.
    fn lets_begin<T, F>(self) -> bool {
        match self {
            Self::After(Duration::ZERO) => {
                let known =
                    [type_name::<Task<T>>(), type_name::<Promise<T>>(), type_name::<Gather<T>>()];
                known.contains(&type_name::<F>())
            }
            _ => true,
        }
    }
}

enum Timer {
    Soon(Handle),
    Later(TimerHandle),
}

/// Made by [`wait_for`].
#[must_use = "nothing is awaited by making it"]
pub struct Timeout<F> {
    limit: Limit,
    place: Place,
    future: Option<Pin<Box<F>>>,
    begun: Option<Begun>,
}

struct Begun {
    task: Rc<TaskCore>,
    /// Requests to cancel the task that were there before.
    requests: u32,
    timer: Timer,
    /// Whether it has cancelled the task, and not taken that back.
    is_expired: Rc<Cell<bool>>,
}

impl<F> Timeout<F> {
    fn new(limit: Limit, future: F, place: Place) -> Self {
        Self { limit, place, future: Some(Box::pin(future)), begun: None }
    }

    fn begin(&self) -> Result<Begun> {
        let event_loop = EventLoop::running()?;
        let task = running::current_task()
            .ok_or(LoopError::InvalidState("a timeout is only possible in a task of the loop"))?;
        let is_expired = Rc::new(Cell::new(false));
        let expire = {
            let (is_expired, task) = (is_expired.clone(), Rc::downgrade(&task));
            move || {
                if let Some(task) = task.upgrade() {
                    is_expired.set(true);
                    task.cancel();
                }
            }
        };
        let core = &event_loop.0;
        let when = match self.limit {
            Limit::After(delay) => after(delay),
            Limit::At(when) => when,
        };
        let timer = match when <= Instant::now() {
            true => Timer::Soon(core.schedule_named(self.place, || "timeout", expire)),
            false => Timer::Later(core.schedule_at(self.place, when, expire)),
        };
        Ok(Begun { requests: task.cancelling(), task, timer, is_expired })
    }
}

impl<F> Drop for Timeout<F> {
    fn drop(&mut self) {
        let Some(begun) = self.begun.take() else { return };
        match &begun.timer {
            Timer::Soon(handle) => handle.cancel(),
            Timer::Later(handle) => handle.cancel(),
        }
        // Left before its end: its request is not for what comes after it.
        if begun.is_expired.get() {
            begun.task.take_back(begun.requests);
        }
    }
}

impl<F> fmt::Debug for Timeout<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").finish_non_exhaustive()
    }
}

impl<T, F: Future<Output = Result<T>>> Future for Timeout<F> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        if self.begun.is_none() {
            self.begun = Some(self.begin()?);
        }
        let this = &mut *self;
        let (Some(future), Some(begun)) = (&mut this.future, &this.begun) else {
            return Poll::Pending;
        };
        let before = begun.task.next_waiter.get();
        let polled = match this.limit.lets_begin::<T, F>() {
            true => future.as_mut().poll(context),
            // The timer is next.
            false => Poll::Pending,
        };
        let result = match polled {
            Poll::Ready(result) => result,
            // What is inside did not hear of it.
            Poll::Pending => match delivery() {
                Some(cancelled) => Err(cancelled.into()),
                None => {
                    begun.task.hears_itself_since(before);
                    return Poll::Pending;
                }
            },
        };
        this.future = None;
        // From here on it cancels nothing.
        match &begun.timer {
            Timer::Soon(handle) => handle.cancel(),
            Timer::Later(handle) => handle.cancel(),
        }
        if !begun.is_expired.get() {
            return Poll::Ready(result);
        }
        begun.is_expired.set(false);
        let is_ours = begun.task.take_back(begun.requests);
        Poll::Ready(match result {
            Err(Error::Cancelled(_)) if is_ours => Err(Error::TimedOut),
            result => result,
        })
    }
}
