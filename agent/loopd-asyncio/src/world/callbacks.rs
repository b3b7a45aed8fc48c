//! Plain callbacks: all runs of one function on one loop are those of one task.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use loopd_agent::embed::{self, Spawn, Thread, ticks};
use loopd_model::{Outcome, TaskKind};

use super::functions::{By, function_of, name_of};
use super::loops::{LoopInfo, loop_of};
use super::steps::Begun;
use super::{WORLD, World};
use crate::nearby::Nearby;
use crate::places;
use crate::py::{self, Object};

/// Functions told apart as callbacks, on all loops together. The runs of others are told as those of
/// one more, `other callbacks`.
const MAX_CALLBACKS: usize = 8 << 10;

/// Callbacks that have run on loops that are not closed.
pub(super) struct Callbacks {
    /// By function and loop: the task that stands for all its runs.
    /// With what is kept alive as long as it is here, so that nothing else has its address; 0 for nothing.
    known: HashMap<(usize, u64), (u64, usize)>,
    /// By function: the loop and the task of its last run.
    near: Nearby<(usize, u64), 64>,
}

impl Callbacks {
    pub(super) fn new() -> Self {
        Self { known: HashMap::new(), near: Nearby::new((0, 0)) }
    }

    /// The task that stands for the runs of a function on the loop at an address and with a number.
    #[inline]
    fn task(&mut self, function: Object, loop_: Object, loop_id: u64) -> Option<u64> {
        let (function, loop_) = (function as usize, loop_ as usize);
        if let Some((of, task)) = self.near.get(function)
            && of == loop_
        {
            return Some(task);
        }
        let (task, _) = *self.known.get(&(function, loop_id))?;
        self.near.put(function, (loop_, task));
        Some(task)
    }

    /// The loop with this number is closed. Says what need not be kept alive any more.
    pub(super) fn end_all_of(&mut self, loop_id: u64) -> Vec<usize> {
        self.near = Nearby::new((0, 0));
        let over = self.known.extract_if(|&(_, of), _| of == loop_id);
        let ended = over.map(|(_, (task, kept))| {
            if embed::is_recording() {
                embed::ended(task, Outcome::Completed);
            }
            kept
        });
        ended.collect()
    }
}

/// How a run of a callback came about.
#[derive(Clone, Copy)]
pub(crate) enum Due {
    /// Scheduled at an instant by a task.
    Scheduled(u64, u64),
    /// A timer, so many nanoseconds late.
    Late(u64),
    /// Not known.
    Unknown,
}

/// A callback that runs.
#[derive(Default)]
pub(crate) struct Running(Option<Arc<LoopInfo>>, Begun);

/// A run of a plain callback begins on this loop.
pub(crate) unsafe fn callback_begins(loop_: Object, callback: Object, due: Due) -> Running {
    // SAFETY: live objects.
    let Some((function, by)) = (unsafe { function_of(callback) }) else {
        return Running::default();
    };
    let begin = |world: &mut World| {
        let info = world.known_loop(loop_)?.clone();
        let task = world.callbacks.task(function, loop_, info.loop_.id())?;
        Some(run_begins(info, task, due))
    };
    if let Some(Some(running)) = WORLD.with(begin) {
        return running;
    }
    // SAFETY: as above.
    unsafe {
        let Some(info) = loop_of(loop_) else { return Running::default() };
        let id = info.loop_.id();
        let task = WORLD.with(|world| world.callbacks.task(function, loop_, id)).flatten();
        let task = task.or_else(|| learn_callback(&info, (function, by), callback));
        task.map_or_else(Running::default, |task| run_begins(info, task, due))
    }
}

#[inline]
fn run_begins(info: Arc<LoopInfo>, task: u64, due: Due) -> Running {
    let thread = Thread::current();
    let at = thread.begin_step(&info.loop_, task);
    let wake = match due {
        Due::Scheduled(start, by) => Some((start, by)),
        Due::Late(nanos) => {
            if embed::records_wakes() {
                thread.late(at, nanos, task);
            }
            None
        }
        Due::Unknown => None,
    };
    Running(Some(info), Begun::enter(0, at, wake))
}

/// It ends. An error that it left is not touched.
pub(crate) fn callback_ends(running: Running) {
    let Running(Some(info), begun) = running else { return };
    begun.leave();
    Thread::current().end_step(&info.loop_, begun.at, begun.wake);
}

#[cold]
#[inline(never)]
unsafe fn learn_callback(
    info: &LoopInfo,
    (function, by): (Object, By),
    callback: Object,
) -> Option<u64> {
    let mut key = (function as usize, info.loop_.id());
    let mut kept = 0;
    // SAFETY: live objects; errors are cleared.
    let (mut label, mut place) = unsafe {
        let place = if by == By::Code { places::definition(function) } else { 0 };
        (embed::label(&name_of(callback)), place)
    };
    if WORLD.with(|world| world.callbacks.known.len() >= MAX_CALLBACKS)? {
        key.0 = 0;
        (label, place) = (embed::label("other callbacks"), 0);
        if let Some(Some(task)) = WORLD.with(|world| Some(world.callbacks.known.get(&key)?.0)) {
            return Some(task);
        }
    } else if by != By::Definition {
        // SAFETY: a live object, kept until its loop is closed.
        unsafe { py::Py_IncRef(function) };
        kept = function as usize;
    }
    WORLD.with(|world| {
        let task = world.next_task();
        world.callbacks.known.insert(key, (task, kept));
        let (at, loop_id, parent) = (ticks(), info.loop_.id(), 0);
        let kind = TaskKind::Callback;
        embed::spawned(Spawn { at, task, loop_id, place, parent, kind, label });
        task
    })
}
