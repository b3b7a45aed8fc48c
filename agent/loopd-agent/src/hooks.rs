//! What runs inside tokio's hooks: the hot path of the recorder.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

#[cfg(tokio_unstable)]
use loopd_model::Outcome;
use loopd_model::{RecordKind, TaskKind};
use tokio::runtime::Builder;
#[cfg(tokio_unstable)]
use tokio::runtime::TaskMeta;

#[cfg(tokio_unstable)]
use crate::clock::{counter, ticks};
#[cfg(all(tokio_unstable, feature = "schedule-latency"))]
use crate::lane::Lane;
#[cfg(tokio_unstable)]
use crate::layer;
#[cfg(tokio_unstable)]
use crate::record::{self, Record};
use crate::recorder::{self, Loop};
use crate::runtime::UserHooks;
#[cfg(tokio_unstable)]
use crate::switches;

/// A callback about a thread.
pub(crate) type Callback = Box<dyn Fn() + Send + Sync>;
/// A callback about a task.
#[cfg(tokio_unstable)]
pub(crate) type TaskCallback = Box<dyn Fn(&TaskMeta<'_>) + Send + Sync>;

thread_local! {
    /// What kind of task the wrapper is spawning on this thread right now.
    static SPAWNING: Cell<TaskKind> = const { Cell::new(TaskKind::Async) };
    /// Whether what is spawned on this thread right now is recorded by the wrapper.
    static IS_WRAPPING: Cell<bool> = const { Cell::new(false) };
    /// The first task whose spawn a hook saw on this thread since the wrapper began to spawn one: the
    /// program's own hook may spawn more in the middle.
    static SPAWN_SEEN: Cell<u64> = const { Cell::new(0) };
    /// How the wrapper saw a task end, for the hook that follows on the same thread.
    static OUTCOME: Cell<(u64, loopd_model::Outcome)> =
        const { Cell::new((0, loopd_model::Outcome::Unknown)) };
    /// Whether a runtime made this thread: a worker or part of the blocking pool.
    static IS_POOL_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Tokio's task id as the number it is. There is no accessor, but its hash is that number.
#[inline(always)]
pub(crate) fn task_number(id: tokio::task::Id) -> u64 {
    struct Capture(u64);
    impl Hasher for Capture {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, _: &[u8]) {}
        #[inline(always)]
        fn write_u64(&mut self, number: u64) {
            self.0 = number;
        }
    }
    let mut capture = Capture(0);
    id.hash(&mut capture);
    capture.0
}

/// The wrapper is about to spawn a task of this kind on this thread. No closure around the spawn:
/// it would hide the caller's place from tokio.
pub(crate) fn before_spawn(kind: TaskKind) {
    SPAWNING.set(kind);
    SPAWN_SEEN.set(0);
    IS_WRAPPING.set(true);
}

/// The wrapper has spawned; says which task a hook saw, 0 if none did.
pub(crate) fn after_spawn() -> u64 {
    SPAWNING.set(TaskKind::Async);
    IS_WRAPPING.set(false);
    SPAWN_SEEN.get()
}

/// Whether the wrapper is spawning; from now on it is no more.
pub(crate) fn take_wrapping() -> bool {
    IS_WRAPPING.replace(false)
}

/// A root that the wrapper records is about to be spawned on this thread, with nothing to say when
/// it has been but its first poll.
pub(crate) fn before_root() {
    IS_WRAPPING.set(true);
}

/// Leaves word of how a task ended for the hook that is about to report its end.
pub(crate) fn leave_outcome(task: u64, outcome: loopd_model::Outcome) {
    OUTCOME.set((task, outcome));
}

/// Whether the polls on this thread are seen by hooks, because a runtime with them made it.
pub(crate) fn is_hooked_thread() -> bool {
    cfg!(tokio_unstable) && IS_POOL_THREAD.get()
}

/// Puts only the program's own callbacks into the builder.
pub(crate) fn install_user(builder: &mut Builder, user: UserHooks) {
    if let Some(f) = user.thread_start {
        builder.on_thread_start(f);
    }
    if let Some(f) = user.thread_stop {
        builder.on_thread_stop(f);
    }
    if let Some(f) = user.thread_park {
        builder.on_thread_park(f);
    }
    if let Some(f) = user.thread_unpark {
        builder.on_thread_unpark(f);
    }
    #[cfg(tokio_unstable)]
    {
        if let Some(f) = user.task_spawn {
            builder.on_task_spawn(f);
        }
        if let Some(f) = user.before_poll {
            builder.on_before_task_poll(f);
        }
        if let Some(f) = user.after_poll {
            builder.on_after_task_poll(f);
        }
        if let Some(f) = user.task_terminate {
            builder.on_task_terminate(f);
        }
    }
}

/// Puts loopd's hooks into the builder, each followed by the program's own.
pub(crate) fn install(builder: &mut Builder, loop_: &Arc<Loop>, user: UserHooks) {
    #[cfg(tokio_unstable)]
    install_task_hooks(builder, loop_, user.task_spawn, user.task_terminate);
    #[cfg(tokio_unstable)]
    install_poll_hooks(builder, loop_, user.before_poll, user.after_poll);

    let then = user.thread_start;
    builder.on_thread_start(move || {
        IS_POOL_THREAD.set(true);
        if let Some(then) = &then {
            then();
        }
    });
    if let Some(f) = user.thread_stop {
        builder.on_thread_stop(f);
    }
    let (parking, then) = (loop_.clone(), user.thread_park);
    builder.on_thread_park(move || {
        before_park(&parking);
        if let Some(then) = &then {
            then();
        }
    });
    let then = user.thread_unpark;
    builder.on_thread_unpark(move || {
        after_park();
        if let Some(then) = &then {
            then();
        }
    });
}

fn before_park(loop_: &Loop) {
    if recorder::is_recording() && recorder::records_polls() {
        match recorder::poll_lane() {
            Some(lane) => lane.before_park(loop_),
            None => recorder::count_no_ring(RecordKind::Park),
        }
    }
}

fn after_park() {
    if recorder::is_recording()
        && recorder::records_polls()
        && let Some(lane) = recorder::existing_lane()
    {
        lane.after_park();
    }
}

// Each callback comes in two forms, so that programs without one of their own pay no test.
#[cfg(tokio_unstable)]
fn install_task_hooks(
    builder: &mut Builder,
    loop_: &Arc<Loop>,
    user_spawn: Option<TaskCallback>,
    user_terminate: Option<TaskCallback>,
) {
    let loop_id = loop_.id.0;
    match user_spawn {
        None => builder.on_task_spawn(move |meta| task_spawned(loop_id, meta)),
        Some(user) => builder.on_task_spawn(move |meta| {
            task_spawned(loop_id, meta);
            user(meta);
        }),
    };
    match user_terminate {
        None => builder.on_task_terminate(task_terminated),
        Some(user) => builder.on_task_terminate(move |meta| {
            task_terminated(meta);
            user(meta);
        }),
    };
}

#[cfg(tokio_unstable)]
fn install_poll_hooks(
    builder: &mut Builder,
    loop_: &Arc<Loop>,
    user_before: Option<TaskCallback>,
    user_after: Option<TaskCallback>,
) {
    #[cfg(feature = "schedule-latency")]
    builder.track_task_schedule_latency();
    let (loop_id, before, after) = (loop_.id.0, loop_.clone(), loop_.clone());
    match user_before {
        None => builder.on_before_task_poll(move |meta| before_poll(loop_id, &before, meta)),
        Some(user) => builder.on_before_task_poll(move |meta| {
            before_poll(loop_id, &before, meta);
            user(meta);
        }),
    };
    match user_after {
        None => builder.on_after_task_poll(move |meta| after_poll(&after, meta)),
        Some(user) => builder.on_after_task_poll(move |meta| {
            after_poll(&after, meta);
            user(meta);
        }),
    };
}

// Of each of these the usual case is inline and calls nothing but, to the compiler's eye, the
// lookup of the thread's lane, which therefore comes first; all else is in a function called last.

#[cfg(tokio_unstable)]
#[inline(always)]
fn before_poll(loop_id: u64, loop_: &Arc<Loop>, meta: &TaskMeta<'_>) {
    if let Some(lane) = recorder::existing_lane()
        && switches::is_quick()
        && lane.before_plain_poll(loop_id, task_number(meta.id()))
    {
        return;
    }
    before_any_poll(loop_, task_number(meta.id()));
}

#[cfg(tokio_unstable)]
#[cold]
#[inline(never)]
fn before_any_poll(loop_: &Loop, task: u64) {
    if recorder::is_recording()
        && let Some(lane) = recorder::poll_lane()
    {
        lane.before_poll(loop_, task);
    }
}

#[cfg(tokio_unstable)]
#[inline(always)]
fn after_poll(loop_: &Arc<Loop>, _meta: &TaskMeta<'_>) {
    let lane = recorder::existing_lane();
    #[cfg(feature = "schedule-latency")]
    tell_delay(lane, _meta);
    if let Some(lane) = lane
        && switches::is_quick_with_polls()
        && lane.after_plain_poll()
    {
        return;
    }
    after_any_poll(loop_);
}

/// How long the task had been waiting for the poll that ends. Only now is it known that nobody else
/// tells what led to it.
#[cfg(all(tokio_unstable, feature = "schedule-latency"))]
#[inline(always)]
fn tell_delay(lane: Option<&Lane>, meta: &TaskMeta<'_>) {
    if let Some(latency) = meta.schedule_latency()
        && recorder::is_recording()
        && recorder::records_wakes()
    {
        let nanos = latency.as_secs() * 1_000_000_000 + u64::from(latency.subsec_nanos());
        match lane {
            Some(lane) => lane.write_delay(nanos),
            None => recorder::count_no_ring(RecordKind::Wake),
        }
    }
}

#[cfg(tokio_unstable)]
#[cold]
#[inline(never)]
fn after_any_poll(loop_: &Loop) {
    let is_recorded = recorder::is_recording() && recorder::records_polls();
    match recorder::existing_lane() {
        Some(lane) => lane.after_poll(is_recorded, loop_),
        None if is_recorded => recorder::count_no_ring(RecordKind::Poll),
        None => {}
    }
}

#[cfg(tokio_unstable)]
#[inline(always)]
fn task_spawned(loop_id: u64, meta: &TaskMeta<'_>) {
    let lane = recorder::existing_lane();
    let (task, location) = (task_number(meta.id()), crate::place::number(meta.spawned_at()));
    let kind = kind_of_spawn(task);
    if layer::is_on() {
        layer::is_hooked(task);
    }
    if let Some(lane) = lane
        && switches::is_quick()
    {
        let parent = lane.current_task();
        let words = record::spawned(counter(), task, loop_id, location, parent, kind, 0);
        if lane.ring.push_quickly(words) {
            return;
        }
    }
    any_task_spawned(task, loop_id, location, kind);
}

/// What kind of task this is; notes that its spawn was seen, if the wrapper waits for that.
#[cfg(tokio_unstable)]
#[inline(always)]
fn kind_of_spawn(task: u64) -> TaskKind {
    if SPAWN_SEEN.get() != 0 {
        return TaskKind::Async;
    }
    SPAWN_SEEN.set(task);
    SPAWNING.replace(TaskKind::Async)
}

#[cfg(tokio_unstable)]
#[cold]
#[inline(never)]
fn any_task_spawned(task: u64, loop_id: u64, location: u64, kind: TaskKind) {
    if recorder::is_recording() {
        let (at, parent) = (ticks(), recorder::current_task());
        recorder::write(&Record::Spawned { at, task, loop_id, location, parent, kind, label: 0 });
    }
}

#[cfg(tokio_unstable)]
#[inline(always)]
fn task_terminated(meta: &TaskMeta<'_>) {
    // Most tasks end in their last poll.
    let task = task_number(meta.id());
    if let Some(lane) = recorder::existing_lane()
        && switches::is_quick()
        && lane.current_task() == task
        && lane.ring.push_quickly(record::ended(counter(), task, outcome_of(task)))
    {
        return;
    }
    any_task_terminated(task);
}

#[cfg(tokio_unstable)]
#[cold]
#[inline(never)]
fn any_task_terminated(task: u64) {
    // The wrapper's blocking job, which its runtime has just refused: the wrapper tells.
    let is_refused_job = SPAWNING.get() == TaskKind::Blocking;
    if !recorder::is_recording() || is_refused_job {
        return;
    }
    let lane = recorder::existing_lane();
    let is_polled_here = lane.is_some_and(|lane| lane.current_task() == task);
    if !is_polled_here && IS_POOL_THREAD.get() && crate::lane::worker_index().is_none() {
        // A blocking job, which tokio never announced, or the worker itself, which is one: this
        // thread may come back as another worker.
        if let Some(lane) = lane {
            lane.doubt_place();
        }
        return;
    }
    recorder::write(&Record::Ended { at: ticks(), task, outcome: outcome_of(task) });
}

/// How the wrapper saw this task end, if it did. What it left stays: no other task has that number.
#[cfg(tokio_unstable)]
#[inline(always)]
fn outcome_of(task: u64) -> Outcome {
    let (of, outcome) = OUTCOME.get();
    if of == task { outcome } else { Outcome::Unknown }
}
