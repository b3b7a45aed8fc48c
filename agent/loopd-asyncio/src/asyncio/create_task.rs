//! `create_task`: the call of `Task` that it comes to, without its bytecode.

use std::ptr::null_mut;

use super::plain::{attribute_is, is_ordinary};
use super::{Asyncio, asyncio, not_ready};
use crate::py::{self, Args, Object, Ref};

/// `BaseEventLoop.create_task`.
pub(crate) unsafe extern "C-unwind" fn create_task(
    slf: Object,
    args: *const Object,
    nargs: py::Py_ssize_t,
    names: Object,
) -> Object {
    // SAFETY: called by the interpreter with live arguments.
    unsafe {
        let args = Args { args, nargs, names };
        let Some(asyncio) = asyncio() else { return not_ready() };
        let made = if asyncio.knows_create_task { make_task(asyncio, slf, args) } else { None };
        match made {
            Some(task) => task,
            None => args.call(asyncio.original_create_task as Object, slf),
        }
    }
}

/// The same task as `create_task` would make; `None` where only that should.
unsafe fn make_task(asyncio: &Asyncio, slf: Object, args: Args) -> Option<Object> {
    let names = &asyncio.names;
    // SAFETY: live arguments; what is got is given back or returned.
    unsafe {
        if args.nargs != 1 || !is_ordinary(asyncio, slf) {
            return None;
        }
        let (mut name, mut context) = (py::Py_None(), null_mut());
        for index in 0..args.named() {
            let key = py::PyTuple_GetItem(args.names, index as py::Py_ssize_t) as usize;
            let value = *args.args.add(1 + index);
            match names.create_task_arguments.iter().position(|&known| known == key) {
                Some(0) => name = value,
                Some(_) => context = value,
                None => return None,
            }
        }
        if !attribute_is(slf, names.task_factory, py::Py_None()) {
            py::PyErr_Clear();
            return None;
        }
        let kind = Ref(py::PyObject_GetAttr(asyncio.tasks as Object, names.task as Object));
        if kind.is_null() {
            return Some(null_mut());
        }
        let has_context = !context.is_null();
        let all = [args.get(0), slf, name, context];
        let keys = names.task_arguments[usize::from(has_context)] as Object;
        Some(py::vectorcall(kind.0, all.as_ptr(), 1, keys))
    }
}
