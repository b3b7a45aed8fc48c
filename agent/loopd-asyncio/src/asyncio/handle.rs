//! `Handle._run`: one callback in its context, and what becomes of its exception.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use loopd_agent::embed;

use super::timers::is_timer;
use super::{Asyncio, asyncio, not_ready};
use crate::guard::safely;
use crate::layout;
use crate::py::{self, Object, Ref};
use crate::world::{self, Due, WORLD};

/// `Handle._run`.
pub(crate) unsafe extern "C-unwind" fn handle_run(slf: Object, _: Object) -> Object {
    // SAFETY: called by the interpreter with a live handle.
    unsafe {
        let Some(asyncio) = asyncio() else { return not_ready() };
        run_handle(asyncio, slf)
    }
}

#[inline(always)]
pub(super) unsafe fn run_handle(asyncio: &Asyncio, slf: Object) -> Object {
    // SAFETY: a live handle, whose slots are read where they were found; what they hold is kept alive
    // while it runs.
    unsafe {
        let Some(layout) = layout::get() else {
            return original_run(asyncio, slf);
        };
        let context = py::read(slf, layout.handle.context);
        let callback = py::read(slf, layout.handle.callback);
        let args = py::read(slf, layout.handle.args);
        if context.is_null()
            || callback.is_null()
            || args.is_null()
            || py::type_of(context) as usize != asyncio.context_type
            || py::type_of(args) != (&raw mut py::PyTuple_Type).cast()
        {
            return original_run(asyncio, slf);
        }
        let (context, callback, args) = (Ref::to(context), Ref::to(callback), Ref::to(args));
        let is_plain = embed::is_recording() && world::task_of(callback.0, layout).is_null();
        let running = if is_plain {
            safely(|| {
                let loop_ = py::read(slf, layout.handle.loop_);
                let due = due(asyncio, slf, loop_, layout.handle.when);
                world::callback_begins(loop_, callback.0, due)
            })
        } else {
            world::Running::default()
        };
        let result = if asyncio.knows_run {
            run_in(&context, &callback, &args)
        } else {
            let result = original_run(asyncio, slf);
            if is_plain {
                safely(|| world::callback_ends(running));
            }
            return result;
        };
        if is_plain {
            safely(|| world::callback_ends(running));
        }
        if result.is_null() {
            return failed(asyncio, slf);
        }
        py::Py_DecRef(result);
        py::none()
    }
}

unsafe fn original_run(asyncio: &Asyncio, slf: Object) -> Object {
    // SAFETY: a function that lives for ever, with one live argument.
    unsafe { py::call1(asyncio.original_run as Object, slf) }
}

/// Calls in a context, as its `run` does.
#[inline(always)]
unsafe fn run_in(context: &Ref, callback: &Ref, args: &Ref) -> Object {
    // SAFETY: live objects.
    unsafe {
        if py::PyContext_Enter(context.0) != 0 {
            return null_mut();
        }
        let result = py::call_object(callback.0, args.0, null_mut());
        if py::PyContext_Exit(context.0) != 0 && !result.is_null() {
            py::Py_DecRef(result);
            return null_mut();
        }
        result
    }
}

/// Why a handle runs now.
unsafe fn due(asyncio: &Asyncio, slf: Object, loop_: Object, when: usize) -> Due {
    // SAFETY: a live handle; only timers have the slot.
    unsafe {
        if is_timer(asyncio, slf) {
            let is_monotonic =
                WORLD.with(|world| world.known_loop(loop_).is_some_and(|info| info.is_monotonic));
            let when = py::read(slf, when);
            if is_monotonic != Some(true) || when.is_null() {
                return Due::Unknown;
            }
            let when = py::PyFloat_AsDouble(when);
            if !py::PyErr_Occurred().is_null() {
                py::PyErr_Clear();
                return Due::Unknown;
            }
            let late = monotonic() - when;
            // A timer may fire within the clock's resolution of its time.
            return Due::Late((late.max(0.0) * 1e9) as u64);
        }
    }
    match world::take_scheduled(slf) {
        Some((at, by)) => Due::Scheduled(at, by),
        None => Due::Unknown,
    }
}

/// As `time.monotonic`.
fn monotonic() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: valid for writes.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A callback raised: the loop is told, unless the program is to end.
#[cold]
#[inline(never)]
unsafe fn failed(asyncio: &Asyncio, slf: Object) -> Object {
    // SAFETY: an error is set; what is taken of it is given back.
    unsafe {
        if py::PyErr_ExceptionMatches(py::PyExc_SystemExit) != 0
            || py::PyErr_ExceptionMatches(py::PyExc_KeyboardInterrupt) != 0
        {
            return null_mut();
        }
        let (mut kind, mut value, mut traceback) = (null_mut(), null_mut(), null_mut());
        py::PyErr_Fetch(&mut kind, &mut value, &mut traceback);
        py::PyErr_NormalizeException(&mut kind, &mut value, &mut traceback);
        if !traceback.is_null() {
            py::PyException_SetTraceback(value, traceback);
        }
        let (kind, value, traceback) = (Ref(kind), Ref(value), Ref(traceback));
        // While an exception is handled it is what `sys.exc_info` says.
        let (mut old_kind, mut old_value, mut old_traceback) = (null_mut(), null_mut(), null_mut());
        py::PyErr_GetExcInfo(&mut old_kind, &mut old_value, &mut old_traceback);
        py::PyErr_SetExcInfo(
            py::Py_XNewRef(kind.0),
            py::Py_XNewRef(value.0),
            py::Py_XNewRef(traceback.0),
        );
        let args = [slf, value.0];
        let result = py::vectorcall(asyncio.on_exception as Object, args.as_ptr(), 2, null_mut());
        py::PyErr_SetExcInfo(old_kind, old_value, old_traceback);
        result
    }
}

/// Whether nobody has put another `_run` into the place of ours.
pub(super) unsafe fn is_run_ours(asyncio: &Asyncio) -> bool {
    // SAFETY: a type that lives for ever; what is got is given back.
    unsafe {
        let run =
            Ref(py::PyObject_GetAttr(asyncio.handle_type as Object, asyncio.names.run as Object));
        py::PyErr_Clear();
        run.0 as usize == RUN.load(Relaxed)
    }
}

/// Our `_run`, once it is in its place.
static RUN: AtomicUsize = AtomicUsize::new(0);

/// Says what our `_run` is.
pub(crate) fn set_run(descriptor: Object) {
    RUN.store(descriptor as usize, Relaxed);
}
