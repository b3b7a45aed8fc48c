//! The loop itself: one queue of what is ready, one heap of what is not yet due, and the future that
//! runs both inside a runtime of tokio's.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Builder, Handle as RuntimeHandle, Runtime};
use tokio::task::LocalSet;
use tokio::time::{Instant, Sleep};

use loopd_model::Outcome;

use super::call::CallbackResult;
use super::debug::{Check, ExceptionContext, log};
use super::error::{Error, LoopError, Place, Result};
use super::executor::Executors;
use super::finalizers::Finalizers;
use super::handle::{
    Callback, FromAfar, Handle, Head, Scheduled, Since, TimerHandle, drop_quietly,
};
use super::pool::Pool;
use super::record::{self, Recording};
use super::remote::{Item, Remote};
use super::running::Running;
use super::signals::Signals;
use super::tasks::{TaskCore, TaskKey, Tasks};
use super::threads::Promised;
use super::timers::Timers;
use super::{EventLoop, ExceptionHandler, running, tasks};

/// Callbacks and steps until tokio looks at its sockets and its own tasks again: as many of its own
/// tasks tokio runs until then. A turn of more is not cut.
const CALLS_BETWEEN_LOOKS: usize = 61;
/// From which length a callback is slow in debug mode, as in asyncio.
const SLOW: Duration = Duration::from_millis(100);

/// What is to run.
pub(super) enum Ready {
    Callback(Rc<Callback>),
    FromAfar(Box<FromAfar>),
    Step(TaskKey),
}

/// See the module.
pub(crate) struct Core {
    pub(super) made_at: Place,
    pub(super) remote: Arc<Remote>,
    runtime: RefCell<Option<Runtime>>,
    handle: RuntimeHandle,
    /// For what the program gives to `tokio::task::spawn_local`.
    local: RefCell<Option<Rc<LocalSet>>>,
    ready: RefCell<VecDeque<Ready>>,
    pool: Pool,
    timers: RefCell<Timers>,
    pub(super) tasks: RefCell<Tasks>,
    pub(super) current_task: RefCell<Option<Rc<TaskCore>>>,
    is_closed: Cell<bool>,
    /// Since when it is being swept before it is closed, in ticks; 0 if it is not.
    swept_since: Cell<u64>,
    is_stopping: Cell<bool>,
    /// Whether the thread sleeps, or tokio's part of it runs.
    is_asleep: Cell<bool>,
    running_since: Cell<Option<Place>>,
    is_debug: Cell<bool>,
    slow_after: Cell<Duration>,
    handler: RefCell<Option<ExceptionHandler>>,
    pub(super) executors: Executors,
    pub(super) finalizers: Finalizers,
    pub(super) signals: Signals,
    pub(super) promised: Promised,
    pub(super) record: Recording,
}

impl Core {
    pub(super) fn new(name: &str, made_at: Place) -> Result<Rc<Self>, LoopError> {
        let record = Recording::new(name);
        let mut builder = Builder::new_current_thread();
        builder.enable_all();
        record.install(&mut builder);
        let build = |error| LoopError::Io { action: "make a runtime", source: Arc::new(error) };
        let runtime = builder.build().map_err(build)?;
        let handle = runtime.handle().clone();
        record.open(&handle, made_at);
        let core = Rc::new(Self {
            made_at,
            remote: Arc::default(),
            runtime: RefCell::new(Some(runtime)),
            handle,
            local: RefCell::new(Some(Rc::new(LocalSet::new()))),
            ready: RefCell::default(),
            pool: Pool::default(),
            timers: RefCell::default(),
            tasks: RefCell::default(),
            current_task: RefCell::default(),
            is_closed: Cell::new(false),
            swept_since: Cell::new(0),
            is_stopping: Cell::new(false),
            is_asleep: Cell::new(false),
            running_since: Cell::new(None),
            is_debug: Cell::new(is_debug_by_environment()),
            slow_after: Cell::new(SLOW),
            handler: RefCell::default(),
            executors: Executors::default(),
            finalizers: Finalizers::default(),
            signals: Signals::default(),
            promised: Promised::default(),
            record,
        });
        running::add(&core);
        Ok(core)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    pub(super) fn check_open(&self) -> Result<(), LoopError> {
        if self.is_closed.get() { Err(LoopError::Closed) } else { Ok(()) }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running_since.get().is_some()
    }

    pub(super) fn stop(&self) {
        self.is_stopping.set(true);
        self.wake();
    }

    pub(super) fn debug(&self) -> bool {
        self.is_debug.get()
    }

    pub(super) fn set_debug(&self, is_on: bool) {
        self.is_debug.set(is_on);
    }

    pub(super) fn slow_after(&self) -> &Cell<Duration> {
        &self.slow_after
    }

    pub(super) fn handler(&self) -> &RefCell<Option<ExceptionHandler>> {
        &self.handler
    }

    pub(super) fn runtime_handle(&self) -> &RuntimeHandle {
        &self.handle
    }

    /// For tasks of tokio's own that serve the loop.
    pub(super) fn local(&self) -> Option<Rc<LocalSet>> {
        self.local.borrow().clone()
    }
}

/// What is scheduled.
impl Core {
    /// Wakes the loop if it sleeps: something is ready, scheduled by this thread, but not by the loop.
    #[inline]
    fn wake(&self) {
        if self.is_asleep.replace(false) {
            self.remote.wake();
        }
    }

