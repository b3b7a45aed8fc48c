//! asyncio's event loop for Rust, recorded from its first callback on.
//!
//! ```
//! use std::time::Duration;
//! use loopd_agent::event_loop::{create_task, sleep, wait_for, EventLoop};
//!
//! # fn main() -> loopd_agent::event_loop::Result<()> {
//! # let _nowhere = loopd_agent::Config::from_env().endpoint("http://127.0.0.1:1").start();
//! let total = loopd_agent::run(async {
//!     EventLoop::running()?.call_soon(|| println!("first"))?;
//!     let task = create_task(async {
//!         sleep(Duration::from_millis(1)).await?;
//!         Ok(20)
//!     })?;
//!     let other = wait_for(Duration::from_secs(1), async { Ok(22) }).await?;
//!     Ok(task.await? + other)
//! })?;
//! assert_eq!(total, 42);
//! # Ok(())
//! # }
//! ```
//!
//! # Examples
//!
//! Four programs to copy from, in `agent/examples/loops` of loopd's repository; `loopd demo NAME` runs one and
//! shows what is recorded of it:
//!
//! | `NAME` | what it shows |
//! |---|---|
//! | `web-server` | many connections on one loop: a task for each in a [`TaskGroup`], an executor for what computes, an end that cuts nobody off |
//! | `frames` | a window: frames by [`call_at`](EventLoop::call_at), input by [`call_soon_threadsafe`](LoopHandle::call_soon_threadsafe), timers that are cancelled |
//! | `fan-out` | a client that asks many servers at once: [`gather_results`], [`wait_for`], [`shield`], a [`TaskGroup`] |
//! | `many-loops` | a loop in each of several threads, and calls between them by [`run_coroutine_threadsafe`](LoopHandle::run_coroutine_threadsafe) |
//!
//! # Turns
//!
//! There is one queue. What is scheduled, callbacks and the steps of tasks alike, joins its end. A turn
//! moves the timers that are due into the queue, by deadline and then by registration, and runs exactly
//! what is in it then: what is scheduled meanwhile is for the next turn. That is asyncio's order, and the
//! crate's tests compare it with CPython's, scenario by scenario.
//!
//! A loop belongs to one thread, and so do its callbacks, futures and results: none need be `Send`. The
//! compiler sees to that, so that there is no check for calls from the wrong thread as asyncio's debug mode
//! has; other threads have a [`LoopHandle`].
//!
//! The loop is one future on a current-thread runtime of tokio's. All of tokio's sockets, timers, locks and
//! channels work in its tasks, as do `tokio::spawn` and `tokio::task::spawn_local`. Between turns tokio looks
//! at its sockets and its own tasks, at the latest after 61 callbacks and steps, or the one turn that had
//! more. Timers have tokio's resolution of a millisecond, never early.
//!
//! # Errors
//!
//! A task's future returns a [`Result`]; its [`Error`] stands for Python's exceptions. Any error of the
//! program becomes one by `?`, and so does a panic, which goes no further than the task or callback it
//! happened in. What nobody awaits is told to the exception handler: failing callbacks, tasks whose error
//! was never looked at, tasks that were pending when their loop was closed. Each is also recorded, and
//! shown among the findings. With `panic = "abort"` a panic ends the program, as everywhere.
//!
//! # Cancellation
//!
//! Python throws an exception into the coroutine. A future of Rust's can only be polled or dropped, so
//! here [`Task::cancel`] does what asyncio's does as far as it goes, and then has two ways to be heard:
//!
//! 1. If the task awaits another task, a [`Promise`], [`gather`] or [`sleep`], that is cancelled in its
//!    place, and ends with [`Error::Cancelled`], which the await in the task then gives. The awaited task
//!    may handle it and give a result after all, and then the outer one is not cancelled.
//! 2. Else the task makes a step, and the await in it that is of this module gives the error:
//!    those above, [`yield_now`], [`wait_for`] and [`cancellable`], which makes any future one that hears.
//! 3. If the task awaits something that cannot hear, such as a socket of tokio's, its future is dropped in
//!    that step, as tokio's `abort` does it.
//!
//! Who is given the error may pass it on with `?`, which ends the task as cancelled; clean up first, also by
//! awaiting; or ignore it and go on. A request counts until it is taken back by [`Task::uncancel`], by which
//! [`wait_for`] and [`TaskGroup`] tell their own from others. When the last one is taken back, nobody hears of
//! it who has not heard yet, as in CPython since 3.13 (before, the task was cancelled all the same). A task
//! cancelled before its first step never begins.
//!
//! Several things awaited at once by the task itself (`select!`, `join!`) are all cancelled: whatever of this
//! module was polled in the task's last step, and is not done or dropped. What is polled by reference, as
//! `select!` does with `&mut task` and with whatever is pinned, cannot tell that nobody awaits it any more: it
//! is cancelled even if another branch has come first in that step. The request is not lost by that: once that
//! has ended, the task makes a step, and hears of it itself if it does not ask for what was cancelled in its place.
//! Give `select!` the task, a clone or `&task`, which are dropped with it.
//!
//! # What is recorded
//!
//! Of each loop: when it was made and closed, its parks, turns and ready callbacks. Of each task: where and
//! by whom it was made, its name, each step with who woke it, its end and its error. Of each line that
//! schedules callbacks: all runs, with who scheduled them, or how late their timer was; they are one task of
//! the kind `callback`. Of each job of an executor: when it was queued, begun and ended. A loop that is
//! dropped without [`EventLoop::close`] is an unclosed resource, with the line that made it. One of [`run`] counts
//! as closed from the moment that it begins to sweep up what its future has left.
//!
//! A callback or step begins when the one before it ended, unless something came between: the queue ran
//! empty, tokio had its turn, a timer was due, another thread called, a task ended, the loop complained. What
//! the loop itself does between two of them, some ten nanoseconds, counts to the second; the clock is read
//! once for both.
//!
//! # What it costs
//!
//! `cargo xtask bench event-loop` measures it beside asyncio and uvloop, which record nothing here. On one virtual
//! machine (Emerald Rapids, glibc 2.36, nothing else running), in nanoseconds of the loop's thread, medians:
//!
//! | for each | not recorded | recorded | uvloop 0.23, CPython 3.13 | uvloop takes, times recorded |
//! |---|---|---|---|---|
//! | callback, 1000 a turn | 36 | 71 | 292 | 4.2 |
//! | callback, a turn each | 46 | 80 | 743 | 9.6 |
//! | task switch | 77 | 132 | 675 | 5.1 |
//!
//! A recorded callback reads the clock twice, when it is scheduled and when it ends (10 ns each there), and
//! writes one record of 24 bytes. While a timer is pending, which each turn asks for, the first of each turn reads
//! it once more. What callbacks are kept in is used again, up to 4,096 at a time.
//!
//! # Beside asyncio's
//!
//! Every name of asyncio's event loops, tasks, futures and handles, and whatever else `asyncio` exports. The
//! crate's tests hold the list against CPython's.
//!
//! | asyncio | here |
//! |---|---|
//! | `get_running_loop`, `get_event_loop`, `set_event_loop`, `new_event_loop` | [`EventLoop::running`], [`EventLoop::current`], [`EventLoop::set_current`], [`EventLoop::new`] |
//! | `run` | [`run`], with its Ctrl-C and its limit for the executor |
//! | `Runner`, `Runner.run`, `Runner.close`, `Runner.get_loop` | not there: make an [`EventLoop`] |
//! | `EventLoop`, `SelectorEventLoop`, `BaseEventLoop`, `AbstractEventLoop` | [`EventLoop`]; there is one kind |
//! | `run_until_complete`, `run_forever`, `stop`, `is_running`, `is_closed`, `close` | the same; also [`EventLoop::run_until_task_completes`] for a task that there is |
//! | `shutdown_asyncgens` | [`EventLoop::shutdown_finalizers`]: Rust has no asynchronous generators, but what is to be done at the end can be registered |
//! | `shutdown_default_executor`, `run_in_executor`, `set_default_executor` | the same; the timeout is [`wait_for`]'s; no pools of processes |
//! | `to_thread` | [`EventLoop::run_in_executor`] with `None`; there is no context to copy |
//! | `call_soon`, `call_later`, `call_at`, `time` | the same; instants are tokio's, not numbers |
//! | `call_soon_threadsafe` | the same, of [`LoopHandle`] as well; its [`ThreadsafeHandle`] cancels from any thread |
//! | `run_coroutine_threadsafe`, `wrap_future` | [`LoopHandle::run_coroutine_threadsafe`]; the future is made in the loop's thread, since it need not be `Send`; a [`ThreadsafeFuture`] can be awaited as it is |
//! | `Handle`, `TimerHandle`, `cancel`, `cancelled`, `when` | the same |
//! | `get_context` and the arguments `context` | not there: Rust has no context variables; closures keep what they need |
//! | `create_future`, `Future`, `set_result`, `set_exception` | [`EventLoop::create_future`], [`Promise`] |
//! | `create_task`, `Task`, `get_loop` | the same; the loop keeps its tasks alive, where asyncio's keeps them weakly |
//! | `set_task_factory`, `get_task_factory`, `eager_task_factory`, `create_eager_task_factory` | not there: a task's first step is always in the next turn |
//! | `get_stack`, `print_stack`, `get_coro`, `capture_call_graph`, `format_call_graph`, `print_call_graph`, `FrameCallGraphEntry`, `FutureCallGraph`, `future_add_to_awaited_by`, `future_discard_from_awaited_by` | not there: the state of a future is the compiler's secret; `dump_tasks` of this crate is for tokio's tasks |
//! | `cancel`, `cancelling`, `uncancel`, `cancelled`, `done`, `result`, `exception`, `add_done_callback`, `remove_done_callback`, `get_name`, `set_name` | the same; `cancel` with a word is [`Task::cancel_with`]; callbacks are removed by the [`CallbackId`] that adding them gave |
//! | `all_tasks`, `current_task` | the same; what is done is not among them |
//! | `gather`, `wait_for`, `timeout`, `timeout_at`, `shield`, `TaskGroup`, `sleep` | the same; [`wait_for`] is `timeout` as well; [`gather_results`] for `return_exceptions`; `gather` takes tasks, so that it is seen what is started |
//! | `Timeout`, `Timeout.when`, `expired`, `reschedule` | not there: what [`wait_for`] gives is a future, and over when it has been awaited |
//! | `wait`, `as_completed`, `ALL_COMPLETED`, `FIRST_COMPLETED`, `FIRST_EXCEPTION` | not there: `tokio::select!` and the combinators of `futures` do that |
//! | `ensure_future`, `isfuture`, `iscoroutine`, `iscoroutinefunction` | not there: the compiler knows what is a future |
//! | `set_exception_handler`, `get_exception_handler`, `call_exception_handler`, `default_exception_handler` | the same ([`EventLoop::exception_handler`]); the default is an event of `tracing` |
//! | `get_debug`, `set_debug` | [`EventLoop::debug`], [`EventLoop::set_debug`] |
//! | `CancelledError`, `TimeoutError`, `InvalidStateError` | [`Error::Cancelled`], [`Error::TimedOut`], [`LoopError::InvalidState`] |
//! | `add_signal_handler`, `remove_signal_handler` | the same, on Unix; tokio never gives a signal back to the system |
//! | `Lock`, `Event`, `Condition`, `Semaphore`, `BoundedSemaphore`, `Barrier`, `BrokenBarrierError`, `Queue`, `PriorityQueue`, `LifoQueue`, `QueueEmpty`, `QueueFull`, `QueueShutDown` | not there: tokio's, and those of this crate's [`sync`](crate::sync), work in tasks; [`cancellable`] has them hear of cancellations |
//! | `add_reader`, `remove_reader`, `add_writer`, `remove_writer` | not there: `tokio::io::unix::AsyncFd` in a task |
//! | `sock_recv`, `sock_recv_into`, `sock_recvfrom`, `sock_recvfrom_into`, `sock_sendall`, `sock_sendto`, `sock_connect`, `sock_accept`, `sock_sendfile`, `sendfile`, `getaddrinfo`, `getnameinfo`, `SendfileNotAvailableError` | not there: tokio's sockets, and those of this crate's [`net`](crate::net), are used in tasks; a socket's own `sendfile` is tokio's `copy` |
//! | `create_connection`, `create_server`, `create_unix_connection`, `create_unix_server`, `create_datagram_endpoint`, `connect_accepted_socket`, `connect_read_pipe`, `connect_write_pipe`, `start_tls`, `open_connection`, `open_unix_connection`, `start_server`, `start_unix_server`, `Server`, `AbstractServer`, `StreamReader`, `StreamWriter`, `StreamReaderProtocol`, `IncompleteReadError`, `LimitOverrunError` | not there, for the same reason |
//! | `BaseProtocol`, `Protocol`, `BufferedProtocol`, `DatagramProtocol`, `SubprocessProtocol`, `BaseTransport`, `Transport`, `ReadTransport`, `WriteTransport`, `DatagramTransport`, `SubprocessTransport` | not there: Rust's traits `AsyncRead` and `AsyncWrite` are in their place |
//! | `subprocess_exec`, `subprocess_shell`, `create_subprocess_exec`, `create_subprocess_shell` | not there: tokio's processes, and those of this crate's `process`, are used in tasks |
//! | `get_event_loop_policy`, `set_event_loop_policy`, `AbstractEventLoopPolicy`, `DefaultEventLoopPolicy`, `get_child_watcher`, `set_child_watcher`, `AbstractChildWatcher`, `SafeChildWatcher`, `FastChildWatcher`, `MultiLoopChildWatcher`, `PidfdChildWatcher`, `ThreadedChildWatcher` | not there: deprecated or gone |
//!
//! What asyncio's debug mode does, and what it complains of at any time:
//!
//! | asyncio | here |
//! |---|---|
//! | callbacks and steps of more than `slow_callback_duration` | the same: [`EventLoop::slow_callback_duration`]; recorded with a stack while they last, also without debug mode |
//! | calls from the wrong thread | the compiler refuses them; [`ThreadsafeFuture::result`] in the loop's own thread is an error |
//! | coroutines that were never awaited | the compiler warns of futures that are not used |
//! | where tasks and handles were made | always known |
//! | slow selectors | not there: parks are recorded |
//! | tasks destroyed while pending, errors never retrieved, failing callbacks, unclosed loops, an executor that does not end | the same, also without debug mode |
//! | unclosed transports | what the guards of this crate and [`Tracked`](crate::Tracked) tell |
//!
//! Debug mode also tells of callbacks that were still to run when the loop was closed.

