//! Tasks: futures that a loop runs step by step, each step a callback in the loop's one queue.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::AcqRel, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use loopd_model::Outcome;

use super::call::CallbackResult;
use super::core::Core;
use super::debug::{Check, ExceptionContext};
use super::error::{Cancelled, Error, LoopError, Place, Result};
use super::handle::drop_quietly;
use super::promise::{CallbackId, Cancel, Next, OnDone, State, Waiting, cancel, tell_all};
use super::record::{self, Name};
use super::remote::{Item, Remote};
use super::{EventLoop, running};

static NEXT_NAME: AtomicU64 = AtomicU64::new(1);

/// Where a loop keeps a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskKey {
    index: u32,
    generation: u32,
}

/// The tasks of a loop that are not done.
#[derive(Default)]
pub(super) struct Tasks {
    slots: Vec<(u32, Option<Rc<dyn AnyTask>>)>,
    free: Vec<u32>,
}

impl Tasks {
    /// Where the next one will be.
    fn next_key(&self) -> TaskKey {
        let index = self.free.last().copied().unwrap_or(self.slots.len() as u32);
        let generation = self.slots.get(index as usize).map_or(0, |slot| slot.0);
        TaskKey { index, generation }
    }

    fn insert(&mut self, task: Rc<dyn AnyTask>) {
        match self.free.pop() {
            Some(index) => self.slots[index as usize].1 = Some(task),
            None => self.slots.push((0, Some(task))),
        }
    }

    #[inline]
    pub(super) fn get(&self, key: TaskKey) -> Option<&Rc<dyn AnyTask>> {
        let (generation, task) = self.slots.get(key.index as usize)?;
        if *generation == key.generation { task.as_ref() } else { None }
    }

    fn remove(&mut self, key: TaskKey) -> Option<Rc<dyn AnyTask>> {
        let (generation, task) = self.slots.get_mut(key.index as usize)?;
        if *generation != key.generation {
            return None;
        }
        let task = task.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(key.index);
        Some(task)
    }

    pub(super) fn all(&self) -> Vec<Rc<dyn AnyTask>> {
        self.slots.iter().filter_map(|(_, task)| task.clone()).collect()
    }
}

/// What a waker of a task holds: no part of the task itself, which never leaves its thread.
pub(super) struct Alarm {
    remote: Arc<Remote>,
    key: TaskKey,
    /// Whether a step is due already.
    is_due: AtomicBool,
    /// What led to it: when, in ticks, and by which task; 0 if not recorded.
    woken_at: AtomicU64,
    woken_by: AtomicU64,
}

