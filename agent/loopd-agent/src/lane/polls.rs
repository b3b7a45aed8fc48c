//! Polls and parks as a lane records them: one after the other, inside one another, and across a
//! worker that is given away in the middle.

#[cfg(feature = "schedule-latency")]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{
    AtomicU8, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use loopd_model::RecordKind;

use super::{LOST, Lane, MAX_DEPTH, NO_LOOP, worker_index};
#[cfg(tokio_unstable)]
use crate::clock::counter;
use crate::clock::{settle, ticks};
use crate::record::{self, Record};
use crate::recorder::{self, Loop};
use crate::ring::Pushed;

/// Which code saw a poll begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Seen {
    /// Tokio's hooks: one record per poll, so that counts equal tokio's own.
    ByHook = 0,
    /// loopd's wrapper: cut into pieces around polls nested inside on the same worker.
    ByWrapper = 1,
}

/// A poll that is going on.
#[derive(Default)]
pub(super) struct Current {
    /// When it began in ticks; 0 outside any poll.
    pub(super) started: AtomicU64,
    pub(super) task: AtomicU64,
    pub(super) loop_id: AtomicU64,
    pub(super) worker: AtomicU32,
    seen: AtomicU8,
    /// Whether it is known what led to it: a wake that was told of, or its task's spawn.
    #[cfg(feature = "schedule-latency")]
    is_explained: AtomicBool,
}

impl Current {
    fn copy_to(&self, other: &Self) {
        other.task.store(self.task.load(Relaxed), Relaxed);
        other.loop_id.store(self.loop_id.load(Relaxed), Relaxed);
        other.worker.store(self.worker.load(Relaxed), Relaxed);
        other.seen.store(self.seen.load(Relaxed), Relaxed);
        #[cfg(feature = "schedule-latency")]
        other.is_explained.store(self.is_explained.load(Relaxed), Relaxed);
        other.started.store(self.started.load(Relaxed), Release);
    }

    fn place(&self) -> (u64, u32) {
        (self.loop_id.load(Relaxed), self.worker.load(Relaxed))
    }

    /// Whether a poll nested in this one, at this place, cuts it in two: polls of one worker never
    /// overlap. One of another loop, as of a `block_on` within `block_in_place`, does not.
    fn is_cut_at(&self, place: (u64, u32)) -> bool {
        self.seen.load(Relaxed) == Seen::ByWrapper as u8 && self.place() == place
    }
}

/// A worker that this lane's thread lost to another thread.
#[derive(Default)]
pub(super) struct Lost {
    /// Since when in ticks; 0 if it lost none.
    at: AtomicU64,
    loop_id: AtomicU64,
    worker: AtomicU32,
    /// When the thread last said that it would give its worker away, in ticks.
    announced: AtomicU64,
}

impl Lost {
    pub(super) fn forget(&self) {
        self.at.store(0, Relaxed);
        self.announced.store(0, Relaxed);
    }

    /// Since when the thread has no longer been this worker; `None` if it still is.
    fn since(&self, (loop_id, worker): (u64, u32)) -> Option<u64> {
        let at = self.at.load(Acquire);
        let is_it = || self.loop_id.load(Relaxed) == loop_id && self.worker.load(Relaxed) == worker;
        (at != 0 && is_it()).then_some(at)
    }
}

/// Around a step on a loop that is not tokio's: one worker, which no other thread takes away.
impl Lane {
    /// A step of this task begins. Returns when, in ticks.
    #[inline(always)]
    pub(crate) fn begin_step(&'static self, loop_: &Loop, task: u64) -> u64 {
        self.begin_step_at(loop_, task, 0)
    }

    /// The same where it may be known when: at `at`, in ticks, unless that is 0. No poll of this lane ended
    /// after it.
    #[inline(always)]
    pub(crate) fn begin_step_at(&'static self, loop_: &Loop, task: u64, at: u64) -> u64 {
        if self.plain_loop.load(Relaxed) == loop_.id.0 && self.current.started.load(Relaxed) == 0 {
            let now = if at == 0 { ticks() } else { at };
            self.current.task.store(task, Relaxed);
            self.current.started.store(now, Release);
            return now;
        }
        self.begin_step_slowly(loop_, task)
    }