mod call;
mod combine;
mod core;
mod debug;
mod error;
mod executor;
mod finalizers;
mod group;
mod handle;
mod interrupt;
mod kept;
mod pool;
mod promise;
mod record;
mod remote;
mod runner;
mod running;
mod signals;
mod sleep;
mod stored;
mod tasks;
mod threads;
mod timers;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::AcqRel, Ordering::Acquire};
use std::time::Duration;

use tokio::time::Instant;

pub use call::CallbackResult;
pub use combine::{Gather, gather, gather_results, shield, timeout_at, wait_for};
pub use debug::{Check, ExceptionContext};
pub use error::{Cancelled, Error, LoopError, Place, Result};
pub use executor::{Executor, Job, ThreadPool};
pub use group::TaskGroup;
pub use handle::{Handle, ThreadsafeHandle, TimerHandle};
pub use promise::{CallbackId, Promise};
pub use runner::{EXECUTOR_SHUTDOWN_TIMEOUT, run};
pub use sleep::{cancellable, sleep, yield_now};
pub use tasks::{Task, TaskRef};
pub use threads::{LoopHandle, ThreadsafeFuture};

use self::core::Core;
use tasks::TaskCell;

/// What is told of what goes wrong where nobody awaits it.
pub type ExceptionHandler = Rc<dyn Fn(&EventLoop, &ExceptionContext)>;