impl Alarm {
    fn ring(&self) {
        if self.is_due.swap(true, AcqRel) {
            return;
        }
        let (at, by) = record::now();
        self.woken_by.store(by, Relaxed);
        self.woken_at.store(at, Relaxed);
        if running::with_own(&self.remote, |core| core.push_step(self.key)).is_none() {
            // Of a loop that is closed nothing wakes up.
            let _ = self.remote.push(Item::Step(self.key));
        }
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

/// What is the same for tasks of any type.
pub(super) struct TaskCore {
    pub(super) loop_: Weak<Core>,
    pub(super) key: TaskKey,
    pub(super) waker: Waker,
    alarm: Arc<Alarm>,
    /// As it is recorded; 0 if nothing was when it was made.
    pub(super) number: u64,
    /// What it waits for that can be cancelled in its place; empty while it runs.
    pub(super) waiters: RefCell<Vec<(u64, Rc<dyn Cancel>)>>,
    pub(super) next_waiter: Cell<u64>,
    /// Whether it also waits for something that hears of a cancellation only in a step of the task.
    hears_itself: Cell<bool>,
    /// Whether it is to hear that it was cancelled.
    must_cancel: Cell<bool>,
    cancel_message: RefCell<Option<Rc<str>>>,
    /// Whether this step began with that, and it has not been heard yet.
    is_delivering: Cell<bool>,
    requests: Cell<u32>,
    is_started: Cell<bool>,
    is_stepping: Cell<bool>,
    /// A request was passed on, and the task has not heard of it yet: who was told in its place.
    told: RefCell<Vec<Weak<dyn Cancel>>>,
    /// Whether one of those was asked in this step, and so is still awaited.
    is_told_awaited: Cell<bool>,
    /// Whether what it waits for is being told that it was cancelled.
    pub(super) is_cancelling: Cell<bool>,
}

impl TaskCore {
    /// The cancellation that is to be heard in this step, once.
    pub(super) fn take_delivery(&self) -> Option<Cancelled> {
        if !self.is_delivering.get() {
            return None;
        }
        self.hear_no_more();
        Some(self.cancelled())
    }

    fn cancelled(&self) -> Cancelled {
        Cancelled::new(self.cancel_message.borrow().as_deref())
    }

    /// It hears at its next await that it was cancelled, once more.
    pub(super) fn cancel_later(&self) {
        self.must_cancel.set(true);
    }

    /// One request less. With the last of them goes what was still to be heard, as in CPython since 3.13.
    pub(super) fn uncancel(&self) -> u32 {
        let requests = self.requests.get().saturating_sub(1);
        if self.requests.replace(requests) == 1 {
            self.hear_no_more();
        }
        requests
    }

    /// What it has not heard of, it will not hear of.
    fn hear_no_more(&self) {
        self.must_cancel.set(false);
        self.is_delivering.set(false);
        self.heard();
    }

    /// Whether this was told of a cancellation in the place of the task, which has not heard of it yet.
    #[inline]
    pub(super) fn was_told(&self, what: impl FnOnce() -> Rc<dyn Cancel>) -> bool {
        let told = self.told.borrow();
        if told.is_empty() {
            return false;
        }
        let what = what();
        told.iter().any(|told| std::ptr::addr_eq(told.as_ptr(), Rc::as_ptr(&what)))
    }

    /// What was told in its place has answered.
    pub(super) fn heard(&self) {
        self.told.borrow_mut().clear();
    }

    /// What was told in its place is still awaited.
    pub(super) fn goes_on_waiting(&self) {
        self.is_told_awaited.set(true);
    }

    /// A step is over. Whether it was to hear of a cancellation by what was told in its place, but has not so
    /// much as asked for that: it awaits it no more, and has to hear of it itself.
    fn was_passed_over(&self) -> bool {
        let is_passed_over = !self.told.borrow().is_empty() && !self.is_told_awaited.get();
        if is_passed_over {
            self.heard();
        }
        is_passed_over
    }

    /// A scope takes its own request back; says whether only those are left that were there `before` it. If
    /// so, nobody is to hear of it any more, even if nobody has.
    pub(super) fn take_back(&self, before: u32) -> bool {
        let is_ours = self.uncancel() <= before;
        if is_ours {
            self.hear_no_more();
        }
        is_ours
    }

    pub(super) fn cancelling(&self) -> u32 {
        self.requests.get()
    }

    /// One more request to end, which goes to what it waits for, if that can hear.
    fn tell(self: &Rc<Self>, message: Option<&str>, next: &mut Vec<Next>) {
        self.requests.set(self.requests.get().saturating_add(1));
        *self.cancel_message.borrow_mut() = message.map(Into::into);
        if self.is_stepping.get() {
            // What it awaits is known when the step is over.
            self.must_cancel.set(true);
            return;
        }
        // In a circle of tasks the request has come back to one that passed it on: somebody has to hear.
        if self.is_cancelling.get() || !self.pass_on(next) {
            self.must_cancel.set(true);
            self.alarm.ring();
        }
    }

    /// Has what it waits for told; says whether that is enough.
    fn pass_on(self: &Rc<Self>, next: &mut Vec<Next>) -> bool {
        let waiters = self.waiters.borrow();
        if !waiters.iter().any(|(_, waiter)| waiter.is_open()) {
            return false;
        }
        self.is_cancelling.set(true);
        next.push(Next::Leave(self.clone()));
        next.extend(waiters.iter().rev().map(|(_, waiter)| Next::Tell(waiter.clone())));
        if self.hears_itself.get() {
            return false;
        }
        // Those that have ended are told nothing.
        let told = waiters.iter().filter(|(_, waiter)| waiter.is_open());
        *self.told.borrow_mut() = told.map(|(_, waiter)| Rc::downgrade(waiter)).collect();
        true
    }

    /// It waits for nothing so far.
    fn forget_waiters(&self) {
        self.hears_itself.set(false);
        if self.waiters.borrow().is_empty() {
            return;
        }
        // Dropped outside the borrow: they may be the last to hold what is the program's.
        let mut waiters = self.waiters.take();
        waiters.clear();
        let mut now = self.waiters.borrow_mut();
        if now.is_empty() {
            *now = waiters;
        }
    }

    /// Something waits that hears only in a step of the task: unless it waits for what was added to
    /// the waiters since there were `before` of them.
    pub(super) fn hears_itself_since(&self, before: u64) {
        if self.next_waiter.get() == before {
            self.hears_itself.set(true);
        }
    }

    /// Cancels the task, which is not done.
    pub(super) fn cancel(self: &Rc<Self>) {
        let mut next = Vec::new();
        self.tell(None, &mut next);
        tell_all(next, None);
    }
}

/// A task whose type is not known any more.
pub(super) trait AnyTask: Cancel {
    fn core(&self) -> &Rc<TaskCore>;
    fn step(self: Rc<Self>, core: &Rc<Core>);
    /// Drops its future without another step; the loop is closed.
    fn destroy(&self);
    fn name(&self) -> Rc<str>;
    fn made_at(&self) -> Place;
    fn is_done(&self) -> bool;
    fn peek_error(&self) -> Option<Error>;
    /// An error of it counts as seen.
    fn set_retrieved(&self);
    fn on_done(&self, call: OnDone) -> CallbackId;
    fn cancelled(&self) -> bool;
}

/// What is said of a task that will never be done.
pub(super) fn destroyed(task: &dyn AnyTask) -> ExceptionContext {
    let message = "Task was destroyed but it is pending!".to_owned();
    ExceptionContext {
        task: Some(task.name()),
        number: task.core().number,
        ..ExceptionContext::new(Check::DestroyedPending, message, Some(task.made_at()))
    }
}

type Body<T> = Pin<Box<dyn Future<Output = Result<T>>>>;

pub(super) struct TaskCell<T> {
    pub(super) state: State<T>,
    pub(super) core: Rc<TaskCore>,
    body: RefCell<Option<Body<T>>>,
}

impl<T: 'static> TaskCell<T> {
    /// A task of this loop, whose first step is due.
    pub(super) fn spawn(
        core: &Rc<Core>,
        body: Body<T>,
        name: Option<&str>,
        label: &'static str,
        made_at: Place,
    ) -> Rc<Self> {
        let key = core.tasks.borrow().next_key();
        let remote = core.remote.clone();
        let alarm = Arc::new(Alarm {
            remote,
            key,
            is_due: AtomicBool::new(false),
            woken_at: AtomicU64::new(0),
            woken_by: AtomicU64::new(0),
        });
        let number = core.record.spawned(name.map_or(Name::OfType(label), Name::Given), made_at);
        let task = Rc::new(TaskCore {
            loop_: Rc::downgrade(core),
            key,
            waker: Waker::from(alarm.clone()),
            alarm,
            number,
            waiters: RefCell::default(),
            next_waiter: Cell::new(0),
            hears_itself: Cell::new(false),
            must_cancel: Cell::new(false),
            cancel_message: RefCell::default(),
            is_delivering: Cell::new(false),
            requests: Cell::new(0),
            is_started: Cell::new(false),
            is_stepping: Cell::new(false),
            told: RefCell::default(),
            is_told_awaited: Cell::new(false),
            is_cancelling: Cell::new(false),
        });
        let state = State::new(core, made_at, "Task");
        state.number.set(number);
        // As in asyncio, only those without a name count.
        match name {
            Some(name) => *state.name.borrow_mut() = Some(name.into()),
            None => state.nth.set(NEXT_NAME.fetch_add(1, Relaxed)),
        }
        let cell = Rc::new(Self { state, core: task, body: RefCell::new(Some(body)) });
        core.tasks.borrow_mut().insert(cell.clone());
        cell.core.alarm.ring();
        cell
    }

    fn finish(&self, core: &Core, result: Result<T>) {
        let task = &self.core;
        // A result may be dropped, and who waits for it is woken.
        core.record.interrupted();
        // Cancelled in its last step, or by something it never awaited again.
        let result = match result {
            Ok(value) if task.must_cancel.get() => {
                drop_quietly(value);
                Err(task.cancelled().into())
            }
            result => result,
        };
        task.hear_no_more();
        task.forget_waiters();
        let outcome = match &result {
            Ok(_) => Outcome::Completed,
            Err(Error::Cancelled(_)) => Outcome::Cancelled,
            Err(Error::Panicked(_)) => Outcome::Panicked,
            Err(_) => Outcome::Raised,
        };
        core.record.ended(task.number, outcome, result.as_ref().err());
        let known = core.tasks.borrow_mut().remove(task.key);
        self.state.complete(result);
        drop(known);
    }
}

/// Whether a step of a task goes on being its step.
struct Stepping<'a>(&'a Core, Option<Rc<TaskCore>>, &'a TaskCore);

impl<'a> Stepping<'a> {
    fn enter(core: &'a Core, task: &'a Rc<TaskCore>) -> Self {
        task.is_stepping.set(true);
        Self(core, core.current_task.replace(Some(task.clone())), task)
    }
}

impl Drop for Stepping<'_> {
    fn drop(&mut self) {
        self.2.is_stepping.set(false);
        self.0.current_task.replace(self.1.take());
    }
}

