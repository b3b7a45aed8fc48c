//! What one thread records into, and what the watchdog sees of it.
//!
//! A lane has one producer, the thread that holds it; the exporter drains its ring and the watchdog
//! reads [`Lane::running`]. Every field is an atomic used with relaxed order where only its own
//! thread writes and reads it, so that nothing here needs `unsafe`. What becomes of polls and parks
//! is in `polls`.

mod polls;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{
    AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed,
    Ordering::Release,
};

use loopd_model::RecordKind;

use crate::clock::ticks;
use crate::record::Record;
use crate::recorder;
use crate::ring::{Class, Pushed, Ring};
pub(crate) use crate::tenancy::State as LaneState;
use crate::tenancy::Tenancy;

use polls::{Current, Lost};

/// Polls inside polls (a `block_on` within `block_in_place`) that are kept apart; deeper ones are
/// counted as lost.
const MAX_DEPTH: usize = 4;

/// The loop of a place that is not in the ring. No loop has this number.
const NO_LOOP: u64 = u64::MAX;

/// Worker number of a place that has not been found out.
const NO_WORKER: u32 = u32::MAX;

/// Instead of when a step began: its thread had no ring.
pub(crate) const LOST: u64 = u64::MAX;

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
    tenancy: Tenancy,
    current: Current,
    /// The loop of the last place written to the ring; [`NO_LOOP`] when none was.
    place_loop: AtomicU64,
    place_worker: AtomicU32,
    /// The loop whose next poll needs no more than its start noted and its end written: its place
    /// is in the ring, it is inside no other, the ring is a big one. [`NO_LOOP`] if none is like
    /// that. Other threads may take that away, never grant it.
    plain_loop: AtomicU64,
    lost: Lost,
    outer: [Current; MAX_DEPTH],
    depth: AtomicUsize,
    parked_at: AtomicU64,
    /// Records refused for want of room since the lane was made, by kind.
    drops: [AtomicU64; RecordKind::SLOTS],
    /// Polls inside too many others to be recorded, since the lane was made.
    too_deep: AtomicU64,
    /// When the last thread that held it ended, in ticks.
    retired_at: AtomicU64,
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
            tenancy: Tenancy::default(),
            current: Current::default(),
            place_loop: AtomicU64::new(NO_LOOP),
            place_worker: AtomicU32::new(NO_WORKER),
            plain_loop: AtomicU64::new(NO_LOOP),
            lost: Lost::default(),
            outer: Default::default(),
            depth: AtomicUsize::new(0),
            parked_at: AtomicU64::new(0),
            drops: Default::default(),
            too_deep: AtomicU64::new(0),
            retired_at: AtomicU64::new(0),
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
        self.doubt_place();
        self.lost.forget();
        self.stack_start.store(stack.start, Relaxed);
        self.stack_end.store(stack.end, Relaxed);
        // Last, and in this order also for a signal handler that interrupts this very function.
        self.tid.store(i32::try_from(thread.id).unwrap_or(0), Release);
        if let Ok(mut info) = self.thread.lock() {
            *info = thread;
        }
        self.tenancy.hold();
    }

    /// The holder is done with it.
    pub(crate) fn retire(&self) {
        self.current.started.store(0, Relaxed);
        self.tid.store(0, Relaxed);
        self.retired_at.store(ticks(), Relaxed);
        self.tenancy.retire();
    }

    /// Whoever reads next does not know which worker this is, nor of anything lost. To be called while
    /// nothing is recorded.
    pub(crate) fn start_over(&self) {
        self.doubt_place();
        self.place_loop.store(NO_LOOP, Relaxed);
        self.drops.iter().for_each(|count| count.store(0, Relaxed));
        self.current.started.store(0, Relaxed);
        self.depth.store(0, Relaxed);
        self.too_deep.store(0, Relaxed);
    }

    /// The exporter has emptied a retired lane.
    pub(crate) fn set_free(&self) {
        self.tenancy.set_free();
    }

    /// Who holds it.
    pub(crate) fn state(&self) -> LaneState {
        self.tenancy.state()
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

    /// The stack of the calling thread, which holds this lane. Async-signal-safe.
    #[cfg(feature = "fd-stacks")]
    pub(crate) fn stack_of_holder(&self) -> Range<usize> {
        self.stack_start.load(Relaxed)..self.stack_end.load(Relaxed)
    }

    /// Records refused so far.
    pub(crate) fn drops(&self, kind: RecordKind) -> u64 {
        self.drops[kind as usize].load(Relaxed)
    }

    /// Polls lost so far because they were inside too many others.
    pub(crate) fn too_deep(&self) -> u64 {
        self.too_deep.load(Relaxed)
    }

    /// When the thread that held a retired lane ended, in ticks.
    pub(crate) fn retired_at(&self) -> u64 {
        self.retired_at.load(Relaxed)
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

    /// Writes the words of a record that tells of a task's life, or counts it.
    #[inline(always)]
    pub(crate) fn write_life<const N: usize>(&self, words: [u64; N]) {
        self.settle(self.ring.push(words, Class::Lifecycle), Some(RecordKind::Task));
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
}

/// This thread's number as a worker of the runtime it runs, if it runs one.
pub(crate) fn worker_index() -> Option<u32> {
    tokio::runtime::worker_index().and_then(|index| u32::try_from(index).ok())
}