    #[inline]
    fn push(&self, ready: Ready) {
        self.ready.borrow_mut().push_back(ready);
        self.wake();
    }

    pub(super) fn push_step(&self, key: TaskKey) {
        self.push(Ready::Step(key));
    }

    #[inline]
    fn callback<F, R>(
        &self,
        place: Place,
        name: fn() -> &'static str,
        call: F,
        when: Option<Instant>,
    ) -> Rc<Callback>
    where
        F: FnOnce() -> R + 'static,
        R: CallbackResult + 'static,
    {
        let number = self.record.callback(place, name);
        let since = match when {
            None => {
                let (at, by) = record::now();
                Since::Scheduled { at, by }
            }
            Some(when) => Since::Due(when),
        };
        self.pool.callback(Head::new(place, name, number, since), call)
    }

    /// Has a callback run in the next turn. The loop is open.
    #[inline]
    pub(super) fn schedule_named<F, R>(
        &self,
        place: Place,
        name: fn() -> &'static str,
        call: F,
    ) -> Handle
    where
        F: FnOnce() -> R + 'static,
        R: CallbackResult + 'static,
    {
        let scheduled = self.callback(place, name, call, None);
        self.push(Ready::Callback(scheduled.clone()));
        Handle(scheduled)
    }

    /// The same, called as its type is.
    #[inline]
    pub(super) fn schedule<F, R>(&self, place: Place, call: F) -> Handle
    where
        F: FnOnce() -> R + 'static,
        R: CallbackResult + 'static,
    {
        self.schedule_named(place, std::any::type_name::<F>, call)
    }

    /// Has a callback run at an instant.
    pub(super) fn schedule_at<F, R>(
        self: &Rc<Self>,
        place: Place,
        when: Instant,
        call: F,
    ) -> TimerHandle
    where
        F: FnOnce() -> R + 'static,
        R: CallbackResult + 'static,
    {
        let scheduled = self.callback(place, std::any::type_name::<F>, call, Some(when));
        self.timers.borrow_mut().push(when, scheduled.clone());
        // Asleep, it would not know of an earlier one.
        self.wake();
        TimerHandle { scheduled, when, loop_: Rc::downgrade(self) }
    }

    pub(super) fn timer_was_cancelled(&self) {
        if let Ok(mut timers) = self.timers.try_borrow_mut() {
            timers.one_was_cancelled();
        }
    }
}

/// What runs.
impl Core {
    /// Moves what is due into the queue: how many callbacks the turn has that begins.
    fn begin_turn(&self) -> usize {
        if let Some(items) = self.remote.take() {
            self.record.interrupted();
            items.into_iter().for_each(|item| self.accept(item));
        }
        let mut timers = self.timers.borrow_mut();
        if !timers.is_empty() {
            self.record.interrupted();
            let now = Instant::now();
            let mut ready = self.ready.borrow_mut();
            while let Some(scheduled) = timers.pop_due(now) {
                ready.push_back(Ready::Callback(scheduled));
            }
        }
        let ready = self.ready.borrow().len();
        self.record.turn(ready);
        ready
    }

    /// Takes what the loop's own thread gives it in the way of other threads.
    pub(super) fn accept_here(&self, item: Item) {
        self.accept(item);
        self.wake();
    }

    fn accept(&self, item: Item) {
        let ready = match item {
            Item::Step(key) => Ready::Step(key),
            Item::Call(call) if call.call.cancelled() => return,
            Item::Call(call) => {
                let number = self.record.callback(call.place, call.name);
                let (at, by) = call.scheduled;
                let since = Since::Scheduled { at, by };
                let head = Head::new(call.place, call.name, number, since);
                Ready::FromAfar(Box::new(FromAfar { head, call: call.call }))
            }
        };
        self.ready.borrow_mut().push_back(ready);
    }

