//! The process-wide recorder: who may record, which lane belongs to which thread, and the loops
//! known so far. Everything on the hot path is one thread-local and a few relaxed loads.
#![expect(unsafe_code, reason = "keeps the recorder in an atomic pointer")]

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::ptr::null_mut;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Acquire,
    Ordering::Relaxed, Ordering::Release,
};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use loopd_model::{LoopId, RecordKind};
use tokio::runtime::{Handle, RuntimeFlavor, RuntimeMetrics};

use crate::embed;
use crate::exporter::wakeup::Wakeup;
use crate::handoff::Owners;
use crate::lane::{Lane, LaneState, ThreadInfo};
use crate::outside::Outside;
use crate::record::Record;
use crate::ring::Ring;
use crate::switches::{self, Switch};
use crate::sys;

/// Runtimes remembered at once that were first seen through a wrapper: nobody tells when they are
/// gone. The oldest is forgotten for a new one; should it still be there, it gets another name.
const MAX_SEEN: usize = 256;
/// Messages to the exporter waiting at once: loops that come and go, stacks.
const MAX_CONTROLS: usize = 1024;
/// After having found no free ring, a thread asks again only every so many records.
const RETRY_EVERY: u32 = 1024;

static NEXT_LOOP: AtomicU64 = AtomicU64::new(1);
static NEXT_ROOT: AtomicU64 = AtomicU64::new(loopd_model::TaskId::FIRST_ROOT.0);
static NEXT_RESOURCE: AtomicU64 = AtomicU64::new(1);
static NO_RING: [AtomicU64; RecordKind::SLOTS] = [const { AtomicU64::new(0) }; RecordKind::SLOTS];
static NO_LOOP: [AtomicU64; RecordKind::SLOTS] = [const { AtomicU64::new(0) }; RecordKind::SLOTS];
static RECORDER: AtomicPtr<Recorder> = AtomicPtr::new(null_mut());

thread_local! {
    static LANE: Cell<Option<&'static Lane>> = const { Cell::new(None) };
    /// Records until this thread asks for a lane again.
    static RETRY: Cell<u32> = const { Cell::new(0) };
    /// Guards against recording from inside the recorder, as an instrumented allocator would.
    static IS_REGISTERING: Cell<bool> = const { Cell::new(false) };
    static GUARD: Guard = const { Guard };
}

/// Gives the thread's lane back when the thread ends.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(lane) = LANE.take() {
            lane.retire();
        }
    }
}

/// A loop: an attached runtime, or one first seen through a wrapper.
pub(crate) struct Loop {
    pub(crate) id: LoopId,
    pub(crate) name: String,
    pub(crate) facts: OnceLock<LoopFacts>,
    /// Set when its runtime is gone; never for one first seen through a wrapper.
    is_closed: AtomicBool,
    outside: Arc<Outside>,
    pub(crate) owners: Owners,
}

/// What is known of a loop once its runtime exists. No handle to the runtime is kept here: the
/// runtime's hooks own the loop, and the two would keep each other alive.
pub(crate) struct LoopFacts {
    pub(crate) flavor: Cow<'static, str>,
    pub(crate) workers: u32,
}

/// How a loop came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoopOrigin {
    /// The program had us build its runtime, so that its end will be known.
    Attached,
    /// A task was spawned or polled on its runtime; its end is never known.
    Seen,
}

/// A thread that is no worker of any loop has this number until it is given one.
const OUTSIDE_BASE: u32 = 1 << 16;

