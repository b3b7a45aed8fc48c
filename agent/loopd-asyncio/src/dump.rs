//! Where tasks wait: the chain of coroutines that each awaits, down to what is no coroutine.

use std::ptr::null_mut;

use loopd_agent::embed::{self, DumpedTask};
use loopd_model::Frame;
use pyo3::prelude::*;

use crate::guard::safely;
use crate::layout;
use crate::py::{self, Object, Ref};
use crate::world::{self, WORLD};

/// Frames of one task; deeper ones are left out.
const MAX_DEPTH: usize = 64;

/// Tells where these tasks wait, in answer to a question. Tasks that are not recorded are passed over;
/// says how many were told.
#[pyfunction]
pub(crate) fn dump_tasks(dump: u64, tasks: Vec<Bound<'_, PyAny>>) -> usize {
    safely(|| {
        let dumped: Vec<_> = tasks
            .iter()
            // SAFETY: live tasks.
            .map(|task| unsafe { dump_task(task.as_ptr()) })
            .collect();
        let count = dumped.iter().filter(|told| !told.is_empty()).count();
        embed::dumped(dump, dumped.into_iter().flatten().collect());
        count
    })
}

/// All has been told: there were so many tasks, and so many were left out, for this reason.
#[pyfunction]
pub(crate) fn dump_ended(dump: u64, tasks: u64, left_out: u64, reason: &str) {
    embed::dump_ended(dump, tasks, left_out, reason);
}

/// One for each task that it awaits, or one.
unsafe fn dump_task(task: Object) -> Vec<DumpedTask> {
    let (Some(layout), Some(id)) = (layout::get(), world::number_of(task)) else {
        return Vec::new();
    };
    // SAFETY: a live object; if it is a task, its slots are read where they were found; what is got is
    // given back.
    unsafe {
        if py::PyType_IsSubtype(py::type_of(task).cast(), layout.task_type.cast()) == 0 {
            return Vec::new();
        }
        let mut frames = Vec::new();
        let mut awaited = Ref::to(py::read(task, layout.task_coroutine));
        while frames.len() < MAX_DEPTH && !awaited.is_null() {
            let Some(frame) = frame_of(awaited.0) else { break };
            frames.push(frame);
            awaited = next(awaited.0);
        }
        py::PyErr_Clear();
        frames.reverse();
        let waiter = Ref::to(py::read(task, layout.task_waiter));
        let (awaits, tasks) = awaits(&waiter, frames.first());
        let underway = WORLD.with(|world| {
            let wait = world.task(task as usize)?.wait.as_ref()?;
            Some(wait.resource())
        });
        let resource = if waiter.is_null() { 0 } else { underway.flatten().unwrap_or(0) };
        let of = |awaits_task: u64| {
            let (frames, awaits) = (frames.clone(), awaits.clone());
            DumpedTask { task: id, frames, awaits, awaits_task, resource }
        };
        if tasks.is_empty() { vec![of(0)] } else { tasks.into_iter().map(of).collect() }
    }
}

/// Where a coroutine, generator or asynchronous generator stands; `None` for anything else.
unsafe fn frame_of(awaited: Object) -> Option<Frame> {
    // SAFETY: a live object; what is got is given back, and errors are cleared.
    unsafe {
        let frame = attribute(awaited, &[c"cr_frame", c"gi_frame", c"ag_frame"])?;
        // Anybody's awaitable may have attributes of these names.
        if py::type_of(frame.0) != (&raw mut py::frame_type).cast() {
            return None;
        }
        let code = Ref(py::PyFrame_GetCode(frame.0.cast()).cast());
        let line = py::PyFrame_GetLineNumber(frame.0.cast());
        let function = py::text_attribute(awaited, c"__qualname__");
        Some(Frame {
            function,
            file: py::text_attribute(code.0, c"co_filename"),
            line: u32::try_from(line).unwrap_or(0),
            address: 0,
        })
    }
}

/// What it awaits.
unsafe fn next(awaited: Object) -> Ref {
    // SAFETY: as above.
    unsafe {
        attribute(awaited, &[c"cr_await", c"gi_yieldfrom", c"ag_await"]).unwrap_or(Ref(null_mut()))
    }
}

/// The first of these attributes that there is and that is not `None`.
unsafe fn attribute(object: Object, names: &[&std::ffi::CStr]) -> Option<Ref> {
    // SAFETY: a live object.
    unsafe {
        let value = names.iter().find_map(|name| py::attribute(object, name));
        value.filter(|value| value.0 != py::Py_None())
    }
}

/// What a task waits for, in a word, and which tasks, if it is some.
unsafe fn awaits(waiter: &Ref, innermost: Option<&Frame>) -> (String, Vec<u64>) {
    if waiter.is_null() {
        return (String::new(), Vec::new());
    }
    if let Some(task) = world::number_of(waiter.0) {
        return ("Task".to_owned(), vec![task]);
    }
    // SAFETY: a live object; what is got is given back, and errors are cleared.
    unsafe {
        if let Some(children) = attribute(waiter.0, &[c"_children"]) {
            return ("gather".to_owned(), pending(&children));
        }
        let is_of_asyncio = |frame: &&Frame| frame.file.contains("/asyncio/");
        match innermost.filter(is_of_asyncio) {
            Some(frame) => (frame.function.clone(), Vec::new()),
            None => (py::text_attribute(py::type_of(waiter.0), c"__qualname__"), Vec::new()),
        }
    }
}

/// Those of some futures that are tasks which have not ended; no more than one answer has room for.
unsafe fn pending(children: &Ref) -> Vec<u64> {
    const MAX_CHILDREN: usize = 100;
    // SAFETY: a live object, looked at as the list that it is.
    unsafe {
        if py::PyList_Check(children.0) == 0 {
            return Vec::new();
        }
        let children = (0..py::PyList_Size(children.0)).map(|i| py::PyList_GetItem(children.0, i));
        children.filter_map(world::number_of).take(MAX_CHILDREN).collect()
    }
}
