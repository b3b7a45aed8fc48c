//! What one thread records into, and what the watchdog sees of it.
//!
//! A lane has one producer, the thread that holds it; the exporter drains its ring and the watchdog
//! reads [`Lane::running`]. Every field is an atomic used with relaxed order where only its own
//! thread writes and reads it, so that nothing here needs `unsafe`.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Acquire,
    Ordering::Relaxed, Ordering::Release,
};

use loopd_model::RecordKind;

use crate::clock::ticks;
use crate::record::{self, Record};
use crate::recorder;
use crate::ring::{Pushed, Ring};

/// Polls inside polls (a `block_on` within `block_in_place`) that are kept apart; deeper ones are
/// not recorded.
const MAX_DEPTH: usize = 4;

/// The loop of a place that is not in the ring. No loop has this number.
const NO_LOOP: u64 = u64::MAX;

/// Worker number of a place that has not been found out.
const NO_WORKER: u32 = u32::MAX;

/// Who holds a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum LaneState {
    /// Nobody; it may be given to a thread.
    Free = 0,
    /// A thread.
    Held = 1,
    /// Its thread is gone; the exporter empties it and sets it free.
    Retired = 2,
}

/// Which code saw a poll begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Seen {
    /// Tokio's hooks: one record per poll, so that counts equal tokio's own.
    ByHook = 0,
    /// loopd's wrapper: cut into pieces around polls nested inside on the same worker.
    ByWrapper = 1,
}

/// A poll that is going on.
#[derive(Default)]
struct Current {
    /// When it began in ticks; 0 outside any poll.
    started: AtomicU64,
    task: AtomicU64,
    loop_id: AtomicU64,
    worker: AtomicU32,
    seen: AtomicU8,
}

impl Current {
    fn copy_to(&self, other: &Self) {
        other.task.store(self.task.load(Relaxed), Relaxed);
        other.loop_id.store(self.loop_id.load(Relaxed), Relaxed);
        other.worker.store(self.worker.load(Relaxed), Relaxed);
        other.seen.store(self.seen.load(Relaxed), Relaxed);
        other.started.store(self.started.load(Relaxed), Release);
    }

    fn is_on(&self, loop_id: u64, worker: u32) -> bool {
        self.loop_id.load(Relaxed) == loop_id && self.worker.load(Relaxed) == worker
    }

    /// Whether a poll nested in this one, on this worker, cuts it in two: polls of one worker never
    /// overlap. One of another loop, as of a `block_on` within `block_in_place`, does not.
    fn is_cut_on(&self, loop_id: u64, worker: u32) -> bool {
        self.seen.load(Relaxed) == Seen::ByWrapper as u8 && self.is_on(loop_id, worker)
    }
}

/// What the watchdog reads of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunningPoll {
    pub(crate) started: u64,
    pub(crate) task: u64,
    pub(crate) loop_id: u64,
    pub(crate) worker: u32,
}

/// The thread that holds a lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct ThreadInfo {
    pub(crate) name: String,
    pub(crate) id: u64,
}

/// See the module.
pub(crate) struct Lane {
    pub(crate) ring: Ring,
    pub(crate) is_big: bool,
    state: AtomicU8,
    current: Current,
    /// The loop of the last place written to the ring; [`NO_LOOP`] when none was.
    place_loop: AtomicU64,
    place_worker: AtomicU32,
    /// Nonzero when the next poll must take the slow path.
    attention: AtomicBool,
    outer: [Current; MAX_DEPTH],
    depth: AtomicUsize,
    parked_at: AtomicU64,
    /// Records refused for want of room since the lane was made, by kind.
    drops: [AtomicU64; RecordKind::SLOTS],
    pub(crate) thread: Mutex<ThreadInfo>,
    /// The thread's id for signals; 0 while nobody holds the lane.
    tid: AtomicI32,
    /// The thread's own stack, from its lowest address to one past its highest; equal if unknown.
    stack_start: AtomicUsize,
    stack_end: AtomicUsize,
}

impl Lane {
    /// A lane that nobody holds yet.
    pub(crate) fn new(words: usize, is_big: bool) -> Self {
        Self {
            ring: Ring::new(words),
            is_big,
            state: AtomicU8::new(LaneState::Free as u8),
            current: Current::default(),
            place_loop: AtomicU64::new(NO_LOOP),
            place_worker: AtomicU32::new(NO_WORKER),
            attention: AtomicBool::new(true),
            outer: Default::default(),
            depth: AtomicUsize::new(0),
            parked_at: AtomicU64::new(0),
            drops: Default::default(),
            thread: Mutex::default(),
            tid: AtomicI32::new(0),
            stack_start: AtomicUsize::new(0),
            stack_end: AtomicUsize::new(0),
        }
    }