impl Loop {
    /// A loop with a fresh id.
    pub(crate) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            id: LoopId(NEXT_LOOP.fetch_add(1, Relaxed)),
            name: name.to_owned(),
            facts: OnceLock::new(),
            is_closed: AtomicBool::new(false),
            outside: Arc::default(),
            owners: Owners::default(),
        })
    }

    /// Its runtime exists: announces the loop.
    pub(crate) fn open(self: &Arc<Self>, handle: &Handle, origin: LoopOrigin) {
        let flavor = match handle.runtime_flavor() {
            RuntimeFlavor::CurrentThread => "tokio current_thread",
            RuntimeFlavor::MultiThread => "tokio multi_thread",
            _ => "tokio",
        };
        let metrics = handle.metrics();
        let workers = u32::try_from(metrics.num_workers()).unwrap_or(0);
        let _ = self.facts.set(LoopFacts { flavor: flavor.into(), workers });
        if let Some(recorder) = get()
            && is_recording()
        {
            recorder.remember(handle, self, origin);
            recorder.send(Control::LoopOpened(self.clone(), Gauges::Tokio(metrics), origin));
        }
    }

    /// It is the loop of another runtime than tokio's, with one worker.
    pub(crate) fn open_embedded(self: &Arc<Self>, flavor: String, gauges: Arc<embed::LoopGauges>) {
        let _ = self.facts.set(LoopFacts { flavor: flavor.into(), workers: 1 });
        if let Some(recorder) = get()
            && is_recording()
        {
            let (gauges, origin) = (Gauges::Embedded(gauges), LoopOrigin::Attached);
            recorder.send(Control::LoopOpened(self.clone(), gauges, origin));
        }
    }

    /// It is an `EventLoop` on this runtime, whose thread is its one worker.
    #[cfg(feature = "event-loop")]
    pub(crate) fn open_event_loop(
        self: &Arc<Self>,
        handle: &Handle,
        gauges: Arc<embed::LoopGauges>,
    ) {
        let _ =
            self.facts.set(LoopFacts { flavor: loopd_model::EVENT_LOOP_FLAVOR.into(), workers: 1 });
        if let Some(recorder) = get()
            && is_recording()
        {
            let origin = LoopOrigin::Attached;
            recorder.remember(handle, self, origin);
            recorder.send(Control::LoopOpened(self.clone(), Gauges::Embedded(gauges), origin));
        }
    }

    /// Its runtime is gone, since `began` in ticks.
    pub(crate) fn close(self: Arc<Self>, began: u64) {
        self.is_closed.store(true, Release);
        if let Some(recorder) = get() {
            recorder.forget(self.id);
            recorder.send(Control::LoopClosed(self, began));
        }
    }

    /// Whether its runtime is known to be gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Acquire)
    }

    /// Numbers the calling thread, which has polled for this loop since then, in ticks, without
    /// being one of its workers: such threads come after the workers.
    pub(crate) fn outsider(&self, since: u64) -> u32 {
        let base = self.facts.get().map_or(OUTSIDE_BASE, |facts| facts.workers);
        let is_open = |place| existing_lane().is_some_and(|lane| lane.is_polling(place));
        self.outside.worker(since, (self.id.0, base), is_open)
    }
}

/// Where a loop's metrics are read.
pub(crate) enum Gauges {
    /// Keeps the runtime's file descriptors open for as long as it is kept.
    Tokio(RuntimeMetrics),
    /// Written by whoever embeds the agent.
    Embedded(Arc<embed::LoopGauges>),
}

/// What a thread of the program tells the exporter off the hot path.
pub(crate) enum Control {
    /// A loop came under watch. The reader of its metrics keeps the runtime's file descriptors
    /// open for as long as it is kept.
    LoopOpened(Arc<Loop>, Gauges, LoopOrigin),
    /// Its runtime is gone, and so are its threads; with when in ticks its shutdown began.
    LoopClosed(Arc<Loop>, u64),
    /// The watchdog took a stack.
    Sample(crate::watch::Sample),
    /// Where tasks wait.
    Dumped(crate::dumps::Dumped),
}

/// The parts that exist once the agent has started.
pub(crate) struct Recorder {
    pool: Mutex<Pool>,
    /// Grows when a lane is made; the exporter then takes a new copy of the list.
    generation: AtomicUsize,
    loops: RwLock<HashMap<tokio::runtime::Id, (Arc<Loop>, LoopOrigin)>>,
    controls: Mutex<Vec<(u64, Control)>>,
    lost_controls: [AtomicU64; RecordKind::SLOTS],
    wakeup: Wakeup,
}

struct Pool {
    lanes: Vec<&'static Lane>,
    bytes: usize,
    budget: usize,
    big_words: usize,
    small_words: usize,
}

