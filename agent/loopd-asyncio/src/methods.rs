//! How the package puts the hooks in place: descriptors to set on classes, and what they need.

use std::ffi::CStr;
use std::sync::atomic::Ordering::Relaxed;

use loopd_agent::embed::GuardedKind;
use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use crate::asyncio::{self, Asyncio, Names};
use crate::layout::{self, Layout};
use crate::py::{self, PyMethodDef, PyMethodDefPointer};
use crate::{guard, slots, uvloop, waits};

/// Looks the samples through for where CPython keeps things.
#[pyfunction]
pub(crate) fn find_layout(samples: &Bound<'_, PyDict>) -> PyResult<()> {
    layout::set(Layout::find(samples)?);
    Ok(())
}

/// Puts the hooks into the types that make tasks.
#[pyfunction]
pub(crate) fn install_slots(task: &Bound<'_, PyAny>) -> PyResult<()> {
    slots::install(task)
}

/// Takes them away.
#[pyfunction]
pub(crate) fn uninstall_slots() {
    slots::uninstall();
}

/// Has the call of our code after so many others fail. For tests.
#[pyfunction]
pub(crate) fn inject_fault(after: u32) {
    guard::inject_fault(after);
}

/// Attributes of a type whose dictionary was written to are looked up anew.
#[pyfunction]
pub(crate) fn type_changed(kind: &Bound<'_, PyType>) {
    // SAFETY: a live type.
    unsafe { py::PyType_Modified(kind.as_type_ptr()) };
}

/// Keeps an object for ever.
fn keep(object: &Bound<'_, PyAny>) -> usize {
    object.clone().unbind().into_ptr() as usize
}

fn get(dict: &Bound<'_, PyDict>, name: &str) -> PyResult<usize> {
    let value = dict.get_item(name)?;
    value.map(|value| keep(&value)).ok_or_else(|| PyKeyError::new_err(name.to_owned()))
}

/// What the methods need of asyncio.
#[pyfunction]
pub(crate) fn set_asyncio(
    parts: &Bound<'_, PyDict>,
    knows_run: bool,
    knows_call_soon: bool,
    knows_create_task: bool,
) -> PyResult<()> {
    asyncio::set(Asyncio {
        handle_type: get(parts, "Handle")?,
        timer_type: get(parts, "TimerHandle")?,
        context_type: get(parts, "Context")?,
        original_run: get(parts, "_run")?,
        original_call_soon: get(parts, "call_soon")?,
        original_call_soon_threadsafe: get(parts, "call_soon_threadsafe")?,
        original_run_once: get(parts, "_run_once")?,
        original_run_forever: get(parts, "run_forever")?,
        original_create_task: get(parts, "create_task")?,
        tasks: get(parts, "tasks")?,
        inner_call_soon: get(parts, "_call_soon")?,
        check_closed: get(parts, "_check_closed")?,
        on_exception: get(parts, "on_exception")?,
        prune: get(parts, "prune")?,
        heappop: get(parts, "heappop")?,
        on_wrong_thread: get(parts, "on_wrong_thread")?,
        knows_run,
        knows_call_soon,
        knows_create_task,
        // SAFETY: the lock is held.
        names: unsafe { Names::new() },
    });
    Ok(())
}

/// What the methods need of uvloop.
#[pyfunction]
pub(crate) fn set_uvloop(parts: &Bound<'_, PyDict>) -> PyResult<()> {
    let methods = [
        get(parts, "call_soon")?,
        get(parts, "call_soon_threadsafe")?,
        get(parts, "call_later")?,
        get(parts, "run_forever")?,
        get(parts, "on_wrong_thread")?,
    ];
    // SAFETY: the lock is held, and what is given lives for ever.
    unsafe { uvloop::set(methods) }
        .ok_or_else(|| PyRuntimeError::new_err("the type of wrapped callbacks cannot be made"))
}

/// What the hook in `_get_loop` needs: the classes that use it, by name.
#[pyfunction]
pub(crate) fn set_waits(
    types: &Bound<'_, PyDict>,
    original: &Bound<'_, PyAny>,
    put: &Bound<'_, PyAny>,
    running_loop: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let mut known = Vec::new();
    for (name, kind) in types.iter() {
        let guarded = match name.extract::<String>()?.as_str() {
            "Lock" => GuardedKind::Lock,
            "Semaphore" => GuardedKind::Semaphore,
            "Queue" => GuardedKind::Queue,
            "Event" => GuardedKind::Event,
            "Condition" => GuardedKind::Condition,
            "Barrier" => GuardedKind::Barrier,
            other => return Err(PyKeyError::new_err(other.to_owned())),
        };
        known.push((keep(&kind), guarded));
    }
    // SAFETY: the lock is held.
    unsafe { waits::set(known, original.as_ptr(), running_loop.as_ptr(), keep(put)) };
    Ok(())
}

