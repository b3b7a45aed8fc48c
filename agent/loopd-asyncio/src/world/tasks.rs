//! The program's tasks: from when one is made, or met for the first time, until it ends.

use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use foldhash::{HashMap, HashMapExt};
use loopd_agent::embed::{self, Spawn, ticks};
use loopd_model::{Outcome, TaskKind, WaitHow};

use super::loops::{LoopInfo, loop_of};
use super::names::label_of_task;
use super::outcome::outcome;
use super::steps::current;
use super::{WORLD, World};
use crate::layout;
use crate::places;
use crate::py::{self, Object};
use crate::waits::Underway;

/// The address of no object.
const NO_TASK: usize = usize::MAX;
/// Tasks that have ended, kept for the next ones.
const MAX_FREE: usize = 256;

/// A task of the program's, by its address.
pub(crate) struct Task {
    pub(super) id: u64,
    /// `None` until its initialiser has run.
    pub(super) loop_: Option<Arc<LoopInfo>>,
    /// When it was last woken, in ticks; 0 if that led to a step already. See `wakes`.
    pub(super) woken_at: u64,
    pub(super) woken_by: u64,
    pub(crate) wait: Option<Underway>,
    /// Whether its name is to be looked at when it first runs: some set it after the making.
    pub(super) may_be_named: bool,
}

impl Task {
    fn new(id: u64, loop_: Option<Arc<LoopInfo>>) -> Self {
        Self { id, loop_, woken_at: 0, woken_by: 0, wait: None, may_be_named: true }
    }
}

/// Tasks that have not ended, by address.
pub(super) struct Tasks {
    /// Boxed, so that the last one asked for can be remembered by its address.
    known: HashMap<usize, Box<Task>>,
    last: (usize, *mut Task),
    /// Of tasks that have ended, for the next ones: as many as one turn of a busy loop makes.
    #[expect(clippy::vec_box, reason = "it is the boxes that are kept")]
    free: Vec<Box<Task>>,
}

impl Tasks {
    pub(super) fn new() -> Self {
        Self { known: HashMap::new(), last: (NO_TASK, null_mut()), free: Vec::new() }
    }

    #[inline(always)]
    fn get(&mut self, task: usize) -> Option<&mut Task> {
        if self.last.0 != task {
            self.last = (task, &raw mut **self.known.get_mut(&task)?);
        }
        // SAFETY: a box of the table's; `last` is forgotten when it is removed.
        Some(unsafe { &mut *self.last.1 })
    }

    fn insert(&mut self, task: usize, known: Task) {
        let mut place = match self.free.pop() {
            Some(mut free) => {
                *free = known;
                free
            }
            None => Box::new(known),
        };
        self.last = (task, &raw mut *place);
        self.known.insert(task, place);
    }

    fn remove(&mut self, task: usize) -> Option<Box<Task>> {
        self.last = (NO_TASK, null_mut());
        self.known.remove(&task)
    }

    /// If it is known it has ended, and so has what it waited for.
    pub(super) fn end(&mut self, task: usize, outcome: Outcome) {
        if let Some(mut known) = self.remove(task) {
            if let Some(wait) = known.wait.take() {
                wait.end(WaitHow::Cancelled);
            }
            if let Some(loop_) = &known.loop_ {
                subtract(&loop_.loop_.gauges.alive_tasks);
            }
            embed::ended(known.id, outcome);
            if self.free.len() < MAX_FREE {
                known.loop_ = None;
                self.free.push(known);
            }
        }
    }
}

impl World {
    /// The task at this address.
    #[inline(always)]
    pub(crate) fn task(&mut self, task: usize) -> Option<&mut Task> {
        self.tasks.get(task)
    }

    /// The loop that the running task is of.
    pub(crate) fn running_loop(&mut self) -> Option<u64> {
        let task = self.task(current())?;
        task.loop_.as_ref().map(|info| info.loop_.id())
    }
}

fn add(gauge: &AtomicU64) {
    // Only written with the interpreter's lock held.
    gauge.store(gauge.load(Relaxed) + 1, Relaxed);
}

fn subtract(gauge: &AtomicU64) {
    gauge.store(gauge.load(Relaxed).saturating_sub(1), Relaxed);
}

