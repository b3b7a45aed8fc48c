//! The words that the methods look attributes up by, made once.

use crate::py;

/// Interned strings.
pub(crate) struct Names {
    pub(super) closed: usize,
    pub(super) debug: usize,
    pub(super) ready: usize,
    pub(super) append: usize,
    pub(super) popleft: usize,
    pub(super) scheduled: usize,
    /// The same word, as a slot of handles.
    pub(super) is_scheduled: usize,
    pub(super) when: usize,
    pub(super) stopping: usize,
    pub(super) selector: usize,
    pub(super) select: usize,
    pub(super) process_events: usize,
    pub(super) time: usize,
    pub(super) clock_resolution: usize,
    pub(super) cancelled: usize,
    pub(super) run: usize,
    pub(super) task_factory: usize,
    pub(super) task: usize,
    pub(super) empty_tuple: usize,
    /// Of the arguments by name that `Task` gets: without a context, and with.
    pub(super) task_arguments: [usize; 2],
    pub(super) create_task_arguments: [usize; 2],
}

impl Names {
    pub(crate) unsafe fn new() -> Self {
        // SAFETY: strings that end in NUL; what is made lives for ever.
        unsafe {
            let name = |text| py::interned(text) as usize;
            let tuple = |names: &[&std::ffi::CStr]| {
                let tuple = py::PyTuple_New(names.len() as py::Py_ssize_t);
                for (index, text) in names.iter().enumerate() {
                    py::PyTuple_SetItem(tuple, index as py::Py_ssize_t, py::interned(text));
                }
                tuple as usize
            };
            Self {
                closed: name(c"_closed"),
                debug: name(c"_debug"),
                ready: name(c"_ready"),
                append: name(c"append"),
                popleft: name(c"popleft"),
                scheduled: name(c"_scheduled"),
                is_scheduled: name(c"_scheduled"),
                when: name(c"_when"),
                stopping: name(c"_stopping"),
                selector: name(c"_selector"),
                select: name(c"select"),
                process_events: name(c"_process_events"),
                time: name(c"time"),
                clock_resolution: name(c"_clock_resolution"),
                cancelled: name(c"_cancelled"),
                run: name(c"_run"),
                task_factory: name(c"_task_factory"),
                task: name(c"Task"),
                task_arguments: [
                    tuple(&[c"loop", c"name"]),
                    tuple(&[c"loop", c"name", c"context"]),
                ],
                create_task_arguments: [
                    name(c"name"),
                    if py::is_3_10() { 0 } else { name(c"context") },
                ],
                empty_tuple: py::PyTuple_New(0) as usize,
            }
        }
    }
}