    /// Hands the lane to the calling thread. The caller holds the pool's lock.
    pub(crate) fn hold(&self, thread: ThreadInfo, stack: Range<usize>) {
        self.current.started.store(0, Relaxed);
        self.depth.store(0, Relaxed);
        self.parked_at.store(0, Relaxed);
        self.place_loop.store(NO_LOOP, Relaxed);
        self.attention.store(true, Relaxed);
        self.stack_start.store(stack.start, Relaxed);
        self.stack_end.store(stack.end, Relaxed);
        // Last, and in this order also for a signal handler that interrupts this very function.
        self.tid.store(i32::try_from(thread.id).unwrap_or(0), Release);
        if let Ok(mut info) = self.thread.lock() {
            *info = thread;
        }
        self.state.store(LaneState::Held as u8, Release);
    }

    /// The holder is done with it.
    pub(crate) fn retire(&self) {
        self.current.started.store(0, Relaxed);
        self.tid.store(0, Relaxed);
        self.state.store(LaneState::Retired as u8, Release);
    }

    /// The exporter has emptied a retired lane.
    pub(crate) fn set_free(&self) {
        self.state.store(LaneState::Free as u8, Release);
    }

    /// Who holds it.
    pub(crate) fn state(&self) -> LaneState {
        match self.state.load(Acquire) {
            0 => LaneState::Free,
            1 => LaneState::Held,
            _ => LaneState::Retired,
        }
    }

    /// The holder's thread id for signals; 0 without one. Any thread.
    pub(crate) fn tid(&self) -> i32 {
        self.tid.load(Relaxed)
    }

    /// The stack of the calling thread, if that is `tid` and holds this lane. Only the holder writes
    /// these fields, so what it reads itself is of one piece. Async-signal-safe.
    pub(crate) fn own_stack(&self, tid: i32) -> Option<Range<usize>> {
        (tid != 0 && self.tid.load(Acquire) == tid)
            .then(|| self.stack_start.load(Relaxed)..self.stack_end.load(Relaxed))
    }

    /// Records refused so far.
    pub(crate) fn drops(&self, kind: RecordKind) -> u64 {
        self.drops[kind as usize].load(Relaxed)
    }

    /// The poll going on, if the reading is consistent. Any thread.
    pub(crate) fn running(&self) -> Option<RunningPoll> {
        let started = self.current.started.load(Acquire);
        let poll = RunningPoll {
            started,
            task: self.current.task.load(Relaxed),
            loop_id: self.current.loop_id.load(Relaxed),
            worker: self.current.worker.load(Relaxed),
        };
        std::sync::atomic::fence(Acquire);
        (started != 0 && self.current.started.load(Relaxed) == started).then_some(poll)
    }

    /// The task being polled on this thread; 0 outside any.
    #[inline(always)]
    pub(crate) fn current_task(&self) -> u64 {
        if self.current.started.load(Relaxed) == 0 { 0 } else { self.current.task.load(Relaxed) }
    }

    /// When the current poll began; 0 outside any.
    pub(crate) fn poll_started(&self) -> u64 {
        self.current.started.load(Relaxed)
    }

    /// Writes a record, or counts it.
    pub(crate) fn write(&self, record: &Record) {
        self.settle(record.push(&self.ring), record.kind());
    }

    #[inline(always)]
    fn settle(&self, pushed: Pushed, kind: Option<RecordKind>) {
        if pushed != Pushed::Yes {
            self.settle_slowly(pushed, kind);
        }
    }

    #[cold]
    #[inline(never)]
    fn settle_slowly(&self, pushed: Pushed, kind: Option<RecordKind>) {
        match (pushed, kind) {
            (Pushed::No, Some(kind)) => self.count_drop(kind),
            _ => recorder::hurry(),
        }
    }

    fn count_drop(&self, kind: RecordKind) {
        // Only this thread writes the counter, so a plain load and store is enough.
        let counter = &self.drops[kind as usize];
        counter.store(counter.load(Relaxed) + 1, Relaxed);
        recorder::hurry();
    }

