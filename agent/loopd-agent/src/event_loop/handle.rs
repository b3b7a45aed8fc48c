//! What is scheduled and the handles by which it is cancelled: one allocation for both.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use tokio::time::Instant;

use super::error::{Error, Place, Result};

/// What a callback may return: nothing, or a result whose error goes to the exception handler.
pub trait CallbackResult {
    /// The error, if there is one.
    fn into_result(self) -> Result<()>;
}

impl CallbackResult for () {
    fn into_result(self) -> Result<()> {
        Ok(())
    }
}

impl<E: Into<Error>> CallbackResult for Result<(), E> {
    fn into_result(self) -> Result<()> {
        self.map_err(Into::into)
    }
}

/// What is known of a callback beside what it does.
pub(super) struct Head {
    pub(super) place: Place,
    pub(super) is_cancelled: Cell<bool>,
    /// The callback's number as it is recorded; 0 if nothing was recorded when it was scheduled.
    pub(super) number: u64,
    /// When it was scheduled, in ticks; 0 if nothing was recorded.
    pub(super) scheduled_at: u64,
    /// By which task; 0 outside any.
    pub(super) scheduled_by: u64,
    /// Of a timer: when it is due.
    pub(super) when: Option<Instant>,
    /// Of a timer: whether it waits for its time.
    pub(super) is_waiting: Cell<bool>,
    /// For handlers of signals and their like, which only show where they were made.
    pub(super) name: fn() -> &'static str,
}

/// A callback whose type is not known any more.
pub(super) trait Scheduled {
    fn head(&self) -> &Head;
    /// Calls it, if it has not been called or cancelled. A panic is an error.
    fn run(&self) -> Result<()>;
    /// Drops what it would call.
    fn discard(&self);
}

pub(super) struct Callback<F> {
    pub(super) head: Head,
    pub(super) call: Cell<Option<F>>,
}

impl<F, R> Scheduled for Callback<F>
where
    F: FnOnce() -> R,
    R: CallbackResult,
{
    #[inline]
    fn head(&self) -> &Head {
        &self.head
    }

    #[inline]
    fn run(&self) -> Result<()> {
        let Some(call) = self.call.take() else { return Ok(()) };
        match catch_unwind(AssertUnwindSafe(|| call().into_result())) {
            Ok(result) => result,
            Err(payload) => Err(Error::of_panic(payload)),
        }
    }

    fn discard(&self) {
        drop_quietly(self.call.take());
    }
}

/// Drops what belongs to the program; should that panic, the loop goes on.
pub(super) fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        std::mem::forget(payload);
    }
}

/// A callback that was given to a loop. Dropping a handle changes nothing.
#[derive(Clone)]
pub struct Handle(pub(super) Rc<dyn Scheduled>);

impl Handle {
    /// It will not be called. Does nothing once it was.
    pub fn cancel(&self) {
        if !self.0.head().is_cancelled.replace(true) {
            self.0.discard();
        }
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.0.head().is_cancelled.get()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe(f, "Handle", self.0.head())
    }
}

/// A callback that was given to a loop for later.
#[derive(Clone)]
pub struct TimerHandle {
    pub(super) scheduled: Rc<dyn Scheduled>,
    pub(super) when: Instant,
    pub(super) loop_: std::rc::Weak<super::core::Core>,
}

impl TimerHandle {
    /// It will not be called. Does nothing once it was.
    pub fn cancel(&self) {
        let head = self.scheduled.head();
        if !head.is_cancelled.replace(true) {
            if head.is_waiting.get()
                && let Some(core) = self.loop_.upgrade()
            {
                core.timer_was_cancelled();
            }
            self.scheduled.discard();
        }
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.scheduled.head().is_cancelled.get()
    }

    /// When it is due, on the clock of [`EventLoop::time`](super::EventLoop::time).
    pub fn when(&self) -> Instant {
        self.when
    }
}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe(f, "TimerHandle", self.scheduled.head())
    }
}

fn describe(f: &mut fmt::Formatter<'_>, what: &str, head: &Head) -> fmt::Result {
    let state = if head.is_cancelled.get() { " cancelled" } else { "" };
    write!(f, "<{what}{state} {} made at {}>", (head.name)(), head.place)
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