impl<T: 'static> AnyTask for TaskCell<T> {
    fn core(&self) -> &Rc<TaskCore> {
        &self.core
    }

    fn step(self: Rc<Self>, core: &Rc<Core>) {
        let task = &self.core;
        // Who rang wrote it before this step was due, and nobody writes it while one is.
        let at = task.alarm.woken_at.load(Relaxed);
        let wake = (at != 0).then(|| (at, task.alarm.woken_by.load(Relaxed)));
        // A swap and no store: what others did before they rang, and found a step due already, is to be seen
        // by the poll that follows, and nothing of that poll may come before this.
        task.alarm.is_due.swap(false, AcqRel);
        let Some(mut body) = self.body.take() else { return };
        let step = core.record.begin(task.number);
        task.is_delivering.set(task.must_cancel.get());
        if task.must_cancel.get() && !task.is_started.get() {
            drop_quietly(body);
            core.record.end(step, wake);
            return self.finish(core, Err(task.cancelled().into()));
        }
        task.is_started.set(true);
        task.is_told_awaited.set(false);
        task.forget_waiters();
        let polled = {
            let _stepping = Stepping::enter(core, task);
            let mut context = Context::from_waker(&task.waker);
            let polled = catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(&mut context)));
            match polled {
                Ok(Poll::Pending) => None,
                Ok(Poll::Ready(result)) => Some(result),
                Err(payload) => Some(Err(Error::of_panic(payload))),
            }
        };
        let result = match polled {
            Some(result) => result,
            None if task.must_cancel.get() && task.is_delivering.get() => {
                // It was to hear of its cancellation in this step, but whatever it awaits cannot tell it.
                Err(task.cancelled().into())
            }
            None => {
                *self.body.borrow_mut() = Some(body);
                core.record.end(step, wake);
                if task.was_passed_over() || task.must_cancel.get() {
                    task.must_cancel.set(true);
                    // Who is told of it may be the program's, and is no part of the next step.
                    core.record.interrupted();
                    self.cancel_what_it_awaits();
                }
                return;
            }
        };
        {
            let _stepping = Stepping::enter(core, task);
            drop_quietly(body);
        }
        core.record.end(step, wake);
        self.finish(core, result);
    }

    fn destroy(&self) {
        let body = self.body.take();
        if body.is_none() || self.state.is_done() {
            return;
        }
        if let Some(core) = self.core.loop_.upgrade() {
            core.complain(&destroyed(self));
            core.record.ended(self.core.number, Outcome::Destroyed, None);
        }
        drop_quietly(body);
        self.core.forget_waiters();
    }

    fn name(&self) -> Rc<str> {
        self.state.name().unwrap_or_else(|| "Task".into())
    }

    fn made_at(&self) -> Place {
        self.state.made_at
    }

    fn is_done(&self) -> bool {
        self.state.is_done()
    }

    fn peek_error(&self) -> Option<Error> {
        self.state.peek_error()
    }

    fn set_retrieved(&self) {
        self.state.is_retrieved.set(true);
    }

    fn on_done(&self, call: OnDone) -> CallbackId {
        self.state.on_done(call)
    }

    fn cancelled(&self) -> bool {
        self.state.is_cancelled()
    }
}