    /// A poll seen by the wrapper begins. Returns when, in ticks.
    pub(crate) fn enter(&self, loop_id: u64, worker: u32, task: u64) -> u64 {
        let now = ticks();
        let is_nested = self.current.started.load(Relaxed) != 0;
        if is_nested && self.current.is_cut_on(loop_id, worker) {
            // What the outer poll did so far is one piece of it; the rest follows on return.
            self.write_current(now, recorder::records_polls());
        }
        self.push_outer();
        self.current.loop_id.store(loop_id, Relaxed);
        self.current.worker.store(worker, Relaxed);
        self.current.seen.store(Seen::ByWrapper as u8, Relaxed);
        self.current.task.store(task, Relaxed);
        self.attention.store(true, Relaxed);
        self.write_place(loop_id, worker);
        self.current.started.store(now, Release);
        now
    }

    /// The poll begun by [`Lane::enter`] ends.
    pub(crate) fn exit(&self) {
        let now = ticks();
        if self.current.started.load(Relaxed) == 0 {
            // Too deep to have been kept while polls nested in it went on.
            return self.pop_outer(now);
        }
        let (loop_id, worker) =
            (self.current.loop_id.load(Relaxed), self.current.worker.load(Relaxed));
        // Inside a poll that a hook records whole, on the same worker, it would count twice.
        let depth = self.depth.load(Relaxed);
        let is_covered = self.outer[..depth.min(MAX_DEPTH)].iter().any(|outer| {
            outer.seen.load(Relaxed) == Seen::ByHook as u8 && outer.is_on(loop_id, worker)
        });
        self.write_current(now, recorder::records_polls() && !is_covered);
        self.current.started.store(0, Relaxed);
        self.pop_outer(now);
    }

    fn write_current(&self, now: u64, is_recorded: bool) {
        if !is_recorded {
            return;
        }
        let start = self.current.started.load(Relaxed);
        let task = self.current.task.load(Relaxed);
        if self.place_loop.load(Relaxed) == NO_LOOP {
            return self.count_drop(RecordKind::Poll);
        }
        let length = now.saturating_sub(start);
        self.settle(record::push_poll(&self.ring, start, length, task), Some(RecordKind::Poll));
    }

    /// Whether a poll is going on, be it one too deep to be recorded.
    pub(crate) fn is_in_poll(&self) -> bool {
        self.current.started.load(Relaxed) != 0 || self.depth.load(Relaxed) > 0
    }

    /// Puts the poll going on aside, if there is one. One too deep has no place to be put; it is
    /// only counted, so that every end finds its own poll again.
    fn push_outer(&self) {
        if !self.is_in_poll() {
            return;
        }
        let depth = self.depth.load(Relaxed);
        if let Some(slot) = self.outer.get(depth) {
            self.current.copy_to(slot);
        }
        self.depth.store(depth + 1, Relaxed);
        self.current.started.store(0, Relaxed);
    }

    /// Takes up the poll that was put aside, if one was.
    #[cold]
    #[inline(never)]
    fn pop_outer(&self, now: u64) {
        let depth = self.depth.load(Relaxed);
        let Some(depth) = depth.checked_sub(1) else { return };
        self.depth.store(depth, Relaxed);
        if let Some(slot) = self.outer.get(depth) {
            let inner = &self.current;
            let was_cut = slot.is_cut_on(inner.loop_id.load(Relaxed), inner.worker.load(Relaxed));
            slot.copy_to(&self.current);
            self.write_place(slot.loop_id.load(Relaxed), slot.worker.load(Relaxed));
            if was_cut {
                self.current.started.store(now, Release);
            }
        }
        self.attention.store(true, Relaxed);
    }

    /// Makes sure that what is written next belongs to this worker.
    fn write_place(&self, loop_id: u64, worker: u32) {
        if self.place_loop.load(Relaxed) == loop_id && self.place_worker.load(Relaxed) == worker {
            return;
        }
        let pushed = Record::Place { at: ticks(), loop_id, worker }.push(&self.ring);
        // Without its place a record would be read as another worker's: such are dropped.
        let place = if pushed == Pushed::No { NO_LOOP } else { loop_id };
        self.place_loop.store(place, Relaxed);
        self.place_worker.store(worker, Relaxed);
        if pushed != Pushed::Yes {
            recorder::hurry();
        }
    }

    /// A wake led to a poll that begins now, on the current worker.
    pub(crate) fn write_wake(&self, start: u64, poll_start: u64, task: u64, by: u64, count: u64) {
        if self.place_loop.load(Relaxed) == NO_LOOP {
            return self.count_drop(RecordKind::Wake);
        }
        let length = poll_start.saturating_sub(start);
        self.write(&Record::Wake { start, length, task, by, count });
    }

    /// The thread is about to sleep for want of work.
    pub(crate) fn before_park(&self) {
        self.parked_at.store(ticks(), Relaxed);
    }

