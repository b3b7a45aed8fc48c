//! The future around a wrapped task's own: records its wakes, how it ends, and, where no hook
//! does, its polls.
#![expect(unsafe_code, reason = "projects a pin to the future inside")]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use loopd_model::{Outcome, RecordKind};

use crate::alarm::{Kept, Woken};
use crate::clock::ticks;
use crate::hooks;
use crate::lane::{Lane, worker_index};
use crate::record::Record;
use crate::recorder::{self, Loop};

/// Beside a task's number: hooks record its spawn, its polls and its end. No task, and no root, has
/// a number with this bit.
const HOOKED: u64 = 1 << 63;

/// Instead of a task's number: the task was dropped before its number was told, never polled. So is
/// one that is spawned on a runtime that shuts down.
const DROPPED: u64 = u64::MAX;

/// What the spawning thread and the task share.
pub(crate) struct Life {
    /// 0 until it is known.
    task: AtomicU64,
    loop_: OnceLock<Arc<Loop>>,
}

impl Life {
    /// Of a task not spawned yet.
    pub(crate) fn new(loop_: Option<Arc<Loop>>) -> Arc<Self> {
        let life = Self { task: AtomicU64::new(0), loop_: OnceLock::new() };
        life.set_loop(loop_);
        Arc::new(life)
    }

    pub(crate) fn set_loop(&self, loop_: Option<Arc<Loop>>) {
        if let Some(loop_) = loop_ {
            let _ = self.loop_.set(loop_);
        }
    }

    /// The spawning thread tells the number, which it knows best. Says whether the task was dropped
    /// before that, so that nobody has told its end.
    pub(crate) fn tell_task(&self, task: u64, is_hooked: bool) -> bool {
        self.task.swap(marked(task, is_hooked), AcqRel) == DROPPED
    }

    /// The task itself has found out its number; the spawning thread may have told it meanwhile.
    pub(crate) fn find_task(&self, task: u64, is_hooked: bool) {
        let _ = self.task.compare_exchange(0, marked(task, is_hooked), AcqRel, Acquire);
    }

    /// The task's number; 0 while it is not known.
    pub(crate) fn task(&self) -> u64 {
        self.task.load(Acquire) & !HOOKED
    }

    /// Whether hooks record the spawn, the polls and the end.
    fn is_hooked(&self) -> bool {
        self.task.load(Acquire) & HOOKED != 0
    }

    /// The task is dropped: its number, if its end is now to be told. If it is not known, the
    /// spawning thread tells the end, with the number.
    pub(crate) fn end(&self) -> Option<u64> {
        let unknown = self.task.compare_exchange(0, DROPPED, AcqRel, Acquire);
        unknown.err().map(|task| task & !HOOKED)
    }

    pub(crate) fn loop_id(&self) -> u64 {
        self.loop_.get().map_or(0, |loop_| loop_.id.0)
    }

    /// Its loop; `None` outside any runtime.
    fn known_loop(&self) -> Option<&Arc<Loop>> {
        if self.loop_.get().is_none() {
            self.set_loop(recorder::current_loop());
        }
        self.loop_.get()
    }
}

fn marked(task: u64, is_hooked: bool) -> u64 {
    if is_hooked { task | HOOKED } else { task }
}

/// How far a wrapped future has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Pending,
    /// Inside its poll; found at drop, it means that the poll panicked.
    Polling,
    Ready,
}

/// See the module.
pub(crate) struct Wrapped<F> {
    life: Arc<Life>,
    alarm: Option<Kept>,
    /// Whether the future can only have wakers of `alarm`.
    is_first: bool,
    progress: Progress,
    future: F,
}

impl<F> Wrapped<F> {
    /// A future whose life is recorded.
    pub(crate) fn new(future: F, life: Arc<Life>) -> Self {
        Self { life, alarm: None, is_first: true, progress: Progress::Pending, future }
    }
}

