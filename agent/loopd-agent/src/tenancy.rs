//! Who holds a lane, handed on between a thread, the exporter and the next thread without a lock.
//!
//! Whoever sees a state also sees everything that was done before it was entered: the exporter that
//! finds a lane retired finds all its records, and the thread that finds it free finds it drained.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU8, Ordering::Acquire, Ordering::Release};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU8, Ordering::Acquire, Ordering::Release};

/// Who holds a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// Nobody; it may be given to a thread.
    Free = 0,
    /// A thread.
    Held = 1,
    /// Its thread is gone; the exporter empties it and sets it free.
    Retired = 2,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tenancy {
    state: AtomicU8,
}

impl Default for Tenancy {
    fn default() -> Self {
        Self { state: AtomicU8::new(State::Free as u8) }
    }
}

impl Tenancy {
    /// Who holds it.
    pub(crate) fn state(&self) -> State {
        match self.state.load(Acquire) {
            0 => State::Free,
            1 => State::Held,
            _ => State::Retired,
        }
    }

    /// A thread has it now. Only one at a time may find it free: callers have a lock for that.
    pub(crate) fn hold(&self) {
        self.state.store(State::Held as u8, Release);
    }

    /// The thread is done with it.
    pub(crate) fn retire(&self) {
        self.state.store(State::Retired as u8, Release);
    }

    /// The exporter has emptied it.
    pub(crate) fn set_free(&self) {
        self.state.store(State::Free as u8, Release);
    }
}