/// The interpreter is about to end.
#[pyfunction]
pub(crate) fn end() {
    py::IS_ENDING.store(true, Relaxed);
}

/// Takes arguments by place and by name.
const FAST: i32 = py::METH_FASTCALL | py::METH_KEYWORDS;

/// The methods there are: the class they are for, their name, what runs, and what `help` says of them.
fn definition(name: &str) -> Option<(&'static CStr, PyMethodDefPointer, i32, &'static CStr)> {
    let (none, fast) = (py::plain_method, py::fast_method);
    Some(match name {
        "Handle._run" => {
            (c"_run", none(asyncio::handle_run), py::METH_NOARGS, c"_run($self)\n--\n\n")
        }
        "call_soon" => (
            c"call_soon",
            fast(asyncio::call_soon),
            FAST,
            c"call_soon($self, callback, *args, context=None)\n--\n\n\
              Arrange for a callback to be called as soon as possible.",
        ),
        "call_soon_threadsafe" => (
            c"call_soon_threadsafe",
            fast(asyncio::call_soon_threadsafe),
            FAST,
            c"call_soon_threadsafe($self, callback, *args, context=None)\n--\n\n\
              Like call_soon(), but thread-safe.",
        ),
        "create_task" => (
            c"create_task",
            fast(asyncio::create_task),
            FAST,
            // Which has no context there.
            if py::is_3_10() {
                c"create_task($self, coro, *, name=None)\n--\n\n\
                  Schedule a coroutine object.\n\nReturn a task object."
            } else {
                c"create_task($self, coro, *, name=None, context=None)\n--\n\n\
                  Schedule a coroutine object.\n\nReturn a task object."
            },
        ),
        "run_forever" => (
            c"run_forever",
            none(asyncio::run_forever),
            py::METH_NOARGS,
            c"run_forever($self)\n--\n\nRun until stop() is called.",
        ),
        "_run_once" => (
            c"_run_once",
            none(asyncio::run_once),
            py::METH_NOARGS,
            c"_run_once($self)\n--\n\nRun one full iteration of the event loop.",
        ),
        "_get_loop" => {
            (c"_get_loop", none(waits::get_loop), py::METH_NOARGS, c"_get_loop($self)\n--\n\n")
        }
        "uvloop.call_soon" => (
            c"call_soon",
            fast(uvloop::call_soon),
            FAST,
            c"call_soon($self, callback, *args, context=None)\n--\n\n",
        ),
        "uvloop.call_soon_threadsafe" => (
            c"call_soon_threadsafe",
            fast(uvloop::call_soon_threadsafe),
            FAST,
            c"call_soon_threadsafe($self, callback, *args, context=None)\n--\n\n",
        ),
        "uvloop.call_later" => (
            c"call_later",
            fast(uvloop::call_later),
            FAST,
            c"call_later($self, delay, callback, *args, context=None)\n--\n\n",
        ),
        "uvloop.run_forever" => (
            c"run_forever",
            none(uvloop::run_forever),
            py::METH_NOARGS,
            c"run_forever($self)\n--\n\n",
        ),
        _ => return None,
    })
}

/// A method of ours for a class.
#[pyfunction]
pub(crate) fn method(name: &str, class: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let (ml_name, ml_meth, ml_flags, doc) =
        definition(name).ok_or_else(|| PyKeyError::new_err(name.to_owned()))?;
    let (ml_name, ml_doc) = (ml_name.as_ptr(), doc.as_ptr());
    // There are a dozen, made once per start.
    let definition = Box::leak(Box::new(PyMethodDef { ml_name, ml_meth, ml_flags, ml_doc }));
    // SAFETY: a class, and a definition that lives for ever; a new reference or an error.
    unsafe {
        let descriptor = py::PyDescr_NewMethod(class.as_ptr().cast(), definition);
        if name == "Handle._run" {
            asyncio::set_run(descriptor);
            asyncio::start();
        }
        Bound::from_owned_ptr_or_err(class.py(), descriptor).map(Bound::unbind)
    }
}
