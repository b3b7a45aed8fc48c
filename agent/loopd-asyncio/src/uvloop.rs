//! uvloop's loop, whose handles are its own: methods on the class that Python code sees, which goes
//! for all its loops. Steps of tasks are seen by the hooks of [`crate::slots`]; what else is scheduled
//! is wrapped. What libuv calls by itself, as protocols and signal handlers are, passes no hook. Its
//! transports and servers are those of [`crate::transports`].

use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::ptr::null_mut;
use std::sync::OnceLock;

use loopd_agent::embed;

use crate::guard::{Locked, safely};
use crate::layout;
use crate::py::{self, Args, Object, Ref};
use crate::transports;
use crate::world::{self, Due};

/// A callable that records its runs, and is the one inside in everything else.
#[repr(C)]
struct Wrapped {
    head: py::PyObject,
    vectorcall: py::Vectorcall,
    inner: Object,
    /// The address of its loop, which outlives its callbacks.
    loop_: Object,
    scheduled_at: u64,
    scheduled_by: u64,
    /// Whether it is a timer, which is not late from when it was scheduled.
    is_timer: bool,
}

struct Uvloop {
    wrapped_type: usize,
    call_soon: usize,
    call_soon_threadsafe: usize,
    call_later: usize,
    run_forever: usize,
    on_wrong_thread: usize,
}

static UVLOOP: OnceLock<Uvloop> = OnceLock::new();

/// Said once in a process; the methods are those that the class has without us, and live for ever.
pub(crate) unsafe fn set(methods: [usize; 5]) -> Option<()> {
    let [call_soon, call_soon_threadsafe, call_later, run_forever, on_wrong_thread] = methods;
    // SAFETY: makes a type, which lives for ever.
    let wrapped_type = unsafe { wrapped_type() } as usize;
    if wrapped_type == 0 {
        return None;
    }
    FREE.replace(Vec::with_capacity(MAX_FREE));
    let _ = UVLOOP.set(Uvloop {
        wrapped_type,
        call_soon,
        call_soon_threadsafe,
        call_later,
        run_forever,
        on_wrong_thread,
    });
    Some(())
}

unsafe fn wrapped_type() -> Object {
    let slots = [
        (py::Py_tp_call, wrapped_call as *mut c_void),
        (py::Py_tp_dealloc, wrapped_dealloc as *mut c_void),
        (py::Py_tp_traverse, wrapped_traverse as *mut c_void),
        (py::Py_tp_getattro, wrapped_getattro as *mut c_void),
        (py::Py_tp_repr, wrapped_repr as *mut c_void),
    ];
    let (name, size) = (c"loopd._loopd.Callback", size_of::<Wrapped>());
    // SAFETY: the lock is held; the functions are those of this type.
    unsafe { py::callable_type(name, size, offset_of!(Wrapped, vectorcall), 0, &slots) }
}

unsafe extern "C-unwind" fn wrapped_vectorcall(
    slf: Object,
    args: *const Object,
    nargs: usize,
    names: Object,
) -> Object {
    // SAFETY: called by the interpreter with one of ours, kept alive while it runs.
    unsafe {
        let wrapped = slf.cast::<Wrapped>();
        let inner = Ref::to((*wrapped).inner);
        if !embed::is_recording() {
            return py::vectorcall(inner.0, args, nargs, names);
        }
        let running = safely(|| {
            let Wrapped { scheduled_at, scheduled_by, is_timer, loop_, .. } = *wrapped;
            let due = match is_timer {
                true => Due::Unknown,
                false => Due::Scheduled(scheduled_at, scheduled_by),
            };
            world::callback_begins(loop_, inner.0, due)
        });
        let result = py::vectorcall(inner.0, args, nargs, names);
        safely(|| world::callback_ends(running));
        transports::after_step();
        result
    }
}

unsafe extern "C-unwind" fn wrapped_call(slf: Object, args: Object, kwargs: Object) -> Object {
    // SAFETY: called by the interpreter with one of ours.
    unsafe {
        let inner = Ref::to((*slf.cast::<Wrapped>()).inner);
        let loop_ = (*slf.cast::<Wrapped>()).loop_;
        let is_recording = embed::is_recording();
        let running = if is_recording {
            safely(|| world::callback_begins(loop_, inner.0, Due::Unknown))
        } else {
            world::Running::default()
        };
        let result = py::call_object(inner.0, args, kwargs);
        safely(|| world::callback_ends(running));
        transports::after_step();
        result
    }
}

unsafe extern "C-unwind" fn wrapped_dealloc(slf: Object) {
    // SAFETY: nobody has it any more; the type lost one instance.
    unsafe {
        py::PyObject_GC_UnTrack(slf.cast());
        py::Py_XDECREF((*slf.cast::<Wrapped>()).inner);
        let kind = py::type_of(slf);
        (*slf.cast::<Wrapped>()).inner = null_mut();
        let is_kept = FREE.with(|free| {
            let has_room = free.len() < MAX_FREE;
            if has_room {
                free.push(slf as usize);
            }
            has_room
        });
        if is_kept != Some(true) {
            py::PyObject_GC_Del(slf.cast());
        }
        py::Py_DecRef(kind);
    }
}

