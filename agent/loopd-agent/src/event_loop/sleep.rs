//! Waiting, such that a cancellation is heard.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::error::{Cancelled, Error, Result};
use super::handle::TimerHandle;
use super::promise::Promise;
use super::{EventLoop, after, running};

/// Ends after a while; a sleep of no time lets one turn pass. Outside a running loop it is an error.
#[track_caller]
pub fn sleep(delay: Duration) -> Sleep {
    Sleep { delay, place: Location::caller(), begun: None, turn: yield_now() }
}

/// Made by [`sleep`].
#[derive(Debug)]
#[must_use = "nothing sleeps that is not awaited"]
pub struct Sleep {
    delay: Duration,
    place: super::Place,
    begun: Option<(Promise<()>, TimerHandle)>,
    turn: YieldNow,
}

impl Future for Sleep {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        if self.delay.is_zero() {
            return Pin::new(&mut self.turn).poll(context);
        }
        if self.begun.is_none() {
            let event_loop = EventLoop::running()?;
            let promise = event_loop.create_future::<()>();
            let due = promise.clone();
            let timer = event_loop.0.schedule_at(self.place, after(self.delay), move || {
                // It may have been cancelled meanwhile.
                let _ = due.set_result(());
            });
            self.begun = Some((promise, timer));
        }
        match &mut self.begun {
            Some((promise, _)) => Pin::new(promise).poll(context),
            None => Poll::Pending,
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((_, timer)) = &self.begun {
            timer.cancel();
        }
    }
}

/// Lets everything else that is ready run first, as `await asyncio.sleep(0)` does.
pub fn yield_now() -> YieldNow {
    YieldNow { has_yielded: false }
}

/// Made by [`yield_now`].
#[derive(Debug)]
#[must_use = "nothing is let pass that is not awaited"]
pub struct YieldNow {
    has_yielded: bool,
}

impl Future for YieldNow {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(cancelled) = delivery() {
            return Poll::Ready(Err(cancelled.into()));
        }
        if self.has_yielded {
            return Poll::Ready(Ok(()));
        }
        self.has_yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The cancellation that the running task is to hear of in this step.
pub(super) fn delivery() -> Option<Cancelled> {
    running::with_running(|core| core.current_task.borrow().as_ref()?.take_delivery())?
}

/// Awaits a future that knows nothing of the loop, such as one of tokio's, so that a cancellation ends the
/// wait with an error. The future is then dropped.
pub fn cancellable<F: IntoFuture>(future: F) -> Cancellable<F::IntoFuture> {
    Cancellable { future: Some(Box::pin(future.into_future())) }
}

/// Made by [`cancellable`].
#[must_use = "nothing is awaited by making it"]
pub struct Cancellable<F> {
    future: Option<Pin<Box<F>>>,
}

impl<F> std::fmt::Debug for Cancellable<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cancellable").finish_non_exhaustive()
    }
}

impl<F: Future> Future for Cancellable<F> {
    type Output = Result<F::Output, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = &mut self.future else { return Poll::Pending };
        let task = running::current_task();
        let before = task.as_ref().map_or(0, |task| task.next_waiter.get());
        // What is inside hears of it first.
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        let Some(task) = task else { return Poll::Pending };
        if let Some(cancelled) = task.take_delivery() {
            self.future = None;
            return Poll::Ready(Err(cancelled.into()));
        }
        task.hears_itself_since(before);
        Poll::Pending
    }
}
