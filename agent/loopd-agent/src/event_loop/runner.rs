//! From nothing to a loop that has done its work and is gone: `asyncio.run`.

use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use super::combine::wait_for_at;
use super::core::{self, Core};
use super::debug::{Check, ExceptionContext};
use super::error::{Error, Place, Result};
use super::interrupt::{Interrupt, is_main_thread};
use super::tasks::TaskRef;
use super::{EventLoop, Promise, kept};

/// How long [`run`] waits, at its end, for the jobs of the default executor: as asyncio's `Runner` does.
pub const EXECUTOR_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(300);

/// Runs a future on a new loop and gives its result. When it is done, tasks that are left are cancelled and
/// awaited, finalizers run, the executor finishes its jobs, and the loop is closed.
///
/// Jobs of the executor that go on for longer than [`EXECUTOR_SHUTDOWN_TIMEOUT`] are told of as
/// [`Check::ExecutorUnfinished`] and left to themselves.
///
/// Starts the agent, configured by `LOOPD_…` variables, if none was started. It then records all loops of the
/// process, and ends with it: what is left is sent when the process ends by `exit` or by the return of `main`.
///
/// # Ctrl-C
///
/// The first one cancels the future's task, which can clean up as after any cancellation; what is left is then
/// swept up as always, and this gives [`Error::Interrupted`], unless the future returns something else or
/// somebody else has cancelled it as well. So it does, in the place of a value, if the future was at its end
/// before it could hear. A second Ctrl-C ends the process at once, as without a loop, and so
/// does one that comes while the rest is being swept up.
///
/// So it is in the process's main thread, where the system says which that is (Linux, Apple's, most BSDs), if `SIGINT` is left to the system when this is called: a program
/// that has a handler for it, or ignores it, keeps that. One that gets a handler while this runs, as by
/// [`EventLoop::add_signal_handler`] or `tokio::signal::ctrl_c`, has the signal to itself from then on. Loops
/// that are run by themselves, without this function, leave the signal alone.
///
/// ```standalone_crate
/// # #[cfg(unix)]
/// # fn main() {
/// # let _nowhere = loopd_agent::Config::from_env().endpoint("http://127.0.0.1:1").start();
/// # // Whoever runs this may have had it ignored, as a shell does in the background.
/// # unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
/// use loopd_agent::event_loop::{Error, sleep};
///
/// let ran = loopd_agent::run(async {
/// #   std::process::Command::new("kill").args(["-INT", &std::process::id().to_string()]).status()?;
///     let slept = sleep(std::time::Duration::from_secs(100)).await; // Ctrl-C is pressed meanwhile.
///     println!("cleaning up");
///     slept
/// });
/// assert!(matches!(ran, Err(Error::Interrupted)));
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
#[track_caller]
pub fn run<T, F>(future: F) -> Result<T>
where
    T: Clone + 'static,
    F: Future<Output = Result<T>> + 'static,
{
    let place = Location::caller();
    core::check_thread(place)?;
    kept::start_agent();
    let ends = Ends { executor_timeout: EXECUTOR_SHUTDOWN_TIMEOUT, by_ctrl_c: is_main_thread() };
    run_with(future, place, ends)
}

/// How a run ends, other than by its future.
#[derive(Clone, Copy)]
struct Ends {
    executor_timeout: Duration,
    by_ctrl_c: bool,
}

fn run_with<T, F>(future: F, place: Place, ends: Ends) -> Result<T>
where
    T: Clone + 'static,
    F: Future<Output = Result<T>> + 'static,
{
    let event_loop = Core::new(&crate::sys::thread_name(), place).map(EventLoop)?;
    let closer = Closer(event_loop.clone(), ends.executor_timeout);
    let task = event_loop.spawn(future, None, place)?;
    let interrupt = Interrupt::of(&event_loop, &task, ends.by_ctrl_c);
    let result = event_loop.run_until_done(&task, place);
    let result = interrupt.ends(&task, result);
    drop(closer);
    result
}

/// However the run ends, what it leaves is swept away.
struct Closer(EventLoop, Duration);

impl Drop for Closer {
    fn drop(&mut self) {
        let Self(event_loop, executor_timeout) = self;
        event_loop.0.begin_sweep();
        if cancel_all(event_loop).is_ok() {
            let (last, limit) = (event_loop.clone(), *executor_timeout);
            // Not at a line of ours: what is left is swept away for the run that was asked for.
            let _ = event_loop.run_until_complete_at(event_loop.0.made_at, async move {
                last.shutdown_finalizers().await?;
                shut_down_executor(&last, limit).await
            });
        }
        let _ = event_loop.close();
    }
}

