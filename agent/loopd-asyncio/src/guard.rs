//! Keeps our faults from the program: a panic in our code ends the recording, is counted, and goes
//! no further; state is only touched by one of us at a time.

use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use loopd_agent::embed;

/// Calls of [`safely`] until one panics on purpose; 0 for never. For tests.
static FAULT_IN: AtomicU32 = AtomicU32::new(0);

/// Does our part of a hook. The program's part, which may fail for reasons of its own, is never
/// inside.
#[inline(always)]
pub(crate) fn safely<R: Default>(ours: impl FnOnce() -> R) -> R {
    let guarded = || {
        if FAULT_IN.load(Relaxed) != 0 {
            fault_if_due();
        }
        ours()
    };
    catch_unwind(AssertUnwindSafe(guarded)).unwrap_or_else(|_| faulted())
}

#[cold]
#[inline(never)]
fn faulted<R: Default>() -> R {
    embed::GAUGES.agent_faults.fetch_add(1, Relaxed);
    embed::pause();
    R::default()
}

#[cold]
#[inline(never)]
fn fault_if_due() {
    if FAULT_IN.fetch_sub(1, Relaxed) == 1 {
        panic!("a fault made on purpose");
    }
}

/// Has the call of [`safely`] after so many others panic.
pub(crate) fn inject_fault(after: u32) {
    FAULT_IN.store(after, Relaxed);
}

/// State that the interpreter's lock protects. Whoever finds it in use, by being called from inside
/// itself, does without.
pub(crate) struct Locked<T> {
    value: UnsafeCell<Option<T>>,
    is_used: Cell<bool>,
}

// SAFETY: only touched with the interpreter's lock held, as `with` demands; builds of CPython without
// that lock are refused at start.
unsafe impl<T> Sync for Locked<T> {}

impl<T> Locked<T> {
    pub(crate) const fn new() -> Self {
        Self { value: UnsafeCell::new(None), is_used: Cell::new(false) }
    }

    /// Uses the state. `f` must not run Python code, which could give the lock away.
    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        struct Free<'a>(&'a Cell<bool>);
        impl Drop for Free<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        if self.is_used.replace(true) {
            return None;
        }
        let _free = Free(&self.is_used);
        // SAFETY: the lock is held, and nobody else is inside.
        unsafe { (*self.value.get()).as_mut() }.map(f)
    }

    /// Puts a fresh value there; gives the old one.
    pub(crate) fn replace(&self, value: T) -> Option<T> {
        if self.is_used.get() {
            return None;
        }
        // SAFETY: as above.
        unsafe { (*self.value.get()).replace(value) }
    }
}
