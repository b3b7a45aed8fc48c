//! Tasks that end together.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;

use super::error::{Error, LoopError, Result};
use super::promise::{Promise, cancel};
use super::sleep::cancellable;
use super::tasks::{AnyTask, Task, TaskCore};
use super::{EventLoop, running};

/// Tasks that end together, as those of asyncio's `TaskGroup`: when one fails, the others are cancelled, and
/// nobody goes on before all are done.
///
/// ```
/// use loopd_agent::event_loop::{self, TaskGroup};
///
/// # fn main() -> Result<(), event_loop::Error> {
/// # let _nowhere = loopd_agent::Config::from_env().endpoint("http://127.0.0.1:1").start();
/// let sum = event_loop::run(async {
///     TaskGroup::scope(async |group| {
///         let tasks = [group.create_task(async { Ok(1) })?, group.create_task(async { Ok(2) })?];
///         let mut sum = 0;
///         for task in tasks {
///             sum += task.await?;
///         }
///         Ok(sum)
///     })
///     .await
/// })?;
/// assert_eq!(sum, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TaskGroup(Rc<Inner>);

struct Inner {
    event_loop: EventLoop,
    /// The task whose scope it is.
    parent: Rc<TaskCore>,
    tasks: RefCell<Vec<Rc<dyn AnyTask>>>,
    errors: RefCell<Vec<Error>>,
    /// Set when somebody waits for the last task.
    all_done: RefCell<Option<Promise<()>>>,
    is_body_over: Cell<bool>,
    is_aborting: Cell<bool>,
    is_exiting: Cell<bool>,
    is_parent_cancelled: Cell<bool>,
}

impl TaskGroup {
    /// Runs `body` with a new group, then waits for the group's tasks. The error is an
    /// [`Error::Group`] of all that failed, the body's own among them; or the cancellation, if the task was
    /// cancelled and nothing failed.
    pub async fn scope<T>(body: impl AsyncFnOnce(Self) -> Result<T>) -> Result<T> {
        let parent = running::current_task().ok_or(LoopError::InvalidState(
            "a task group is only possible in a task of the loop",
        ))?;
        let inner = Rc::new(Inner {
            event_loop: EventLoop::running()?,
            parent,
            tasks: RefCell::default(),
            errors: RefCell::default(),
            all_done: RefCell::default(),
            is_body_over: Cell::new(false),
            is_aborting: Cell::new(false),
            is_exiting: Cell::new(false),
            is_parent_cancelled: Cell::new(false),
        });
        // If this future is dropped, so are the tasks told to end.
        let left = Left(inner.clone());
        // Whatever the body awaits, it hears that a task has failed; else the parent's future would be dropped,
        // and the error with it.
        let result = cancellable(body(Self(inner.clone()))).await.and_then(|result| result);
        let result = inner.exit(result).await;
        drop(left);
        result
    }

    /// Has a future run as one of the group's tasks. An error once the group is ending.
    #[track_caller]
    pub fn create_task<T, F>(&self, future: F) -> Result<Task<T>>
    where
        T: 'static,
        F: Future<Output = Result<T>> + 'static,
    {
        let inner = &self.0;
        let is_over = inner.is_exiting.get() && inner.tasks.borrow().is_empty();
        if is_over || inner.is_aborting.get() {
            return Err(LoopError::InvalidState("the task group is shutting down").into());
        }
        let place = Location::caller();
        let task = inner.event_loop.spawn(future, None, place)?;
        inner.tasks.borrow_mut().push(task.cell.clone());
        let (group, cell) = (Rc::downgrade(inner), Rc::downgrade(&task.cell));
        task.cell.state.on_done(move |core| {
            core.schedule_named(
                place,
                || "TaskGroup",
                move || {
                    if let (Some(group), Some(cell)) = (group.upgrade(), cell.upgrade()) {
                        group.one_is_done(&*cell);
                    }
                },
            );
        });
        Ok(task)
    }
}

impl fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("tasks", &self.0.tasks.borrow().len())
            .field("errors", &self.0.errors.borrow().len())
            .finish_non_exhaustive()
    }
}

impl Inner {
    async fn exit<T>(&self, result: Result<T>) -> Result<T> {
        self.is_exiting.set(true);
        let mut cancelled = match &result {
            Err(error) if error.is_cancelled() => Some(error.clone()),
            _ => None,
        };
        if self.is_parent_cancelled.get() && self.parent.take_back(0) {
            // It was the group that cancelled, and nobody else.
            cancelled = None;
        }
        if result.is_err() && !self.is_aborting.get() {
            self.abort();
        }
        while !self.tasks.borrow().is_empty() {
            let all_done = self.event_loop.create_future();
            *self.all_done.borrow_mut() = Some(all_done.clone());
            if let Err(error) = all_done.await
                && !self.is_aborting.get()
            {
                // From outside: the tasks are to end as well.
                cancelled = Some(error);
                self.abort();
            }
            self.all_done.take();
        }
        self.is_body_over.set(true);
        let mut errors = self.errors.take();
        if let Some(cancelled) = cancelled
            && errors.is_empty()
        {
            return Err(cancelled);
        }
        match result {
            Err(error) if !error.is_cancelled() => errors.push(error),
            Ok(value) if errors.is_empty() => return Ok(value),
            Err(error) if errors.is_empty() => return Err(error),
            _ => {}
        }
        if self.parent.cancelling() > 0 {
            // Whoever cancelled the task finds out at its next await.
            self.parent.cancel_later();
        }
        Err(Error::Group(errors.into()))
    }

    fn abort(&self) {
        self.is_aborting.set(true);
        let tasks = self.tasks.borrow().clone();
        for task in tasks.iter().filter(|task| !task.is_done()) {
            cancel(&**task, None);
        }
    }

    fn one_is_done(&self, task: &dyn AnyTask) {
        self.tasks.borrow_mut().retain(|known| !Rc::ptr_eq(known.core(), task.core()));
        let all_done = self.all_done.borrow().clone();
        if self.tasks.borrow().is_empty()
            && let Some(all_done) = all_done
        {
            let _ = all_done.set_result(());
        }
        let Some(error) = task.peek_error().filter(|error| !error.is_cancelled()) else { return };
        task.set_retrieved();
        self.errors.borrow_mut().push(error);
        if !self.is_aborting.get() && !self.is_parent_cancelled.get() {
            self.abort();
            if !self.is_exiting.get() {
                // The body is to end as well.
                self.is_parent_cancelled.set(true);
                self.parent.cancel();
            }
        }
    }
}

/// Whether a scope was left before its end.
struct Left(Rc<Inner>);

impl Drop for Left {
    fn drop(&mut self) {
        if !self.0.is_body_over.get() {
            if self.0.is_parent_cancelled.get() && !self.0.is_exiting.get() {
                self.0.parent.take_back(0);
            }
            self.0.abort();
        }
    }
}