    #[cold]
    #[inline(never)]
    fn begin_step_slowly(&'static self, loop_: &Loop, task: u64) -> u64 {
        let now = ticks();
        let place = (loop_.id.0, 0);
        let is_nested = self.current.started.load(Relaxed) != 0;
        if is_nested && self.current.is_cut_at(place) {
            self.write_current(now, recorder::records_polls(), loop_);
        }
        self.push_outer();
        self.current.loop_id.store(loop_.id.0, Relaxed);
        self.current.worker.store(0, Relaxed);
        self.current.seen.store(Seen::ByWrapper as u8, Relaxed);
        self.write_place(place, now);
        self.current.task.store(task, Relaxed);
        let is_plain = self.is_big
            && self.depth.load(Relaxed) == 0
            && self.place_loop.load(Relaxed) == loop_.id.0;
        self.plain_loop.store(if is_plain { loop_.id.0 } else { NO_LOOP }, Relaxed);
        self.current.started.store(now, Release);
        now
    }

    /// The step begun last, at `began`, ends. `wake` is when it was woken and by whom, if that is known.
    #[inline(always)]
    pub(crate) fn end_step(
        &'static self,
        loop_: &Loop,
        began: u64,
        wake: Option<(u64, u64)>,
    ) -> u64 {
        let start = self.current.started.load(Relaxed);
        if start == 0 || self.plain_loop.load(Relaxed) == NO_LOOP || !recorder::records_polls() {
            self.end_step_slowly(loop_, began, wake);
            return ticks();
        }
        let now = ticks();
        let (length, task) = (now.saturating_sub(start), self.current.task.load(Relaxed));
        if let Some((woken, by)) = wake
            && let Some(pushed) = record::push_step(
                &self.ring,
                (start, length),
                task,
                (start.saturating_sub(woken), by),
            )
        {
            if pushed == Pushed::No {
                self.count_drop(RecordKind::Wake);
            }
            self.settle(pushed, Some(RecordKind::Poll));
        } else {
            if let Some((woken, by)) = wake {
                self.write_wake(woken, start, task, by, 1);
            }
            self.settle(record::push_poll(&self.ring, start, length, task), Some(RecordKind::Poll));
        }
        self.current.started.store(0, Relaxed);
        now
    }

    #[cold]
    #[inline(never)]
    fn end_step_slowly(&'static self, loop_: &Loop, began: u64, wake: Option<(u64, u64)>) {
        if !self.is_in_poll() {
            // The thread was given its ring in the middle of the step; else another recording saw it begin.
            if began == LOST {
                recorder::count_lost_step(wake.is_some());
            }
            return;
        }
        let is_too_deep = self.current.started.load(Relaxed) == 0;
        match wake {
            Some(_) if is_too_deep => recorder::count_over_limit(RecordKind::Wake),
            Some((woken, by)) => {
                self.write_wake(woken, began, self.current.task.load(Relaxed), by, 1);
            }
            None => {}
        }
        if !is_too_deep && self.plain_loop.load(Relaxed) != NO_LOOP {
            // Single polls are not recorded.
            return self.current.started.store(0, Relaxed);
        }
        self.exit(loop_);
    }

    /// The step begun last ends without a word: nobody knows any more whose it is.
    pub(crate) fn abandon_step(&self) {
        self.current.started.store(0, Relaxed);
        if self.plain_loop.load(Relaxed) == NO_LOOP {
            self.pop_outer(ticks());
        }
    }

    /// The loop's thread slept from one instant to another, in ticks.
    pub(crate) fn write_park(&'static self, loop_: &Loop, start: u64, end: u64) {
        if self.is_in_poll() {
            return;
        }
        self.write_place((loop_.id.0, 0), start);
        if self.place_loop.load(Relaxed) == NO_LOOP {
            return self.count_drop(RecordKind::Park);
        }
        self.write(&Record::Park { start, length: end.saturating_sub(start) });
    }

    /// A step that begins now was due so many nanoseconds before.
    pub(crate) fn write_lateness(&self, poll_start: u64, nanos: u64, task: u64) {
        if self.place_loop.load(Relaxed) == NO_LOOP {
            return self.count_drop(RecordKind::Wake);
        }
        self.write(&Record::Delay { poll_start, nanos, task });
    }
}

/// Around a poll that the wrapper sees.
impl Lane {
    /// A poll begins, on this worker, or on none. Returns when, in ticks.
    pub(crate) fn enter(&'static self, loop_: &Loop, worker: Option<u32>, task: u64) -> u64 {
        let now = ticks();
        let worker = worker.unwrap_or_else(|| loop_.outsider(now));
        let place = (loop_.id.0, worker);
        let is_nested = self.current.started.load(Relaxed) != 0;
        if is_nested && self.current.is_cut_at(place) {
            // What the outer poll did so far is one piece of it; the rest follows on return.
            self.write_current(now, recorder::records_polls(), loop_);
        }
        self.push_outer();
        let started = self.begin(loop_, worker, Seen::ByWrapper, now);
        self.current.task.store(task, Relaxed);
        self.doubt_place();
        self.current.started.store(started, Release);
        started
    }