/// A loop. Clones are the same loop; it stays in the thread that made it, and [`LoopHandle`] is for others.
///
/// It keeps its tasks and callbacks, and one that these have clones of is not freed before it is closed.
///
/// How one is used in a whole program, the [examples](self#examples) of the module show.
#[derive(Clone)]
pub struct EventLoop(Rc<Core>);

impl PartialEq for EventLoop {
    /// Whether they are the same loop.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.is_closed(), self.is_running()) {
            (true, _) => "closed",
            (_, true) => "running",
            _ => "stopped",
        };
        write!(f, "<EventLoop {state} made at {}>", self.0.made_at)
    }
}

/// Getting a loop.
impl EventLoop {
    /// A new loop, called as the thread is. It has to be [closed](EventLoop::close).
    #[track_caller]
    pub fn new() -> Result<Self, LoopError> {
        let place = Location::caller();
        Core::new(&crate::sys::thread_name(), place).map(Self)
    }

    /// The same under another name: what people call it on the dashboard.
    #[track_caller]
    pub fn named(name: &str) -> Result<Self, LoopError> {
        Core::new(name, Location::caller()).map(Self)
    }

    /// Makes a loop this thread's own, or with `None` takes it away again.
    pub fn set_current(event_loop: Option<&Self>) {
        running::set_current(event_loop.map(|it| it.0.clone()));
    }

