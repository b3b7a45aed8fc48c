//! What we know of the program's loops, tasks and callbacks: objects of Python by their addresses,
//! from when they are made until they end.
//!
//! `loops`, `tasks` and `callbacks` keep what is known of one kind each, `steps` what runs now, and
//! `wakes` what is to run. `names`, `functions` and `outcome` read objects, and keep nothing.

mod callbacks;
mod functions;
mod loops;
mod names;
mod outcome;
mod steps;
mod tasks;
mod wakes;

use crate::guard::Locked;

pub(crate) use callbacks::{Due, Running, callback_begins, callback_ends};
pub(crate) use loops::{
    Run, begin_closing, close_loop, heed_slow_duration, heed_slow_durations, ident_of, loop_rests,
    loop_runs,
};
pub(crate) use steps::{Begun, current, eager_begins, step_begins, step_ends};
pub(crate) use tasks::{forget, number_of, task_begins, task_dies, task_is, tell_waits};
pub(crate) use wakes::{scheduled, take_scheduled, task_of};

use callbacks::Callbacks;
use loops::Loops;
use tasks::Tasks;
use wakes::Scheduled;

/// See the module.
pub(crate) struct World {
    tasks: Tasks,
    loops: Loops,
    callbacks: Callbacks,
    scheduled: Scheduled,
    /// The number of the next task, or of what else counts as one.
    next_task: u64,
}

pub(crate) static WORLD: Locked<World> = Locked::new();

/// Starts over with nothing known.
pub(crate) fn start() {
    let next_task = WORLD.with(|world| world.next_task).unwrap_or(1);
    let world = World {
        tasks: Tasks::new(),
        loops: Loops::default(),
        callbacks: Callbacks::new(),
        scheduled: Scheduled::default(),
        next_task,
    };
    drop(WORLD.replace(world));
}

impl World {
    /// A fresh number.
    pub(crate) fn next_task(&mut self) -> u64 {
        let id = self.next_task;
        self.next_task += 1;
        id
    }
}