    /// The poll begun by [`Lane::enter`] ends.
    pub(crate) fn exit(&'static self, loop_: &Loop) {
        let now = ticks();
        if self.current.started.load(Relaxed) == 0 {
            // Too deep to have been kept while polls nested in it went on.
            self.count_too_deep(recorder::records_polls());
            return self.pop_outer(now);
        }
        let place = self.current.place();
        // Inside a poll that a hook records whole, on the same worker, it would count twice.
        let depth = self.depth.load(Relaxed);
        let is_covered = self.outer[..depth.min(MAX_DEPTH)]
            .iter()
            .any(|outer| outer.seen.load(Relaxed) == Seen::ByHook as u8 && outer.place() == place);
        self.write_current(now, recorder::records_polls() && !is_covered, loop_);
        self.current.started.store(0, Relaxed);
        self.pop_outer(now);
    }

    /// A wake led to a poll that begins now, on the current worker.
    pub(crate) fn write_wake(&self, start: u64, poll_start: u64, task: u64, by: u64, count: u64) {
        self.explain();
        if self.place_loop.load(Relaxed) == NO_LOOP {
            return self.count_drop(RecordKind::Wake);
        }
        let length = poll_start.saturating_sub(start);
        self.write(&Record::Wake { start, length, task, by, count });
    }

    /// It is known what led to the current poll: no delay is to be told of it.
    pub(crate) fn explain(&self) {
        #[cfg(feature = "schedule-latency")]
        self.current.is_explained.store(true, Relaxed);
    }
}

/// What tokio knows of a poll that tells its wake from nobody.
#[cfg(all(tokio_unstable, feature = "schedule-latency"))]
impl Lane {
    /// The poll that ends had been waited for so long; told unless its wake has been.
    #[inline(always)]
    pub(crate) fn write_delay(&self, nanos: u64) {
        let poll_start = self.current.started.load(Relaxed);
        if self.current.is_explained.load(Relaxed) {
            return self.current.is_explained.store(false, Relaxed);
        }
        // Where the poll is lost, so is its delay.
        if poll_start == 0 || self.place_loop.load(Relaxed) == NO_LOOP {
            return self.count_drop(RecordKind::Wake);
        }
        self.write(&Record::Delay { poll_start, nanos, task: self.current.task.load(Relaxed) });
    }
}

/// Around a poll that tokio's hooks see: the hot path.
#[cfg(tokio_unstable)]
impl Lane {
    /// Before a poll that is like the last one: same loop, same worker, inside no other. Says
    /// whether it is. Only while [`is_quick_with_polls`](crate::switches::is_quick_with_polls).
    #[inline(always)]
    pub(crate) fn before_plain_poll(&self, loop_id: u64, task: u64) -> bool {
        let is_plain =
            self.plain_loop.load(Relaxed) == loop_id && self.current.started.load(Relaxed) == 0;
        if is_plain {
            self.current.task.store(task, Relaxed);
            self.current.started.store(counter(), Release);
        }
        is_plain
    }

    /// After such a poll, if it was short and there is room for it; says whether that was all.
    #[inline(always)]
    pub(crate) fn after_plain_poll(&self) -> bool {
        let start = self.current.started.load(Relaxed);
        // Before the look whether another thread is this worker now: that one begins later.
        let now = counter();
        if start == 0 || self.plain_loop.load(Relaxed) == NO_LOOP {
            return false;
        }
        // A counter that seems to go backwards gives no short poll either.
        let length = now.wrapping_sub(start);
        let task = self.current.task.load(Relaxed);
        let is_written = record::push_short_poll(&self.ring, start, length, task);
        if is_written {
            self.current.started.store(0, Relaxed);
        }
        is_written
    }

    /// Before any poll.
    pub(crate) fn before_poll(&'static self, loop_: &Loop, task: u64) {
        self.push_outer();
        let now = ticks();
        let worker = worker_index().unwrap_or_else(|| loop_.outsider(now));
        self.begin(loop_, worker, Seen::ByHook, now);
        self.current.task.store(task, Relaxed);
        let is_plain = self.is_big
            && self.depth.load(Relaxed) == 0
            && self.place_loop.load(Relaxed) == loop_.id.0;
        self.plain_loop.store(if is_plain { loop_.id.0 } else { NO_LOOP }, Relaxed);
        self.current.started.store(ticks(), Release);
    }

