//! Which thread runs a loop, of whatever kind: from when it begins to run until it rests, and what is
//! done with it from another thread.

use std::sync::atomic::Ordering::Relaxed;

use loopd_agent::embed;

use crate::guard::safely;
use crate::py::{self, Object, Ref};
use crate::world::{self, WORLD};

/// Runs a loop by the method that it had before.
pub(crate) unsafe fn runs(original: Object, slf: Object) -> Object {
    // SAFETY: a live loop, and a function that lives for ever.
    unsafe {
        crate::agent::loop_is_about_to_run();
        let run = match embed::is_recording() {
            true => safely(|| world::loop_runs(slf)),
            false => world::Run::default(),
        };
        let result = py::call1(original, slf);
        safely(|| world::loop_rests(slf, run));
        result
    }
}

/// A loop that runs on another thread must not be given work by this one.
#[inline]
pub(crate) unsafe fn check_thread(on_wrong_thread: Object, slf: Object) {
    // SAFETY: asks for the calling thread's number.
    let here = unsafe { libc::pthread_self() } as u64;
    let thread = WORLD
        .with(|world| world.known_loop(slf).map(|info| info.thread.load(Relaxed)))
        .flatten()
        .unwrap_or(0);
    if thread != 0 && thread != here {
        // SAFETY: a function that lives for ever, with one live argument.
        unsafe {
            drop(Ref(py::call1(on_wrong_thread, slf)));
            py::PyErr_Clear();
        }
    }
}
