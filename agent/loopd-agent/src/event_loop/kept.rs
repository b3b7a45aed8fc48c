//! The agent that [`run`](super::run) starts: once in a process, for all loops that it will ever have.
#![expect(unsafe_code, reason = "registers a function with libc, which is stated sound below")]

use std::sync::atomic::{AtomicU32, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Mutex, Once, PoisonError};

use crate::agent::Agent;
use crate::config::Config;
use crate::recorder;

use super::handle::quietly;

static AGENT: Mutex<Option<Agent>> = Mutex::new(None);

/// Starts it, unless the program has one, or had one and ended it. Where it cannot start, which `stats` tells
/// of, nothing is recorded. It ends with the process, so that a second loop, or one in another thread that
/// is still there when the first is done, is recorded as well.
pub(super) fn start_agent() {
    static ONCE: Once = Once::new();
    let process = std::process::id();
    let starter = STARTER.compare_exchange(0, process, AcqRel, Acquire);
    if starter.is_err_and(|starter| starter != process) {
        // A forked child, which records nothing. Forked meanwhile, it would wait for a thread that it has not.
        return;
    }
    // Who comes second waits until the first has started it, also if that panics.
    ONCE.call_once(|| quietly(start));
}

/// The process that starts it; 0 before.
static STARTER: AtomicU32 = AtomicU32::new(0);

fn start() {
    if recorder::get().is_some() {
        return;
    }
    let Ok(agent) = Config::from_env().forgiving().start() else { return };
    *AGENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(agent);
    // SAFETY: the function takes nothing, does not unwind, and uses nothing of its thread's that would
    // be gone when the process ends.
    unsafe { libc::atexit(end_agent) };
}

extern "C" fn end_agent() {
    if STARTER.load(Acquire) != std::process::id() {
        // It is the parent's, and so are its threads.
        return;
    }
    // Sends what is left, for half a second unless told otherwise. Nothing here panics; should it, the process ends as well.
    let ended = std::panic::catch_unwind(|| {
        let agent = AGENT.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(agent);
    });
    std::mem::forget(ended);
}
