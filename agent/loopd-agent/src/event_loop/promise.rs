//! A result that is not there yet: what asyncio calls `Future`, alone and as a part of each task.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use super::call::CallbackResult;
use super::core::Core;
use super::debug::{Check, ExceptionContext};
use super::error::{Cancelled, Error, LoopError, Place, Result};
use super::handle::quietly;
use super::tasks::TaskCore;
use super::{EventLoop, running};

/// Something that can be told to end early.
pub(super) trait Cancel {
    /// Whether it has not ended yet.
    fn is_open(&self) -> bool;

    /// Tells it; what is to be told next goes to the end of `next`, the first one last.
    fn tell(&self, message: Option<&str>, next: &mut Vec<Next>);
}

/// What is left to do of a cancellation.
pub(super) enum Next {
    Tell(Rc<dyn Cancel>),
    /// All that this task waits for has been told.
    Leave(Rc<TaskCore>),
}

/// Cancels something, or in its place what it waits for; says whether it had not ended yet.
pub(super) fn cancel(what: &dyn Cancel, message: Option<&str>) -> bool {
    let is_open = what.is_open();
    if is_open {
        let mut next = Vec::new();
        what.tell(message, &mut next);
        tell_all(next, message);
    }
    is_open
}

/// A list and no recursion: tasks may wait for each other in a long chain, or in a circle.
pub(super) fn tell_all(mut next: Vec<Next>, message: Option<&str>) {
    while let Some(one) = next.pop() {
        match one {
            Next::Tell(what) if what.is_open() => what.tell(message, &mut next),
            Next::Tell(_) => {}
            Next::Leave(task) => task.is_cancelling.set(false),
        }
    }
}

/// Names a callback, so that it can be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackId(u64);

/// Gives the loop what it is to call.
pub(super) type OnDone = Box<dyn FnOnce(&Rc<Core>)>;

/// What happens once there is a result.
enum Done {
    Wake(Waker),
    Call(OnDone),
}

/// The same for all that has come, in that order: numbers only grow.
#[derive(Default)]
struct Dones {
    numbered: Vec<(u64, Option<Done>)>,
    /// Those that were removed and still have their place, so that removing all of many takes no square time.
    gone: usize,
}

impl Dones {
    fn place(&self, number: u64) -> Option<usize> {
        self.numbered.binary_search_by_key(&number, |(number, _)| *number).ok()
    }

    fn get(&self, number: u64) -> Option<&Done> {
        self.numbered.get(self.place(number)?)?.1.as_ref()
    }

    fn remove(&mut self, number: u64) -> Option<Done> {
        let place = self.place(number)?;
        let done = self.numbered.get_mut(place)?.1.take()?;
        self.gone += 1;
        if self.gone * 2 > self.numbered.len() {
            self.numbered.retain(|(_, done)| done.is_some());
            self.gone = 0;
        }
        Some(done)
    }
}

/// Where a future that waits for a result is known, so that it is forgotten when it waits no more.
#[derive(Default)]
pub(super) struct Waiting {
    is_waiting: Cell<bool>,
    /// Its waker among what happens once there is a result.
    waker: Cell<Option<u64>>,
    /// Among what its task waits for.
    waiter: Cell<Option<(Weak<TaskCore>, u64)>>,
}

impl Waiting {
    fn leave_task(&self) {
        if let Some((task, number)) = self.waiter.take()
            && let Some(task) = task.upgrade()
        {
            task.forget_waiter(number);
        }
    }
}

/// See the module.
pub(super) struct State<T> {
    pub(super) loop_: Weak<Core>,
    pub(super) made_at: Place,
    result: RefCell<Option<Result<T>>>,
    done: RefCell<Dones>,
    next_id: Cell<u64>,
    /// Dropped once there is a result, or nobody can ask for one any more.
    tied: RefCell<Option<Box<dyn Any>>>,
    /// Whether somebody has seen the result, or nobody needs to.
    pub(super) is_retrieved: Cell<bool>,
    /// What it is called in what is said of an error that nobody saw.
    what: &'static str,
    /// Of a task: its name.
    pub(super) name: RefCell<Option<Rc<str>>>,
    /// Of a task without a name: which it is.
    pub(super) nth: Cell<u64>,
    pub(super) number: Cell<u64>,
}