impl<F: Future> Future for Wrapped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with `self`: it is never moved out, and `Drop` below does not
        // touch it. The other fields are never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        let Wrapped { life, alarm, is_first, progress, future } = this;
        // SAFETY: as above.
        let future = unsafe { Pin::new_unchecked(future) };

        if !recorder::is_recording() {
            // It may keep the task's own waker.
            (*alarm, *is_first) = (None, false);
            return future.poll(context);
        }
        let task = know_task(life);
        let scope = PollScope::enter(life, task);
        let is_spawned = *is_first;
        let alarm = set_alarm(alarm, is_first, context.waker(), task);
        scope.write_wake(alarm.poll_begins(), task, is_spawned);
        *progress = Progress::Polling;
        let polled = future.poll(&mut Context::from_waker(alarm.waker()));
        *progress = if polled.is_ready() { Progress::Ready } else { Progress::Pending };
        if polled.is_pending() {
            alarm.is_pending();
        }
        polled
    }
}

impl<F> Drop for Wrapped<F> {
    fn drop(&mut self) {
        // Before the future drops the wakers that it has.
        self.alarm = None;
        let Some(task) = self.life.end().filter(|_| recorder::is_recording()) else { return };
        let outcome = match self.progress {
            Progress::Pending => Outcome::Cancelled,
            Progress::Polling => Outcome::Panicked,
            Progress::Ready => Outcome::Completed,
        };
        if self.life.is_hooked() {
            hooks::leave_outcome(task, outcome);
        } else {
            recorder::write(&Record::Ended { at: ticks(), task, outcome });
        }
    }
}

/// The task's id, found out here if the spawning thread has not told it yet.
fn know_task(life: &Life) -> u64 {
    let task = life.task();
    if task != 0 {
        return task;
    }
    let task = tokio::task::try_id().map_or(0, hooks::task_number);
    let is_hooked = match recorder::existing_lane() {
        Some(lane) => lane.current_task() == task,
        None => hooks::is_hooked_thread(),
    };
    life.find_task(task, is_hooked);
    task
}

/// The stand-in for `waker`; made at the first poll, and again should the task's waker change.
fn set_alarm<'a>(
    alarm: &'a mut Option<Kept>,
    is_first: &mut bool,
    waker: &Waker,
    task: u64,
) -> &'a Kept {
    if alarm.as_ref().is_some_and(|known| !known.is_for(waker)) {
        *alarm = None;
    }
    alarm.get_or_insert_with(|| {
        hooks::take_wrapping();
        Kept::new(waker, task, std::mem::take(is_first))
    })
}

/// One poll of a wrapped future, closed also when the poll panics.
struct PollScope<'a> {
    /// Where it is recorded, or who counts what is not.
    lane: Result<&'static Lane, fn(RecordKind)>,
    started: u64,
    /// Of a poll that no hook records.
    ours: Option<&'a Loop>,
}

impl<'a> PollScope<'a> {
    fn enter(life: &'a Life, task: u64) -> Self {
        if let Some(lane) = recorder::existing_lane()
            && lane.current_task() == task
        {
            // Tokio's hook has seen this poll begin.
            return Self { lane: Ok(lane), started: lane.poll_started(), ours: None };
        }
        if life.is_hooked() {
            // This thread had no ring when the hook saw it begin; the hook after it counts it.
            let lane = recorder::existing_lane().ok_or(recorder::count_no_ring as fn(RecordKind));
            return Self { lane, started: ticks(), ours: None };
        }
        let count: fn(RecordKind) = match (recorder::poll_lane(), life.known_loop()) {
            (Some(lane), Some(loop_)) => {
                let started = lane.enter(loop_, worker_index(), task);
                return Self { lane: Ok(lane), started, ours: Some(loop_) };
            }
            (Some(_), None) => recorder::count_no_loop,
            (None, _) => recorder::count_no_ring,
        };
        if recorder::records_polls() {
            count(RecordKind::Poll);
        }
        Self { lane: Err(count), started: 0, ours: None }
    }

    /// What led to the poll: a wake, or the task's spawn, of which nothing is written.
    fn write_wake(&self, woken: Option<Woken>, task: u64, is_spawned: bool) {
        if is_spawned && let Ok(lane) = self.lane {
            lane.explain();
        }
        let Some(Woken { at, by, count }) = woken.filter(|_| recorder::records_wakes()) else {
            return;
        };
        match self.lane {
            Ok(lane) => lane.write_wake(at, self.started, task, by, count),
            Err(lose) => lose(RecordKind::Wake),
        }
    }
}

impl Drop for PollScope<'_> {
    fn drop(&mut self) {
        if let (Ok(lane), Some(loop_)) = (self.lane, self.ours) {
            lane.exit(loop_);
        }
    }
}
