//! Hooks in the types that make tasks, whatever loop they run on: the initialiser, the two callables
//! that make a step, and the finaliser of `_asyncio.Task`. Each is one pointer of the type, found by
//! its value.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use loopd_agent::embed;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::guard::safely;
use crate::layout;
use crate::py::{self, Object};
use crate::{transports, world};

type Init = unsafe extern "C-unwind" fn(Object, Object, Object) -> c_int;
type Call = unsafe extern "C-unwind" fn(Object, Object, Object) -> Object;
type Method = unsafe extern "C-unwind" fn(Object, Object) -> Object;
type Finalize = unsafe extern "C-unwind" fn(Object);

/// Words of a type that are looked through.
const TYPE_WORDS: usize = 51;
/// Words of a method's descriptor that are looked through.
const DESCRIPTOR_WORDS: usize = 8;

/// One pointer that is ours while we are there.
pub(crate) struct Slot {
    address: AtomicUsize,
    original: AtomicUsize,
}

impl Slot {
    pub(crate) const fn new() -> Self {
        Self { address: AtomicUsize::new(0), original: AtomicUsize::new(0) }
    }

    pub(crate) fn put(&self, address: *mut usize, ours: usize) {
        // SAFETY: found by its value in an object that lives for ever; the lock is held.
        unsafe {
            if *address == ours {
                return;
            }
            self.original.store(*address, Relaxed);
            self.address.store(address as usize, Relaxed);
            *address = ours;
        }
    }

    pub(crate) fn restore(&self, ours: usize) {
        let address = self.address.load(Relaxed) as *mut usize;
        // SAFETY: as above. What somebody else has put there since is left alone.
        unsafe {
            if !address.is_null() && *address == ours {
                *address = self.original.load(Relaxed);
            }
        }
    }

    #[inline(always)]
    pub(crate) fn original(&self) -> usize {
        self.original.load(Relaxed)
    }
}

static INIT: Slot = Slot::new();
static INIT_METHOD: Slot = Slot::new();
static FINALIZE: Slot = Slot::new();
static STEP: Slot = Slot::new();
static WAKEUP: Slot = Slot::new();
static EAGER_START: AtomicUsize = AtomicUsize::new(0);
static CORO: AtomicUsize = AtomicUsize::new(0);

/// Puts the hooks there; `task` is `_asyncio.Task`.
pub(crate) fn install(task: &Bound<'_, PyAny>) -> PyResult<()> {
    let missing = |what| PyRuntimeError::new_err(format!("{what} is not where it can be found"));
    let layout = layout::get().ok_or_else(|| PyRuntimeError::new_err("the layout is not known"))?;
    // SAFETY: live types, looked through within their size; see `find`.
    unsafe {
        let init = find_slot(task.as_ptr(), py::Py_tp_init).ok_or_else(|| missing("tp_init"))?;
        let finalize =
            find_slot(task.as_ptr(), py::Py_tp_finalize).ok_or_else(|| missing("tp_finalize"))?;
        let step = find_slot(layout.step_type, py::Py_tp_call).ok_or_else(|| missing("tp_call"))?;
        let method = task.getattr("__init__")?;
        let method = find(method.as_ptr(), *init, DESCRIPTOR_WORDS);
        EAGER_START.store(py::interned(c"eager_start") as usize, Relaxed);
        CORO.store(py::interned(c"coro") as usize, Relaxed);
        if let Some(method) = method {
            INIT_METHOD.put(method, task_init as *const () as usize);
        }
        INIT.put(init, task_init as *const () as usize);
        FINALIZE.put(finalize, task_finalize as *const () as usize);
        STEP.put(step, task_step as *const () as usize);
        // The second word of a method's definition is the function.
        WAKEUP.put((layout.wakeup as *mut usize).add(1), task_wakeup as *const () as usize);
    }
    Ok(())
}

/// Takes them away.
pub(crate) fn uninstall() {
    INIT.restore(task_init as *const () as usize);
    INIT_METHOD.restore(task_init as *const () as usize);
    FINALIZE.restore(task_finalize as *const () as usize);
    STEP.restore(task_step as *const () as usize);
    WAKEUP.restore(task_wakeup as *const () as usize);
}

/// Where a type keeps the function of a slot.
pub(crate) unsafe fn find_slot(kind: Object, slot: c_int) -> Option<*mut usize> {
    // SAFETY: a live type.
    unsafe {
        let function: *mut c_void = py::PyType_GetSlot(kind.cast(), slot);
        if function.is_null() { None } else { find(kind, function as usize, TYPE_WORDS) }
    }
}

