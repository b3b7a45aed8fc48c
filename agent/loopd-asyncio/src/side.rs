//! The agent's one thread that takes the interpreter's lock: once a second, to see how long that
//! takes and to tell of waits that go on and of transports that are open, and when somebody asks where tasks
//! wait or what blocks. It is there from start to stop, and gone before the interpreter is.

use std::collections::VecDeque;
use std::ptr::null_mut;
use std::sync::atomic::{
    AtomicPtr, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use loopd_agent::embed;
use loopd_model::Frame;
use pyo3::prelude::*;

/// Between two looks at the lock.
const INTERVAL: Duration = Duration::from_secs(1);
/// Questions that wait at once; the others are told that there is no answer.
const MAX_ASKED: usize = 8;
/// The longest that a stop waits for the thread, which may be waiting for the lock.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Side {
    asked: VecDeque<u64>,
    /// The thread whose stack somebody waits for, and the stack.
    stack_of: Option<i32>,
    stack: Option<Vec<Frame>>,
    is_running: bool,
    is_stopping: bool,
}

/// Made anew in a forked child, by leaking the parent's.
struct Shared {
    side: Mutex<Side>,
    changed: Condvar,
}

static SHARED: AtomicPtr<Shared> = AtomicPtr::new(null_mut());

fn shared() -> &'static Shared {
    let known = SHARED.load(Acquire);
    // SAFETY: null, or leaked by whoever put it there.
    if let Some(shared) = unsafe { known.as_ref() } {
        return shared;
    }
    let fresh = Box::new(Shared { side: Mutex::default(), changed: Condvar::new() });
    let fresh: &'static Shared = Box::leak(fresh);
    let ours = std::ptr::from_ref(fresh).cast_mut();
    match SHARED.compare_exchange(known, ours, AcqRel, Acquire) {
        Ok(_) => fresh,
        // SAFETY: somebody was first, and has leaked theirs as well.
        Err(theirs) => unsafe { theirs.as_ref() }.unwrap_or(fresh),
    }
}

fn lock(shared: &'static Shared) -> Option<MutexGuard<'static, Side>> {
    shared.side.lock().ok()
}

/// In a forked child the thread is not there, and another one may have held the lock.
pub(crate) fn forget_parent() {
    SHARED.store(null_mut(), Release);
}

/// Starts the thread; `answer` is called with the number of each question.
pub(crate) fn start(answer: Py<PyAny>) {
    embed::on_dump(ask);
    let shared = shared();
    if let Some(mut side) = lock(shared) {
        if side.is_running {
            return;
        }
        (side.is_running, side.is_stopping) = (true, false);
    }
    let started = embed::spawn_thread("loopd-python", move || run(shared, &answer));
    if !started && let Some(mut side) = lock(shared) {
        side.is_running = false;
    }
}

/// Ends the thread, and waits until it has ended.
pub(crate) fn stop(py: Python<'_>) {
    py.detach(|| {
        let shared = shared();
        let Some(mut side) = lock(shared) else { return };
        side.is_stopping = true;
        shared.changed.notify_all();
        let is_running = |side: &mut Side| side.is_running;
        drop(shared.changed.wait_timeout_while(side, PATIENCE, is_running));
    });
}

/// The Python stack of a thread that runs a loop, leaf first, if the interpreter's lock is free soon
/// enough to look at it; `None` if it is not. Called by the watchdog.
pub(crate) fn stack_of(tid: i32, patience: Duration) -> Option<Vec<Frame>> {
    let shared = shared();
    let mut side = lock(shared)?;
    if !side.is_running || side.is_stopping {
        return None;
    }
    (side.stack_of, side.stack) = (Some(tid), None);
    shared.changed.notify_all();
    let is_missing = |side: &mut Side| side.stack.is_none() && !side.is_stopping;
    let (mut side, _) = shared.changed.wait_timeout_while(side, patience, is_missing).ok()?;
    side.stack_of = None;
    side.stack.take().filter(|stack| !stack.is_empty())
}

/// Answers whoever waits for a stack now. The interpreter's lock is held.
fn answer_stack(shared: &'static Shared) {
    let Some(tid) = lock(shared).and_then(|side| side.stack_of) else { return };
    let stack = crate::stacks::of(tid).unwrap_or_default();
    if let Some(mut side) = lock(shared)
        && side.stack_of == Some(tid)
    {
        side.stack = Some(stack);
        shared.changed.notify_all();
    }
}

/// Called on the exporter's thread.
fn ask(dump: u64) {
    let is_asked = lock(shared()).is_some_and(|mut side| {
        let has_room = side.is_running && side.asked.len() < MAX_ASKED;
        if has_room {
            side.asked.push_back(dump);
        }
        has_room
    });
    match is_asked {
        true => shared().changed.notify_all(),
        false => embed::dump_ended(dump, 0, 0, "the interpreter is not there to be asked"),
    }
}

fn run(shared: &'static Shared, answer: &Py<PyAny>) {
    let mut looked_at: Option<Instant> = None;
    while let Some(asked) = next(shared) {
        let since = Instant::now();
        // Whoever asks for stacks does so while something blocks: these waits would say too much.
        let is_due = looked_at.is_none_or(|at| at.elapsed() >= INTERVAL);
        Python::attach(|py| {
            answer_stack(shared);
            if is_due {
                let waited = since.elapsed().as_nanos() as u64;
                embed::GAUGES.gil_wait_nanos.fetch_add(waited, Relaxed);
                embed::GAUGES.gil_probes.fetch_add(1, Relaxed);
                crate::world::heed_slow_durations();
                crate::world::tell_waits();
                crate::transports::tick();
                looked_at = Some(Instant::now());
            }
            if let Some(dump) = asked
                && answer.call1(py, (dump,)).is_err()
            {
                embed::dump_ended(dump, 0, 0, "the tasks could not be looked at");
            }
        });
    }
    if let Some(mut side) = lock(shared) {
        side.is_running = false;
        for dump in std::mem::take(&mut side.asked) {
            embed::dump_ended(dump, 0, 0, "the agent is being stopped");
        }
    }
    shared.changed.notify_all();
}

/// Waits for a question, or for the time to look at the lock; `None` when it is time to end.
fn next(shared: &'static Shared) -> Option<Option<u64>> {
    let side = lock(shared)?;
    let is_idle = |side: &mut Side| {
        let is_answered = side.stack_of.is_none() || side.stack.is_some();
        side.asked.is_empty() && is_answered && !side.is_stopping
    };
    let (mut side, _) = shared.changed.wait_timeout_while(side, INTERVAL, is_idle).ok()?;
    (!side.is_stopping).then(|| side.asked.pop_front())
}
