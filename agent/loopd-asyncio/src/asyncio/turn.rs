//! `run_forever` and `_run_once`: a turn of a loop waits for events, and runs what is ready.

use std::ptr::null_mut;
use std::sync::atomic::Ordering::Relaxed;

use loopd_agent::embed::{self, Thread, ticks};

use super::handle::{is_run_ours, run_handle};
use super::timers::{is_timer, move_due, timeout};
use super::{Asyncio, asyncio, not_ready};
use crate::guard::safely;
use crate::layout::{self, Handle};
use crate::py::{self, Object, Ref};
use crate::running::runs;
use crate::world::{self, WORLD};

/// `BaseEventLoop.run_forever`: only accompanied.
pub(crate) unsafe extern "C-unwind" fn run_forever(slf: Object, _: Object) -> Object {
    // SAFETY: called by the interpreter with a live loop.
    unsafe {
        let Some(asyncio) = asyncio() else { return not_ready() };
        runs(asyncio.original_run_forever as Object, slf)
    }
}

/// `BaseEventLoop._run_once`: one turn of the loop.
pub(crate) unsafe extern "C-unwind" fn run_once(slf: Object, _: Object) -> Object {
    // SAFETY: called by the interpreter with a live loop.
    unsafe {
        let Some(asyncio) = asyncio() else { return not_ready() };
        turn(asyncio, slf)
    }
}

unsafe fn original_turn(asyncio: &Asyncio, slf: Object) -> Object {
    // SAFETY: a function that lives for ever, with one live argument.
    unsafe { py::call1(asyncio.original_run_once as Object, slf) }
}

unsafe fn turn(asyncio: &Asyncio, slf: Object) -> Object {
    let names = &asyncio.names;
    // SAFETY: a live loop; everything got is given back, and errors are handed on.
    unsafe {
        let get = |name: usize| Ref(py::PyObject_GetAttr(slf, name as Object));
        let Some(layout) = layout::get().map(|layout| &layout.handle) else {
            return original_turn(asyncio, slf);
        };
        let (debug, timers) = (get(names.debug), get(names.scheduled));
        if debug.0 != py::Py_False()
            || timers.is_null()
            || py::type_of(timers.0) != (&raw mut py::PyList_Type).cast()
        {
            py::PyErr_Clear();
            return original_turn(asyncio, slf);
        }
        let count = py::PyList_Size(timers.0);
        let timers = if count > 0 {
            let first = py::PyList_GetItem(timers.0, 0);
            if !is_timer(asyncio, first) {
                return original_turn(asyncio, slf);
            }
            const MANY: py::Py_ssize_t = 100;
            if count > MANY || py::read(first, layout.cancelled) != py::Py_False() {
                let pruned = Ref(py::call1(asyncio.prune as Object, slf));
                if pruned.is_null() {
                    return null_mut();
                }
                get(names.scheduled)
            } else {
                timers
            }
        } else {
            timers
        };
        let ready = get(names.ready);
        if timers.is_null() || ready.is_null() {
            return null_mut();
        }
        let ready_count = py::PyObject_Size(ready.0);
        if ready_count < 0 {
            return null_mut();
        }
        let timeout = timeout(asyncio, layout, slf, &timers, ready_count);
        if timeout.is_null() {
            return null_mut();
        }
        if !wait_for_events(asyncio, slf, &timeout, ready_count) {
            return null_mut();
        }
        if py::PyList_Size(timers.0) > 0 && !move_due(asyncio, layout, slf, &timers, &ready) {
            return null_mut();
        }
        run_ready(asyncio, layout, &ready)
    }
}

/// Asks the selector, and has the loop make callbacks of what it says; whether that went well.
unsafe fn wait_for_events(
    asyncio: &Asyncio,
    slf: Object,
    timeout: &Ref,
    ready_count: py::Py_ssize_t,
) -> bool {
    let names = &asyncio.names;
    // SAFETY: live objects.
    unsafe {
        let selector = Ref(py::PyObject_GetAttr(slf, names.selector as Object));
        if selector.is_null() {
            return false;
        }
        let is_recording = embed::is_recording();
        let from = if is_recording { ticks() } else { 0 };
        let events = Ref(py::call_method1(selector.0, names.select as Object, timeout.0));
        if events.is_null() {
            return false;
        }
        if is_recording {
            safely(|| {
                tell_turn(slf, from, ready_count);
                if ready_count == 0 {
                    world::heed_slow_duration(slf);
                }
            });
        }
        !Ref(py::call_method1(slf, names.process_events as Object, events.0)).is_null()
    }
}

/// One more turn; a wait for events is a park unless there was work already.
unsafe fn tell_turn(slf: Object, from: u64, ready_count: py::Py_ssize_t) {
    let to = ticks();
    WORLD.with(|world| {
        let info = world.known_loop(slf)?;
        let gauges = &info.loop_.gauges;
        gauges.has_turns.store(true, Relaxed);
        gauges.turns.store(gauges.turns.load(Relaxed) + 1, Relaxed);
        gauges.ready_callbacks.store(ready_count as u64, Relaxed);
        if ready_count == 0 {
            Thread::current().parked(&info.loop_, from, to);
        }
        Some(())
    });
    if ready_count > 0 && to.saturating_sub(from) >= embed::slow_ticks() {
        tell_slow_selector();
    }
}

/// The selector was only to look, and yet took as long as a slow callback.
#[cold]
fn tell_slow_selector() {
    let message = "the selector took long although it was not to wait";
    let fields = vec![("check".to_owned(), "slow_selector".to_owned())];
    embed::mark(loopd_model::MarkLevel::Warn, "asyncio", message, (0, 0), fields);
}

/// Runs what is ready now, and not what it makes ready.
unsafe fn run_ready(asyncio: &Asyncio, layout: &Handle, ready: &Ref) -> Object {
    let names = &asyncio.names;
    // SAFETY: live objects; each handle is kept alive while it runs.
    unsafe {
        let is_run_ours = is_run_ours(asyncio);
        let mut left = py::PyObject_Size(ready.0);
        while left > 0 {
            left -= 1;
            let handle = Ref(py::call_method0(ready.0, names.popleft as Object));
            if handle.is_null() {
                return null_mut();
            }
            let kind = py::type_of(handle.0) as usize;
            let is_ours = kind == asyncio.handle_type || kind == asyncio.timer_type;
            let slot = if is_ours { py::read(handle.0, layout.cancelled) } else { null_mut() };
            let cancelled = if !slot.is_null() {
                Ref::to(slot)
            } else {
                Ref(py::PyObject_GetAttr(handle.0, names.cancelled as Object))
            };
            let is_cancelled =
                if cancelled.is_null() { -1 } else { py::PyObject_IsTrue(cancelled.0) };
            let result = match is_cancelled {
                -1 => return null_mut(),
                0 if is_ours && is_run_ours && asyncio.knows_run => {
                    Ref(run_handle(asyncio, handle.0))
                }
                0 => Ref(py::call_method0(handle.0, names.run as Object)),
                _ => continue,
            };
            if result.is_null() {
                return null_mut();
            }
        }
        py::none()
    }
}