/// The first word of an object, after its head, that has this value.
unsafe fn find(object: Object, value: usize, words: usize) -> Option<*mut usize> {
    // SAFETY: the caller says how many words there are.
    (2..words).map(|index| unsafe { object.cast::<usize>().add(index) }).find(|&word| {
        // SAFETY: as above.
        unsafe { *word == value }
    })
}

unsafe extern "C-unwind" fn task_init(task: Object, args: Object, kwargs: Object) -> c_int {
    // SAFETY: the function that was in this slot, called as we are.
    unsafe {
        let original: Init = std::mem::transmute(INIT.original());
        if !embed::is_recording() {
            return original(task, args, kwargs);
        }
        let mut birth = safely(|| {
            let [mut coroutine, eager_start] = named(kwargs);
            if coroutine.is_null() && !args.is_null() && py::PyTuple_Size(args) > 0 {
                coroutine = py::PyTuple_GetItem(args, 0);
            }
            let is_eager = !eager_start.is_null() && py::PyObject_IsTrue(eager_start) == 1;
            py::PyErr_Clear();
            Some((world::task_begins(task, coroutine), is_eager))
        });
        let is_eager = birth.as_ref().is_some_and(|(_, is_eager)| *is_eager);
        let loop_ = if is_eager { eager_loop(kwargs) } else { null_mut() };
        let begun = match &mut birth {
            Some((birth, true)) => safely(|| world::eager_begins(task, birth, loop_)),
            _ => world::Begun::default(),
        };
        let result = original(task, args, kwargs);
        if let Some((birth, is_eager)) = birth {
            safely(|| {
                if is_eager {
                    world::step_ends(task, begun);
                }
                world::task_is(task, &birth, result == 0);
            });
        }
        result
    }
}

/// What was given as `coro` and `eager_start`; null for what was not. The names of arguments
/// are interned, whoever calls.
unsafe fn named(kwargs: Object) -> [Object; 2] {
    let keys = [&CORO, &EAGER_START].map(|key| key.load(Relaxed));
    let mut values = [null_mut(); 2];
    // SAFETY: null or a dictionary, which is not changed meanwhile.
    unsafe {
        let (mut position, mut key, mut value) = (0, null_mut(), null_mut());
        while !kwargs.is_null() && py::PyDict_Next(kwargs, &mut position, &mut key, &mut value) != 0
        {
            if let Some(index) = keys.iter().position(|&known| known == key as usize) {
                values[index] = value;
            }
        }
    }
    values
}

/// The loop that is given to an eager task, which runs before it says so itself.
unsafe fn eager_loop(kwargs: Object) -> Object {
    // SAFETY: borrowed from the arguments, which outlive the call.
    unsafe {
        if kwargs.is_null() {
            return null_mut();
        }
        py::PyDict_GetItemString(kwargs, c"loop".as_ptr())
    }
}

unsafe extern "C-unwind" fn task_finalize(task: Object) {
    // SAFETY: the function that was in this slot, called as we are.
    unsafe {
        let original: Finalize = std::mem::transmute(FINALIZE.original());
        original(task);
        if embed::is_recording() {
            safely(|| world::task_dies(task));
        }
    }
}

unsafe extern "C-unwind" fn task_step(step: Object, args: Object, kwargs: Object) -> Object {
    // SAFETY: the function that was in this slot, called as we are; the task is kept alive.
    unsafe {
        let original: Call = std::mem::transmute(STEP.original());
        if !embed::is_recording() {
            return original(step, args, kwargs);
        }
        let task = layout::get().map_or(null_mut(), |layout| py::read(step, layout.step_task));
        if task.is_null() {
            return original(step, args, kwargs);
        }
        py::Py_IncRef(task);
        let begun = safely(|| world::step_begins(task, null_mut()));
        let result = original(step, args, kwargs);
        safely(|| world::step_ends(task, begun));
        transports::after_step();
        py::Py_DecRef(task);
        result
    }
}

unsafe extern "C-unwind" fn task_wakeup(task: Object, future: Object) -> Object {
    // SAFETY: the function that was in this definition, called as we are; the task is kept alive.
    unsafe {
        let original: Method = std::mem::transmute(WAKEUP.original());
        if !embed::is_recording() {
            return original(task, future);
        }
        py::Py_IncRef(task);
        let begun = safely(|| world::step_begins(task, future));
        let result = original(task, future);
        safely(|| world::step_ends(task, begun));
        transports::after_step();
        py::Py_DecRef(task);
        result
    }
}
