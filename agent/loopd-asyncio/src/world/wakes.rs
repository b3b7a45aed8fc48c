//! What is to run, and since when and by whom: tasks that were woken, and callbacks that were scheduled.

use std::mem::take;
use std::ptr::null_mut;

use foldhash::HashMap;
use loopd_agent::embed::{self, ticks};

use super::WORLD;
use super::steps::current;
use super::tasks::Task;
use crate::layout::{self, Layout};
use crate::py::{self, Object};

/// Callbacks that are scheduled and have not run, whose schedulers are remembered. Beyond it all are
/// forgotten: when and by whom they were scheduled is then not told.
const MAX_SCHEDULED: usize = 64 << 10;

/// Woken by itself, at the end of the step that it makes.
const BY_ITSELF: u64 = u64::MAX;

/// By handle: when it was scheduled, in ticks, and by whom.
#[derive(Default)]
pub(super) struct Scheduled(HashMap<usize, (u64, u64)>);

impl Scheduled {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Task {
    /// It is to make a step. What wakes it once more before that counts for nothing.
    #[inline(always)]
    fn wake(&mut self, at: u64, by: u64) {
        if self.woken_at == 0 {
            (self.woken_at, self.woken_by) = (at, by);
        }
    }

    /// Its step begins: when it was woken for that and by whom, if that is known.
    #[inline(always)]
    pub(super) fn take_wake(&mut self) -> Option<(u64, u64)> {
        let at = take(&mut self.woken_at);
        (at != 0 && at != BY_ITSELF).then_some((at, self.woken_by))
    }

    /// Its step has ended: if it has woken itself in there, then now.
    #[inline(always)]
    pub(super) fn step_ended(&mut self, now: u64) {
        if self.woken_at == BY_ITSELF {
            self.woken_at = now;
        }
    }
}

/// The task that a callable makes a step of; null if it is an ordinary callback.
#[inline(always)]
pub(crate) unsafe fn task_of(callback: Object, layout: &Layout) -> Object {
    // SAFETY: a live object, read as what its type says it is.
    unsafe {
        let kind = py::type_of(callback);
        if kind == layout.step_type {
            return py::read(callback, layout.step_task);
        }
        if kind == py::builtin_type() && layout::definition_of(callback) == layout.wakeup {
            return py::PyCFunction_GetSelf(callback);
        }
        null_mut()
    }
}

/// A callback was given to a loop: `handle` is what will run it, null if that tells by itself.
/// Says when, in ticks, and by whom.
#[inline]
pub(crate) unsafe fn scheduled(callback: Object, handle: Object) -> (u64, u64) {
    let Some(layout) = layout::get() else { return (0, 0) };
    // SAFETY: a live callable.
    let task = unsafe { task_of(callback, layout) };
    let by = embed::current_task();
    if by != 0 && !task.is_null() && task as usize == current() {
        WORLD.with(|world| {
            world.task(task as usize)?.wake(BY_ITSELF, by);
            Some(())
        });
        return (0, 0);
    }
    let at = ticks();
    WORLD.with(|world| {
        if !task.is_null() {
            if let Some(known) = world.task(task as usize) {
                known.wake(at, by);
            }
        } else if !handle.is_null() {
            let scheduled = &mut world.scheduled.0;
            if scheduled.len() >= MAX_SCHEDULED {
                scheduled.clear();
            }
            scheduled.insert(handle as usize, (at, by));
        }
    });
    (at, by)
}

/// When and by whom what a handle runs was scheduled, if that is known. Asked once.
pub(crate) fn take_scheduled(handle: Object) -> Option<(u64, u64)> {
    WORLD.with(|world| world.scheduled.0.remove(&(handle as usize)))?
}
