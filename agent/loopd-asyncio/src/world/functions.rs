//! The function that a callable comes down to: what two callbacks have in common that are the same to
//! people.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::layout;
use crate::py::{self, Object};

/// What a callable is known by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A function, by its code.
    Code,
    /// A builtin, by its definition.
    Definition,
    /// Anything else, by its type.
    Type,
}

/// What a callable is known by, and what of it.
pub(super) unsafe fn function_of(callback: Object) -> Option<(Object, By)> {
    const MAX_WRAPPERS: usize = 4;
    let function_code = layout::get()?.function_code;
    let mut callable = callback;
    // SAFETY: each callable keeps alive what it wraps.
    unsafe {
        for _ in 0..MAX_WRAPPERS {
            let kind = py::type_of(callable);
            if kind == (&raw mut py::function_type).cast() {
                return Some((py::read(callable, function_code), By::Code));
            }
            if kind == (&raw mut py::method_type).cast() {
                callable = py::PyMethod_Function(callable);
            } else if kind == py::builtin_type() {
                return Some((layout::definition_of(callable) as Object, By::Definition));
            } else if is_partial(kind) {
                let Some(inner) = py::attribute(callable, c"func") else {
                    return Some((kind, By::Type));
                };
                callable = inner.0;
            } else {
                return Some((kind, By::Type));
            }
        }
        Some((py::type_of(callable), By::Type))
    }
}

/// `functools.partial`, by its address; 0 until it is asked for.
static PARTIAL: AtomicUsize = AtomicUsize::new(0);

/// Whether a type is `functools.partial`.
unsafe fn is_partial(kind: Object) -> bool {
    if PARTIAL.load(Relaxed) == 0 {
        // SAFETY: the type lives as long as the module, which is never unloaded.
        unsafe {
            if let Some(partial) = py::imported(c"functools", c"partial") {
                PARTIAL.store(partial.0 as usize, Relaxed);
            }
        }
    }
    kind as usize == PARTIAL.load(Relaxed)
}

/// What people call a callable.
pub(super) unsafe fn name_of(callback: Object) -> String {
    // SAFETY: a live object.
    unsafe {
        if is_partial(py::type_of(callback))
            && let Some(inner) = py::attribute(callback, c"func")
        {
            return name_of(inner.0);
        }
        let name = py::text_attribute(callback, c"__qualname__");
        if !name.is_empty() {
            return name;
        }
        py::text_attribute(py::type_of(callback), c"__qualname__")
    }
}