impl<T: 'static> TaskCell<T> {
    /// It was cancelled in the step that is over: what it awaits now is cancelled in its place, or else
    /// it hears of it in a step of its own.
    fn cancel_what_it_awaits(&self) {
        let task = &self.core;
        let mut next = Vec::new();
        match task.pass_on(&mut next) {
            true => task.must_cancel.set(false),
            false => task.alarm.ring(),
        }
        let message = task.cancel_message.borrow().clone();
        tell_all(next, message.as_deref());
    }
}

impl<T: 'static> Cancel for TaskCell<T> {
    fn is_open(&self) -> bool {
        !self.state.is_done()
    }

    fn tell(&self, message: Option<&str>, next: &mut Vec<Next>) {
        self.core.tell(message, next);
    }
}

/// A future that a loop runs. Clones are the same task; dropping them ends nothing. Awaiting one gives
/// its result, as often as it is asked for; a result that cannot be cloned may be put into an `Rc`.
pub struct Task<T> {
    pub(super) cell: Rc<TaskCell<T>>,
    waiting: Waiting,
}

impl<T> Clone for Task<T> {
    fn clone(&self) -> Self {
        Self { cell: self.cell.clone(), waiting: Waiting::default() }
    }
}

impl<T> PartialEq for Task<T> {
    /// Whether they are the same task.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.cell, &other.cell)
    }
}