/// Wrappers that are kept for the next callback: as many as are made in one turn of a busy loop.
const MAX_FREE: usize = 128;

static FREE: Locked<Vec<usize>> = Locked::new();

/// A wrapper with nothing in it.
unsafe fn new_wrapped(kind: usize) -> Object {
    // SAFETY: memory of an object of this type that nobody has any more, or a new one.
    unsafe {
        match FREE.with(Vec::pop).flatten() {
            Some(free) => {
                let object = py::PyObject_Init(free as Object, kind as *mut py::PyTypeObject);
                py::PyObject_GC_Track(object.cast());
                object
            }
            None => py::PyType_GenericAlloc(kind as *mut py::PyTypeObject, 0),
        }
    }
}

unsafe extern "C-unwind" fn wrapped_traverse(
    slf: Object,
    visit: py::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: called by the collector with one of ours.
    unsafe {
        let inner = (*slf.cast::<Wrapped>()).inner;
        if !inner.is_null() {
            let result = visit(inner, arg);
            if result != 0 {
                return result;
            }
        }
        visit(py::type_of(slf), arg)
    }
}

/// All attributes are those of the one inside, but for its class: asyncio remembers classes of
/// callables that are coroutine functions.
unsafe extern "C-unwind" fn wrapped_getattro(slf: Object, name: Object) -> Object {
    // SAFETY: called by the interpreter with one of ours and a string.
    unsafe {
        if py::PyUnicode_CompareWithASCIIString(name, c"__class__".as_ptr()) == 0 {
            return py::PyObject_GenericGetAttr(slf, name);
        }
        py::PyObject_GetAttr((*slf.cast::<Wrapped>()).inner, name)
    }
}

unsafe extern "C-unwind" fn wrapped_repr(slf: Object) -> Object {
    // SAFETY: called by the interpreter with one of ours.
    unsafe { py::PyObject_Repr((*slf.cast::<Wrapped>()).inner) }
}

/// Calls a method with its callback, which is at a place among the arguments, wrapped.
unsafe fn schedule(method: usize, slf: Object, args: Args, place: usize, is_timer: bool) -> Object {
    const MOST: usize = 14;
    // SAFETY: live arguments; what is made is given back, and kept alive by whom it was given to.
    unsafe {
        let method = method as Object;
        let callback = args.get(place);
        let (Some(uvloop), Some(layout)) = (UVLOOP.get(), layout::get()) else {
            return args.call(method, slf);
        };
        let total = args.nargs as usize + args.named();
        if !embed::is_recording()
            || callback.is_null()
            || total > MOST
            || py::PyCallable_Check(callback) == 0
        {
            return args.call(method, slf);
        }
        if !world::task_of(callback, layout).is_null() {
            safely(|| {
                world::scheduled(callback, null_mut());
            });
            return args.call(method, slf);
        }
        let wrapped = Ref(new_wrapped(uvloop.wrapped_type));
        if wrapped.is_null() {
            return null_mut();
        }
        let (scheduled_at, scheduled_by) = safely(|| world::scheduled(callback, null_mut()));
        let inside = wrapped.0.cast::<Wrapped>();
        (*inside).vectorcall = wrapped_vectorcall;
        (*inside).inner = py::Py_NewRef(callback);
        (*inside).loop_ = slf;
        (*inside).scheduled_at = scheduled_at;
        (*inside).scheduled_by = scheduled_by;
        (*inside).is_timer = is_timer;
        let mut all = [null_mut(); MOST];
        std::ptr::copy_nonoverlapping(args.args, all.as_mut_ptr(), total);
        all[place] = wrapped.0;
        Args { args: all.as_ptr(), ..args }.call(method, slf)
    }
}

macro_rules! methods {
    ($($name:ident, $place:literal, $is_timer:literal;)*) => {$(
        pub(crate) unsafe extern "C-unwind" fn $name(
            slf: Object,
            args: *const Object,
            nargs: py::Py_ssize_t,
            names: Object,
        ) -> Object {
            let Some(uvloop) = UVLOOP.get() else { return null_mut() };
            let args = Args { args, nargs, names };
            // SAFETY: called by the interpreter with live arguments.
            unsafe { schedule(uvloop.$name, slf, args, $place, $is_timer) }
        }
    )*};
}

methods! {
    call_soon_threadsafe, 0, false;
    call_later, 1, true;
}

/// `Loop.call_soon`.
pub(crate) unsafe extern "C-unwind" fn call_soon(
    slf: Object,
    args: *const Object,
    nargs: py::Py_ssize_t,
    names: Object,
) -> Object {
    let Some(uvloop) = UVLOOP.get() else { return null_mut() };
    // SAFETY: called by the interpreter with live arguments.
    unsafe {
        if embed::is_recording() {
            safely(|| crate::running::check_thread(uvloop.on_wrong_thread as Object, slf));
        }
        schedule(uvloop.call_soon, slf, Args { args, nargs, names }, 0, false)
    }
}

/// `Loop.run_forever`.
pub(crate) unsafe extern "C-unwind" fn run_forever(slf: Object, _: Object) -> Object {
    let Some(uvloop) = UVLOOP.get() else { return null_mut() };
    // SAFETY: called by the interpreter with a live loop.
    unsafe { crate::running::runs(uvloop.run_forever as Object, slf) }
}