impl<T> State<T> {
    pub(super) fn new(core: &Rc<Core>, made_at: Place, what: &'static str) -> Self {
        Self::of_loop(Rc::downgrade(core), made_at, what)
    }

    fn of_loop(loop_: Weak<Core>, made_at: Place, what: &'static str) -> Self {
        Self {
            loop_,
            made_at,
            result: RefCell::new(None),
            done: RefCell::default(),
            next_id: Cell::new(0),
            tied: RefCell::new(None),
            is_retrieved: Cell::new(false),
            what,
            name: RefCell::new(None),
            nth: Cell::new(0),
            number: Cell::new(0),
        }
    }

    pub(super) fn name(&self) -> Option<Rc<str>> {
        let made =
            || Some(format!("Task-{}", self.nth.get()).into()).filter(|_| self.nth.get() > 0);
        self.name.borrow().clone().or_else(made)
    }

    #[inline]
    pub(super) fn is_done(&self) -> bool {
        self.result.borrow().is_some()
    }

    pub(super) fn is_cancelled(&self) -> bool {
        matches!(&*self.result.borrow(), Some(Err(Error::Cancelled(_))))
    }

    /// There is a result now; what waits for it is scheduled in the order in which it came. `false` if
    /// there was one already.
    pub(super) fn complete(&self, result: Result<T>) -> bool {
        if self.is_done() {
            return false;
        }
        *self.result.borrow_mut() = Some(result);
        drop(self.tied.take());
        let done = self.done.take().numbered;
        if done.is_empty() {
            return true;
        }
        let core = self.loop_.upgrade().filter(|core| !core.is_closed());
        for done in done.into_iter().filter_map(|(_, done)| done) {
            match done {
                // One of the program's that panics keeps the others from nothing.
                Done::Wake(waker) => quietly(|| waker.wake()),
                Done::Call(call) => {
                    if let Some(core) = &core {
                        quietly(|| call(core));
                    }
                }
            }
        }
        true
    }

    pub(super) fn error(&self) -> Result<Option<Error>> {
        self.is_retrieved.set(true);
        match &*self.result.borrow() {
            None => Err(LoopError::InvalidState("there is no result yet").into()),
            Some(Err(Error::Cancelled(cancelled))) => Err(Error::Cancelled(cancelled.clone())),
            Some(Err(error)) => Ok(Some(error.clone())),
            Some(Ok(_)) => Ok(None),
        }
    }

    /// The error, if there is one, without anybody having seen it.
    pub(super) fn peek_error(&self) -> Option<Error> {
        self.result.borrow().as_ref()?.as_ref().err().cloned()
    }

    /// Has `call` scheduled once there is a result: at once if it is there.
    pub(super) fn on_done(&self, call: impl FnOnce(&Rc<Core>) + 'static) -> CallbackId {
        let number = self.next_number();
        let id = CallbackId(number);
        if self.is_done() {
            if let Some(core) = self.loop_.upgrade().filter(|core| !core.is_closed()) {
                call(&core);
            }
        } else {
            self.done.borrow_mut().numbered.push((number, Some(Done::Call(Box::new(call)))));
        }
        id
    }

    pub(super) fn remove(&self, id: CallbackId) -> bool {
        let is_call = matches!(self.done.borrow().get(id.0), Some(Done::Call(_)));
        // Dropped outside the borrow: it is the program's.
        let removed = if is_call { self.done.borrow_mut().remove(id.0) } else { None };
        removed.is_some()
    }

    /// Drops `tied` once there is a result, or with this.
    pub(super) fn tie(&self, tied: impl Any) {
        *self.tied.borrow_mut() = Some(Box::new(tied));
    }

    fn next_number(&self) -> u64 {
        self.next_id.replace(self.next_id.get() + 1)
    }

    fn wake_when_done(&self, waiting: &Waiting, waker: &Waker) {
        let known = waiting.waker.get();
        if let Some(number) = known {
            let done = self.done.borrow();
            if matches!(done.get(number), Some(Done::Wake(known)) if known.will_wake(waker)) {
                return;
            }
        }
        let (number, waker) = (self.next_number(), waker.clone());
        let before = known.and_then(|number| self.done.borrow_mut().remove(number));
        self.done.borrow_mut().numbered.push((number, Some(Done::Wake(waker))));
        waiting.waker.set(Some(number));
        drop(before);
    }