    /// After any poll.
    pub(crate) fn after_poll(&'static self, is_recorded: bool, loop_: &Loop) {
        let now = ticks();
        if self.current.started.load(Relaxed) == 0 {
            // Too deep, or the thread had no ring yet when this poll began.
            if self.depth.load(Relaxed) > 0 {
                self.count_too_deep(is_recorded);
                self.pop_outer(now);
            } else if is_recorded {
                recorder::count_no_ring(RecordKind::Poll);
            }
            return;
        }
        self.write_current(now, is_recorded, loop_);
        self.current.started.store(0, Relaxed);
        if self.plain_loop.load(Relaxed) == NO_LOOP {
            self.pop_outer(now);
        }
    }
}

/// Parks.
impl Lane {
    /// The thread is about to sleep for want of work.
    pub(crate) fn before_park(&'static self, loop_: &Loop) {
        let now = ticks();
        self.parked_at.store(now, Relaxed);
        if self.plain_loop.load(Relaxed) != loop_.id.0 && !self.is_in_poll() {
            let worker = worker_index().unwrap_or_else(|| loop_.outsider(now));
            if self.take_place(loop_, worker, now) {
                self.parked_at.store(ticks(), Relaxed);
            }
        }
    }

    /// The thread woke up.
    pub(crate) fn after_park(&self) {
        let start = self.parked_at.swap(0, Relaxed);
        // Inside a poll: a nested runtime's park is part of that poll.
        if start == 0 || self.current.started.load(Relaxed) != 0 {
            return;
        }
        if self.place_loop.load(Relaxed) == NO_LOOP {
            return self.count_drop(RecordKind::Park);
        }
        self.write(&Record::Park { start, length: ticks().saturating_sub(start) });
    }
}

/// Places.
impl Lane {
    /// The worker this thread is may have changed: ask again at the next poll.
    pub(crate) fn doubt_place(&self) {
        self.plain_loop.store(NO_LOOP, Relaxed);
    }

    /// The program says that its thread will give its worker away now, in `block_in_place`.
    pub(crate) fn announce_loss(&self) {
        if self.lost.since(self.current.place()).is_none() {
            self.lost.announced.store(ticks(), Relaxed);
        }
    }

    /// What is written next belongs to this worker, which is this lane's from now on. Whether it was another's:
    /// that one may have ended its poll after `now` without knowing, so that what begins here began later.
    fn take_place(&'static self, loop_: &Loop, worker: u32, now: u64) -> bool {
        let place = (loop_.id.0, worker);
        match loop_.owners.claim(worker, self) {
            None => {
                self.write_place(place, now);
                false
            }
            Some(before) => {
                self.lost.at.store(0, Relaxed);
                before.lose(place, now);
                // Said again even if this lane said so before: in between it was another's.
                self.place_loop.store(NO_LOOP, Relaxed);
                self.write_place(place, now);
                settle();
                true
            }
        }
    }

    /// Another thread is this worker now. Called by that thread, when this one can no longer poll as
    /// that worker: tokio has handed it on.
    fn lose(&self, (loop_id, worker): (u64, u32), now: u64) {
        self.lost.loop_id.store(loop_id, Relaxed);
        self.lost.worker.store(worker, Relaxed);
        self.lost.at.store(now, Release);
        self.doubt_place();
    }

    /// Makes sure that what is written next belongs to this worker.
    fn write_place(&self, (loop_id, worker): (u64, u32), now: u64) {
        if self.place_loop.load(Relaxed) == loop_id && self.place_worker.load(Relaxed) == worker {
            return;
        }
        self.doubt_place();
        let pushed = Record::Place { at: now, loop_id, worker }.push(&self.ring);
        // Without its place a record would be read as another worker's: such are dropped.
        let place = if pushed == Pushed::No { NO_LOOP } else { loop_id };
        self.place_loop.store(place, Relaxed);
        self.place_worker.store(worker, Relaxed);
        if pushed != Pushed::Yes {
            recorder::hurry();
        }
    }
}

/// Polls inside polls.
impl Lane {
    /// Whether a poll is going on, be it one too deep to be recorded.
    pub(crate) fn is_in_poll(&self) -> bool {
        self.current.started.load(Relaxed) != 0 || self.depth.load(Relaxed) > 0
    }

