//! Where CPython keeps what we read: found at start by looking through objects whose content we
//! chose, never assumed. What is not found exactly once is not used, and the layer that needs it is
//! unavailable.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Acquire, Ordering::Release};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::py::{Object, type_of};

/// Where the words after an object's head begin.
const HEAD: usize = 16;
const WORD: usize = size_of::<usize>();

static LAYOUT: AtomicPtr<Layout> = AtomicPtr::new(null_mut());

/// What was found, once it was.
#[inline(always)]
pub(crate) fn get() -> Option<&'static Layout> {
    // SAFETY: null, or a box leaked by `set`, which is never freed.
    unsafe { LAYOUT.load(Acquire).as_ref() }
}

/// From now on this is what was found: the same for all the life of the process.
pub(crate) fn set(layout: Layout) {
    if get().is_none() {
        LAYOUT.store(Box::into_raw(Box::new(layout)), Release);
    }
}

/// Offsets in bytes, and types.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) handle: Handle,
    /// Of a future, which tasks are too: its loop, state (0 pending, 1 cancelled, 2 finished) and
    /// exception.
    pub(crate) future_loop: usize,
    pub(crate) future_state: usize,
    pub(crate) future_exception: usize,
    pub(crate) future_type: Object,
    pub(crate) task_type: Object,
    /// Of a task: its coroutine, and the future that it waits for.
    pub(crate) task_coroutine: usize,
    pub(crate) task_waiter: usize,
    /// And its name: a number until somebody asks for it, where nobody gave one.
    pub(crate) task_name: usize,
    /// The callable that makes a task's next step: its type, and where its task is.
    pub(crate) step_type: Object,
    pub(crate) step_task: usize,
    /// Of a coroutine: the function's name, as people know it.
    pub(crate) coroutine_name: usize,
    pub(crate) coroutine_type: Object,
    /// Of a Python function: its code.
    pub(crate) function_code: usize,
    /// The definition that all callables share which wake a task after a future.
    pub(crate) wakeup: usize,
}

/// Slots of `asyncio.Handle` and `asyncio.TimerHandle`.
#[derive(Clone, Copy)]
pub(crate) struct Handle {
    pub(crate) callback: usize,
    pub(crate) args: usize,
    pub(crate) loop_: usize,
    pub(crate) context: usize,
    pub(crate) cancelled: usize,
    pub(crate) repr: usize,
    pub(crate) source_traceback: usize,
    pub(crate) when: usize,
    pub(crate) scheduled: usize,
}

/// Looks an object through for words, of which there are as many as its type says.
struct Probe(Object, usize);

impl Probe {
    fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let size: usize = object.get_type().getattr("__basicsize__")?.extract()?;
        Ok(Self(object.as_ptr(), size))
    }

    fn word(&self, index: usize) -> usize {
        // SAFETY: within the object, whose size its type tells; any word can be read as a number.
        unsafe { *self.0.cast::<usize>().add(index) }
    }

    /// The offset of the one word that has this value.
    fn find(&self, value: usize, what: &str) -> PyResult<usize> {
        let words = HEAD / WORD..self.1 / WORD;
        let mut found = words.filter(|&index| self.word(index) == value);
        match (found.next(), found.next()) {
            (Some(index), None) => Ok(index * WORD),
            _ => Err(PyRuntimeError::new_err(format!("{what} is not where it can be found"))),
        }
    }

    fn find_object(&self, value: &Bound<'_, PyAny>, what: &str) -> PyResult<usize> {
        self.find(value.as_ptr() as usize, what)
    }
}