    /// This future does not wait any more.
    #[inline]
    pub(super) fn forget(&self, waiting: &Waiting) {
        if !waiting.is_waiting.replace(false) {
            return;
        }
        // Dropped outside the borrow: it may be a waker of the program's.
        let waker = waiting.waker.take().and_then(|number| self.done.borrow_mut().remove(number));
        drop(waker);
        waiting.leave_task();
    }
}

impl<T: Clone> State<T> {
    pub(super) fn result(&self) -> Result<T> {
        match self.try_result() {
            Some(result) => result,
            None => Err(LoopError::InvalidState("there is no result yet").into()),
        }
    }

    pub(super) fn try_result(&self) -> Option<Result<T>> {
        let result = self.result.borrow().clone()?;
        self.is_retrieved.set(true);
        Some(result)
    }

    /// One poll of a future that waits for the result. `waiting` is that future's own, and is
    /// [forgotten](Self::forget) when it is dropped.
    pub(super) fn poll(
        &self,
        canceller: impl Fn() -> Rc<dyn Cancel>,
        waiting: &Waiting,
        context: &mut Context<'_>,
    ) -> Poll<Result<T>> {
        let task = running::current_task();
        let told = task.as_ref().filter(|task| task.was_told(&canceller));
        // A task that was cancelled while it slept hears of that first, as in asyncio: the result stays
        // where it is.
        if waiting.is_waiting.get()
            && let Some(cancelled) = task.as_ref().and_then(|task| task.take_delivery())
        {
            self.forget(waiting);
            return Poll::Ready(Err(cancelled.into()));
        }
        if let Some(result) = self.try_result() {
            self.forget(waiting);
            if let Some(task) = told {
                task.heard();
            }
            return Poll::Ready(result);
        }
        if let Some(cancelled) = task.as_ref().and_then(|task| task.take_delivery()) {
            return Poll::Ready(Err(cancelled.into()));
        }
        waiting.is_waiting.set(true);
        self.wake_when_done(waiting, context.waker());
        waiting.leave_task();
        if let Some(task) = &task
            && let Some(number) = task.waits_for(context.waker(), canceller)
        {
            waiting.waiter.set(Some((Rc::downgrade(task), number)));
        }
        if let Some(task) = told {
            task.goes_on_waiting();
        }
        Poll::Pending
    }
}

impl<T> Drop for State<T> {
    fn drop(&mut self) {
        let Some(Err(error)) = &*self.result.borrow() else { return };
        if self.is_retrieved.get() || error.is_cancelled() {
            return;
        }
        if let Some(core) = self.loop_.upgrade() {
            let message = format!("{} exception was never retrieved", self.what);
            let context = ExceptionContext {
                error: Some(error.clone()),
                task: self.name(),
                number: self.number.get(),
                ..ExceptionContext::new(Check::NeverRetrieved, message, Some(self.made_at))
            };
            core.complain(&context);
        }
    }
}

/// A result that somebody will set: asyncio's `loop.create_future()`. Clones are the same promise;
/// awaiting one gives its result, as often as it is asked for.
///
/// A task that is cancelled while it awaits a promise cancels the promise, as in asyncio.
pub struct Promise<T> {
    pub(super) cell: Rc<State<T>>,
    waiting: Waiting,
}

impl<T> Clone for Promise<T> {
    fn clone(&self) -> Self {
        Self { cell: self.cell.clone(), waiting: Waiting::default() }
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.done(), self.cancelled()) {
            (false, _) => "pending",
            (true, true) => "cancelled",
            (true, false) => "finished",
        };
        write!(f, "<Promise {state} made at {}>", self.cell.made_at)
    }
}

