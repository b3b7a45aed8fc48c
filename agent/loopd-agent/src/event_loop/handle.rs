//! What is scheduled and the handles by which it is cancelled: one block of memory for both.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::call::{CallbackResult, caught};
use super::error::{Place, Result};
use super::stored::Stored;

/// What is known of a callback beside what it does.
pub(super) struct Head {
    pub(super) place: Place,
    pub(super) is_cancelled: Cell<bool>,
    /// The callback's number as it is recorded; 0 if nothing was recorded when it was scheduled.
    pub(super) number: u64,
    pub(super) since: Since,
    /// Of a timer: whether it waits for its time.
    pub(super) is_waiting: Cell<bool>,
    /// For handlers of signals and their like, which only show where they were made.
    pub(super) name: fn() -> &'static str,
}

impl Head {
    pub(super) fn new(place: Place, name: fn() -> &'static str, number: u64, since: Since) -> Self {
        let (is_cancelled, is_waiting) = (Cell::new(false), Cell::new(false));
        Self { place, is_cancelled, number, since, is_waiting, name }
    }
}

/// Since when a callback could run.
#[derive(Clone, Copy)]
pub(super) enum Since {
    /// Since it was scheduled: when in ticks, 0 if nothing was recorded, and by which task, 0 outside any.
    Scheduled { at: u64, by: u64 },
    /// A timer, since it is due.
    Due(Instant),
}

/// What the loop has in its queue, whatever it calls.
pub(super) trait Scheduled {
    fn head(&self) -> &Head;
    /// Calls it, if it has not been called or cancelled. A panic is an error.
    fn run(&self) -> Result<()>;
    /// Drops what it would call.
    fn discard(&self);
}

/// Of one size for all, so that its memory can be used again: see [`Pool`](super::pool::Pool).
pub(super) struct Callback {
    pub(super) head: Head,
    pub(super) call: Stored,
}

impl Scheduled for Callback {
    #[inline]
    fn head(&self) -> &Head {
        &self.head
    }

    #[inline]
    fn run(&self) -> Result<()> {
        self.call.run()
    }

    fn discard(&self) {
        quietly(|| self.call.discard());
    }
}

/// A call that another thread gave to the loop, as the loop has it.
pub(super) struct FromAfar {
    pub(super) head: Head,
    pub(super) call: ThreadsafeHandle,
}

impl Scheduled for FromAfar {
    fn head(&self) -> &Head {
        // Whoever asks looks at the head, which no other thread can write.
        if self.call.cancelled() {
            self.head.is_cancelled.set(true);
        }
        &self.head
    }

    fn run(&self) -> Result<()> {
        self.call.0.run()
    }

    fn discard(&self) {
        self.call.discard();
    }
}

/// The part of a call from another thread that all threads have.
trait Shared: Send + Sync {
    fn is_cancelled(&self) -> bool;
    /// Drops what it would call; says whether it was still to be called.
    fn cancel(&self) -> bool;
    fn run(&self) -> Result<()>;
    fn discard(&self);
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

struct SharedCall<F> {
    is_cancelled: AtomicBool,
    call: Mutex<Option<F>>,
    place: Place,
}

impl<F> SharedCall<F> {
    /// Taken under the lock, and called or dropped outside: it is the program's.
    fn take(&self) -> Option<F> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<F, R> Shared for SharedCall<F>
where
    F: FnOnce() -> R + Send,
    R: CallbackResult,
{
    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Acquire)
    }

    fn cancel(&self) -> bool {
        self.is_cancelled.store(true, Release);
        let call = self.take();
        let is_kept_from = call.is_some();
        drop_quietly(call);
        is_kept_from
    }

    fn run(&self) -> Result<()> {
        self.take().map_or(Ok(()), caught)
    }

    fn discard(&self) {
        drop_quietly(self.take());
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_cancelled() { " cancelled" } else { "" };
        write!(f, "<ThreadsafeHandle{state} {} made at {}>", std::any::type_name::<F>(), self.place)
    }
}

/// A callback that was given to a loop by [`call_soon_threadsafe`](super::LoopHandle::call_soon_threadsafe).
/// Any thread may have it, and clones are the same callback. Dropping it changes nothing.
#[derive(Clone)]
pub struct ThreadsafeHandle(Arc<dyn Shared>);

impl ThreadsafeHandle {
    pub(super) fn new<F, R>(place: Place, call: F) -> Self
    where
        F: FnOnce() -> R + Send + 'static,
        R: CallbackResult + 'static,
    {
        let call = Mutex::new(Some(call));
        Self(Arc::new(SharedCall { is_cancelled: AtomicBool::new(false), call, place }))
    }

    /// Drops what it would call: nobody will.
    pub(super) fn discard(&self) {
        self.0.discard();
    }

    /// It will not be called, unless the loop has begun to: says which, since no other thread could tell. What
    /// the callback has captured is dropped here, in the calling thread.
    pub fn cancel(&self) -> bool {
        self.0.cancel()
    }

    /// Whether it was cancelled, in time or not.
    pub fn cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

impl fmt::Debug for ThreadsafeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(f)
    }
}

/// Drops what belongs to the program; should that panic, the loop goes on.
pub(super) fn drop_quietly<T>(value: T) {
    quietly(|| drop(value));
}

/// Does what may be the program's; should that panic, the loop goes on.
pub(super) fn quietly(act: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(act)) {
        // Its own drop may panic as well.
        std::mem::forget(payload);
    }
}

/// A callback that was given to a loop. Dropping a handle changes nothing.
#[derive(Clone)]
pub struct Handle(pub(super) Rc<Callback>);

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
    pub(super) scheduled: Rc<Callback>,
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
