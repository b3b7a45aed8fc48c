//! What tasks are called: by their coroutines, and by those who gave them a name.

use loopd_agent::embed;

use crate::layout::{self, Layout};
use crate::places;
use crate::py::{self, Object};

/// The name of a task's coroutine. Names that are given to tasks may all be different: they are told
/// when the task first runs.
pub(super) unsafe fn label_of_task(coroutine: Object) -> u32 {
    // SAFETY: a live object, or null.
    unsafe {
        if coroutine.is_null() {
            return 0;
        }
        if let Some(layout) = layout::get()
            && py::type_of(coroutine) == layout.coroutine_type
        {
            let name = py::read(coroutine, layout.coroutine_name);
            if !name.is_null() {
                return places::label_of(name);
            }
        }
        match py::attribute(coroutine, c"__qualname__") {
            Some(name) if py::PyUnicode_Check(name.0) != 0 => places::label_of(name.0),
            _ => embed::label(&py::text_attribute(py::type_of(coroutine), c"__qualname__")),
        }
    }
}

/// The name that a task was given after it was made, if it was.
pub(super) unsafe fn tell_name(task: Object, layout: &Layout, id: u64) {
    // SAFETY: a live task; a string is read, which runs no code of Python's.
    unsafe {
        let name = py::read(task, layout.task_name);
        if name.is_null() || py::type_of(name) != (&raw mut py::PyUnicode_Type).cast() {
            return;
        }
        let name = py::text(name);
        if !is_made_up(&name) {
            embed::named(id, &name);
        }
    }
}

/// Whether a name is like those that asyncio gives: `Task-17`, or `None`, where a factory made the task
/// and the name of nobody was set.
fn is_made_up(name: &str) -> bool {
    name == "None"
        || name
            .strip_prefix("Task-")
            .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}