impl<T: 'static> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.any(), f)
    }
}

impl<T: 'static> Task<T> {
    pub(super) fn of(cell: Rc<TaskCell<T>>) -> Self {
        Self { cell, waiting: Waiting::default() }
    }

    /// Asks the task to end; says whether it was not done yet. See [the module](super#cancellation) for
    /// how it hears of that.
    pub fn cancel(&self) -> bool {
        cancel(&*self.cell, None)
    }

    /// The same, with a word about why.
    pub fn cancel_with(&self, message: &str) -> bool {
        cancel(&*self.cell, Some(message))
    }

    /// Takes one request to cancel back, for those who have dealt with it; says how many are left.
    pub fn uncancel(&self) -> u32 {
        self.cell.core.uncancel()
    }

    /// Requests to cancel it that were not taken back.
    pub fn cancelling(&self) -> u32 {
        self.cell.core.cancelling()
    }

    /// Whether it has returned, failed or been cancelled.
    pub fn done(&self) -> bool {
        self.cell.state.is_done()
    }

    /// Whether it ended by being cancelled.
    pub fn cancelled(&self) -> bool {
        self.cell.state.is_cancelled()
    }

    /// The error it ended with, if it did. An error in itself if it was cancelled, or is not done.
    pub fn exception(&self) -> Result<Option<Error>> {
        self.cell.state.error()
    }

    /// Calls `call` soon after the task is done; what is added first is called first.
    #[track_caller]
    pub fn add_done_callback<F, R>(&self, call: F) -> CallbackId
    where
        F: FnOnce(&Self) -> R + 'static,
        R: CallbackResult + 'static,
    {
        let (place, weak) = (Location::caller(), Rc::downgrade(&self.cell));
        self.cell.state.on_done(move |core| {
            let Some(cell) = weak.upgrade() else { return };
            let task = Self::of(cell);
            core.schedule(place, move || call(&task));
        })
    }

    /// Takes a callback back; says whether it was there.
    pub fn remove_done_callback(&self, id: CallbackId) -> bool {
        self.cell.state.remove(id)
    }

    /// What it is called: `Task-1` and so on, unless it was named.
    pub fn name(&self) -> Rc<str> {
        AnyTask::name(&*self.cell)
    }

    /// Names it.
    pub fn set_name(&self, name: &str) {
        *self.cell.state.name.borrow_mut() = Some(name.into());
        record::named(self.cell.core.number, name);
    }

    /// Whose loop it is; `None` once that is gone.
    pub fn get_loop(&self) -> Option<EventLoop> {
        self.cell.core.loop_.upgrade().map(EventLoop)
    }

    /// The same task without its type.
    pub fn any(&self) -> TaskRef {
        TaskRef(self.cell.clone())
    }
}

