//! How a task ended, read from the task, and what there is to say about it.

use loopd_agent::embed;
use loopd_model::Outcome;

use crate::layout::Layout;
use crate::py::{self, Object, Ref};

const PENDING: i32 = 0;
const CANCELLED: i32 = 1;

/// How a task ended; `None` while it is pending.
pub(super) unsafe fn outcome(task: Object, layout: &Layout) -> Option<Outcome> {
    // SAFETY: a live task, which is a future.
    unsafe {
        match py::read_i32(task, layout.future_state) {
            PENDING => return None,
            CANCELLED => return Some(Outcome::Cancelled),
            _ => {}
        }
        let exception = py::read(task, layout.future_exception);
        let is_raised = !exception.is_null() && exception != py::Py_None();
        Some(if is_raised { Outcome::Raised } else { Outcome::Completed })
    }
}

/// Whether an object is a future that was cancelled; what only looks like a future is not read.
pub(super) unsafe fn is_cancelled(object: Object, layout: &Layout) -> bool {
    // SAFETY: a live object, or null.
    unsafe {
        !object.is_null()
            && py::PyType_IsSubtype(py::type_of(object).cast(), layout.future_type.cast()) != 0
            && py::read_i32(object, layout.future_state) == CANCELLED
    }
}

/// What a task was ended by: its type, its message if that needs no code of the program's, and where it
/// was raised. Within the budget of marks.
#[cold]
#[inline(never)]
pub(super) unsafe fn tell_exception(task: Object, layout: &Layout, id: u64) {
    const MAX_TEXT: usize = 200;
    // SAFETY: a live task; what is got is given back, and errors are put back as they were.
    unsafe {
        if !py::PyErr_Occurred().is_null() || !embed::is_within_budget() {
            return;
        }
        let exception = Ref::to(py::read(task, layout.future_exception));
        let mut text = py::text_attribute(py::type_of(exception.0), c"__qualname__");
        if let Some(args) = py::attribute(exception.0, c"args")
            && py::PyTuple_Check(args.0) != 0
            && py::PyTuple_Size(args.0) > 0
        {
            let message = py::text(py::PyTuple_GetItem(args.0, 0));
            if !message.is_empty() {
                let end = message.floor_char_boundary(MAX_TEXT);
                text = format!("{text}: {}", &message[..end]);
            }
        }
        py::PyErr_Clear();
        let mut fields = vec![("exception".to_owned(), text)];
        if let Some(place) = raised_at(&exception) {
            fields.push(("raised_at".to_owned(), place));
        }
        embed::task_fields(id, fields);
    }
}

/// The file and line of an exception's innermost frame.
unsafe fn raised_at(exception: &Ref) -> Option<String> {
    const MAX_DEPTH: usize = 200;
    // SAFETY: a live exception; what is got is given back, and errors are cleared.
    unsafe {
        let get = |object: Object, name: &std::ffi::CStr| {
            py::attribute(object, name).filter(|value| value.0 != py::Py_None())
        };
        let mut traceback = get(exception.0, c"__traceback__")?;
        for _ in 0..MAX_DEPTH {
            match get(traceback.0, c"tb_next") {
                Some(next) => traceback = next,
                None => break,
            }
        }
        let line = py::number_attribute(traceback.0, c"tb_lineno");
        let frame = get(traceback.0, c"tb_frame")?;
        let code = get(frame.0, c"f_code")?;
        Some(format!("{}:{line}", py::text_attribute(code.0, c"co_filename")))
    }
}
