//! A loop's timers: how long it may wait for the first of them, and which are due.

use std::ptr::null_mut;

use super::Asyncio;
use crate::layout::Handle;
use crate::py::{self, Object, Ref};

pub(super) unsafe fn is_timer(asyncio: &Asyncio, handle: Object) -> bool {
    // SAFETY: a live object.
    unsafe { py::type_of(handle) as usize == asyncio.timer_type }
}

/// When a timer is due; with an error set if that cannot be told.
unsafe fn when_of(asyncio: &Asyncio, layout: &Handle, timer: Object) -> f64 {
    // SAFETY: a live object; only timers of asyncio's own have the slot.
    unsafe {
        if is_timer(asyncio, timer) {
            let when = Ref::to(py::read(timer, layout.when));
            if !when.is_null() {
                return py::PyFloat_AsDouble(when.0);
            }
        }
        let when = Ref(py::PyObject_GetAttr(timer, asyncio.names.when as Object));
        if when.is_null() { 0.0 } else { py::PyFloat_AsDouble(when.0) }
    }
}

/// How long to wait for events: not at all if there is work, until the next timer, or for ever.
pub(super) unsafe fn timeout(
    asyncio: &Asyncio,
    layout: &Handle,
    slf: Object,
    timers: &Ref,
    ready_count: py::Py_ssize_t,
) -> Ref {
    const LONGEST: f64 = 24.0 * 3600.0;
    let names = &asyncio.names;
    // SAFETY: live objects; an error is handed on as null.
    unsafe {
        if ready_count > 0 {
            return Ref(py::PyLong_FromLong(0));
        }
        let stopping = Ref(py::PyObject_GetAttr(slf, names.stopping as Object));
        match if stopping.is_null() { -1 } else { py::PyObject_IsTrue(stopping.0) } {
            -1 => return Ref(null_mut()),
            0 => {}
            _ => return Ref(py::PyLong_FromLong(0)),
        }
        if py::PyList_Size(timers.0) == 0 {
            return Ref(py::none());
        }
        let when = when_of(asyncio, layout, py::PyList_GetItem(timers.0, 0));
        let now = Ref(py::call_method0(slf, names.time as Object));
        if now.is_null() || !py::PyErr_Occurred().is_null() {
            return Ref(null_mut());
        }
        let now = py::PyFloat_AsDouble(now.0);
        #[expect(clippy::manual_clamp, reason = "what is no number is 0, as for Python's `max`")]
        let seconds = (when - now).max(0.0).min(LONGEST);
        Ref(py::PyFloat_FromDouble(seconds))
    }
}

/// Moves the timers that are due to what is ready; whether that went well.
pub(super) unsafe fn move_due(
    asyncio: &Asyncio,
    layout: &Handle,
    slf: Object,
    timers: &Ref,
    ready: &Ref,
) -> bool {
    let names = &asyncio.names;
    // SAFETY: live objects; the list is looked at anew in each round, since popping compares timers.
    unsafe {
        let now = Ref(py::call_method0(slf, names.time as Object));
        let resolution = Ref(py::PyObject_GetAttr(slf, names.clock_resolution as Object));
        if now.is_null() || resolution.is_null() {
            return false;
        }
        let end = py::PyFloat_AsDouble(now.0) + py::PyFloat_AsDouble(resolution.0);
        while py::PyList_Size(timers.0) > 0 {
            let first = py::PyList_GetItem(timers.0, 0);
            let when = when_of(asyncio, layout, first);
            if !py::PyErr_Occurred().is_null() {
                return false;
            }
            if when >= end {
                break;
            }
            let handle = Ref(py::call1(asyncio.heappop as Object, timers.0));
            if handle.is_null() {
                return false;
            }
            if is_timer(asyncio, handle.0) {
                let before = Ref(py::read(handle.0, layout.scheduled));
                py::write(handle.0, layout.scheduled, py::Py_NewRef(py::Py_False()));
                drop(before);
            } else if py::PyObject_SetAttr(handle.0, names.is_scheduled as Object, py::Py_False())
                != 0
            {
                return false;
            }
            if Ref(py::call_method1(ready.0, names.append as Object, handle.0)).is_null() {
                return false;
            }
        }
        true
    }
}