    /// The loop that this thread runs, or else the one that was set.
    pub fn current() -> Result<Self, LoopError> {
        running::running().or_else(running::current).map(Self).ok_or(LoopError::NoCurrent)
    }

    /// The loop that this thread runs.
    pub fn running() -> Result<Self, LoopError> {
        running::running().map(Self).ok_or(LoopError::NotRunning)
    }

    /// What other threads may have of it.
    pub fn handle(&self) -> LoopHandle {
        LoopHandle::new(self.0.remote.clone())
    }
}

/// Running.
impl EventLoop {
    /// Runs until the future is done, as a task of this loop, and gives its result.
    #[track_caller]
    pub fn run_until_complete<T, F>(&self, future: F) -> Result<T>
    where
        T: Clone + 'static,
        F: Future<Output = Result<T>> + 'static,
    {
        self.run_until_complete_at(Location::caller(), future)
    }

    fn run_until_complete_at<T, F>(&self, place: Place, future: F) -> Result<T>
    where
        T: Clone + 'static,
        F: Future<Output = Result<T>> + 'static,
    {
        self.0.check_may_run()?;
        let task = self.spawn(future, None, place)?;
        self.run_until_done(&task, place)
    }

    /// The same for a task, of this loop, that there is already.
    #[track_caller]
    pub fn run_until_task_completes<T: Clone + 'static>(&self, task: &Task<T>) -> Result<T> {
        match task.cell.core.loop_.upgrade() {
            Some(of) if Rc::ptr_eq(&of, &self.0) => self.run_until_done(task, Location::caller()),
            Some(of) => {
                let (made_at, other_made_at) = (self.0.made_at, of.made_at);
                Err(LoopError::OfAnotherLoop { made_at, other_made_at }.into())
            }
            None => Err(LoopError::Gone.into()),
        }
    }

    fn run_until_done<T: Clone + 'static>(&self, task: &Task<T>, place: Place) -> Result<T> {
        let core = Rc::downgrade(&self.0);
        let stop = task.cell.state.on_done(move |on| {
            on.schedule_named(
                place,
                || "EventLoop::run_until_complete",
                move || {
                    if let Some(core) = core.upgrade() {
                        core.stop();
                    }
                },
            );
        });
        let ran = self.0.run(place);
        task.remove_done_callback(stop);
        ran?;
        match task.done() {
            true => task.result(),
            false => Err(LoopError::StoppedEarly.into()),
        }
    }

    /// Runs until [`stop`](Self::stop).
    #[track_caller]
    pub fn run_forever(&self) -> Result<(), LoopError> {
        self.0.run(Location::caller())
    }

    /// Ends the run when this turn is over. A loop that does not run makes one turn when it is told to.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.0.is_running()
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Drops what is scheduled, and tasks that are not done, of which it complains. Does nothing the second
    /// time. An error while it runs.
    pub fn close(&self) -> Result<(), LoopError> {
        self.0.close()
    }

    /// Has `finalizer` run by [`shutdown_finalizers`](Self::shutdown_finalizers).
    #[track_caller]
    pub fn add_finalizer<F>(&self, finalizer: impl FnOnce() -> F + 'static)
    where
        F: Future<Output = Result<()>> + 'static,
    {
        self.0.finalizers.add(Location::caller(), finalizer);
    }

    /// Runs what was registered, the last first: in the place of asyncio's `shutdown_asyncgens`. What fails
    /// goes to the exception handler.
    pub async fn shutdown_finalizers(&self) -> Result<()> {
        while let Some((place, finalizer)) = self.0.finalizers.take_last() {
            if let Err(error) = cancellable(finalizer()).await?
                && !error.is_cancelled()
            {
                let message = "a finalizer of the loop failed".to_owned();
                self.0.complain(&ExceptionContext {
                    error: Some(error),
                    ..ExceptionContext::new(Check::FinalizerFailed, message, Some(place))
                });
            }
        }
        Ok(())
    }
}

