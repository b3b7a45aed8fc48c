//! `call_soon` and `call_soon_threadsafe`: handles are made, and noted as scheduled.

use std::ptr::null_mut;

use loopd_agent::embed;

use super::plain::is_ordinary;
use super::{Asyncio, asyncio, not_ready};
use crate::guard::safely;
use crate::layout;
use crate::py::{self, Args, Object, Ref};
use crate::running::check_thread;
use crate::world;

/// `BaseEventLoop.call_soon`.
pub(crate) unsafe extern "C-unwind" fn call_soon(
    slf: Object,
    args: *const Object,
    nargs: py::Py_ssize_t,
    names: Object,
) -> Object {
    // SAFETY: called by the interpreter with live arguments.
    unsafe {
        let args = Args { args, nargs, names };
        let Some(asyncio) = asyncio() else { return not_ready() };
        if embed::is_recording() {
            safely(|| check_thread(asyncio.on_wrong_thread as Object, slf));
        }
        let handle = if asyncio.knows_call_soon { make_handle(asyncio, slf, args) } else { None };
        let handle = match handle {
            Some(handle) => handle,
            None => args.call(asyncio.original_call_soon as Object, slf),
        };
        note_scheduled(args, handle);
        handle
    }
}

/// `BaseEventLoop.call_soon_threadsafe`: only accompanied.
pub(crate) unsafe extern "C-unwind" fn call_soon_threadsafe(
    slf: Object,
    args: *const Object,
    nargs: py::Py_ssize_t,
    names: Object,
) -> Object {
    // SAFETY: called by the interpreter with live arguments.
    unsafe {
        let args = Args { args, nargs, names };
        let Some(asyncio) = asyncio() else { return not_ready() };
        let handle = args.call(asyncio.original_call_soon_threadsafe as Object, slf);
        note_scheduled(args, handle);
        handle
    }
}

/// The callback that was given is to run by this handle, unless there is none.
#[inline(always)]
unsafe fn note_scheduled(args: Args, handle: Object) {
    if !handle.is_null() && args.nargs > 0 && embed::is_recording() {
        // SAFETY: live arguments.
        safely(|| unsafe {
            world::scheduled(args.get(0), handle);
        });
    }
}

/// The same handle as `call_soon` would make; `None` where only that should.
#[inline(always)]
unsafe fn make_handle(asyncio: &Asyncio, slf: Object, args: Args) -> Option<Object> {
    // SAFETY: live arguments; what is got is given back, or becomes the handle's.
    unsafe {
        let named = args.named();
        if args.nargs < 1 || named > 1 || !is_ordinary(asyncio, slf) {
            return None;
        }
        let names = &asyncio.names;
        if named == 1 && !is_context(args.names) {
            return None;
        }
        let layout = &layout::get()?.handle;
        let context = if named == 1 { *args.args.add(args.nargs as usize) } else { py::Py_None() };
        let context = if context == py::Py_None() {
            Ref(py::PyContext_CopyCurrent())
        } else {
            Ref::to(context)
        };
        if context.is_null() {
            return Some(null_mut());
        }
        let rest = if args.nargs == 1 {
            Ref::to(names.empty_tuple as Object)
        } else {
            let tuple = Ref(py::PyTuple_New(args.nargs - 1));
            if tuple.is_null() {
                return Some(null_mut());
            }
            for index in 1..args.nargs {
                let argument = py::Py_NewRef(*args.args.add(index as usize));
                py::PyTuple_SetItem(tuple.0, index - 1, argument);
            }
            tuple
        };
        let handle = Ref(py::PyType_GenericAlloc(asyncio.handle_type as *mut _, 0));
        if handle.is_null() {
            return Some(null_mut());
        }
        py::write(handle.0, layout.context, context.leak());
        py::write(handle.0, layout.loop_, py::Py_NewRef(slf));
        py::write(handle.0, layout.callback, py::Py_NewRef(args.get(0)));
        py::write(handle.0, layout.args, rest.leak());
        py::write(handle.0, layout.cancelled, py::Py_NewRef(py::Py_False()));
        py::write(handle.0, layout.repr, py::none());
        py::write(handle.0, layout.source_traceback, py::none());
        let ready = Ref(py::PyObject_GetAttr(slf, names.ready as Object));
        if ready.is_null() {
            return Some(null_mut());
        }
        let appended = Ref(py::call_method1(ready.0, names.append as Object, handle.0));
        Some(if appended.is_null() { null_mut() } else { handle.leak() })
    }
}

/// Whether the one argument that is named is `context`.
unsafe fn is_context(names: Object) -> bool {
    // SAFETY: a tuple of one string.
    unsafe {
        py::PyUnicode_CompareWithASCIIString(py::PyTuple_GetItem(names, 0), c"context".as_ptr())
            == 0
    }
}
