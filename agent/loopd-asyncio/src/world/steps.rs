//! Steps of tasks: which one runs on a thread, since when, and how it came about.

use std::cell::Cell;
use std::mem::take;

use loopd_agent::embed::Thread;
use loopd_model::{Outcome, WaitHow};

use super::loops::loop_of;
use super::names::tell_name;
use super::outcome::{is_cancelled, outcome, tell_exception};
use super::tasks::{Birth, adopt, tell_spawn};
use super::{WORLD, World};
use crate::layout;
use crate::py::{self, Object};

thread_local! {
    /// The address of the task whose step runs on this thread; 0 outside any.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// A step that has begun.
#[derive(Clone, Copy, Default)]
pub(crate) struct Begun {
    /// When it began in ticks; 0 if it is not recorded.
    pub(super) at: u64,
    /// When it was woken and by whom.
    pub(super) wake: Option<(u64, u64)>,
    /// The task that ran around it.
    outer: usize,
}

impl Begun {
    /// From now on the task at this address runs on this thread, or none if it is 0.
    #[inline(always)]
    pub(super) fn enter(task: usize, at: u64, wake: Option<(u64, u64)>) -> Self {
        Self { at, wake, outer: CURRENT.replace(task) }
    }

    /// What ran around it runs again.
    #[inline(always)]
    pub(super) fn leave(&self) {
        CURRENT.set(self.outer);
    }
}

/// The task that runs on this thread, by its address; 0 outside any.
pub(crate) fn current() -> usize {
    CURRENT.get()
}

/// A task makes its first step while it is initialised, on this loop.
pub(crate) unsafe fn eager_begins(task: Object, birth: &mut Birth, loop_: Object) -> Begun {
    // SAFETY: a live object, or null.
    let info = unsafe {
        if loop_.is_null() || loop_ == py::Py_None() {
            return Begun::default();
        }
        loop_of(loop_)
    };
    let (Some(info), true) = (info, birth.id != 0) else { return Begun::default() };
    tell_spawn(birth, &info);
    birth.is_told = true;
    let key = task as usize;
    let begin = |world: &mut World| {
        let at = Thread::current().begin_step(&info.loop_, birth.id);
        world.task(key)?.loop_ = Some(info.clone());
        Some(Begun::enter(key, at, None))
    };
    WORLD.with(begin).flatten().unwrap_or_default()
}

/// A step of a task begins; `woken_by` is the future that it was woken by, if it was.
#[inline]
pub(crate) unsafe fn step_begins(task: Object, woken_by: Object) -> Begun {
    let key = task as usize;
    let Some(layout) = layout::get() else { return Begun::default() };
    let begin = |world: &mut World| {
        let known = world.task(key)?;
        let loop_ = known.loop_.as_ref()?;
        let at = Thread::current().begin_step(&loop_.loop_, known.id);
        if take(&mut known.may_be_named) {
            // SAFETY: a live task.
            unsafe { tell_name(task, layout, known.id) };
        }
        let wake = known.take_wake();
        if let Some(wait) = known.wait.take() {
            // SAFETY: what woke it is alive as long as it is our argument.
            let is_cancelled = unsafe { is_cancelled(woken_by, layout) };
            wait.end(if is_cancelled { WaitHow::Cancelled } else { WaitHow::Ready });
        }
        Some(Begun::enter(key, at, wake))
    };
    if let Some(Some(begun)) = WORLD.with(begin) {
        return begun;
    }
    // SAFETY: a live task.
    let adopted = unsafe { adopt(task) };
    adopted.and_then(|()| WORLD.with(begin)).flatten().unwrap_or_default()
}

/// The step ends. An error that it left is not touched.
#[inline]
pub(crate) unsafe fn step_ends(task: Object, begun: Begun) {
    if begun.at == 0 {
        return;
    }
    begun.leave();
    let Some(layout) = layout::get() else { return };
    let raised = WORLD.with(|world| {
        let Some(known) = world.task(task as usize) else {
            // Forgotten in the middle of its step.
            Thread::current().abandon_step();
            return None;
        };
        let id = known.id;
        if take(&mut known.may_be_named) {
            // It made its first step while it was initialised.
            // SAFETY: a live task.
            unsafe { tell_name(task, layout, id) };
        }
        if let Some(loop_) = &known.loop_ {
            let now = Thread::current().end_step(&loop_.loop_, begun.at, begun.wake);
            known.step_ended(now);
        }
        // SAFETY: a live task, which is a future.
        let outcome = unsafe { outcome(task, layout) }?;
        world.tasks.end(task as usize, outcome);
        (outcome == Outcome::Raised).then_some(id)
    });
    if let Some(Some(id)) = raised {
        // SAFETY: a live task.
        unsafe { tell_exception(task, layout, id) };
    }
}