/// Scheduling.
impl EventLoop {
    /// Calls `call` in the next turn: after what was scheduled before it.
    #[inline]
    #[track_caller]
    pub fn call_soon<F, R>(&self, call: F) -> Result<Handle, LoopError>
    where
        F: FnOnce() -> R + 'static,
        R: CallbackResult + 'static,
    {
        self.0.check_open()?;
        Ok(self.0.schedule(Location::caller(), call))
    }

    /// Calls `call` after a while.
    #[track_caller]
    pub fn call_later<F, R>(&self, delay: Duration, call: F) -> Result<TimerHandle, LoopError>
    where
        F: FnOnce() -> R + 'static,
        R: CallbackResult + 'static,
    {
        self.0.check_open()?;
        Ok(self.0.schedule_at(Location::caller(), after(delay), call))
    }

    /// Calls `call` at an instant. What is due at the same is called in the order in which it was scheduled.
    #[track_caller]
    pub fn call_at<F, R>(&self, when: Instant, call: F) -> Result<TimerHandle, LoopError>
    where
        F: FnOnce() -> R + 'static,
        R: CallbackResult + 'static,
    {
        self.0.check_open()?;
        Ok(self.0.schedule_at(Location::caller(), when, call))
    }

    /// The present, on the clock that timers go by: tokio's, which is the system's monotonic one.
    pub fn time(&self) -> Instant {
        Instant::now()
    }