impl<T: Clone + 'static> Task<T> {
    /// The result, if the task is done.
    pub fn result(&self) -> Result<T> {
        self.cell.state.result()
    }

    fn poll_result(&self, context: &mut Context<'_>) -> Poll<Result<T>> {
        if running::current_task().is_some_and(|task| Rc::ptr_eq(&task, &self.cell.core)) {
            return Poll::Ready(Err(LoopError::AwaitsItself.into()));
        }
        self.cell.state.poll(|| self.cell.clone(), &self.waiting, context)
    }
}

impl<T: Clone + 'static> Future for Task<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        self.poll_result(context)
    }
}

/// Awaits a clone, which ceases to wait when it is dropped.
impl<T: Clone + 'static> IntoFuture for &Task<T> {
    type Output = Result<T>;
    type IntoFuture = Task<T>;

    fn into_future(self) -> Task<T> {
        self.clone()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.cell.state.forget(&self.waiting);
    }
}

/// A task of any type: what [`all_tasks`](EventLoop::all_tasks) and
/// [`current_task`](EventLoop::current_task) give.
#[derive(Clone)]
pub struct TaskRef(pub(super) Rc<dyn AnyTask>);

impl PartialEq for TaskRef {
    /// Whether they are the same task.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(self.0.core(), other.0.core())
    }
}

impl TaskRef {
    /// As [`Task::cancel`].
    pub fn cancel(&self) -> bool {
        cancel(&*self.0, None)
    }

    /// As [`Task::cancel_with`].
    pub fn cancel_with(&self, message: &str) -> bool {
        cancel(&*self.0, Some(message))
    }

    /// As [`Task::uncancel`].
    pub fn uncancel(&self) -> u32 {
        self.0.core().uncancel()
    }

    /// As [`Task::cancelling`].
    pub fn cancelling(&self) -> u32 {
        self.0.core().cancelling()
    }

    /// As [`Task::done`].
    pub fn done(&self) -> bool {
        self.0.is_done()
    }

    /// As [`Task::cancelled`].
    pub fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    /// As [`Task::name`].
    pub fn name(&self) -> Rc<str> {
        self.0.name()
    }

    /// Where it was made.
    pub fn made_at(&self) -> Place {
        self.0.made_at()
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.done(), self.cancelled()) {
            (false, _) => "pending",
            (true, true) => "cancelled",
            (true, false) => "finished",
        };
        write!(f, "<Task {state} {:?} made at {}>", &*self.name(), self.made_at())
    }
}