impl Layout {
    /// Finds everything in the samples that the package's `_probe` made.
    pub(crate) fn find(samples: &Bound<'_, PyDict>) -> PyResult<Self> {
        let get = |name: &str| {
            let sample = samples.get_item(name)?;
            sample.ok_or_else(|| PyRuntimeError::new_err(format!("no sample of {name}")))
        };
        let timer = Probe::of(&get("timer")?)?;
        let slot = |name: &str| timer.find_object(&get(name)?, name);
        let handle = Handle {
            callback: slot("_callback")?,
            args: slot("_args")?,
            loop_: slot("_loop")?,
            context: slot("_context")?,
            cancelled: slot("_cancelled")?,
            repr: slot("_repr")?,
            source_traceback: slot("_source_traceback")?,
            when: slot("_when")?,
            scheduled: slot("_scheduled")?,
        };
        let (task, future) = (get("task")?, get("raised")?);
        let (task_probe, future_probe) = (Probe::of(&task)?, Probe::of(&future)?);
        let step = get("step")?;
        let wakeup = get("wakeup")?;
        // A type of which there are other instances must not have its calls hooked.
        if step.get_type().name()? != "TaskStepMethWrapper" {
            return Err(PyRuntimeError::new_err("a task's step is not of a type of its own"));
        }
        Ok(Self {
            handle,
            future_loop: future_probe.find_object(&get("loop")?, "a future's loop")?,
            future_state: state(&get("pending")?, &get("cancelled")?, &get("finished")?)?,
            // SAFETY: a live object, whose type lives for ever.
            future_type: unsafe { type_of(future.as_ptr()) },
            future_exception: future_probe.find_object(&get("exception")?, "its exception")?,
            // SAFETY: as above.
            task_type: unsafe { type_of(task.as_ptr()) },
            task_coroutine: task_probe.find_object(&get("coroutine")?, "a task's coroutine")?,
            task_waiter: task_probe.find_object(&get("waiter")?, "what a task waits for")?,
            task_name: task_probe.find_object(&get("name")?, "a task's name")?,
            // SAFETY: a live object.
            step_type: unsafe { type_of(step.as_ptr()) },
            step_task: Probe::of(&step)?.find_object(&task, "the task of a step")?,
            coroutine_name: {
                let coroutine = get("coroutine")?;
                let name = coroutine.getattr("__qualname__")?;
                Probe::of(&coroutine)?.find_object(&name, "a coroutine's name")?
            },
            // SAFETY: a live object, whose type lives for ever.
            coroutine_type: unsafe { type_of(get("coroutine")?.as_ptr()) },
            function_code: {
                let function = get("function")?;
                Probe::of(&function)?
                    .find_object(&function.getattr("__code__")?, "a function's code")?
            },
            wakeup: definition(&wakeup)?,
        })
    }
}

/// The offset of the 32 bits that are 0, 1 and 2 in these futures.
fn state(
    pending: &Bound<'_, PyAny>,
    cancelled: &Bound<'_, PyAny>,
    finished: &Bound<'_, PyAny>,
) -> PyResult<usize> {
    let size = Probe::of(pending)?.1;
    // SAFETY: within three objects of one type.
    let number = |future: &Bound<'_, PyAny>, index: usize| unsafe {
        *future.as_ptr().cast::<i32>().add(index)
    };
    let mut found = (HEAD / 4..size / 4).filter(|&index| {
        let numbers = [pending, cancelled, finished].map(|future| number(future, index));
        numbers == [0, 1, 2]
    });
    match (found.next(), found.next()) {
        (Some(index), None) => Ok(index * 4),
        _ => Err(PyRuntimeError::new_err("a future's state is not where it can be found")),
    }
}

/// The address of a builtin's definition: the first word after its head.
#[inline(always)]
pub(crate) unsafe fn definition_of(builtin: Object) -> usize {
    // SAFETY: the caller gives a builtin, which is as large.
    unsafe { *builtin.cast::<usize>().add(HEAD / WORD) }
}

/// The same, checked: the second word of a definition is the function that is called.
fn definition(builtin: &Bound<'_, PyAny>) -> PyResult<usize> {
    // SAFETY: the caller gives a builtin, whose definition is checked by the function in there before it
    // is believed.
    unsafe {
        let function = crate::py::PyCFunction_GetFunction(builtin.as_ptr());
        let address = definition_of(builtin.as_ptr());
        let Some(function) = function.filter(|_| address != 0) else {
            return Err(PyRuntimeError::new_err("a task is not woken by a builtin"));
        };
        if *(address as *const usize).add(1) != function as usize {
            return Err(PyRuntimeError::new_err("the definition of a builtin is not found"));
        }
        Ok(address)
    }
}
