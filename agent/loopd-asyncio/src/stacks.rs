//! The Python stack of another thread, looked at with the interpreter's lock held.
//!
//! `sys._current_frames` is asked only where frames cannot be read as they are (`peek`): it allocates while
//! it holds a lock of the interpreter's, which in CPython 3.11 has hung programs, and tells audit hooks.

use loopd_model::Frame;

use crate::guard::safely;
use crate::py::{self, Object, Ref};
use crate::{peek, world};

/// Of a deeper stack only the innermost frames are told.
pub(crate) const MAX_DEPTH: usize = 100;

/// The stack of the thread with this number of the system's, leaf first; `None` if it runs no loop that is
/// known.
pub(crate) fn of(tid: i32) -> Option<Vec<Frame>> {
    let asked = || {
        let ident = world::ident_of(tid)?;
        // SAFETY: the lock is held.
        let frames = safely(|| unsafe { of_thread(ident) });
        (!frames.is_empty()).then_some(frames)
    };
    safely(|| peek::stack_with_lock(tid)).or_else(asked)
}

/// The stack of the thread that Python knows by this number, leaf first.
unsafe fn of_thread(ident: u64) -> Vec<Frame> {
    // SAFETY: what is borrowed is kept alive by what it is of; the rest is given back, and errors are
    // cleared.
    unsafe {
        let all = py::PySys_GetObject(c"_current_frames".as_ptr());
        if all.is_null() {
            return Vec::new();
        }
        let all = Ref(py::call0(all));
        let ident = Ref(py::PyLong_FromUnsignedLongLong(ident));
        if all.is_null() || ident.is_null() || py::PyDict_Check(all.0) == 0 {
            py::PyErr_Clear();
            return Vec::new();
        }
        of_frame(py::PyDict_GetItem(all.0, ident.0))
    }
}

/// The stack from a frame outwards; null gives none.
pub(crate) unsafe fn of_frame(innermost: Object) -> Vec<Frame> {
    let mut frames = Vec::new();
    // SAFETY: as above; the caller keeps the frame alive.
    unsafe {
        let mut frame = Ref::to(innermost);
        while !frame.is_null() && frames.len() < MAX_DEPTH {
            let code = Ref(py::PyFrame_GetCode(frame.0.cast()).cast());
            let line = py::PyFrame_GetLineNumber(frame.0.cast());
            // In CPython 3.10 code has no more than its name.
            let mut function = py::text_attribute(code.0, c"co_qualname");
            if function.is_empty() {
                function = py::text_attribute(code.0, c"co_name");
            }
            frames.push(Frame {
                function,
                file: py::text_attribute(code.0, c"co_filename"),
                line: u32::try_from(line).unwrap_or(0),
                address: 0,
            });
            frame = Ref(py::PyFrame_GetBack(frame.0.cast()).cast());
        }
        py::PyErr_Clear();
    }
    frames
}