    /// Calls `call` soon. From other threads it is called by a [`LoopHandle`].
    #[track_caller]
    pub fn call_soon_threadsafe<F, R>(&self, call: F) -> Result<ThreadsafeHandle, LoopError>
    where
        F: FnOnce() -> R + Send + 'static,
        R: CallbackResult + 'static,
    {
        self.handle().call_soon_threadsafe(call)
    }
}

/// Futures and tasks.
impl EventLoop {
    /// A result that somebody will set.
    #[track_caller]
    pub fn create_future<T: 'static>(&self) -> Promise<T> {
        Promise::new(&self.0, Location::caller())
    }

    /// Has a future run as a task. Its first step is in the next turn.
    #[track_caller]
    pub fn create_task<T, F>(&self, future: F) -> Result<Task<T>, LoopError>
    where
        T: 'static,
        F: Future<Output = Result<T>> + 'static,
    {
        self.spawn(future, None, Location::caller())
    }

    /// The same under a name.
    #[track_caller]
    pub fn create_named_task<T, F>(&self, name: &str, future: F) -> Result<Task<T>, LoopError>
    where
        T: 'static,
        F: Future<Output = Result<T>> + 'static,
    {
        self.spawn(future, Some(name), Location::caller())
    }

    fn spawn<T, F>(&self, future: F, name: Option<&str>, place: Place) -> Result<Task<T>, LoopError>
    where
        T: 'static,
        F: Future<Output = Result<T>> + 'static,
    {
        self.0.check_open()?;
        let label = std::any::type_name::<F>();
        Ok(Task::of(TaskCell::spawn(&self.0, Box::pin(future), name, label, place)))
    }

    /// Its tasks that are not done.
    pub fn all_tasks(&self) -> Vec<TaskRef> {
        self.0.tasks.borrow().all().into_iter().map(TaskRef).collect()
    }

    /// The task whose step runs; `None` outside any.
    pub fn current_task(&self) -> Option<TaskRef> {
        let key = self.0.current_task.borrow().as_ref()?.key;
        self.0.tasks.borrow().get(key).cloned().map(TaskRef)
    }
}

