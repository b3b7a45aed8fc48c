//! What other threads give a loop, and how they wake it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use super::error::{LoopError, Place};
use super::handle::ThreadsafeHandle;
use super::tasks::TaskKey;

/// A call from another thread.
pub(super) struct Call {
    pub(super) call: ThreadsafeHandle,
    pub(super) place: Place,
    pub(super) name: fn() -> &'static str,
    /// When it was made, in ticks, and by which task; 0 if not recorded.
    pub(super) scheduled: (u64, u64),
}

pub(super) enum Item {
    Call(Call),
    /// A task is to make a step.
    Step(TaskKey),
}

/// The part of a loop that other threads may touch.
#[derive(Default)]
pub(super) struct Remote {
    state: Mutex<State>,
    /// Whether there is anything to take, so that a turn costs no lock.
    has_items: AtomicBool,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    /// Of the loop's own future, while it sleeps.
    sleeper: Option<Waker>,
    is_closed: bool,
}

impl Remote {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing of the program's runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, item: Item) -> Result<(), LoopError> {
        let mut state = self.lock();
        if state.is_closed {
            drop(state);
            // What is in there may be the program's, and drop what it likes.
            super::handle::drop_quietly(item);
            return Err(LoopError::Closed);
        }
        state.items.push_back(item);
        self.has_items.store(true, Release);
        let sleeper = state.sleeper.take();
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        Ok(())
    }

    /// What came since the last time.
    #[inline]
    pub(super) fn take(&self) -> Option<VecDeque<Item>> {
        if !self.has_items.load(Acquire) {
            return None;
        }
        let mut state = self.lock();
        self.has_items.store(false, Relaxed);
        Some(std::mem::take(&mut state.items))
    }

    /// The loop is about to sleep; says whether it may.
    pub(super) fn sleep(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        if !state.items.is_empty() {
            return false;
        }
        match &mut state.sleeper {
            Some(known) => known.clone_from(waker),
            None => state.sleeper = Some(waker.clone()),
        }
        true
    }

    /// Wakes it, if it sleeps.
    pub(super) fn wake(&self) {
        let sleeper = self.lock().sleeper.take();
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Takes nothing any more; gives what nobody will run.
    pub(super) fn close(&self) -> VecDeque<Item> {
        let mut state = self.lock();
        state.is_closed = true;
        state.sleeper = None;
        std::mem::take(&mut state.items)
    }
}