    /// Runs what is left of a turn; says whether that was all, or tokio is to have its turn first. What panics
    /// outside of a callback's or task's own code, such as the drop of a result that nobody holds, does not
    /// end the run.
    fn run_turn(self: &Rc<Self>, left: &mut usize) -> bool {
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.run_uncaught(left))) {
                Ok(is_over) => return is_over,
                Err(payload) => {
                    // Its own drop may panic as well.
                    std::mem::forget(payload);
                    let message = "a callback or task panicked after its end".to_owned();
                    self.complain(&ExceptionContext::new(Check::CallbackFailed, message, None));
                }
            }
        }
    }

    #[inline]
    fn run_uncaught(self: &Rc<Self>, left: &mut usize) -> bool {
        while *left > 0 {
            *left -= 1;
            // What is tokio's says that it is not ready once a poll of ours has used it often enough.
            if self.run_next() && *left > 0 && !tokio::task::coop::has_budget_remaining() {
                return false;
            }
        }
        true
    }

    /// Runs what is first in the queue; says whether that was a step.
    #[inline]
    fn run_next(self: &Rc<Self>) -> bool {
        let Some(ready) = self.ready.borrow_mut().pop_front() else { return false };
        if self.is_debug.get() {
            return self.run_timed(ready);
        }
        match ready {
            Ready::Callback(scheduled) => {
                self.run_callback(&*scheduled);
                self.pool.take_back(scheduled);
                false
            }
            Ready::FromAfar(scheduled) => {
                self.run_callback(&*scheduled);
                false
            }
            Ready::Step(key) => {
                let task = self.tasks.borrow().get(key).cloned();
                if let Some(task) = task {
                    task.step(self);
                }
                true
            }
        }
    }

    #[inline]
    fn run_callback(self: &Rc<Self>, scheduled: &impl Scheduled) {
        let head = scheduled.head();
        if head.is_cancelled.get() {
            return;
        }
        let begun = self.record.begin(head.number);
        if let Since::Due(when) = head.since
            && head.number != 0
        {
            let nanos = Instant::now().saturating_duration_since(when).as_nanos();
            self.record.late(begun, u64::try_from(nanos).unwrap_or(u64::MAX), head.number);
        }
        let result = scheduled.run();
        let wake = match head.since {
            Since::Scheduled { at, by } if at != 0 => Some((at, by)),
            _ => None,
        };
        self.record.end(begun, wake);
        if let Err(error) = result {
            self.callback_failed(head, error);
        }
    }

    #[cold]
    #[inline(never)]
    fn callback_failed(self: &Rc<Self>, head: &Head, error: Error) {
        let name = (head.name)();
        let message = format!("Exception in callback {name}");
        self.complain(&ExceptionContext {
            error: Some(error),
            handle: Some(name),
            ..ExceptionContext::new(Check::CallbackFailed, message, Some(head.place))
        });
    }

    /// Debug mode: says so if it takes long.
    #[cold]
    #[inline(never)]
    fn run_timed(self: &Rc<Self>, ready: Ready) -> bool {
        let began = Instant::now();
        let mut context = ExceptionContext::new(Check::Slow, String::new(), None);
        let mut told = |head: &Head| {
            context.handle = Some((head.name)());
            context.made_at = Some(head.place);
        };
        let is_step = match ready {
            Ready::Callback(scheduled) => {
                self.run_callback(&*scheduled);
                told(scheduled.head());
                self.pool.take_back(scheduled);
                false
            }
            Ready::FromAfar(scheduled) => {
                self.run_callback(&*scheduled);
                told(scheduled.head());
                false
            }
            Ready::Step(key) => {
                let task = self.tasks.borrow().get(key).cloned();
                if let Some(task) = task {
                    task.clone().step(self);
                    context.task = Some(task.name());
                    context.made_at = Some(task.made_at());
                    context.number = task.core().number;
                }
                true
            }
        };
        let took = began.elapsed();
        if took >= self.slow_after.get() {
            let what = if is_step { "a step of a task" } else { "a callback" };
            context.message = format!("Executing {what} took {:.3} seconds", took.as_secs_f64());
            self.complain(&context);
        }
        is_step
    }

    /// Says it to the recorder and to the handler; what the handler itself does wrong is only logged.
    pub(super) fn complain(self: &Rc<Self>, context: &ExceptionContext) {
        self.record.interrupted();
        self.record.complain(context);
        let handler = self.handler.borrow().clone();
        let Some(handler) = handler else { return log(context) };
        let event_loop = EventLoop(self.clone());
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| handler(&event_loop, context))) {
            log(context);
            log(&ExceptionContext {
                error: Some(Error::of_panic(payload)),
                ..ExceptionContext::new(
                    Check::CallbackFailed,
                    "Unhandled error in exception handler".to_owned(),
                    None,
                )
            });
        }
    }
}