/// How ring memory is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingSizes {
    /// For all rings together.
    pub(crate) budget: usize,
    /// For a thread that polls, in bytes.
    pub(crate) big: usize,
    /// For any other thread, in bytes.
    pub(crate) small: usize,
}

impl RingSizes {
    /// For an agent whose loops take turns, as those of an interpreter with one lock do: few rings, and
    /// large ones, since one thread may write as much as all others together.
    pub(crate) fn of_few_loops(memory_limit: usize) -> Self {
        const BIG: usize = 4 << 20;
        const SMALL: usize = 256 << 10;
        let budget = memory_limit / 8 * 3;
        let big = (1usize << (budget / 3).max(1).ilog2()).clamp(16 << 10, BIG);
        Self { budget, big, small: SMALL.min(big / 2) }
    }

    /// Three eighths of the agent's memory; a megabyte for each worker unless there are too many.
    pub(crate) fn within(memory_limit: usize, workers: usize) -> Self {
        const BIG: usize = 1 << 20;
        const SMALL: usize = 64 << 10;
        let budget = memory_limit / 8 * 3;
        let share = budget / (workers + 2);
        let floor_power = |bytes: usize| 1 << bytes.max(1).ilog2();
        let big = floor_power(share).clamp(16 << 10, BIG);
        Self { budget, big, small: SMALL.min(big / 2) }
    }
}

impl Recorder {
    /// Makes the recorder; nothing is recorded before [`set_recording`].
    pub(crate) fn install(sizes: RingSizes, wakeup: Wakeup) -> Option<&'static Self> {
        let pool = Pool {
            lanes: Vec::new(),
            bytes: 0,
            budget: sizes.budget,
            big_words: sizes.big / size_of::<u64>(),
            small_words: sizes.small / size_of::<u64>(),
        };
        let recorder = Self {
            pool: Mutex::new(pool),
            generation: AtomicUsize::new(0),
            loops: RwLock::default(),
            controls: Mutex::default(),
            lost_controls: Default::default(),
            wakeup,
        };
        let recorder = Box::into_raw(Box::new(recorder));
        if RECORDER.compare_exchange(null_mut(), recorder, AcqRel, Acquire).is_err() {
            // SAFETY: made above, and seen by nobody.
            drop(unsafe { Box::from_raw(recorder) });
            return None;
        }
        get()
    }

    /// The lanes, if there are more than `known`.
    pub(crate) fn lanes_beyond(&self, known: usize) -> Option<Vec<&'static Lane>> {
        if self.generation.load(Acquire) == known {
            return None;
        }
        self.pool.lock().ok().map(|pool| pool.lanes.clone())
    }

    /// Memory of all rings.
    pub(crate) fn ring_bytes(&self) -> usize {
        self.pool.lock().map_or(0, |pool| pool.bytes)
    }

    /// Where the exporter waits.
    pub(crate) fn wakeup(&self) -> &Wakeup {
        &self.wakeup
    }

    /// Tells the exporter something.
    pub(crate) fn send(&self, control: Control) {
        let kind = match &control {
            Control::LoopOpened(..) | Control::LoopClosed(..) => RecordKind::Loop,
            Control::Sample(_) => RecordKind::Sample,
            Control::Dumped(_) => RecordKind::Task,
        };
        if let Ok(mut controls) = self.controls.lock()
            && controls.len() < MAX_CONTROLS
        {
            controls.push((crate::clock::ticks(), control));
        } else {
            self.lose_control(kind);
        }
        self.wakeup.wake();
    }

    /// Counts a message that found no room on its way here.
    pub(crate) fn lose_control(&self, kind: RecordKind) {
        self.lost_controls[kind as usize].fetch_add(1, Relaxed);
    }

    /// Takes what was told. Leaves room for what comes next, so that those who tell it, on threads
    /// whose memory is not ours to fragment, do not have to allocate it.
    pub(crate) fn take_controls(&self) -> Vec<(u64, Control)> {
        const ROOM: usize = 16;
        let Ok(mut controls) = self.controls.lock() else { return Vec::new() };
        if controls.is_empty() && controls.capacity() >= ROOM {
            return Vec::new();
        }
        std::mem::replace(&mut *controls, Vec::with_capacity(ROOM))
    }

    /// Messages that did not fit since the start.
    pub(crate) fn lost_controls(&self, kind: RecordKind) -> u64 {
        self.lost_controls[kind as usize].load(Relaxed)
    }

    /// For another exporter than the one that has read the lanes so far: whatever they say next,
    /// they say first which worker they are, and nothing has been lost yet.
    pub(crate) fn start_over(&self) {
        if let Ok(pool) = self.pool.lock() {
            pool.lanes.iter().for_each(|lane| lane.start_over());
        }
        self.take_controls();
        let counters = NO_RING.iter().chain(&NO_LOOP).chain(&self.lost_controls);
        counters.for_each(|counter| counter.store(0, Relaxed));
    }

    fn remember(&self, handle: &Handle, loop_: &Arc<Loop>, origin: LoopOrigin) {
        let Ok(mut loops) = self.loops.write() else { return };
        if origin == LoopOrigin::Seen {
            let seen = || loops.iter().filter(|(_, (_, origin))| *origin == LoopOrigin::Seen);
            if seen().count() >= MAX_SEEN {
                let oldest = seen().min_by_key(|(_, (loop_, _))| loop_.id).map(|(id, _)| *id);
                oldest.map(|id| loops.remove(&id));
            }
        }
        loops.insert(handle.id(), (loop_.clone(), origin));
    }

    /// Forgets a loop that is closed.
    pub(crate) fn forget(&self, loop_id: LoopId) {
        if let Ok(mut loops) = self.loops.write() {
            loops.retain(|_, (known, _)| known.id != loop_id);
        }
    }

    fn acquire(&self, wish: Wish) -> Option<&'static Lane> {
        let thread = ThreadInfo { name: sys::thread_name(), id: sys::thread_id() };
        let stack = sys::stack();
        let mut pool = self.pool.lock().ok()?;
        let lane = pool.grant(wish)?;
        lane.hold(thread, stack);
        self.generation.store(pool.lanes.len(), Release);
        Some(lane)
    }
}