/// Blocking work.
impl EventLoop {
    /// Runs `job` in a thread of the executor: of the default one if none is given. Cancelling what this
    /// gives keeps a job from being run that has not begun.
    #[track_caller]
    pub fn run_in_executor<T, F>(
        &self,
        executor: Option<&Arc<dyn Executor>>,
        job: F,
    ) -> Result<Promise<T>, LoopError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T> + Send + 'static,
    {
        const QUEUED: u8 = 0;
        const STARTED: u8 = 1;
        const CANCELLED: u8 = 2;
        let place = Location::caller();
        self.0.check_open()?;
        let executor = match executor {
            Some(executor) => executor.clone(),
            None => self.0.executors.get()?,
        };
        let promise = Promise::new(&self.0, place);
        let state = Arc::new(AtomicU8::new(QUEUED));
        let name = || "EventLoop::run_in_executor";
        let pending = threads::Pending::new(&self.0, promise.clone(), place, name);
        let recorded = executor::Recorded::queued(place, std::any::type_name::<F>());
        let of_job = state.clone();
        let submitted = executor.submit(Box::new(move || {
            if of_job.compare_exchange(QUEUED, STARTED, AcqRel, Acquire).is_ok() {
                let result = recorded.run(job);
                pending.complete(result);
            }
        }));
        if submitted.is_err() {
            // The caller is told, and nobody has the promise.
            promise.cell.is_retrieved.set(true);
        }
        submitted?;
        let cell = Rc::downgrade(&promise.cell);
        promise.cell.on_done(move |_| {
            if cell.upgrade().is_some_and(|cell| cell.is_cancelled()) {
                let _ = state.compare_exchange(QUEUED, CANCELLED, AcqRel, Acquire);
            }
        });
        Ok(promise)
    }

    /// Makes an executor the one that jobs go to where none is given.
    pub fn set_default_executor(&self, executor: Arc<dyn Executor>) {
        self.0.executors.set_default(executor);
    }

    /// Lets the default executor finish the jobs it has. From then on it takes none.
    #[track_caller]
    pub fn shutdown_default_executor(&self) -> impl Future<Output = Result<()>> {
        self.shutdown_default_executor_at(Location::caller())
    }

    async fn shutdown_default_executor_at(&self, place: Place) -> Result<()> {
        let Some(executor) = self.0.executors.shut_down() else { return Ok(()) };
        let promise = Promise::new(&self.0, place);
        let name = || "EventLoop::shutdown_default_executor";
        let pending = threads::Pending::new(&self.0, promise.clone(), place, name);
        // In a thread of its own: waiting for the others would block the loop.
        let waiting =
            std::thread::Builder::new().name("loop-shutdown".to_owned()).spawn(move || {
                executor.shutdown(true);
                pending.complete(Ok(()));
            });
        match waiting {
            Ok(_) => promise.await,
            Err(source) => {
                let action = "start a thread that waits for the executor";
                Err(LoopError::Io { action, source: Arc::new(source) }.into())
            }
        }
    }
}