    /// Whether a poll as this worker is going on, be it around others.
    pub(crate) fn is_polling(&self, place: (u64, u32)) -> bool {
        let depth = self.depth.load(Relaxed).min(MAX_DEPTH);
        let is_there = |poll: &Current| poll.started.load(Relaxed) != 0 && poll.place() == place;
        is_there(&self.current) || self.outer[..depth].iter().any(is_there)
    }

    /// Gives when the poll begins.
    fn begin(&'static self, loop_: &Loop, worker: u32, seen: Seen, now: u64) -> u64 {
        self.current.loop_id.store(loop_.id.0, Relaxed);
        self.current.worker.store(worker, Relaxed);
        self.current.seen.store(seen as u8, Relaxed);
        #[cfg(feature = "schedule-latency")]
        self.current.is_explained.store(false, Relaxed);
        if self.is_in_poll() {
            // Within a poll the thread does not become another worker.
            self.write_place((loop_.id.0, worker), now);
            now
        } else if self.take_place(loop_, worker, now) {
            ticks()
        } else {
            now
        }
    }

    /// Writes the poll going on up to now. If its worker was given away meanwhile, what came after
    /// that is a record of its own, among those of the threads that are no workers.
    fn write_current(&self, now: u64, is_recorded: bool, loop_: &Loop) {
        if !is_recorded {
            return;
        }
        let start = self.current.started.load(Relaxed);
        let place = self.current.place();
        let Some(lost) = self.lost.since(place) else { return self.write_poll(start, now) };
        let announced = self.lost.announced.load(Relaxed);
        let lost = if announced > start { announced.min(lost) } else { lost };
        if lost > start {
            self.write_poll(start, lost.min(now));
        }
        let since = lost.max(start);
        if since < now && place.0 == loop_.id.0 {
            self.write_place((loop_.id.0, loop_.outsider(since)), since);
            self.write_poll(since, now);
        }
    }

