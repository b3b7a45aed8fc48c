//! The work: tasks that live for the whole round and work in bursts, with pauses between them in
//! which recorders can write out what they have. Only the bursts cost the threads of the tasks anything.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::channel;

use crate::cpu::{Reading, TASK_THREAD};
use crate::gate::Gate;
use crate::job::{Cost, Job, Result, Work};
use crate::variant::Recorder;

/// Bursts that start threads, fill caches and make buffers.
const WARM_UP: usize = 4;
/// Tasks that yield.
const YIELDING: usize = 64;
/// Yields of each in a burst.
const YIELDS: usize = 96;
/// Tasks spawned before they are awaited, so that the queue stays short.
pub(crate) const TASKS_IN_GROUP: usize = 64;
/// Groups in a burst.
const GROUPS: usize = 40;
/// Messages to and fro in a burst.
const ROUND_TRIPS: usize = 3_000;
/// Free locks taken in a burst.
const LOCKS: usize = 8_000;
/// Tasks that queue for a lock.
const QUEUEING: usize = 8;
/// Locks of each in a burst.
const TURNS: usize = 200;

/// The builder every round starts from.
pub(crate) fn builder(workers: usize) -> Builder {
    let mut builder = match workers {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if workers > 0 {
        builder.worker_threads(workers);
    }
    builder.thread_name(TASK_THREAD).enable_all();
    builder
}

pub(crate) fn run<R: Recorder>(recorder: &R, job: &Job) -> Result<Cost> {
    let runtime = recorder.build(builder(job.workers))?;
    let gate = Arc::new(Gate::default());
    let (tasks, operations) = runtime.block_on(start::<R>(job.work, &gate))?;
    let burst = |runtime: &Runtime| {
        runtime.block_on(gate.open(tasks));
        std::thread::sleep(Duration::from_millis(job.pause));
    };
    (0..WARM_UP).for_each(|_| burst(&runtime));
    let before = Reading::now();
    (0..job.bursts).for_each(|_| burst(&runtime));
    Ok(before.cost((operations * job.bursts) as u64))
}

/// Spawns a task that does this each time the gate opens. A macro, since the bound that an async
/// closure's future can be sent cannot be written.
macro_rules! at_gate {
    ($recorder:ty, $gate:expr, $work:block) => {{
        let gate: Arc<Gate> = $gate.clone();
        <$recorder>::spawn(async move {
            let mut seen = 0;
            loop {
                gate.pass(&mut seen).await;
                $work
                gate.finish();
            }
        });
    }};
}

/// One task that takes a free lock of this type.
macro_rules! lock {
    ($recorder:ty, $gate:expr, $mutex:ty) => {{
        let mutex = <$mutex>::new(0_u64);
        at_gate!($recorder, $gate, {
            for _ in 0..LOCKS {
                *mutex.lock().await += 1;
            }
        });
        (1, LOCKS)
    }};
}

/// Tasks that queue for one lock of this type and yield while they hold it.
macro_rules! queue {
    ($recorder:ty, $gate:expr, $mutex:ty) => {{
        let mutex = Arc::new(<$mutex>::new(0_u64));
        for _ in 0..QUEUEING {
            let mutex = mutex.clone();
            at_gate!($recorder, $gate, {
                for _ in 0..TURNS {
                    let mut held = mutex.lock().await;
                    *held += 1;
                    tokio::task::yield_now().await;
                }
            });
        }
        (QUEUEING, QUEUEING * TURNS)
    }};
}

/// Spawns the tasks; says how many wait at the gate and how much a burst of all of them is.
async fn start<R: Recorder>(work: Work, gate: &Arc<Gate>) -> Result<(usize, usize)> {
    let started = match work {
        Work::Poll => yielding::<R>(gate),
        Work::Spawn => {
            at_gate!(R, gate, { spawn_groups::<R>(GROUPS).await });
            (1, GROUPS * TASKS_IN_GROUP)
        }
        Work::Wake => ping_pong::<R>(gate),
        Work::Lock => lock!(R, gate, tokio::sync::Mutex<u64>),
        Work::Queue => queue!(R, gate, tokio::sync::Mutex<u64>),
        #[cfg(feature = "loopd")]
        Work::OwnLock => lock!(R, gate, loopd_agent::sync::Mutex<u64>),
        #[cfg(feature = "loopd")]
        Work::OwnQueue => queue!(R, gate, loopd_agent::sync::Mutex<u64>),
        other => return Err(format!("{other:?} is not done in bursts in this build").into()),
    };
    Ok(started)
}

fn yielding<R: Recorder>(gate: &Arc<Gate>) -> (usize, usize) {
    for _ in 0..YIELDING {
        at_gate!(R, gate, {
            for _ in 0..YIELDS {
                tokio::task::yield_now().await;
            }
        });
    }
    (YIELDING, YIELDING * (YIELDS + 1))
}

/// Spawns tasks that do nothing, a group at a time, and awaits them.
pub(crate) async fn spawn_groups<R: Recorder>(groups: usize) {
    for _ in 0..groups {
        let group: [_; TASKS_IN_GROUP] = std::array::from_fn(|_| R::spawn(async {}));
        for task in group {
            _ = task.await;
        }
    }
}

fn ping_pong<R: Recorder>(gate: &Arc<Gate>) -> (usize, usize) {
    let (to, mut arriving) = channel::<()>(1);
    let (back, mut returning) = channel::<()>(1);
    at_gate!(R, gate, {
        for _ in 0..ROUND_TRIPS {
            _ = to.send(()).await;
            _ = returning.recv().await;
        }
    });
    at_gate!(R, gate, {
        for _ in 0..ROUND_TRIPS {
            _ = arriving.recv().await;
            _ = back.send(()).await;
        }
    });
    (2, 2 * ROUND_TRIPS)
}
