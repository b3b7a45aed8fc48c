//! From nothing to a loop that has done its work and is gone: `asyncio.run`.

use std::future::Future;
use std::panic::Location;
use std::rc::Rc;

use super::core::Core;
use super::debug::{Check, ExceptionContext};
use super::error::{LoopError, Result};
use super::tasks::TaskRef;
use super::{EventLoop, Promise, running};
use crate::config::Config;

/// Runs a future on a new loop and gives its result. When it is done, tasks that are left are cancelled and
/// awaited, finalizers run, the executor finishes its jobs, and the loop is closed.
///
/// Starts the agent, configured by `LOOPD_…` variables, if none was started; it then ends with the loop.
#[track_caller]
pub fn run<T, F>(future: F) -> Result<T>
where
    T: Clone + 'static,
    F: Future<Output = Result<T>> + 'static,
{
    let place = Location::caller();
    if let Some(other) = running::running() {
        let event_loop = EventLoop(other);
        return Err(LoopError::AnotherIsRunning {
            made_at: place,
            other_made_at: event_loop.0.made_at,
            running_since: event_loop.0.made_at,
        }
        .into());
    }
    // Where one runs, or ran, there will be no other. Nor where it cannot start, which `stats` tells of.
    let agent = match crate::recorder::get() {
        None => Config::from_env().forgiving().start().ok(),
        Some(_) => None,
    };
    let event_loop = Core::new(&crate::sys::thread_name(), place).map(EventLoop)?;
    let closer = Closer(event_loop.clone());
    let task = event_loop.spawn(future, None, place)?;
    let result = event_loop.run_until_done(&task, place);
    drop(closer);
    drop(agent);
    result
}

/// However the run ends, what it leaves is swept away.
struct Closer(EventLoop);

impl Drop for Closer {
    fn drop(&mut self) {
        let event_loop = &self.0;
        event_loop.0.begin_sweep();
        if cancel_all(event_loop).is_ok() {
            let last = event_loop.clone();
            let _ = event_loop.run_until_complete(async move {
                last.shutdown_finalizers().await?;
                last.shutdown_default_executor().await
            });
        }
        let _ = event_loop.close();
    }
}

/// Cancels all tasks and waits for them; what goes wrong then is told.
fn cancel_all(event_loop: &EventLoop) -> Result<()> {
    let tasks = event_loop.all_tasks();
    if tasks.is_empty() {
        return Ok(());
    }
    for task in &tasks {
        task.cancel();
    }
    let all_done = event_loop.create_future::<()>();
    let left = Rc::new(std::cell::Cell::new(tasks.len()));
    for TaskRef(task) in &tasks {
        let (all_done, left): (Promise<()>, _) = (all_done.clone(), left.clone());
        task.on_done(Box::new(move |core| {
            core.schedule_named(
                Location::caller(),
                || "loopd_agent::run",
                move || {
                    left.set(left.get() - 1);
                    if left.get() == 0 {
                        let _ = all_done.set_result(());
                    }
                },
            );
        }));
    }
    event_loop.run_until_complete(all_done)?;
    for TaskRef(task) in &tasks {
        task.set_retrieved();
        if let Some(error) = task.peek_error().filter(|error| !error.is_cancelled()) {
            let message = "unhandled exception during loopd_agent::run() shutdown".to_owned();
            event_loop.call_exception_handler(&ExceptionContext {
                error: Some(error),
                task: Some(task.name()),
                ..ExceptionContext::new(Check::ShutdownFailed, message, Some(task.made_at()))
            });
        }
    }
    Ok(())
}