    fn write_poll(&self, start: u64, end: u64) {
        if self.place_loop.load(Relaxed) == NO_LOOP {
            return self.count_drop(RecordKind::Poll);
        }
        let (length, task) = (end.saturating_sub(start), self.current.task.load(Relaxed));
        self.settle(record::push_poll(&self.ring, start, length, task), Some(RecordKind::Poll));
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
            let was_cut = slot.is_cut_at(self.current.place());
            slot.copy_to(&self.current);
            self.write_place(slot.place(), now);
            if was_cut {
                self.current.started.store(now, Release);
            }
        }
        self.doubt_place();
    }

    fn count_too_deep(&self, is_recorded: bool) {
        if is_recorded {
            self.too_deep.store(self.too_deep.load(Relaxed) + 1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lane::{LaneState, ThreadInfo};

    fn lane() -> &'static Lane {
        let lane = Box::leak(Box::new(Lane::new(1 << 16, true)));
        lane.hold(ThreadInfo::default(), 0..0);
        lane
    }

    /// Nests polls, each with two inside, one after the other.
    fn nest(lane: &'static Lane, loop_: &Arc<Loop>, depth: u64, deepest: u64) {
        lane.enter(loop_, Some(0), depth);
        for _ in 0..2 {
            if depth < deepest {
                nest(lane, loop_, depth + 1, deepest);
            }
        }
        lane.exit(loop_);
    }

    /// The polls in the ring, with their workers.
    fn polls(lane: &Lane) -> Vec<(u32, u64)> {
        let (mut position, head) = lane.ring.readable();
        let (mut polls, mut at) = (Vec::new(), 0);
        while position < head {
            let (record, words) = Record::read(&lane.ring, position).unwrap();
            position += words;
            match record {
                Record::Place { worker, .. } => at = worker,
                Record::Poll { task, .. } => polls.push((at, task)),
                _ => {}
            }
        }
        polls
    }

    #[test]
    fn polls_nested_too_deep_leave_the_outer_ones_as_they_were_and_are_counted() {
        let (lane, loop_) = (lane(), Loop::new("test"));
        for deepest in [1, 3, 5, 6, 7, 10] {
            let before = lane.too_deep();
            lane.enter(&loop_, Some(0), 100);
            nest(lane, &loop_, 1, deepest);
            assert_eq!((lane.current_task(), lane.depth.load(Relaxed)), (100, 0), "{deepest}");
            lane.exit(&loop_);
            assert!(!lane.is_in_poll(), "{deepest}");
            assert_eq!(lane.too_deep() > before, deepest > MAX_DEPTH as u64, "{deepest}");
        }
    }

    #[test]
    fn a_step_that_ends_with_a_ring_and_began_without_is_counted_if_it_was_to_be_recorded() {
        let (lane, loop_) = (lane(), Loop::new("test"));
        let lost = || [RecordKind::Poll, RecordKind::Wake].map(recorder::no_ring_drops);
        recorder::set_recording(true);
        let before = lost();
        lane.end_step(&loop_, LOST, Some((ticks(), 0)));
        lane.end_step(&loop_, LOST, None);
        // One that another recording saw begin.
        lane.end_step(&loop_, ticks(), Some((ticks(), 0)));
        recorder::set_recording(false);
        lane.end_step(&loop_, LOST, Some((ticks(), 0)));
        assert_eq!(lost(), [before[0] + 2, before[1] + 1]);
        assert_eq!((polls(lane).len(), lane.too_deep()), (0, 0));
    }

    #[cfg(tokio_unstable)]
    #[test]
    fn hooked_polls_nested_too_deep_end_each_their_own() {
        let (lane, loop_) = (lane(), Loop::new("test"));
        for round in 1..=3 {
            for task in 1..=9 {
                lane.before_poll(&loop_, task);
            }
            for outer in (0..9).rev() {
                lane.after_poll(true, &loop_);
                assert_eq!(lane.depth.load(Relaxed) as u64, u64::saturating_sub(outer, 1));
                let is_kept = outer <= MAX_DEPTH as u64;
                assert_eq!(lane.current_task(), if is_kept { outer } else { 0 });
            }
            assert!(!lane.is_in_poll());
            // The deepest, which was never put aside, and the four outermost.
            assert_eq!((polls(lane).len() as u64, lane.too_deep()), (5 * round, 4 * round));
        }
    }

    #[cfg(tokio_unstable)]
    #[test]
    fn a_poll_that_loses_its_worker_goes_on_elsewhere() {
        let (lane, loop_) = (lane(), Loop::new("test"));
        let outside = loop_.outsider(ticks());
        lane.before_poll(&loop_, 1);
        let worker = lane.current.worker.load(Relaxed);
        lane.lose((loop_.id.0, worker), ticks() + 1);
        while ticks() <= lane.lost.at.load(Relaxed) {}
        assert!(!lane.after_plain_poll(), "what another thread took away shows at the next look");
        // No worker here, so that both are the same lane; two pieces all the same.
        lane.after_poll(true, &loop_);
        let pieces = [(worker, 1), (outside, 1)];
        assert_eq!(polls(lane), pieces);
        lane.lost.forget();
        lane.before_poll(&loop_, 2);
        lane.lose((loop_.id.0 + 1, worker), ticks());
        lane.after_poll(true, &loop_);
        assert_eq!(
            polls(lane)[2..],
            [(worker, 2)],
            "another loop's worker is none of its business"
        );
    }

    #[test]
    fn pieces_that_overlap_have_lanes_of_their_own_though_one_thread_ends_before_the_other() {
        let loop_ = Loop::new("test");
        let (one, other) = (lane(), lane());
        let lose = |lane: &'static Lane, task| {
            lane.enter(&loop_, Some(0), task);
            lane.lose((loop_.id.0, 0), ticks() + 1);
            while ticks() <= lane.lost.at.load(Relaxed) {}
        };
        lose(one, 1);
        lose(other, 2);
        let loop_ = &*loop_;
        std::thread::scope(|scope| {
            for lane in [one, other] {
                scope.spawn(move || lane.exit(loop_)).join().unwrap();
            }
        });
        let outside = |lane: &Lane| {
            let [(0, _), (outside, _)] = polls(lane)[..] else { panic!("{:?}", polls(lane)) };
            outside
        };
        assert_ne!(outside(one), outside(other));
    }

    #[test]
    fn a_lane_that_is_held_again_knows_nothing_of_its_last_thread() {
        let (lane, loop_) = (lane(), Loop::new("test"));
        lane.enter(&loop_, Some(0), 1);
        lane.lose((loop_.id.0, 0), 1);
        let before = ticks();
        lane.retire();
        assert!(lane.state() == LaneState::Retired && lane.retired_at() >= before);
        lane.set_free();
        lane.hold(ThreadInfo::default(), 0..0);
        assert!(!lane.is_in_poll() && lane.lost.since((loop_.id.0, 0)).is_none());
    }
}