/// Waits for its jobs, but not for ever.
async fn shut_down_executor(event_loop: &EventLoop, limit: Duration) -> Result<()> {
    let place = event_loop.0.made_at;
    let ended = wait_for_at(place, limit, event_loop.shutdown_default_executor_at(place)).await;
    if !matches!(ended, Err(Error::TimedOut)) {
        return ended;
    }
    let message =
        format!("The executor did not finish its jobs within {} seconds", limit.as_secs_f64());
    let context = ExceptionContext::new(Check::ExecutorUnfinished, message, Some(place));
    event_loop.call_exception_handler(&context);
    Ok(())
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
    let place = event_loop.0.made_at;
    for TaskRef(task) in &tasks {
        let (all_done, left): (Promise<()>, _) = (all_done.clone(), left.clone());
        task.on_done(Box::new(move |core| {
            core.schedule_named(
                place,
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
    event_loop.run_until_complete_at(place, all_done)?;
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::mpsc;

    use super::*;
    use crate::event_loop::{create_task, sleep};

    const LONG: Duration = Duration::from_secs(100);

    fn run<T: Clone + 'static>(
        ends: Ends,
        future: impl Future<Output = Result<T>> + 'static,
    ) -> Result<T> {
        run_with(future, Location::caller(), ends)
    }

    #[test]
    fn an_executor_that_does_not_finish_is_told_of_and_left() {
        let told = Rc::new(RefCell::new(Vec::new()));
        let (own, (done, is_done)) = (told.clone(), mpsc::channel::<()>());
        let ends = Ends { executor_timeout: Duration::from_millis(1), by_ctrl_c: false };
        let ran = run(ends, async move {
            let event_loop = EventLoop::running()?;
            event_loop.set_exception_handler(move |_, context| {
                own.borrow_mut().push((context.check, context.to_string()));
            });
            // It ends when this test does.
            drop(event_loop.run_in_executor(None, move || Ok(is_done.recv().is_ok()))?);
            Ok(7)
        });
        assert_eq!(ran.unwrap(), 7);
        let told = told.borrow();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].0, Check::ExecutorUnfinished);
        assert!(
            told[0].1.contains("within 0.001 seconds, made at") && told[0].1.contains("runner.rs")
        );
        drop(done);
    }

    #[test]
    fn an_executor_that_finishes_is_waited_for() {
        let ends = Ends { executor_timeout: LONG, by_ctrl_c: false };
        let (done, is_done) = mpsc::channel();
        run(ends, async move {
            drop(EventLoop::running()?.run_in_executor(None, move || Ok(done.send(())?))?);
            Ok(())
        })
        .unwrap();
        assert!(is_done.try_recv().is_ok());
    }

    #[cfg(unix)]
    mod ctrl_c {
        use super::*;

        const HEARS: Ends = Ends { executor_timeout: LONG, by_ctrl_c: true };

        #[expect(unsafe_code, reason = "asks what becomes of the signal")]
        fn handler() -> libc::sighandler_t {
            // SAFETY: asks only; zeroes are a valid value of what is written.
            unsafe {
                let mut now: libc::sigaction = std::mem::zeroed();
                assert_eq!(libc::sigaction(libc::SIGINT, std::ptr::null(), &mut now), 0);
                now.sa_sigaction
            }
        }

        fn press() {
            let process = std::process::id().to_string();
            assert!(
                std::process::Command::new("kill")
                    .args(["-INT", &process])
                    .status()
                    .unwrap()
                    .success()
            );
        }

        #[test]
        fn the_first_cancels_the_main_task_and_the_second_is_the_systems() {
            for _ in 0..2 {
                assert_eq!(handler(), libc::SIG_DFL);
                let order = Rc::new(RefCell::new(Vec::new()));
                let (of_main, of_other) = (order.clone(), order.clone());
                let ran = run::<()>(HEARS, async move {
                    create_task(async move {
                        let slept = sleep(LONG).await;
                        of_other.borrow_mut().push("other");
                        slept
                    })?;
                    assert_ne!(handler(), libc::SIG_DFL);
                    press();
                    let slept = sleep(LONG).await;
                    assert_eq!(handler(), libc::SIG_DFL, "a second one ends the process");
                    of_main.borrow_mut().push("main");
                    slept
                });
                assert!(matches!(ran, Err(Error::Interrupted)), "{ran:?}");
                assert_eq!(*order.borrow(), ["main", "other"]);
            }
        }

        const IN_ASYNCIO: &str = "
import asyncio, os, signal
async def other():
    try:
        await asyncio.sleep(100)
    finally:
        print('other')
async def main():
    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGINT)
    try:
        await asyncio.sleep(100)
    finally:
        print('main')
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print('interrupted')
";

        #[test]
        fn it_goes_as_in_asyncio() {
            let python = std::env::var("LOOPD_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
            let ran = std::process::Command::new(python).args(["-I", "-c", IN_ASYNCIO]).output();
            let theirs = String::from_utf8(ran.unwrap().stdout).unwrap();
            let said = Rc::new(RefCell::new(String::new()));
            let (of_main, of_other) = (said.clone(), said.clone());
            let ran = run::<()>(HEARS, async move {
                create_task(async move {
                    let slept = sleep(LONG).await;
                    of_other.borrow_mut().push_str("other\n");
                    slept
                })?;
                sleep(Duration::ZERO).await?;
                press();
                let slept = sleep(LONG).await;
                of_main.borrow_mut().push_str("main\n");
                slept
            });
            if matches!(ran, Err(Error::Interrupted)) {
                said.borrow_mut().push_str("interrupted\n");
            }
            assert_eq!(*said.borrow(), theirs);
        }

        #[test]
        #[expect(unsafe_code, reason = "sends the signal to this thread")]
        fn one_that_comes_when_nothing_is_awaited_any_more_is_not_lost() {
            // SAFETY: takes a number.
            let press = || unsafe { libc::raise(libc::SIGINT) };
            let ran = run(HEARS, async move { Ok(press()) });
            assert!(matches!(ran, Err(Error::Interrupted)), "{ran:?}");
            // In asyncio as well an error of the program's own is told in its place.
            let ran = run::<()>(HEARS, async move {
                press();
                Err(Error::new("own"))
            });
            assert!(matches!(ran, Err(Error::Raised(_))), "{ran:?}");
            // And the next run knows nothing of it.
            run(HEARS, async { Ok(()) }).unwrap();
        }

        #[test]
        #[expect(unsafe_code, reason = "forks, and puts a handler back")]
        fn put_back_after_the_run_it_is_the_systems() {
            let ours = Rc::new(std::cell::Cell::new(libc::SIG_DFL));
            let own = ours.clone();
            run(HEARS, async move {
                own.set(handler());
                Ok(())
            })
            .unwrap();
            assert_ne!(ours.get(), libc::SIG_DFL);
            // SAFETY: the child uses nothing that another thread may hold, and leaves at once.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: the handler was there before; the others take numbers.
                unsafe {
                    libc::signal(libc::SIGINT, ours.get());
                    libc::raise(libc::SIGINT);
                    libc::_exit(0);
                }
            }
            assert!(child > 0);
            let mut status = 0;
            // SAFETY: the child is this process's, and nobody else waits for it.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGINT);
        }

        #[test]
        #[expect(unsafe_code, reason = "forks")]
        fn a_forked_childs_is_not_its_parents() {
            use std::io::{Read, Write};

            // What a run leaves in the process, the child inherits.
            run(HEARS, async { Ok(()) }).unwrap();
            let (mut own, mut childs) = std::os::unix::net::UnixStream::pair().unwrap();
            // SAFETY: the child uses nothing that another thread may hold, and leaves at once.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let is_told = childs.read_exact(&mut [0]).is_ok();
                let ran = run::<()>(HEARS, async {
                    // SAFETY: takes a number.
                    unsafe { libc::raise(libc::SIGINT) };
                    sleep(LONG).await
                });
                let is_interrupted = is_told && matches!(ran, Err(Error::Interrupted));
                // SAFETY: ends the process and nothing else.
                unsafe { libc::_exit(i32::from(!is_interrupted)) };
            }
            assert!(child > 0);
            let ran = run(HEARS, async move {
                own.write_all(b"!")?;
                let mut status = 1;
                // SAFETY: the child is this process's, and nobody else waits for it.
                assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                // The loop looks at its sockets meanwhile.
                sleep(Duration::from_millis(1)).await?;
                Ok(status)
            });
            assert_eq!(ran.unwrap(), 0);
        }

        #[test]
        fn who_handles_the_cancellation_goes_on() {
            let ran = run(HEARS, async {
                press();
                Ok(sleep(LONG).await.is_err())
            });
            assert!(ran.unwrap());
        }

        #[test]
        fn who_is_cancelled_otherwise_is_cancelled() {
            let ran = run::<()>(HEARS, async {
                crate::event_loop::current_task().map(|task| task.cancel());
                sleep(LONG).await
            });
            assert!(matches!(ran, Err(Error::Cancelled(_))), "{ran:?}");
            let ran = run::<()>(HEARS, async {
                press();
                let first = sleep(LONG).await;
                crate::event_loop::current_task().map(|task| task.cancel());
                first
            });
            assert!(matches!(ran, Err(Error::Cancelled(_))), "{ran:?}");
            assert_eq!(handler(), libc::SIG_DFL);
        }

        #[test]
        fn without_a_signal_nothing_is_left_of_it() {
            run(HEARS, async { Ok(()) }).unwrap();
            assert_eq!(handler(), libc::SIG_DFL);
            assert!(!is_main_thread(), "tests have threads of their own");
        }

        #[test]
        fn a_handler_that_comes_later_has_the_signal() {
            let ran = run(HEARS, async {
                let event_loop = EventLoop::running()?;
                let pressed = event_loop.create_future();
                let own = pressed.clone();
                event_loop.add_signal_handler(libc::SIGINT, move || {
                    let _ = own.set_result(5);
                })?;
                press();
                let pressed = pressed.await?;
                // All that is ready has run: nobody has cancelled anything.
                sleep(Duration::ZERO).await?;
                sleep(Duration::ZERO).await?;
                Ok(pressed)
            });
            assert_eq!(ran.unwrap(), 5);
            let theirs = handler();
            assert_ne!(theirs, libc::SIG_DFL, "tokio keeps a signal");
            // And who has it before keeps it.
            let ran = run(HEARS, async { Ok(handler()) });
            assert_eq!(ran.unwrap(), theirs);
        }
    }
}
