//! Blocking work in other threads.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use loopd_model::{Outcome, TaskKind};

use crate::clock::ticks;
use crate::embed::{self, Spawn};
use crate::place;
use crate::recorder::{self, is_recording};
use crate::resource::current_task;

use super::error::{Error, LoopError, Place, Result};

/// As `ThreadPoolExecutor` has it: enough for work that waits, few enough for a large machine.
const MAX_DEFAULT_THREADS: usize = 32;

/// Work for an executor; runs once, wherever that pleases.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs in threads that may block.
pub trait Executor: Send + Sync {
    /// Takes a job, to be run soon. An error drops it.
    fn submit(&self, job: Job) -> Result<(), LoopError>;

    /// Takes no more jobs. With `is_waiting` it returns when those are done that it has.
    fn shutdown(&self, is_waiting: bool);
}

/// A number of threads, each started when there is a job that no idle one can take.
pub struct ThreadPool {
    shared: Arc<Shared>,
    max_threads: usize,
    name: String,
}

struct Shared {
    state: Mutex<State>,
    /// There is a job, or there will be none any more.
    changed: Condvar,
    /// A thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    is_shut_down: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No job runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // Jobs of a loop keep their panics themselves.
                if let Err(payload) = catch_unwind(AssertUnwindSafe(job)) {
                    std::mem::forget(payload);
                }
                state = self.lock();
            } else if state.is_shut_down {
                state.threads -= 1;
                self.ended.notify_all();
                return;
            } else {
                state.idle += 1;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl ThreadPool {
    /// A pool of at most so many threads, which are called `name`.
    pub fn new(max_threads: usize, name: &str) -> Self {
        let shared =
            Shared { state: Mutex::default(), changed: Condvar::new(), ended: Condvar::new() };
        Self { shared: Arc::new(shared), max_threads: max_threads.max(1), name: name.to_owned() }
    }
}

impl Default for ThreadPool {
    /// As many threads as `ThreadPoolExecutor` has: four more than processors, 32 at most.
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self::new((processors + 4).min(MAX_DEFAULT_THREADS), "loop-executor")
    }
}

impl Executor for ThreadPool {
    fn submit(&self, job: Job) -> Result<(), LoopError> {
        let mut state = self.shared.lock();
        if state.is_shut_down {
            return Err(LoopError::ExecutorShutDown);
        }
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle || state.threads >= self.max_threads {
            self.shared.changed.notify_one();
            return Ok(());
        }
        let shared = self.shared.clone();
        let started = thread::Builder::new().name(self.name.clone()).spawn(move || shared.work());
        match started {
            Ok(_) => state.threads += 1,
            Err(source) if state.threads == 0 => {
                let job = state.jobs.pop_back();
                drop(state);
                drop(job);
                let action = "start a thread of the executor";
                return Err(LoopError::Io { action, source: Arc::new(source) });
            }
            // Those that there are will get to it.
            Err(_) => self.shared.changed.notify_one(),
        }
        Ok(())
    }

    fn shutdown(&self, is_waiting: bool) {
        let mut state = self.shared.lock();
        state.is_shut_down = true;
        self.shared.changed.notify_all();
        while is_waiting && state.threads > 0 {
            state = self.shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shutdown(false);
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool").field("max_threads", &self.max_threads).finish_non_exhaustive()
    }
}

/// The default executor of a loop, made when it is first used.
#[derive(Default)]
pub(super) struct Executors {
    default: RefCell<Option<Arc<dyn Executor>>>,
    is_shut_down: Cell<bool>,
}

impl Executors {
    pub(super) fn get(&self) -> Result<Arc<dyn Executor>, LoopError> {
        if self.is_shut_down.get() {
            return Err(LoopError::ExecutorShutDown);
        }
        let mut default = self.default.borrow_mut();
        Ok(default.get_or_insert_with(|| Arc::new(ThreadPool::default())).clone())
    }

    pub(super) fn set_default(&self, executor: Arc<dyn Executor>) {
        self.default.replace(Some(executor));
    }

    /// Takes no more jobs; gives the executor, if there ever was one.
    pub(super) fn shut_down(&self) -> Option<Arc<dyn Executor>> {
        self.is_shut_down.set(true);
        self.default.take()
    }

    pub(super) fn close(&self) {
        if let Some(executor) = self.shut_down() {
            executor.shutdown(false);
        }
    }
}

/// A job as it is recorded; dropped before it has run, it was cancelled.
pub(super) struct Recorded {
    task: u64,
    outcome: Outcome,
}

impl Recorded {
    /// Queued here, for the loop with this number.
    pub(super) fn queued(made_at: Place, name: &'static str) -> Self {
        let task = if is_recording() { recorder::next_root() } else { 0 };
        if task != 0 {
            embed::spawned(Spawn {
                at: ticks(),
                task,
                loop_id: 0,
                place: place::number(made_at),
                parent: current_task(),
                kind: TaskKind::Blocking,
                label: embed::label(name),
            });
        }
        Self { task, outcome: Outcome::Cancelled }
    }

    /// Runs it. A panic is an error.
    pub(super) fn run<T>(mut self, job: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.task != 0 && is_recording() {
            embed::blocking_started(self.task);
        }
        let result = catch_unwind(AssertUnwindSafe(job));
        let result = result.unwrap_or_else(|payload| Err(Error::of_panic(payload)));
        self.outcome = match &result {
            Ok(_) => Outcome::Completed,
            Err(Error::Panicked(_)) => Outcome::Panicked,
            Err(_) => Outcome::Raised,
        };
        result
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if self.task != 0 && is_recording() {
            embed::ended(self.task, self.outcome);
        }
    }
}