/// Which ring a thread asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// A big one or none.
    Big,
    /// A big one, or a small one if no other is left.
    RatherBig,
    /// A small one, or a big one if no other is left.
    RatherSmall,
}

impl Pool {
    fn grant(&mut self, wish: Wish) -> Option<&'static Lane> {
        match wish {
            Wish::Big => self.take(true),
            Wish::RatherBig => self.take(true).or_else(|| self.take(false)),
            Wish::RatherSmall => self.take(false).or_else(|| self.take(true)),
        }
    }

    fn take(&mut self, is_big: bool) -> Option<&'static Lane> {
        let is_free = |lane: &&&Lane| lane.is_big == is_big && lane.state() == LaneState::Free;
        if let Some(lane) = self.lanes.iter().find(is_free) {
            return Some(lane);
        }
        let words = if is_big { self.big_words } else { self.small_words };
        let bytes = Ring::bytes(words) + size_of::<Lane>();
        if self.bytes + bytes > self.budget {
            return None;
        }
        self.bytes += bytes;
        let lane: &'static Lane = Box::leak(Box::new(Lane::new(words, is_big)));
        self.lanes.push(lane);
        Some(lane)
    }
}

/// The recorder, once the agent has started.
#[inline]
pub(crate) fn get() -> Option<&'static Recorder> {
    // SAFETY: null, or a box leaked by `install`, which is never freed.
    unsafe { RECORDER.load(Acquire).as_ref() }
}

/// In a forked child: the recorder and its lanes are the parent's, and nobody drains them here.
pub(crate) fn forget_parent() {
    RECORDER.store(null_mut(), Release);
    LANE.set(None);
    RETRY.set(0);
    IS_REGISTERING.set(false);
}

/// Whether anything is recorded now.
#[inline(always)]
pub fn is_recording() -> bool {
    switches::is_on(Switch::Recording)
}

