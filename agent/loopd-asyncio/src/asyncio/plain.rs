//! Whether a loop is as asyncio made it, so that our methods do the same as its own.

use super::Asyncio;
use crate::guard::Locked;
use crate::nearby::Nearby;
use crate::py::{self, Object, Ref};

/// Kinds of loop, by whether what `call_soon` and `create_task` call in turn is asyncio's own.
static PLAIN: Locked<Nearby<bool, 16>> = Locked::new();

/// From now on kinds of loop are looked at anew.
pub(crate) fn start() {
    PLAIN.replace(Nearby::new(false));
}

/// Whether a loop is of a plain kind, open, and not in debug mode.
#[inline(always)]
pub(super) unsafe fn is_ordinary(asyncio: &Asyncio, slf: Object) -> bool {
    let names = &asyncio.names;
    // SAFETY: a live loop, and interned strings; errors are cleared.
    unsafe {
        let is_false = |name: usize| attribute_is(slf, name, py::Py_False());
        let is_ordinary = is_plain(asyncio, slf) && is_false(names.closed) && is_false(names.debug);
        if !is_ordinary {
            py::PyErr_Clear();
        }
        is_ordinary
    }
}

#[inline]
unsafe fn is_plain(asyncio: &Asyncio, slf: Object) -> bool {
    // SAFETY: a live loop.
    let kind = unsafe { py::type_of(slf) };
    if let Some(Some(known)) = PLAIN.with(|plain| plain.get(kind as usize)) {
        return known;
    }
    // SAFETY: as above; what is got is given back, and errors are cleared.
    let is_plain = unsafe {
        [(c"_call_soon", asyncio.inner_call_soon), (c"_check_closed", asyncio.check_closed)]
            .into_iter()
            .all(|(name, own)| {
                py::attribute(kind, name).is_some_and(|theirs| theirs.0 as usize == own)
            })
    };
    PLAIN.with(|plain| plain.put(kind as usize, is_plain));
    is_plain
}

/// Whether an attribute is this very object; an error is left where there is none.
#[inline(always)]
pub(super) unsafe fn attribute_is(object: Object, name: usize, value: Object) -> bool {
    // SAFETY: a live object, and an interned string.
    unsafe { Ref(py::PyObject_GetAttr(object, name as Object)).0 == value }
}