/// From start to end.
impl Core {
    /// Runs until it is stopped.
    pub(super) fn run(self: &Rc<Self>, since: Place) -> Result<(), LoopError> {
        self.check_may_run()?;
        self.record.open(&self.handle, self.made_at);
        self.running_since.set(Some(since));
        let _running = Running::enter(self);
        let _ends = Ends(self);
        let (runtime, local) = (self.runtime.borrow(), self.local());
        let (Some(runtime), Some(local)) = (runtime.as_ref(), local) else {
            return Err(LoopError::Closed);
        };
        runtime.block_on(local.run_until(Turns { core: self, left: 0, sleep: None }));
        Ok(())
    }

    pub(super) fn check_may_run(&self) -> Result<(), LoopError> {
        self.check_open()?;
        let made_at = self.made_at;
        if let Some(running_since) = self.running_since.get() {
            return Err(LoopError::AlreadyRunning { made_at, running_since });
        }
        check_thread(made_at)
    }

    /// What happens from here on is only its end: that is when it counts as closed, so that tasks which
    /// live until they are swept away are seen to have been there all the time.
    pub(super) fn begin_sweep(&self) {
        self.swept_since.set(crate::clock::ticks());
    }

    /// Nothing runs any more. What was scheduled is dropped.
    pub(super) fn close(self: &Rc<Self>) -> Result<(), LoopError> {
        if let Some(running_since) = self.running_since.get() {
            return Err(LoopError::CannotCloseRunning { running_since });
        }
        if self.is_closed.replace(true) {
            return Ok(());
        }
        let began = match self.swept_since.get() {
            0 => crate::clock::ticks(),
            swept_since => swept_since,
        };
        let left = self.remote.close();
        let ready = self.ready.take();
        let timers = self.timers.borrow_mut().take();
        if self.is_debug.get() {
            self.tell_of_those_never_run(&ready, &left);
        }
        let tasks = self.tasks.borrow().all();
        {
            // Sockets and timers of tokio's are dropped where they belong.
            let _inside = self.handle.enter();
            tasks.iter().for_each(|task| task.destroy());
            discard(ready, timers, left);
            self.signals.clear();
            self.finalizers.clear();
            self.promised.clear();
            drop_quietly(self.local.take());
        }
        self.pool.clear();
        *self.tasks.borrow_mut() = Tasks::default();
        drop_quietly(tasks);
        self.executors.close();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.record.close(began);
        drop_quietly(self.handler.take());
        Ok(())
    }

    fn tell_of_those_never_run(
        self: &Rc<Self>,
        ready: &VecDeque<Ready>,
        from_afar: &VecDeque<Item>,
    ) {
        let callbacks = ready.iter().filter_map(|ready| match ready {
            Ready::Callback(scheduled) => Some(scheduled.head()),
            Ready::FromAfar(scheduled) => Some(scheduled.head()),
            Ready::Step(_) => None,
        });
        let callbacks =
            callbacks.filter(|head| !head.is_cancelled.get()).map(|head| (head.name, head.place));
        let calls = from_afar.iter().filter_map(|item| match item {
            Item::Call(call) if !call.call.cancelled() => Some((call.name, call.place)),
            _ => None,
        });
        for (name, place) in callbacks.chain(calls) {
            let name = name();
            let message = format!("Callback {name} was never run");
            self.complain(&ExceptionContext {
                handle: Some(name),
                ..ExceptionContext::new(Check::NeverRun, message, Some(place))
            });
        }
    }
}