/// Switches all recording.
pub(crate) fn set_recording(is_on: bool) {
    switches::set(Switch::Recording, is_on);
}

/// Whether single polls are recorded.
#[inline(always)]
pub fn records_polls() -> bool {
    switches::is_on(Switch::Polls)
}

/// Switches the recording of single polls and parks.
pub(crate) fn set_record_polls(is_on: bool) {
    switches::set(Switch::Polls, is_on);
}

/// Whether wakes are recorded.
#[inline(always)]
pub fn records_wakes() -> bool {
    switches::is_on(Switch::Wakes)
}

/// Switches the recording of wakes.
pub(crate) fn set_record_wakes(is_on: bool) {
    switches::set(Switch::Wakes, is_on);
}

/// Whether waits, holds and the states of resources are recorded.
#[inline(always)]
pub fn records_waits() -> bool {
    switches::is_on(Switch::Waits)
}

/// Switches the recording of waits, holds and the states of resources.
pub(crate) fn set_record_waits(is_on: bool) {
    switches::set(Switch::Waits, is_on);
}

/// A fresh id for a root of `block_on`.
pub(crate) fn next_root() -> u64 {
    NEXT_ROOT.fetch_add(1, Relaxed)
}

/// A fresh resource id.
pub(crate) fn next_resource() -> u64 {
    NEXT_RESOURCE.fetch_add(1, Relaxed)
}

/// Records lost because no ring was left, since the start.
pub(crate) fn no_ring_drops(kind: RecordKind) -> u64 {
    NO_RING[kind as usize].load(Relaxed)
}

/// Records lost because they happened on a thread of no known loop, since the start.
pub(crate) fn no_loop_drops(kind: RecordKind) -> u64 {
    NO_LOOP[kind as usize].load(Relaxed)
}

/// Asks the exporter to come sooner.
pub(crate) fn hurry() {
    if let Some(recorder) = get() {
        recorder.wakeup.wake_if_waiting();
    }
}

/// What people call the calling thread, where the system does not know: for the lane it has or gets.
pub(crate) fn name_thread(name: &str) {
    sys::name_thread(name);
    if let Some(lane) = LANE.get()
        && let Ok(mut thread) = lane.thread.lock()
    {
        thread.name = name.to_owned();
    }
}

/// The calling thread's lane, without giving it one.
#[inline(always)]
pub(crate) fn existing_lane() -> Option<&'static Lane> {
    LANE.get()
}

/// The calling thread's lane for polls; on the first call it gets one.
#[inline(always)]
pub(crate) fn poll_lane() -> Option<&'static Lane> {
    match LANE.get() {
        Some(lane) if lane.is_big => Some(lane),
        lane => bigger_lane(lane),
    }
}

#[cold]
#[inline(never)]
fn bigger_lane(small: Option<&'static Lane>) -> Option<&'static Lane> {
    // In the middle of a poll a change of lanes would tear it.
    if let Some(lane) = small
        && lane.is_in_poll()
    {
        return small;
    }
    if !may_ask() {
        return small;
    }
    // Another small ring would be no better than the one there is.
    let wish = if small.is_some() { Wish::Big } else { Wish::RatherBig };
    let Some(lane) = register(wish) else { return small };
    if !has_guard() {
        lane.retire();
        return small;
    }
    if let Some(small) = small {
        small.retire();
    }
    LANE.set(Some(lane));
    Some(lane)
}

/// Whether it is this thread's turn to ask for a lane (again). Nobody's before there are any.
fn may_ask() -> bool {
    if get().is_none() {
        return false;
    }
    let left = RETRY.get();
    if left > 0 {
        RETRY.set(left - 1);
        return false;
    }
    RETRY.set(RETRY_EVERY);
    true
}

fn register(wish: Wish) -> Option<&'static Lane> {
    if IS_REGISTERING.replace(true) {
        return None;
    }
    let lane = get().and_then(|recorder| recorder.acquire(wish));
    IS_REGISTERING.set(false);
    lane
}

/// Whether the thread's lane will be given back; not so while its thread-locals are torn down.
fn has_guard() -> bool {
    GUARD.try_with(|_| ()).is_ok()
}

