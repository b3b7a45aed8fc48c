//! Sockets that are left open: noted when they are made, told of only if they are freed without having been
//! closed. All of it is native, since a program's interrupts and alarms arrive between two instructions of
//! Python, and sockets are where they are waited for.

use std::ptr::null_mut;

use foldhash::{HashMap, HashMapExt};
use loopd_agent::embed::{self, ticks};
use loopd_model::{CloseHow, MarkLevel};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::guard::{Locked, safely};
use crate::places;
use crate::py::{self, Object};

/// Open ones known at once; more are not noted.
const MAX_SOCKETS: usize = 64 << 10;

/// An open socket.
struct Open {
    /// A weak reference whose callback tells of it.
    reference: usize,
    at: u64,
    place: u64,
    task: u64,
}

/// By address.
static SOCKETS: Locked<HashMap<usize, Open>> = Locked::new();

/// Starts over with nothing known.
pub(crate) fn start() {
    let before = SOCKETS.replace(HashMap::new());
    for open in before.into_iter().flatten().map(|(_, open)| open) {
        // SAFETY: one reference of ours.
        unsafe { py::Py_DecRef(open.reference as Object) };
    }
}

/// A socket was made.
#[pyfunction]
#[pyo3(signature = (socket, *_arguments))]
pub(crate) fn socket_opened(socket: &Bound<'_, PyAny>, _arguments: &Bound<'_, PyTuple>) {
    safely(|| {
        let key = socket.as_ptr() as usize;
        if SOCKETS.with(|sockets| sockets.len() < MAX_SOCKETS) != Some(true) {
            return;
        }
        // SAFETY: a live object; the weak reference is given back when it is closed or gone.
        unsafe {
            let reference = py::weak_reference(socket.as_ptr(), &raw mut GONE, key);
            let Some(reference) = reference else { return };
            let (at, place, task) = (ticks(), places::caller(), embed::current_task());
            let open = Open { reference: reference as usize, at, place, task };
            let before = SOCKETS.with(|sockets| sockets.insert(key, open)).flatten();
            forget(before);
        }
    });
}

/// A socket is being closed, or given to somebody else.
#[pyfunction]
#[pyo3(signature = (socket, *_arguments))]
pub(crate) fn socket_closed(socket: &Bound<'_, PyAny>, _arguments: &Bound<'_, PyTuple>) {
    safely(|| {
        let key = socket.as_ptr() as usize;
        let open = SOCKETS.with(|sockets| sockets.remove(&key)).flatten();
        // SAFETY: the lock is held.
        unsafe { forget(open) };
    });
}

unsafe fn forget(open: Option<Open>) {
    if let Some(open) = open {
        // SAFETY: one reference of ours.
        unsafe { py::Py_DecRef(open.reference as Object) };
    }
}

static mut GONE: py::PyMethodDef = py::method_of_one(c"gone", gone);

unsafe extern "C-unwind" fn gone(key: Object, _reference: Object) -> Object {
    // SAFETY: called by the interpreter with the key we gave it.
    unsafe {
        let key = py::PyLong_AsSize_t(key);
        let open = safely(|| SOCKETS.with(|sockets| sockets.remove(&key)).flatten());
        if let Some(open) = open {
            safely(|| tell(&open));
            py::Py_DecRef(open.reference as Object);
        }
        if !py::PyErr_Occurred().is_null() {
            return null_mut();
        }
        py::none()
    }
}

fn tell(open: &Open) {
    if !embed::is_recording() {
        return;
    }
    let by = (open.place, open.task);
    let resource = embed::opened_at(open.at, "socket", "", by);
    embed::closed(resource, CloseHow::Unclosed);
    let fields = vec![("check".to_owned(), "unclosed_socket".to_owned())];
    let message = "a socket was freed without close()";
    embed::mark(MarkLevel::Warn, "asyncio", message, (open.task, open.place), fields);
}