impl<T: 'static> Promise<T> {
    pub(super) fn new(core: &Rc<Core>, made_at: Place) -> Self {
        let cell = Rc::new(State::new(core, made_at, "Future"));
        Self { cell, waiting: Waiting::default() }
    }

    /// Of no loop: awaiting it is an error.
    pub(super) fn of_nobody(made_at: Place) -> Self {
        let cell = State::of_loop(Weak::new(), made_at, "Future");
        cell.complete(Err(LoopError::Gone.into()));
        Self { cell: Rc::new(cell), waiting: Waiting::default() }
    }

    /// Sets the result. An error if there is one already, or it was cancelled.
    pub fn set_result(&self, value: T) -> Result<(), LoopError> {
        self.complete(Ok(value))
    }

    /// Sets the error that awaiting it gives.
    pub fn set_exception(&self, error: impl Into<Error>) -> Result<(), LoopError> {
        self.complete(Err(error.into()))
    }

    fn complete(&self, result: Result<T>) -> Result<(), LoopError> {
        match self.cell.complete(result) {
            true => Ok(()),
            false => Err(LoopError::InvalidState("there is a result already")),
        }
    }

    /// Cancels it; says whether it was still pending.
    pub fn cancel(&self) -> bool {
        cancel(&*self.cell, None)
    }

    /// Cancels it with a word about why.
    pub fn cancel_with(&self, message: &str) -> bool {
        cancel(&*self.cell, Some(message))
    }

    /// Calls `call` soon after there is a result; what is added first is called first.
    #[track_caller]
    pub fn add_done_callback<F, R>(&self, call: F) -> CallbackId
    where
        F: FnOnce(&Self) -> R + 'static,
        R: CallbackResult + 'static,
    {
        let (place, weak) = (Location::caller(), Rc::downgrade(&self.cell));
        self.cell.on_done(move |core| {
            let Some(cell) = weak.upgrade() else { return };
            let promise = Self { cell, waiting: Waiting::default() };
            core.schedule(place, move || call(&promise));
        })
    }

    /// Takes a callback back; says whether it was there.
    pub fn remove_done_callback(&self, id: CallbackId) -> bool {
        self.cell.remove(id)
    }

    /// Whose loop it is; `None` once that is gone.
    pub fn get_loop(&self) -> Option<EventLoop> {
        self.cell.loop_.upgrade().map(EventLoop)
    }
}

impl<T> Promise<T> {
    /// Whether there is a result, or an error, or it was cancelled.
    pub fn done(&self) -> bool {
        self.cell.is_done()
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.cell.is_cancelled()
    }

    /// The error it ended with, if it did. An error in itself if it was cancelled, or is not done.
    pub fn exception(&self) -> Result<Option<Error>> {
        self.cell.error()
    }
}

impl<T: Clone> Promise<T> {
    /// The result, if it is there.
    pub fn result(&self) -> Result<T> {
        self.cell.result()
    }
}

impl<T> Cancel for State<T> {
    fn is_open(&self) -> bool {
        !self.is_done()
    }

    fn tell(&self, message: Option<&str>, _next: &mut Vec<Next>) {
        self.complete(Err(Cancelled::new(message).into()));
    }
}

impl<T: Clone + 'static> Future for Promise<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        self.cell.poll(|| self.cell.clone(), &self.waiting, context)
    }
}

/// Awaits a clone, which ceases to wait when it is dropped.
impl<T: Clone + 'static> IntoFuture for &Promise<T> {
    type Output = Result<T>;
    type IntoFuture = Promise<T>;

    fn into_future(self) -> Promise<T> {
        self.clone()
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.cell.forget(&self.waiting);
    }
}

impl TaskCore {
    /// It waits for something that can be cancelled in its place, if it waits by its own waker and not
    /// by that of something in between. Gives what that is known by.
    fn waits_for(&self, waker: &Waker, canceller: impl FnOnce() -> Rc<dyn Cancel>) -> Option<u64> {
        if !self.waker.will_wake(waker) {
            return None;
        }
        let number = self.next_waiter.replace(self.next_waiter.get() + 1);
        self.waiters.borrow_mut().push((number, canceller()));
        Some(number)
    }

    fn forget_waiter(&self, number: u64) {
        let removed = {
            let mut waiters = self.waiters.borrow_mut();
            let place = waiters.binary_search_by_key(&number, |(number, _)| *number);
            place.ok().map(|place| waiters.remove(place))
        };
        drop(removed);
    }
}