/// Writes a record that is no poll, from any thread at any time.
pub(crate) fn write(record: &Record) {
    if let Some(lane) = LANE.get() {
        return lane.write(record);
    }
    write_slowly(record);
}

#[cold]
#[inline(never)]
fn write_slowly(record: &Record) {
    let lane = if may_ask() { register(Wish::RatherSmall) } else { None };
    match lane {
        Some(lane) if has_guard() => {
            RETRY.set(0);
            LANE.set(Some(lane));
            lane.write(record);
        }
        Some(lane) => {
            // The thread is being torn down: use the lane for this one record.
            RETRY.set(0);
            lane.write(record);
            lane.retire();
        }
        None => {
            if let Some(kind) = record.kind() {
                count_no_ring(kind);
            }
        }
    }
}

/// Counts a record for which no ring was left.
#[cold]
pub(crate) fn count_no_ring(kind: RecordKind) {
    NO_RING[kind as usize].fetch_add(1, Relaxed);
}

/// Counts a step that ends, and its wake if it is known, for which no ring was left when it began.
#[cold]
#[inline(never)]
pub(crate) fn count_lost_step(has_wake: bool) {
    if !is_recording() {
        return;
    }
    if records_polls() {
        count_no_ring(RecordKind::Poll);
    }
    if has_wake && records_wakes() {
        count_no_ring(RecordKind::Wake);
    }
}

/// Counts a record that belongs to no known loop.
#[cold]
pub(crate) fn count_no_loop(kind: RecordKind) {
    NO_LOOP[kind as usize].fetch_add(1, Relaxed);
}

/// Counts a record beyond a limit of the agent's own.
#[cold]
pub(crate) fn count_over_limit(kind: RecordKind) {
    // Told with those of no known loop: neither is for want of memory.
    NO_LOOP[kind as usize].fetch_add(1, Relaxed);
}

/// The task being polled on this thread; 0 outside any.
#[inline]
pub(crate) fn current_task() -> u64 {
    LANE.get().map_or(0, Lane::current_task)
}

/// The loop of the runtime that the calling thread is in, made known if it was not; `None`
/// outside any runtime.
pub(crate) fn current_loop() -> Option<Arc<Loop>> {
    loop_of(&Handle::try_current().ok()?)
}

/// The loop of this runtime, made known if it was not.
pub(crate) fn loop_of(handle: &Handle) -> Option<Arc<Loop>> {
    let recorder = get()?;
    {
        let loops = recorder.loops.read().ok()?;
        if let Some((loop_, _)) = loops.get(&handle.id()) {
            return Some(loop_.clone());
        }
    }
    // Two threads may come here at once; the second loop would only be a second name.
    let loop_ = Loop::new("tokio");
    loop_.open(handle, LoopOrigin::Seen);
    Some(loop_)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_before_the_start_keeps_no_thread_from_asking_after_it() {
        // No test in here starts an agent.
        write(&Record::Ended { at: 1, task: 1, outcome: loopd_model::Outcome::Unknown });
        assert!(poll_lane().is_none());
        assert_eq!(RETRY.get(), 0);
    }

    #[test]
    fn a_thread_with_a_small_ring_is_given_a_big_one_or_none() {
        let (big_words, small_words) = (1 << 12, 1 << 8);
        let rings = Ring::bytes(big_words) + 4 * Ring::bytes(small_words);
        let budget = rings + 5 * size_of::<Lane>();
        let mut pool = Pool { lanes: Vec::new(), bytes: 0, budget, big_words, small_words };
        let mut grant = |wish| {
            let lane = pool.grant(wish)?;
            lane.hold(ThreadInfo::default(), 0..0);
            Some(lane.is_big)
        };
        assert_eq!(grant(Wish::RatherSmall), Some(false));
        assert_eq!(grant(Wish::Big), Some(true));
        assert_eq!(grant(Wish::Big), None);
        assert_eq!(grant(Wish::RatherBig), Some(false));
        assert_eq!(grant(Wish::Big), None);
    }
}