    /// The thread woke up.
    pub(crate) fn after_park(&self, loop_id: u64, outside: impl FnOnce() -> u32) {
        let start = self.parked_at.swap(0, Relaxed);
        // Inside a poll: a nested runtime's park is part of that poll.
        if start == 0 || self.current.started.load(Relaxed) != 0 {
            return;
        }
        self.write_place(loop_id, worker_index().unwrap_or_else(outside));
        self.attention.store(true, Relaxed);
        if self.place_loop.load(Relaxed) == NO_LOOP {
            return self.count_drop(RecordKind::Park);
        }
        self.write(&Record::Park { start, length: ticks().saturating_sub(start) });
    }
}

/// What tokio's hooks call: the hot path.
#[cfg(tokio_unstable)]
impl Lane {
    /// The worker this thread is may have changed: ask again at the next poll.
    pub(crate) fn doubt_place(&self) {
        self.attention.store(true, Relaxed);
    }

    /// Before a poll seen by tokio's hook. `outside` numbers a thread that is no worker.
    #[inline(always)]
    pub(crate) fn before_poll(&self, loop_id: u64, task: u64, outside: impl FnOnce() -> u32) {
        let is_plain = self.place_loop.load(Relaxed) == loop_id
            && !self.attention.load(Relaxed)
            && self.current.started.load(Relaxed) == 0;
        if !is_plain {
            self.before_poll_slowly(loop_id, outside);
        }
        self.current.task.store(task, Relaxed);
        self.current.started.store(ticks(), Release);
    }

    #[cold]
    #[inline(never)]
    fn before_poll_slowly(&self, loop_id: u64, outside: impl FnOnce() -> u32) {
        self.push_outer();
        let worker = worker_index().unwrap_or_else(outside);
        self.current.loop_id.store(loop_id, Relaxed);
        self.current.worker.store(worker, Relaxed);
        self.current.seen.store(Seen::ByHook as u8, Relaxed);
        self.write_place(loop_id, worker);
        self.attention.store(self.depth.load(Relaxed) > 0, Relaxed);
    }

    /// After a poll seen by tokio's hook.
    #[inline(always)]
    pub(crate) fn after_poll(&self, is_recorded: bool) {
        let start = self.current.started.load(Relaxed);
        if start == 0 {
            // Recording began in the middle of this poll, or it is too deep.
            if self.depth.load(Relaxed) > 0 {
                self.pop_outer(ticks());
            }
            return;
        }
        let length = ticks().saturating_sub(start);
        self.current.started.store(0, Relaxed);
        if is_recorded {
            let task = self.current.task.load(Relaxed);
            if self.place_loop.load(Relaxed) == NO_LOOP {
                self.count_drop(RecordKind::Poll);
            } else {
                let pushed = record::push_poll(&self.ring, start, length, task);
                self.settle(pushed, Some(RecordKind::Poll));
            }
        }
        if self.attention.load(Relaxed) {
            self.pop_outer(start + length);
        }
    }
}

/// This thread's number as a worker of the runtime it runs, if it runs one.
pub(crate) fn worker_index() -> Option<u32> {
    tokio::runtime::worker_index().and_then(|index| u32::try_from(index).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nests polls, each with two inside, one after the other.
    fn nest(lane: &Lane, depth: u64, deepest: u64) {
        lane.enter(1, 0, depth);
        for _ in 0..2 {
            if depth < deepest {
                nest(lane, depth + 1, deepest);
            }
        }
        lane.exit();
    }

    #[test]
    fn polls_nested_too_deep_leave_the_outer_ones_as_they_were() {
        let lane = Lane::new(1 << 16, true);
        for deepest in [1, 3, 5, 6, 7, 10] {
            lane.enter(1, 0, 100);
            nest(&lane, 1, deepest);
            assert_eq!((lane.current_task(), lane.depth.load(Relaxed)), (100, 0), "{deepest}");
            lane.exit();
            assert!(!lane.is_in_poll(), "{deepest}");
        }
    }

    #[cfg(tokio_unstable)]
    #[test]
    fn hooked_polls_nested_too_deep_end_each_their_own() {
        let lane = Lane::new(1 << 16, true);
        for _ in 0..3 {
            for task in 1..=9 {
                lane.before_poll(1, task, || 0);
            }
            for outer in (0..9).rev() {
                lane.after_poll(true);
                assert_eq!(lane.depth.load(Relaxed) as u64, u64::saturating_sub(outer, 1));
                let is_kept = outer <= MAX_DEPTH as u64;
                assert_eq!(lane.current_task(), if is_kept { outer } else { 0 });
            }
            assert!(!lane.is_in_poll());
        }
    }
}