impl Core {
    /// Complains of something when there is no handler any more.
    fn tell_nobody(&self, context: &ExceptionContext) {
        self.record.complain(context);
        // Who writes the log may count on what the thread, at its end, has no more.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| log(context))) {
            std::mem::forget(payload);
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if self.is_closed.get() {
            return;
        }
        // Nobody has it any more, so no handler can be given it.
        let tasks = self.tasks.take();
        let all = tasks.all();
        for task in &all {
            self.tell_nobody(&tasks::destroyed(&**task));
            self.record.ended(task.core().number, Outcome::Destroyed, None);
        }
        let message = "unclosed event loop".to_owned();
        let context = ExceptionContext::new(Check::UnclosedLoop, message, Some(self.made_at));
        self.tell_nobody(&context);
        let left = self.remote.close();
        drop_quietly(self.handler.take());
        if RuntimeHandle::try_current().is_err_and(|error| error.is_thread_local_destroyed()) {
            // The thread ends, and what is tokio's in it is gone: what needs that can only be left as it is.
            std::mem::forget((self.ready.take(), self.timers.borrow_mut().take(), left));
            std::mem::forget((tasks, all, self.local.take(), self.runtime.take()));
            self.record.abandon();
            return;
        }
        {
            let _inside = self.handle.enter();
            discard(self.ready.take(), self.timers.borrow_mut().take(), left);
            self.finalizers.clear();
            self.promised.clear();
            // Also of those that somebody still has: their futures may hold what is tokio's.
            all.iter().for_each(|task| task.destroy());
            drop_quietly((tasks, all));
            drop_quietly(self.local.take());
        }
        self.record.abandon();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Whether a loop made there may run in this thread.
pub(super) fn check_thread(made_at: Place) -> Result<(), LoopError> {
    if let Some(other) = running::running() {
        let running_since = other.running_since.get().unwrap_or(other.made_at);
        let other_made_at = other.made_at;
        return Err(LoopError::AnotherIsRunning { made_at, other_made_at, running_since });
    }
    match RuntimeHandle::try_current() {
        Ok(_) => Err(LoopError::InsideRuntime),
        Err(_) => Ok(()),
    }
}

/// Drops what will not be called any more, also of callbacks whose handles somebody keeps.
fn discard(ready: VecDeque<Ready>, timers: Vec<Rc<Callback>>, from_afar: VecDeque<Item>) {
    for ready in &ready {
        match ready {
            Ready::Callback(scheduled) => scheduled.discard(),
            Ready::FromAfar(scheduled) => scheduled.discard(),
            Ready::Step(_) => {}
        }
    }
    timers.iter().for_each(|timer| timer.discard());
    for item in &from_afar {
        if let Item::Call(call) = item {
            call.call.discard();
        }
    }
    drop_quietly((ready, timers, from_afar));
}

/// However a run ends, the loop then does not run.
struct Ends<'a>(&'a Core);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.is_stopping.set(false);
        self.0.is_asleep.set(false);
        self.0.running_since.set(None);
    }
}

/// Turn after turn, until the loop is stopped.
struct Turns<'a> {
    core: &'a Rc<Core>,
    /// Callbacks of this turn that have not run.
    left: usize,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Future for Turns<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let core = self.core;
        core.is_asleep.set(false);
        core.record.interrupted();
        let mut calls = 0;
        loop {
            if self.left == 0 {
                self.left = core.begin_turn();
                if self.left == 0 && !core.is_stopping.get() {
                    if self.fall_asleep(context) {
                        return Poll::Pending;
                    }
                    continue;
                }
            }
            calls += self.left;
            if !core.run_turn(&mut self.left) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if core.is_stopping.get() {
                return Poll::Ready(());
            }
            if calls >= CALLS_BETWEEN_LOOKS || !tokio::task::coop::has_budget_remaining() {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}

impl Turns<'_> {
    /// Nothing is ready; says whether that is still so.
    fn fall_asleep(&mut self, context: &mut Context<'_>) -> bool {
        let core = self.core;
        core.record.interrupted();
        let next = core.timers.borrow_mut().next();
        if let Some(next) = next {
            let sleep = match &mut self.sleep {
                Some(sleep) => {
                    if sleep.deadline() != next {
                        sleep.as_mut().reset(next);
                    }
                    sleep
                }
                none => none.insert(Box::pin(tokio::time::sleep_until(next))),
            };
            // Not by this poll's budget, of which nothing may be left.
            let mut sleep = std::pin::pin!(tokio::task::coop::unconstrained(sleep.as_mut()));
            if sleep.as_mut().poll(context).is_ready() {
                return false;
            }
        }
        core.is_asleep.set(true);
        if !core.remote.sleep(context.waker()) {
            core.is_asleep.set(false);
            return false;
        }
        true
    }
}

fn is_debug_by_environment() -> bool {
    std::env::var("LOOPD_DEBUG").is_ok_and(|value| {
        matches!(value.trim().to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes")
    })
}
