//! asyncio's own loop: `Handle._run`, `call_soon`, `call_soon_threadsafe`, `create_task`, `run_forever`
//! and `_run_once`, as methods of ours.
//!
//! Four of them take the place of what the standard library does, in fewer steps than its bytecode;
//! the package puts these there only where that bytecode is one we know. Whatever is out of the
//! ordinary, as in debug mode, goes to the method that was there before.

mod create_task;
mod handle;
mod names;
mod plain;
mod schedule;
mod timers;
mod turn;

use std::ptr::null_mut;
use std::sync::OnceLock;

use crate::py::{self, Object};

pub(crate) use create_task::create_task;
pub(crate) use handle::{handle_run, set_run};
pub(crate) use names::Names;
pub(crate) use plain::start;
pub(crate) use schedule::{call_soon, call_soon_threadsafe};
pub(crate) use turn::{run_forever, run_once};

/// What the methods need of asyncio; all of it lives for ever.
pub(crate) struct Asyncio {
    pub(crate) handle_type: usize,
    pub(crate) timer_type: usize,
    pub(crate) context_type: usize,
    pub(crate) original_run: usize,
    pub(crate) original_call_soon: usize,
    pub(crate) original_call_soon_threadsafe: usize,
    pub(crate) original_run_once: usize,
    pub(crate) original_run_forever: usize,
    pub(crate) original_create_task: usize,
    /// What `call_soon` and `create_task` call in turn.
    pub(crate) inner_call_soon: usize,
    pub(crate) check_closed: usize,
    /// The module that has `Task`, which others may have replaced in there.
    pub(crate) tasks: usize,
    /// Tells the loop of an exception in a callback.
    pub(crate) on_exception: usize,
    /// Takes cancelled timers away.
    pub(crate) prune: usize,
    pub(crate) heappop: usize,
    /// Called with what was done from the wrong thread.
    pub(crate) on_wrong_thread: usize,
    /// Whether `Handle._run` may be replaced, and not only accompanied.
    pub(crate) knows_run: bool,
    pub(crate) knows_call_soon: bool,
    pub(crate) knows_create_task: bool,
    pub(crate) names: Names,
}

static ASYNCIO: OnceLock<Asyncio> = OnceLock::new();

/// Said once in a process: what is replaced stays the same.
pub(crate) fn set(asyncio: Asyncio) {
    let _ = ASYNCIO.set(asyncio);
}

#[inline(always)]
fn asyncio() -> Option<&'static Asyncio> {
    ASYNCIO.get()
}

/// What is impossible is an error of Python's like any other.
#[cold]
unsafe fn not_ready() -> Object {
    // SAFETY: sets an error.
    unsafe {
        py::PyErr_SetString(py::PyExc_RuntimeError, c"loopd was not set up".as_ptr());
    }
    null_mut()
}
