//! Functions of the program's libraries with a call of ours before or after, and no frame of Python's
//! between: tracebacks and the places that warnings name stay what they are.

use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

use loopd_agent::embed;
use pyo3::prelude::*;

use crate::py::{self, Object, Ref};

/// The function, and what is called around it while something is recorded.
#[repr(C)]
struct Around {
    head: py::PyObject,
    vectorcall: py::Vectorcall,
    original: Object,
    before: Object,
    after: Object,
    /// Whether `after` is called also when the function failed.
    is_always: bool,
}

/// As `Py_TPFLAGS_METHOD_DESCRIPTOR`.
const METHOD_DESCRIPTOR: u32 = 1 << 17;

fn kind() -> Object {
    static KIND: OnceLock<usize> = OnceLock::new();
    // SAFETY: makes a type once, with the lock held.
    *KIND.get_or_init(|| unsafe { make_type() } as usize) as Object
}

unsafe fn make_type() -> Object {
    let slots = [
        (py::Py_tp_call, call as *mut c_void),
        (py::Py_tp_dealloc, dealloc as *mut c_void),
        (py::Py_tp_traverse, traverse as *mut c_void),
        (py::Py_tp_getattro, getattro as *mut c_void),
        (py::Py_tp_repr, repr as *mut c_void),
        (py::Py_tp_descr_get, bind as *mut c_void),
    ];
    let (name, size) = (c"loopd._loopd.Around", size_of::<Around>());
    // SAFETY: the lock is held; the functions are those of this type.
    unsafe {
        py::callable_type(name, size, offset_of!(Around, vectorcall), METHOD_DESCRIPTOR, &slots)
    }
}

/// A function as another, with calls around it. What they raise is counted and goes no further.
#[pyfunction]
pub(crate) fn around(
    original: &Bound<'_, PyAny>,
    before: Option<&Bound<'_, PyAny>>,
    after: Option<&Bound<'_, PyAny>>,
    always: bool,
) -> PyResult<Py<PyAny>> {
    let owned = |object: Option<&Bound<'_, PyAny>>| {
        object.map_or(null_mut(), |object| object.clone().unbind().into_ptr())
    };
    // SAFETY: a new object of our own type, filled before anybody sees it.
    unsafe {
        let kind = kind();
        if kind.is_null() {
            return Err(PyErr::fetch(original.py()));
        }
        let made = py::PyType_GenericAlloc(kind.cast(), 0);
        let made = Bound::from_owned_ptr_or_err(original.py(), made)?;
        let inside = made.as_ptr().cast::<Around>();
        (*inside).vectorcall = vectorcall;
        (*inside).original = original.clone().unbind().into_ptr();
        (*inside).before = owned(before);
        (*inside).after = owned(after);
        (*inside).is_always = always;
        Ok(made.unbind())
    }
}

unsafe extern "C-unwind" fn vectorcall(
    slf: Object,
    args: *const Object,
    nargs: usize,
    names: Object,
) -> Object {
    // SAFETY: called by the interpreter with one of ours and live arguments.
    unsafe {
        let Around { original, before, after, is_always, .. } = *slf.cast::<Around>();
        let count = nargs & !py::ARGUMENTS_OFFSET;
        let is_recording = embed::is_recording();
        let original = Ref::to(original);
        if is_recording && !before.is_null() && !tell(before, args, count) {
            return null_mut();
        }
        let result = py::vectorcall(original.0, args, count, names);
        if is_recording && !after.is_null() && (is_always || !result.is_null()) {
            let is_told = tell(after, args, count);
            if !is_told && !result.is_null() {
                py::Py_DecRef(result);
                return null_mut();
            }
        }
        result
    }
}

/// Calls what is ours with the arguments given by place. An error that is set stays, and a fault is
/// counted. What is no fault, as an interrupt that arrives meanwhile, is the program's: then it is set, and
/// the answer is `false`.
unsafe fn tell(ours: Object, args: *const Object, count: usize) -> bool {
    // SAFETY: live arguments; the error that was set is put back.
    unsafe {
        let (mut kind, mut value, mut traceback) = (null_mut(), null_mut(), null_mut());
        py::PyErr_Fetch(&mut kind, &mut value, &mut traceback);
        let told = Ref(py::vectorcall(ours, args, count, null_mut()));
        if told.is_null() {
            if kind.is_null() && py::PyErr_ExceptionMatches(py::PyExc_Exception) == 0 {
                return false;
            }
            embed::GAUGES.agent_faults.fetch_add(1, Relaxed);
            py::PyErr_Clear();
        }
        py::PyErr_Restore(kind, value, traceback);
        true
    }
}

unsafe extern "C-unwind" fn call(slf: Object, args: Object, kwargs: Object) -> Object {
    // SAFETY: the protocol's own way from `tp_call` to the vectorcall function.
    unsafe { py::PyVectorcall_Call(slf, args, kwargs) }
}

unsafe extern "C-unwind" fn dealloc(slf: Object) {
    // SAFETY: nobody has it any more; the type lost one instance.
    unsafe {
        py::PyObject_GC_UnTrack(slf.cast());
        let inside = slf.cast::<Around>();
        for object in [(*inside).original, (*inside).before, (*inside).after] {
            py::Py_XDECREF(object);
        }
        let kind = py::type_of(slf);
        py::PyObject_GC_Del(slf.cast());
        py::Py_DecRef(kind);
    }
}

unsafe extern "C-unwind" fn traverse(slf: Object, visit: py::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: called by the collector with one of ours.
    unsafe {
        let inside = slf.cast::<Around>();
        for object in [(*inside).original, (*inside).before, (*inside).after, py::type_of(slf)] {
            if !object.is_null() {
                let result = visit(object, arg);
                if result != 0 {
                    return result;
                }
            }
        }
        0
    }
}

/// What is asked of it is asked of the function, but for its class and what only a wrapper has.
unsafe extern "C-unwind" fn getattro(slf: Object, name: Object) -> Object {
    // SAFETY: called by the interpreter with one of ours and a string.
    unsafe {
        let is =
            |text: &std::ffi::CStr| py::PyUnicode_CompareWithASCIIString(name, text.as_ptr()) == 0;
        if is(c"__class__") || is(c"__get__") || is(c"__call__") {
            return py::PyObject_GenericGetAttr(slf, name);
        }
        let original = (*slf.cast::<Around>()).original;
        if is(c"__wrapped__") {
            return py::Py_NewRef(original);
        }
        py::PyObject_GetAttr(original, name)
    }
}

unsafe extern "C-unwind" fn repr(slf: Object) -> Object {
    // SAFETY: called by the interpreter with one of ours.
    unsafe { py::PyObject_Repr((*slf.cast::<Around>()).original) }
}

unsafe extern "C-unwind" fn bind(slf: Object, object: Object, _kind: Object) -> Object {
    // SAFETY: called by the interpreter with one of ours.
    unsafe {
        if object.is_null() || object == py::Py_None() {
            return py::Py_NewRef(slf);
        }
        py::PyMethod_New(slf, object)
    }
}