/// Errors and debug mode.
impl EventLoop {
    /// Has `handler` told of what goes wrong where nobody awaits it, in the place of the log.
    pub fn set_exception_handler(&self, handler: impl Fn(&Self, &ExceptionContext) + 'static) {
        let before = self.0.handler().replace(Some(Rc::new(handler)));
        handle::drop_quietly(before);
    }

    /// Back to the log, by [`default_exception_handler`](Self::default_exception_handler).
    pub fn reset_exception_handler(&self) {
        let before = self.0.handler().take();
        handle::drop_quietly(before);
    }

    /// The handler that was set.
    pub fn exception_handler(&self) -> Option<ExceptionHandler> {
        self.0.handler().borrow().clone()
    }

    /// Tells the handler, and the recorder.
    pub fn call_exception_handler(&self, context: &ExceptionContext) {
        self.0.complain(context);
    }

    /// What is done without a handler: an event of `tracing` with the target `loopd::event_loop`.
    pub fn default_exception_handler(&self, context: &ExceptionContext) {
        debug::log(context);
    }

    /// Whether it is in debug mode.
    pub fn debug(&self) -> bool {
        self.0.debug()
    }

    /// Switches debug mode; `LOOPD_DEBUG=1` has it on from the start.
    pub fn set_debug(&self, is_on: bool) {
        self.0.set_debug(is_on);
    }

    /// From which length debug mode complains of a callback or step: 100 ms unless it was set.
    pub fn slow_callback_duration(&self) -> Duration {
        Cell::get(self.0.slow_after())
    }

    /// Sets it.
    pub fn set_slow_callback_duration(&self, duration: Duration) {
        self.0.slow_after().set(duration);
    }
}

/// Signals.
#[cfg(unix)]
impl EventLoop {
    /// Calls `call` in the loop whenever the process gets this signal, until it is removed or the loop is
    /// closed. One for each signal: a second one replaces the first.
    #[track_caller]
    pub fn add_signal_handler(
        &self,
        signal: i32,
        call: impl Fn() + 'static,
    ) -> Result<(), LoopError> {
        let place = Location::caller();
        self.0.check_open()?;
        let refused =
            |error| LoopError::Io { action: "listen to a signal", source: Arc::new(error) };
        let listening = {
            let _inside = self.0.runtime_handle().enter();
            let kind = tokio::signal::unix::SignalKind::from_raw(signal);
            tokio::signal::unix::signal(kind)
        };
        let mut signals = listening.map_err(refused)?;
        let (call, core) = (Rc::new(call), Rc::downgrade(&self.0));
        let Some(local) = self.0.local() else { return Err(LoopError::Closed) };
        let listener = local.spawn_local(async move {
            while signals.recv().await.is_some() {
                let Some(core) = core.upgrade() else { return };
                let call = call.clone();
                core.schedule_named(place, || "signal handler", move || call());
            }
        });
        self.0.signals.insert(signal, listener);
        Ok(())
    }

    /// Takes the handler of a signal away; says whether there was one. The process then ignores the signal,
    /// for tokio never gives one back to the system.
    pub fn remove_signal_handler(&self, signal: i32) -> bool {
        self.0.signals.remove(signal)
    }
}

/// So long from now; as good as never where that cannot be told.
fn after(delay: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    let now = Instant::now();
    now.checked_add(delay).unwrap_or_else(|| now + FAR)
}

/// Has a future run as a task of the running loop.
#[track_caller]
pub fn create_task<T, F>(future: F) -> Result<Task<T>, LoopError>
where
    T: 'static,
    F: Future<Output = Result<T>> + 'static,
{
    EventLoop::running()?.spawn(future, None, Location::caller())
}

/// The task whose step the running loop makes.
pub fn current_task() -> Option<TaskRef> {
    EventLoop::running().ok()?.current_task()
}

/// The tasks of the running loop that are not done.
pub fn all_tasks() -> Result<Vec<TaskRef>, LoopError> {
    Ok(EventLoop::running()?.all_tasks())
}