/// Nothing that is known now is believed any more: what happened while nothing was recorded was not seen.
/// Tasks that live are taken up again at their next step.
pub(crate) fn forget() {
    WORLD.with(|world| {
        let tasks: Vec<_> = world.tasks.known.keys().copied().collect();
        tasks.into_iter().for_each(|task| world.tasks.end(task, Outcome::Unknown));
        world.scheduled.clear();
    });
}

/// Tells of all waits that go on.
pub(crate) fn tell_waits() {
    WORLD.with(|world| {
        let tasks = world.tasks.known.values_mut();
        tasks.filter_map(|known| known.wait.as_mut()).for_each(Underway::tell);
    });
}

/// What is known of a task when it is made.
#[derive(Default)]
pub(crate) struct Birth {
    pub(super) id: u64,
    at: u64,
    place: u64,
    parent: u64,
    label: u32,
    /// Whether its spawn has been told already.
    pub(super) is_told: bool,
}

/// A task is about to be initialised at this address.
pub(crate) unsafe fn task_begins(task: Object, coroutine: Object) -> Birth {
    // SAFETY: live objects, or null.
    let (place, label) = unsafe { (places::caller(), label_of_task(coroutine)) };
    let parent = embed::current_task();
    WORLD
        .with(|world| {
            // Whatever was there before is gone without our having seen it end.
            world.tasks.end(task as usize, Outcome::Unknown);
            let id = world.next_task();
            let at = ticks();
            world.tasks.insert(task as usize, Task::new(id, None));
            Birth { id, at, place, parent, label, is_told: false }
        })
        .unwrap_or_default()
}

/// It has been initialised; or that failed, and there is no task.
pub(crate) unsafe fn task_is(task: Object, birth: &Birth, is_made: bool) {
    if birth.id == 0 {
        return;
    }
    if !is_made || birth.is_told {
        if !is_made {
            WORLD.with(|world| match birth.is_told {
                true => world.tasks.end(task as usize, Outcome::Unknown),
                false => drop(world.tasks.remove(task as usize)),
            });
        }
        return;
    }
    let Some(layout) = layout::get() else { return };
    // SAFETY: an initialised task has a loop.
    let info = unsafe { loop_of(py::read(task, layout.future_loop)) };
    let Some(info) = info else { return };
    WORLD.with(|world| {
        tell_spawn(birth, &info);
        if let Some(known) = world.task(task as usize) {
            known.loop_ = Some(info);
        }
        // SAFETY: an initialised task, which is a future.
        if let Some(outcome) = unsafe { outcome(task, layout) } {
            world.tasks.end(task as usize, outcome);
        }
    });
}

pub(super) fn tell_spawn(birth: &Birth, loop_: &LoopInfo) {
    add(&loop_.loop_.gauges.alive_tasks);
    add(&loop_.loop_.gauges.spawned_tasks);
    embed::spawned(Spawn {
        at: birth.at,
        task: birth.id,
        loop_id: loop_.loop_.id(),
        place: birth.place,
        parent: birth.parent,
        kind: TaskKind::Async,
        label: birth.label,
    });
}

/// A task whose making was not seen: made before we came, or by a class of its own.
#[cold]
#[inline(never)]
pub(super) unsafe fn adopt(task: Object) -> Option<()> {
    // SAFETY: a live, initialised task.
    unsafe {
        let layout = layout::get()?;
        let loop_ = loop_of(py::read(task, layout.future_loop))?;
        let label = label_of_task(py::read(task, layout.task_coroutine));
        WORLD.with(|world| {
            let id = world.next_task();
            let birth = Birth { id, at: ticks(), label, ..Birth::default() };
            tell_spawn(&birth, &loop_);
            world.tasks.insert(task as usize, Task::new(id, Some(loop_)));
        })
    }
}

/// A task is about to be freed: one that is still pending was never finished.
pub(crate) unsafe fn task_dies(task: Object) {
    let Some(layout) = layout::get() else { return };
    // SAFETY: a task that is being finalised is still whole.
    if unsafe { outcome(task, layout) }.is_none() {
        WORLD.with(|world| world.tasks.end(task as usize, Outcome::Destroyed));
    }
}

/// The number of a task; `None` if it is not known.
pub(crate) fn number_of(task: Object) -> Option<u64> {
    WORLD.with(|world| world.task(task as usize).map(|known| known.id))?
}
